"""How much memory, and does anything grow that should not? Each figure from a fresh process."""
import os
import statistics
import tempfile

import numpy as np

from benchmarks import fresh, memory_probes
from benchmarks.frame import Table, find_peer, missing, verdict
from minichain.image import encode_jpeg

BARS = {'caption step': (.7, .5), 'CaffeNet to fc7': (1., .8)}
FLAT = 1.1      # by which what is called flat may grow
IMAGES, SIDE = 400, 64
BATCHES = 4     # that a longer data set may hold in addition


def run(options):
    """Return the Table."""
    table = Table('Memory beyond the imports, and what grows; each figure from a fresh process',
                  ['case', 'data', 'figure', 'minichain', 'beside', 'ratio', 'bar'])
    quick = options.quick
    add_peaks(table, 3 if not quick else 1, {
        'caption step': ('caption_step', [500, 64, 8] if quick else [8000, 512, 64]),
        'CaffeNet to fc7': ('caffenet', [1 if quick else 32])})
    add_growth(table, 200, 2000, 6) if quick else add_growth(table, 1000, 100_000, 50)
    add_stream(table, *((80, 800) if quick else (800, 80_000)))
    return table


def add_peaks(table, times, probes):
    """Add the rows of peak memory beside torch."""
    with_torch = find_peer('torch') is not None
    for name, (function, sizes) in probes.items():
        peaks = {}
        for library in ['minichain'] + ['torch'] * with_torch:
            found = [fresh.call('memory_probes', function, library, *sizes)
                     for _ in range(times)]
            peaks[library] = [row['peak'] for row in found], found[0]['check']
        table.raw[name] = {library: values for library, (values, _) in peaks.items()}
        ours = statistics.median(peaks['minichain'][0])
        data = ', '.join(map(str, sizes))
        if not with_torch:
            cell, note = missing('torch')
            table.add(name, data, 'peak MiB', ours, cell, None, f'{BARS[name][0]:g}')
            table.note(note)
            continue
        theirs = statistics.median(peaks['torch'][0])
        table.add(name, data, 'peak MiB', ours, f'torch {theirs:.4g}', ours / theirs,
                  ', '.join(verdict(ours / theirs, bar) for bar in BARS[name]))
        gap = abs(peaks['minichain'][1] - peaks['torch'][1])
        if gap > 1e-4 * abs(peaks['torch'][1]):
            table.note(f'{name}: the libraries compute different results, {gap:.2g} apart')
    table.note('caption step: vocabulary, LSTM width (embeddings half of it), batch. CaffeNet: '
               'batch.')


def add_growth(table, few, many, epochs):
    """Add the rows of what more captions and more epochs cost."""
    small = fresh.call('memory_probes', 'captions', few, epochs)
    large = fresh.call('memory_probes', 'captions', many, 2)
    table.raw['captions'] = {few: small, many: large}
    per_token = statistics.median(small['us_per_token'])
    rows = [('cost of captions', f'{many:,} beside {few:,}', 'CPU us/token',
             large['us_per_token'][1], per_token),
            ('cost of epochs', f'the last tenth of {epochs} beside the first', 'CPU us/token',
             *tenths(small['us_per_token'])),
            ('memory of epochs', f'epoch {epochs} beside epoch 2', 'resident MiB',
             small['memory'][-1], small['memory'][1])]
    for name, data, figure, after, before in rows:
        table.add(name, data, figure, after, before, after / before, verdict(after / before, FLAT))


def tenths(values):
    """Return the medians of the last and of the first tenth of values; the first is left out."""
    values = values[1:]
    part = max(1, len(values) // 10)
    return statistics.median(values[-part:]), statistics.median(values[:part])


def add_stream(table, few, many):
    """Add the row of a data set that is read as it is used."""
    with tempfile.TemporaryDirectory() as folder:
        source = np.random.default_rng(0)
        for number in range(min(few, IMAGES)):
            with open(os.path.join(folder, f'{number}.jpg'), 'wb') as file:
                file.write(encode_jpeg(source.integers(0, 256, (SIDE, SIDE, 3), np.uint8)))
        small, large = (fresh.call('memory_probes', 'stream', folder, n) for n in (few, many))
    table.raw['stream'] = {few: small, many: large}
    more = large['peak'] - small['peak']
    batches = more / (memory_probes.STREAMED * SIDE * SIDE * 12 / 2 ** 20)
    table.add('streaming', f'{many:,} images beside {few:,}', 'peak MiB', large['peak'],
              small['peak'], large['peak'] / small['peak'],
              f'{batches:.1f} batches more, {verdict(batches, BATCHES)}')
    table.note(f'streaming: as arrays, {many:,} images would take '
               f'{many * SIDE * SIDE * 12 / 2 ** 20:,.0f} MiB; the peak rises by '
               f'{more:.1f}. The list of names and labels is not counted.')

"""From JPEG files to captions: images per second of each stage, and end to end.

The files are read and decoded on the host, the networks run on the device. Wall time: what is
asked is which stage the others wait for.
"""
import concurrent.futures
import os
import tempfile
import time

import numpy as np

from benchmarks import decode, networks, pipeline
from benchmarks.frame import quantile, time_in_turns
from benchmarks.gpu.rows import GpuTable
from benchmarks.machine import n_cores
from minichain import image, no_backprop_mode, using_config
from minichain.backend import to_cpu

LAYER, N_FEATURE, SIDE = 'pool5', 1024, 224
BATCH, BATCHES, BEAM = 64, 4, 5
STAGES = 'read, decode, prepare', 'features by GoogLeNet', f'captions, beam {BEAM}', 'end to end'


def make_stages(paths, batch, beam, bench):
    """Return {stage: function of nothing}, each for all files, and a function that ends threads.

    Args:
        paths: of JPEG files. batch: images at a time. beam: of the search. bench: Bench.
    """
    preprocessing = image.Preprocessing((SIDE, SIDE), 'BGR', (104, 117, 123))
    device, pool = bench.device, concurrent.futures.ThreadPoolExecutor(n_cores())
    net = networks.make_network('googlenet').to_device(device)
    model = decode.make_model((decode.SIZE[0] // 8, N_FEATURE, 64, 64) if len(paths) < BATCH
                              else (decode.SIZE[0], N_FEATURE, *decode.SIZE[2:]))
    model.to_device(device)
    step = model.prepare_step()
    groups = [paths[i:i + batch] for i in range(0, len(paths), batch)]

    def prepare(path):
        return preprocessing.apply(image.load(path))

    def read(group):
        return np.stack(list(pool.map(prepare, group)))

    def look(images):
        with using_config('train', False), no_backprop_mode():
            return net(device.send(images), layers=[LAYER])[LAYER].array.reshape(len(images), -1)

    def say(features):
        return decode.ours(model, step, features, beam)()

    prepared = [read(group) for group in groups]
    features = [look(images) for images in prepared]

    def end_to_end():
        ahead = concurrent.futures.ThreadPoolExecutor(1)
        with ahead:     # files of the next batch are read while this one is worked on
            following = ahead.submit(read, groups[0])
            for group in [*groups[1:], None]:
                images = following.result()
                if group is not None:
                    following = ahead.submit(read, group)
                say(look(images))
    functions = (lambda: [read(group) for group in groups],
                 lambda: [to_cpu(look(images)) for images in prepared],
                 lambda: [say(each) for each in features], end_to_end)
    return dict(zip(STAGES, functions)), pool.shutdown


def run(options, bench):
    """Return the table."""
    table = GpuTable(f'JPEG files of {pipeline.WIDTH} x {pipeline.HEIGHT} -> {SIDE} x {SIDE} -> '
                     f'features -> captions of {decode.LENGTH} words',
                     ['stage', 'where', 'images', 'ms p50 (p10-p90)', 'images/s', '% of the time'])
    n, batch = (2, 1) if options.quick else (BATCH * BATCHES, BATCH)
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in pipeline.write_photos(folder, n)]
        stages, close = make_stages(paths, batch, 2 if options.quick else BEAM, bench)
        try:
            seconds = time_in_turns(stages, 3 if options.quick else 5, clock=time.perf_counter,
                                    finish=bench.clock.finish, budget=2 * options.seconds)
        finally:
            close()
    table.raw['pipeline'] = seconds.to_dict()
    medians = {stage: quantile(seconds[stage], .5) for stage in stages}
    for stage, median in medians.items():
        quick, slow = (1e3 * quantile(seconds[stage], part) for part in (.1, .9))
        where = f'{n_cores()} threads' if stage == STAGES[0] else bench.name
        table.add(stage, where if stage != STAGES[-1] else 'both', n,
                  f'{1e3 * median:.4g} ({quick:.4g}-{slow:.4g})', n / median,
                  f'{median / medians[STAGES[-1]]:.0%}')
    slowest = max(STAGES[:-1], key=medians.get)
    table.note(f'end to end is bound by: {slowest}. Files of the next batch are read while the '
               'device works on this one')
    return table

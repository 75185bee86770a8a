"""How long does a network of CaffeNet's size take to load, and how much memory?"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy as np

from benchmarks.frame import Table, find_peer, missing, verdict
from minichain import caffe, onnx

BAR = 1.
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# VmHWM is that of the process alone; ru_maxrss begins with what its parent had.
SCRIPT = """
import json, re, time
import numpy
{prepare}
def peak():
    try:
        with open('/proc/self/status') as file:
            return int(re.search(r'VmHWM:\\s*(\\d+)', file.read())[1]) / 1024
    except OSError:
        import resource, sys
        unit = 2 ** 20 if sys.platform == 'darwin' else 2 ** 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
x = numpy.full((1, 3, {side}, {side}), .5, numpy.float32)
before, start = peak(), time.perf_counter()
net = {load}
loaded, seconds = peak(), time.perf_counter() - start
y = {infer}
print(json.dumps(dict(load_seconds=seconds, load_memory=loaded - before,
                      use_seconds=time.perf_counter() - start, use_memory=peak() - before,
                      checksum=float(abs(numpy.asarray(y)).max()))))
"""


class Loader(NamedTuple):
    """One way to read a file: Python source that runs in a process of its own.

    Attributes:
        name: for the table.
        module, package: what has to be installed, and how pip calls it.
        format: key of WRITERS.
        prepare: imports, and settings of one thread.
        load: expression with the files' paths as ``{paths[0]!r}``.
        infer: expression of ``net`` and ``x``: the output for one image.
    """

    name: str
    module: str
    package: str
    format: str
    prepare: str
    load: str
    infer: str


LOADERS = [
    Loader('minichain.caffe.load', 'minichain', 'minichain', 'caffe',
           'import minichain, minichain.caffe\n'
           'minichain.config.train, minichain.config.enable_backprop = False, False',
           'minichain.caffe.load({paths[0]!r}, {paths[1]!r})',
           "net({{'data': x}}, ['prob'])[0].array"),
    Loader('cv2.dnn.readNetFromCaffe', 'cv2', 'opencv-python-headless<5', 'caffe',
           'import cv2\ncv2.setNumThreads(1)',
           'cv2.dnn.readNetFromCaffe({paths[1]!r}, {paths[0]!r})',
           "(net.setInput(x), net.forward('prob'))[1]"),
    Loader('minichain.onnx.load', 'minichain', 'minichain', 'onnx',
           'import minichain, minichain.onnx\n'
           'minichain.config.train, minichain.config.enable_backprop = False, False',
           'minichain.onnx.load({paths[0]!r})', 'net(x)[0].array'),
    Loader('onnxruntime.InferenceSession', 'onnxruntime', 'onnxruntime', 'onnx',
           'import onnxruntime\noptions = onnxruntime.SessionOptions()\n'
           'options.intra_op_num_threads = 1',
           "onnxruntime.InferenceSession({paths[0]!r}, options, "
           "providers=['CPUExecutionProvider'])",
           'net.run(None, {{net.get_inputs()[0].name: x}})[0]'),
]


def caffenet(width):
    """Return CaffeNet as layers for ``caffe.save``, random weights: 61 million for width 1.

    Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks".
    """
    source, layers = np.random.default_rng(0), []

    def scaled(number):
        return max(2, int(number * width) // 2 * 2)

    def add(kind, name, blobs=(), bottom=None, **parameters):
        bottom = bottom or (layers[-1]['top'][0] if layers else 'data')
        top = bottom if kind in ('ReLU', 'Dropout') else name
        layers.append({'name': name, 'type': kind, 'bottom': [bottom], 'top': [top],
                       'blobs': list(blobs), **parameters})

    def weights(outputs, *shape):
        fan_in = int(np.prod(shape))
        W = source.standard_normal((outputs, *shape), np.float32) * np.float32(fan_in ** -.5)
        return W, np.zeros(outputs, np.float32)

    channels = 3
    for number, outputs, kernel, stride, pad, group in (
            (1, 96, 11, 4, 0, 1), (2, 256, 5, 1, 2, 2), (3, 384, 3, 1, 1, 1),
            (4, 384, 3, 1, 1, 2), (5, 256, 3, 1, 1, 2)):
        outputs = scaled(outputs)
        add('Convolution', f'conv{number}', weights(outputs, channels // group, kernel, kernel),
            convolution_param={'num_output': outputs, 'kernel_size': [kernel], 'stride': [stride],
                               'pad': [pad], 'group': group})
        add('ReLU', f'relu{number}')
        if number in (1, 2, 5):
            add('Pooling', f'pool{number}', pooling_param={
                'pool': 'MAX', 'kernel_size': 3, 'stride': 2})
        if number in (1, 2):
            add('LRN', f'norm{number}', lrn_param={'local_size': 5, 'alpha': 1e-4, 'beta': .75})
        channels = outputs
    inputs = channels * 6 * 6
    for number, outputs in (6, scaled(4096)), (7, scaled(4096)), (8, 1000):
        add('InnerProduct', f'fc{number}', weights(outputs, inputs),
            inner_product_param={'num_output': outputs})
        if number < 8:
            add('ReLU', f'relu{number}')
            add('Dropout', f'drop{number}')
        inputs = outputs
    add('Softmax', 'prob')
    return layers


def write_caffe(folder, width):
    """Write a caffemodel and its prototxt; return their paths."""
    paths = [os.path.join(folder, f'caffenet.{suffix}') for suffix in ('caffemodel', 'prototxt')]
    caffe.save(*paths, caffenet(width), (1, 3, 227, 227))
    return paths


def write_onnx(folder, width):
    """Write the same network as an ONNX file; return its path as a list."""
    path, net = os.path.join(folder, 'caffenet.onnx'), caffe.load(*write_caffe(folder, width))
    x = np.random.default_rng(1).standard_normal((1, 3, 227, 227), np.float32)
    onnx.export(lambda x: net({'data': x}, ['prob'])[0], x, path, chain=net)
    return [path]


WRITERS = {'caffe': write_caffe, 'onnx': write_onnx}


def measure(loader, paths):
    """Return what SCRIPT prints, of a fresh process."""
    source = SCRIPT.format(prepare=loader.prepare, side=227, load=loader.load.format(paths=paths),
                           infer=loader.infer.format(paths=paths))
    printed = subprocess.run(
        [sys.executable, '-c', source], cwd=ROOT, check=True, capture_output=True, text=True,
        env={**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1'}).stdout
    return json.loads(printed)


def run(options):
    """Return the Table."""
    table = Table("Loading a network of CaffeNet's size, random weights, in fresh processes; "
                  'medians', ['loader', 'load ms', 'peak MiB', '+ one image ms', '+ one peak MiB',
                              'load time / peer', 'peak / peer'])
    loaders = [loader for loader in LOADERS if find_peer(loader.module)]
    measured = {loader: [] for loader in loaders}
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: write(folder, .1 if options.quick else 1) for kind, write
                 in WRITERS.items()}
        for loader in loaders:      # the first run fills the disk's cache and writes bytecode
            measure(loader, paths[loader.format])
        for _ in range(1 if options.quick else 7):
            for loader in loaders:
                measured[loader].append(measure(loader, paths[loader.format]))
        for kind, files in paths.items():
            size = sum(map(os.path.getsize, files)) / 2 ** 20
            table.notes.append(f'{kind}: {size:.0f} MiB in '
                               f'{", ".join(pathlib.Path(path).name for path in files)}, in the '
                               "disk's cache. Peaks are of resident memory beyond the imports.")
    report(table, measured)
    for loader in LOADERS:
        if loader not in loaders:
            cell, note = missing(loader.package)
            table.add(loader.name, *[cell] * 4, None, None)
            table.notes.append(note)
    return table


def report(table, measured):
    """Add a row for each loader; ours with its bars beside the peers of the same format."""
    medians = {loader: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
               for loader, rows in measured.items()}
    for loader, own in medians.items():
        bars = [None, None]
        if loader.module == 'minichain':
            peers = [other for peer, other in medians.items()
                     if peer.format == loader.format and peer is not loader]
            for peer in peers:
                if abs(peer['checksum'] - own['checksum']) > 1e-3 * abs(own['checksum']):
                    table.notes.append(f'{loader.name} computes another result than its peers.')
            if peers:
                ratios = [own[key] / max(min(peer[key] for peer in peers), 1e-9)
                          for key in ('load_seconds', 'load_memory')]
                bars = [f'{ratio:.3f}, bar {verdict(ratio, BAR)}' for ratio in ratios]
        table.add(loader.name, 1000 * own['load_seconds'], own['load_memory'],
                  1000 * own['use_seconds'], own['use_memory'], *bars)

"""Reads the files of a folder within bounds on memory and time, and says how each ended.

    python -m tests.hostile.child FOLDER KIND

Prints a line of JSON for each file: its name, 'loaded', 'refused' or 'wrong', what was raised,
seconds. A process of its own, so that a crash or a bound that is overrun is seen.
"""
import json
import pathlib
import resource
import signal
import sys
import time

import numpy as np

import minichain
import minichain.caffe
import minichain.image
import minichain.onnx
from minichain.errors import MinichainError
from tests.hostile.seeds import ROOT, target

MEMORY = 1 << 30
SECONDS = 10
FAMILY = (MinichainError, ValueError, OSError)
# Kinds of errors that derive from those, but that no file may cause.
WRONG = (UnicodeError,)


def read_caffemodel(path):
    use_caffe(minichain.caffe.load(path, ROOT / 'weights' / 'scenes_cnn.prototxt'))
    use_caffe(minichain.caffe.load(path))


def read_prototxt(path):
    use_caffe(minichain.caffe.load(ROOT / 'weights' / 'scenes_cnn.caffemodel', path,
                                   strict=False))


def use_caffe(net):
    inputs = {name: np.ones((1, 3, 64, 64) if name == 'data' else (1, 2, 9, 9), np.float32)
              for name in net.input_names}
    net(inputs=inputs, outputs=net.blob_names[-1:])


def read_onnx(path):
    net = minichain.onnx.load(path)
    inputs = {}
    for name in net.input_names:
        dtype, shape = net._inputs[name]
        shape = [dim if isinstance(dim, int) and 0 < dim < 65 else 2 for dim in shape or ()]
        inputs[name] = np.ones(shape if np.prod(shape) < 1e6 else 1, dtype or np.float32)
    net(inputs)


def read_npz(path):
    minichain.serializers.load_npz(str(path), target())


def read_image(path):
    minichain.image.load(path)


def timed_out(number, frame):
    raise TimeoutError(f'more than {SECONDS} s')


def main(folder, kind):
    read = globals()[f'read_{kind}']
    signal.signal(signal.SIGALRM, timed_out)
    size = int(pathlib.Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    for path in sorted(pathlib.Path(folder).iterdir()):
        start, status, problem = time.monotonic(), 'loaded', ''
        signal.alarm(SECONDS)
        try:
            read(path)
        except TimeoutError as error:
            status, problem = 'wrong', str(error)
        except FAMILY as error:
            status = 'wrong' if isinstance(error, WRONG) else 'refused'
            problem = f'{type(error).__name__}: {error}'
        except BaseException as error:
            status, problem = 'wrong', f'{type(error).__name__}: {error}'
        signal.alarm(0)
        print(json.dumps({'name': path.name, 'status': status, 'problem': problem[:300],
                          'seconds': time.monotonic() - start}), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])

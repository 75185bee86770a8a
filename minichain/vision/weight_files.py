"""Weights by name, from files of Caffe, ONNX and Chainer, into an ImageNetwork.

A reader, one for each format, gives Entries; here they are compared with the network and copied.
"""
import contextlib
import os

import numpy as np

from minichain import backend
from minichain.errors import DataError, InvalidArgument
from minichain.serializers import LoadReport
from minichain.serializers.npz import open_model
from minichain.vision.caffe_weights import read_caffemodel
from minichain.vision.entries import Entries, Entry
from minichain.vision.onnx_weights import read_onnx


def load(net, path, partial):
    """Fill an ImageNetwork; see its method ``load``."""
    path = os.fspath(path)
    reader = READERS.get(os.path.splitext(path)[1].lower())
    if reader is None:
        raise InvalidArgument(f'{path}: a file of weights ending in {", ".join(READERS)} '
                              'expected. Rename it if it is one of these')
    with reader(net, path) as entries:
        return fill(net, path, entries, partial)


def values(net):
    """Yield (our name, link, attribute) of every parameter and persistent value."""
    for path, link in net.namedlinks():
        for attribute in sorted(link._params | link._persistent):
            yield f'{path}/{attribute}'.lstrip('/'), link, attribute


def fill(net, path, entries, partial):
    """Copy entries into a network if they fit it, or those that fit; return the LoadReport."""
    report, fitting = LoadReport(unused=entries.unused), []
    for name, link, attribute in values(net):
        value = getattr(link, attribute)
        value = getattr(value, 'array', value)
        if name in entries:
            shape = entries[name].shape
            if value is None or np.shape(value) == shape:
                report.matched.append(name)
                fitting.append((entries[name], link, attribute))
            else:
                report.wrong_shape[name] = np.shape(value), shape
        elif value is not None and np.shape(value) != ():
            report.missing.append(name)

    def is_optional(name):
        return any(name.startswith(start) for start in net.optional)
    if not partial and (report.wrong_shape
                        or not all(map(is_optional, report.missing + report.unused))):
        raise DataError(f'{path} does not fit {type(net).__name__}; nothing was loaded. '
                        f'{_shortened(report)}\nAllow it with partial=True')
    for name, epsilon in entries.epsilons.items():
        if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
            raise DataError(f'{path}: {name}: an eps between 0 and 1 expected, got {epsilon!r}')
    for entry, link, attribute in fitting:
        _assign(path, entry, link, attribute)
    for name, epsilon in entries.epsilons.items():
        if f'{name}/avg_var' in report.matched:
            _at(net, name).eps = epsilon
    return report


def _shortened(report, lines=30):
    text = str(report).splitlines()
    return '\n'.join(text[:lines] + [f'  ... {len(text) - lines} more'] * (len(text) > lines))


def _at(net, path):
    for name in path.split('/'):
        net = net[int(name) if name.isdigit() else name]
    return net


def _assign(path, entry, link, attribute):
    array = np.asarray(entry.read())
    value = getattr(link, attribute)
    if not backend.is_array(getattr(value, 'array', value)):
        if attribute in link._params:       # the shape of the first data was awaited
            value.initialize(array.shape)
        else:
            setattr(link, attribute, type(value)(array) if array.ndim == 0
                    else link.device.send(array))
            return
    target = value.array if attribute in link._params else value
    if not np.can_cast(array.dtype, target.dtype, 'same_kind'):
        raise DataError(f'{path}: {attribute}: {target.dtype} expected, got {array.dtype}')
    backend.copyto(target, array.astype(target.dtype, copy=False))


@contextlib.contextmanager
def read_npz(net, path):
    """Entries of an npz file with Chainer's names, which are ours."""
    with open_model(path) as npz:
        known = {name for name, _, _ in values(net)}
        headers = {name: npz.header(name) for name in npz if name in known}
        yield Entries(
            {name: Entry(header.shape, lambda name=name: npz.read(name))
             for name, header in headers.items() if not header.is_none},
            unused=[name for name in npz if name not in known])


READERS = {'.caffemodel': read_caffemodel, '.npz': read_npz, '.onnx': read_onnx}

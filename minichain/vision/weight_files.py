"""Weights by name, from files of Caffe and Chainer, into an ImageNetwork.

A reader gives a dict from our names, as 'conv1/W', to Entry, and the names of the file that
nobody wants.
"""
import dataclasses
import os
import typing

import numpy as np

from minichain import backend
from minichain.caffe.network import read_network
from minichain.errors import DataError, InvalidArgument
from minichain.links.batch_normalization import BatchNormalization
from minichain.serializers import LoadReport
from minichain.serializers.npz import open_model


@dataclasses.dataclass
class Entry:
    """A value in a file: its shape, known at once, and `read`, which gives the array."""

    shape: tuple
    read: typing.Callable


def load(net, path, partial):
    """Fill an ImageNetwork; see its method ``load``."""
    path = os.fspath(path)
    reader = READERS.get(os.path.splitext(path)[1].lower())
    if reader is None:
        raise InvalidArgument(f'{path}: a file of weights ending in {", ".join(READERS)} '
                              'expected. Rename it if it is one of these')
    with reader(net, path) as entries:
        return fill(net, path, entries, partial)


class Entries(dict):
    """Our names -> Entry; ``unused`` are names of the file that are not wanted."""

    def __init__(self, entries=(), unused=(), file=None, epsilons=()):
        super().__init__(entries)
        self.unused, self.file, self.epsilons = list(unused), file, dict(epsilons)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.file is not None:
            self.file.close()


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


def read_npz(net, path):
    """Entries of an npz file with Chainer's names, which are ours."""
    npz = open_model(path)
    known = {name for name, _, _ in values(net)}
    entries = Entries(unused=[name for name in npz if name not in known], file=npz)
    for name in known.intersection(npz):
        header = npz.header(name)
        if not header.is_none:
            entries[name] = Entry(header.shape, lambda name=name: npz.read(name))
    return entries


def read_caffemodel(net, path):
    """Entries of a caffemodel whose layers have the names of the published networks.

    Batch normalization takes the eps of the file too, so that outputs are Caffe's.
    """
    layers = {layer.name: layer for layer in read_network(path).layers if layer.blobs}
    entries, used = Entries(), set()
    for place, link in net.namedlinks(skipself=True):
        if not link._params:
            continue
        place = place.lstrip('/')
        names = net.caffe_layer(place)
        used.update(names)
        blobs = [layers[name].blobs if name in layers else () for name in names]
        if isinstance(link, BatchNormalization):
            statistics, affine = (*blobs, ())[:2]
            arrays = dict(zip(('gamma', 'beta'), affine))
            if len(statistics) == 3:
                mean, variance, factor = map(np.asarray, statistics)
                factor = 1 / factor.item() if factor.size == 1 and factor.any() else 0
                arrays.update(avg_mean=mean * np.float32(factor),
                              avg_var=variance * np.float32(factor))
                entries.epsilons[place] = layers[names[0]].batch_norm_param.eps
        else:
            arrays = dict(zip('Wb', blobs[0]))
            if 'W' in arrays and layers[names[0]].inner_product_param.transpose:
                arrays['W'] = np.asarray(arrays['W']).swapaxes(-1, -2)
            if 'W' in arrays and 'b' not in arrays and getattr(link, 'b', None) is not None:
                arrays['b'] = np.zeros(link.b.shape, np.float32)    # none is one of zeros
        for attribute, array in arrays.items():
            parameter = getattr(link, attribute)
            if parameter is None:
                entries.unused.append(f'{names[0]}, the bias')
                continue
            array = _without_leading_axes(np.asarray(array), np.ndim(
                getattr(parameter, 'array', parameter)))
            entries[f'{place}/{attribute}'] = Entry(array.shape, lambda array=array: array)
    entries.unused += [name for name in layers if name not in used]
    return entries


def _without_leading_axes(array, ndim):
    """An array of old files, which have axes of length 1 in front."""
    while array.ndim > max(ndim, 1) and array.shape[0] == 1:
        array = array[0]
    return array


READERS = {'.caffemodel': read_caffemodel, '.npz': read_npz}

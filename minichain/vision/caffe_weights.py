"""Weights from caffemodels, by the names that layers have in the published networks."""
import contextlib

import numpy as np

from minichain.caffe.network import read_network
from minichain.links.batch_normalization import BatchNormalization
from minichain.vision.entries import Entries, Entry


@contextlib.contextmanager
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
            parameter = getattr(link, attribute, None)
            if parameter is None:
                entries.unused.append(f'{names[0]}, the bias')
                continue
            array = _without_leading_axes(np.asarray(array), np.ndim(
                getattr(parameter, 'array', parameter)))
            entries[f'{place}/{attribute}'] = Entry(array.shape, lambda array=array: array)
    entries.unused += [name for name in layers if name not in used]
    yield entries


def _without_leading_axes(array, ndim):
    """An array of old files, which have axes of length 1 in front."""
    while array.ndim > max(ndim, 1) and array.shape[0] == 1:
        array = array[0]
    return array

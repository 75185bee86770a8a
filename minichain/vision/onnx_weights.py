"""Weights from ONNX models, by their names, or by the order of the layers where names are lost."""
import contextlib

import numpy as np

from minichain.configuration import no_backprop_mode, using_config
from minichain.errors import DataError
from minichain.link_hook import LinkHook
from minichain.links.batch_normalization import BatchNormalization
from minichain.links.convolution import ConvolutionBase
from minichain.links.linear import Linear
from minichain.onnx.graph import read_model
from minichain.vision.entries import Entries, Entry

STATISTICS = ('gamma', 'beta', 'avg_mean', 'avg_var')


class Layer:
    """A layer of weights in an ONNX graph.

    Attributes:
        names: of the initializers, the main one first.
        arrays: dict from our attribute, as 'W', to the array in our orientation.
        signature: what the network's link must have in common with it.
        source: name of the tensor that it reads.
        epsilon: of a batch normalization, else None.
    """

    def __init__(self, names, arrays, signature, source, epsilon=None):
        self.names, self.arrays, self.signature = names, arrays, signature
        self.source, self.epsilon = source, epsilon


@contextlib.contextmanager
def read_onnx(net, path):
    """Entries of an ONNX model.

    A layer belongs to a link if its weights have the link's name: ours ('conv1/W', 'conv1.W'),
    Caffe's ('conv1_w_0'), or torchvision's ('features.0.weight'). If that does not account for
    every link, layers are matched in the order of computation, provided that all have the same
    shapes, strides and groups as the network's. Batch normalizations that were merged into
    convolutions are understood.

    Raises:
        DataError: names say too little, and the order is ambiguous or another one.
    """
    graph = read_model(path).graph
    try:
        layers = find_layers(graph)
    except (AttributeError, LookupError, TypeError) as error:
        raise DataError(f'{path}: a node has inputs or attributes that its operator cannot have: '
                        f'{error}') from error
    places = {place.lstrip('/'): link for place, link in net.namedlinks(skipself=True)
              if link._params}
    matches = by_name(net, places, layers)
    if not is_complete(net, places, matches):
        matches = by_order(net, places, layers) or matches
    if not matches:
        raise DataError(
            f'{path}: initializers named as the links of {type(net).__name__} expected, or layers '
            'of the same shapes in the same order, none of which could be taken for another. Its '
            f'{len(layers)} layers of weights begin with '
            f'{", ".join(layer.names[0] for layer in layers[:5]) or "none"}')
    entries, used = Entries(), set()
    for place, layer in matches.items():
        link = places[place]
        if signature_of(link) != layer.signature:
            expect_same_geometry(path, place, link, layer)
        used.add(layer)
        entries.epsilons.update({place: layer.epsilon} if layer.epsilon is not None else {})
        arrays = dict(layer.arrays)
        if 'b' not in arrays and getattr(link, 'b', None) is not None:
            arrays['b'] = np.zeros(link.b.shape, np.float32)    # none is one of zeros
        for attribute, array in arrays.items():
            if getattr(link, attribute, None) is None:
                entries.unused.append(f'{layer.names[0]}, the bias')
            else:
                entries[f'{place}/{attribute}'] = Entry(array.shape, lambda array=array: array)
    names = {name for layer in used for name in layer.names}
    entries.unused += [layer.names[0] for layer in layers if layer.names[0] not in names]
    yield entries


def find_layers(graph):
    """Return the Layers of a graph in the order of computation."""
    constants, names = dict(graph.initializers), {name: name for name in graph.initializers}
    additions = {}
    for node in graph.nodes:
        if node.op_type == 'Constant' and isinstance(node.get('value'), np.ndarray):
            constants[node.outputs[0]] = node.get('value')
            names[node.outputs[0]] = node.name or node.outputs[0]
        elif node.op_type == 'Identity' and node.inputs[0] in constants:    # a shared tensor
            constants[node.outputs[0]] = constants[node.inputs[0]]
            names[node.outputs[0]] = node.outputs[0]
        elif node.op_type == 'Add':
            for one, other in (node.inputs, node.inputs[::-1]):
                if one not in constants and other in constants:
                    additions[one] = other
    layers = []
    for node in graph.nodes:
        weights = [name for name in node.inputs[1:] if name]
        if not weights or any(name not in constants for name in weights):
            continue
        arrays = [constants[name] for name in weights]
        if node.op_type == 'Conv':
            kinds, signature = 'Wb', geometry(node, arrays[0])
        elif node.op_type == 'Gemm' and not node.get('transA', 0):
            kinds = 'Wb'
            arrays[0] = arrays[0] if node.get('transB', 0) else arrays[0].T
            arrays = [scaled(array, node.get(factor, 1.))
                      for array, factor in zip(arrays, ('alpha', 'beta'))]
            arrays[1:] = map(np.ravel, arrays[1:])
            signature = ('linear', arrays[0].shape)
        elif node.op_type == 'MatMul' and arrays[0].ndim == 2:
            added = additions.get(node.outputs[0])
            weights, arrays = weights + [added] * (added is not None), [arrays[0].T]
            arrays += [np.ravel(constants[name]) for name in weights[1:]]
            kinds, signature = 'Wb', ('linear', arrays[0].shape)
        elif node.op_type == 'BatchNormalization' and len(arrays) == 4:
            kinds, signature = STATISTICS, ('norm', arrays[0].shape)
        else:
            continue
        layers.append(Layer([names[name] for name in weights], dict(zip(kinds, arrays)),
                            signature, node.inputs[0], node.get('epsilon', 1e-5)
                            if kinds is STATISTICS else None))
    return layers


def scaled(array, factor):
    """The product, or the array itself where the factor is 1."""
    return array if factor == 1 else array * array.dtype.type(factor)


def geometry(node, W):
    """The signature of a convolution: shape of W, strides, dilations, groups."""
    ones = [1] * (W.ndim - 2)
    return ('convolution', W.shape, tuple(node.get('strides', ones)),
            tuple(node.get('dilations', ones)), node.get('group', 1))


def signature_of(link):
    """What a Layer must have in common with a link."""
    if isinstance(link, BatchNormalization):
        return 'norm', link.avg_mean.shape
    if isinstance(link, Linear):
        return 'linear', link.W.shape
    if isinstance(link, ConvolutionBase):
        return 'convolution', link.W.shape, link.stride, link.dilate, link.groups
    return (type(link).__name__,)


def expect_same_geometry(path, place, link, layer):
    """Raise unless only the shape of the weights differs, of which the report will tell."""
    ours, theirs = signature_of(link), layer.signature
    if ours[0] != theirs[0] or ours[2:] != theirs[2:]:
        raise DataError(f'{path}: {layer.names[0]} is another layer than {place}: {ours} '
                        f'expected, got {theirs}. Is it a variant of the network?')


def by_name(net, places, layers):
    """Return dict from place to the Layer whose main weights have its name."""
    named = {layer.names[0]: layer for layer in layers}
    matches = {}
    for place, link in places.items():
        main = 'gamma' if isinstance(link, BatchNormalization) else 'W'
        for name in (f'{place}/{main}', f'{place}/{main}'.replace('/', '.'),
                     f'{net.caffe_layer(place)[-1]}_w_0',
                     f'{net.torchvision_layer(place)}.weight'):
            if name in named:
                matches[place] = named[name]
                break
    return matches


def is_complete(net, places, matches):
    """Whether all links have a layer, but for those that a file may lack."""
    return all(place in matches or place.startswith(tuple(net.optional)) for place in places)


def by_order(net, places, layers):
    """Return dict from place to Layer if the order leaves no doubt, else None."""
    ours = order_of_calls(net, places)
    if all(layer.epsilon is None for layer in layers):
        layers = unfolded(ours, places, layers)
    if [signature_of(places[place]) for place in ours] != [layer.signature for layer in layers]:
        return None
    weights = [layer for layer in layers if layer.signature[0] != 'norm']
    twins = {(layer.source, layer.signature) for layer in weights}
    if len(twins) != len(weights):      # equal layers side by side, whose order means nothing
        return None
    return dict(zip(ours, layers))


def unfolded(ours, places, layers):
    """Give back the batch normalizations that an exporter has merged into convolutions.

    They do nothing but add what was the bias:  gamma = 1, beta = b, avg_var + eps = 1.
    """
    queue, whole = iter(layers), []
    for place in ours:
        link = places[place]
        if not isinstance(link, BatchNormalization):
            whole.extend(layer for layer in [next(queue, None)] if layer is not None)
        elif whole and whole[-1].signature[0] == 'convolution' and 'b' in whole[-1].arrays:
            before = whole.pop()
            W, b = before.arrays['W'], before.arrays['b']
            whole.append(Layer(before.names, {'W': W}, before.signature, before.source))
            whole.append(Layer(before.names[1:], {
                'gamma': np.ones_like(b), 'beta': b, 'avg_mean': np.zeros_like(b),
                'avg_var': np.full_like(b, 1 - link.eps)}, ('norm', b.shape), before.source))
    return [*whole, *queue]


class _Calls(LinkHook):
    name = 'calls'

    def __init__(self, places):
        self.places, self.order = {id(link): place for place, link in places.items()}, {}

    def forward_postprocess(self, call):
        if id(call.link) in self.places:
            self.order[self.places[id(call.link)]] = None


def order_of_calls(net, places):
    """Return the places of links in the order in which the network calls them."""
    x = net.xp.zeros((1, 3, *net.preprocessing.size), np.float32)
    with using_config('train', False), no_backprop_mode(), _Calls(places) as calls:
        net(x)
    return list(calls.order)

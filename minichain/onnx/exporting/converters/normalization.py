"""Normalizations, and how those that are made of small functions are put together again."""
import numpy as np

from minichain.functions.batch_normalization import BatchNormalization
from minichain.functions.layer_normalization import Standardize
from minichain.functions.local_response_normalization import LocalResponseNormalization
from minichain.functions.operators import AddConstant, Mul, Sub
from minichain.functions.power import Rsqrt
from minichain.functions.reshape import Reshape


def local_response_normalization(graph, node):
    size = 2 * (node.attribute('n') // 2) + 1   # ONNX divides alpha by it
    x, shape = node.inputs[0], node.input_shapes[0]
    four = len(shape) == 4
    if not four:
        x = graph.reshape(x, (*shape[:2], int(np.prod(shape[2:], dtype=int)), 1))
    y = graph.add('LRN', [x], size=size, bias=float(node.attribute('k')),
                  alpha=float(node.attribute('alpha')) * size, beta=float(node.attribute('beta')))
    return y if four else graph.reshape(y, shape)


def standardize(graph, node):
    shape = node.input_shapes[0]
    if graph.opset < 17:
        return standardized(graph, node.inputs[0], (len(shape) - 1,), node.attribute('eps'),
                            node.dtype)
    ones = graph.constant(np.ones(shape[-1:], node.dtype))
    return graph.add('LayerNormalization', [*node.inputs, ones], axis=-1,
                     epsilon=float(node.attribute('eps')))


def standardized(graph, x, axes, eps, dtype):
    """Add (x - mean) / sqrt(var + eps), written out."""
    centred = graph.add('Sub', [x, graph.reduce('ReduceMean', x, axes, keepdims=True)])
    var = graph.reduce('ReduceMean', graph.add('Mul', [centred, centred]), axes, keepdims=True)
    var = graph.add('Add', [var, graph.constant(eps, dtype=dtype)])
    return graph.add('Div', [centred, graph.add('Sqrt', [var])])


def batch_normalization(graph, node):
    """With the statistics of the batch itself: for code that calls it in test mode too."""
    x, *weights = node.inputs
    axes = node.attribute('axes')
    kept = tuple(1 if i in axes else n for i, n in enumerate(node.input_shapes[0]))
    gamma, beta = (graph.reshape(each, kept) for each in weights)
    y = standardized(graph, x, axes, node.attribute('eps'), node.dtype)
    return graph.add('Add', [graph.add('Mul', [y, gamma]), beta])


def fused_normalization(graph, node):
    """Return the result of a sum that ends a normalization of fixed scale and shift, or None."""
    product = node.producer(0)
    if product is None or not isinstance(product.function, Mul):
        return None
    if not (node.is_constant(1) and product.is_constant(1)):
        return None
    inner = product.producer(0)
    if inner is None:
        return None
    if isinstance(inner.function, Standardize) and graph.opset >= 17:
        return _layer_normalization(graph, node, product, inner)
    if isinstance(inner.function, Sub) and inner.is_constant(1):
        return _fixed_batch_normalization(graph, node, product, inner)
    return None


def _layer_normalization(graph, node, product, inner):
    width = inner.input_shapes[0][-1:]
    if node.array(1).shape != width or product.array(1).shape != width:
        return None
    return graph.add('LayerNormalization', [inner.inputs[0], product.inputs[1], node.inputs[1]],
                     axis=-1, epsilon=float(inner.function.eps))


def _fixed_batch_normalization(graph, node, product, inner):
    """(x - mean) * (gamma * rsqrt(var + eps)) + beta, all of one number a channel."""
    scale = graph.source(product.operands[1], Mul)
    root = scale and graph.source(scale.operands[1], Rsqrt)
    shifted = root and graph.source(root.operands[0], AddConstant)
    shape = inner.input_shapes[0]
    if not shifted or len(shape) < 2:
        return None
    kept = (1, shape[1], *[1] * (len(shape) - 2))
    numbers = [scale.operands[0], node.operands[1], inner.operands[1], shifted.operands[0]]
    arrays = [graph.traces[0].arrays[number] for number in numbers]
    if any(array.shape != kept for array in arrays):
        return None
    weights = [_channels(graph, number, shape[1]) for number in numbers]
    return graph.add('BatchNormalization', [inner.inputs[0], *weights],
                     epsilon=float(shifted.function.value))


def _channels(graph, number, channels):
    """Return the tensor of a constant (1, C, 1, ...) as (C,), under its name if it has one."""
    reshaped = graph.source(number, Reshape)
    if reshaped and graph.traces[0].arrays[reshaped.operands[0]].shape == (channels,):
        return graph.tensor(reshaped.operands[0])
    return graph.constant(graph.traces[0].arrays[number].reshape(channels), graph.origin(number))


CONVERTERS = {
    LocalResponseNormalization: local_response_normalization, Standardize: standardize,
    BatchNormalization: batch_normalization,
}

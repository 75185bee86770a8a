"""Matrices and what is linear: products in index notation, diagonals, determinants, Fourier."""
import numpy as np

from minichain.functions.decorrelated_batch_normalization import InverseSquareRoot, Sylvester
from minichain.functions.diagonal import Diagonal
from minichain.functions.einsum import EinSum
from minichain.functions.fft import FFT
from minichain.functions.linear_algebra import Cholesky, Det, Inv
from minichain.functions.prod import Cumprod
from minichain.onnx.exporting.batch import Rows
from minichain.onnx.exporting.converters.activation import same
from minichain.onnx.exporting.refusal import CannotExport

LONGEST = 1024   # signal that a matrix transforms


def fixed(length, what):
    """Return a length that must not follow the batch size."""
    if isinstance(length, Rows):
        raise CannotExport(f'{what} as long as the batch; batch_axis=None exports one fixed size')
    return length


def einsum(graph, node):
    labels, output = node.attribute('labels'), node.attribute('output')
    lengths, operands = {}, []
    for each, shape in zip(labels, node.input_shapes):
        for label, length in zip(each, shape):
            if lengths.get(label, 1) == 1:
                lengths[label] = length
    for tensor, each, shape in zip(node.inputs, labels, node.input_shapes):
        whole = tuple(lengths[label] for label in each)
        # An axis of length 1 that broadcasts: not every runner does that for a label.
        operands.append(tensor if whole == shape else graph.add(
            'Expand', [tensor, graph.shape(whole)]))
    return graph.add('Einsum', operands, equation=f'{",".join(labels)}->{output}')


def diagonal(graph, node):
    (offset, *axes), shape = node.attribute('place'), node.input_shapes[0]
    for axis in axes:
        fixed(shape[axis], 'a diagonal along an axis')
    ndim, step = len(shape), np.arange(node.output_shapes[0][-1])
    places = np.stack([step - min(offset, 0), step + max(offset, 0)], 1)
    first = graph.transpose(node.inputs[0], [*axes, *(i for i in range(ndim) if i not in axes)])
    y = graph.add('GatherND', [first, graph.constant(places, dtype='int64')])
    return graph.transpose(y, [*range(1, ndim - 1), 0])


def fft(graph, node):
    """DFT; matrices for short signals where it is new, or runners compute it without care."""
    shape = node.input_shapes[0]
    length, inverse = fixed(shape[-1], 'signals'), node.attribute('method') == 'ifft'
    power_of_two = length & (length - 1) == 0
    if length > LONGEST or graph.opset >= 17 and power_of_two:
        return _by_operator(graph, node, shape, int(inverse))
    steps = np.arange(length)
    angles = 2 * np.pi / length * (np.outer(steps, steps) % length)
    factor = 1 / length if inverse else 1
    cos, sin = (graph.constant(factor * wave(angles), dtype=node.dtype)
                for wave in (np.cos, np.sin))
    (real, imag), (first, second) = node.inputs, ('Sub', 'Add') if inverse else ('Add', 'Sub')
    return [graph.add(op_type, [graph.add('MatMul', [x, cos]), graph.add('MatMul', [y, sin])])
            for op_type, x, y in ((first, real, imag), (second, imag, real))]


def _by_operator(graph, node, shape, inverse):
    """Of both parts, joined along a last axis as ONNX wants them."""
    parts = [graph.reshape(x, (-1, shape[-1], 1)) for x in node.inputs]
    x = graph.add('Concat', parts, axis=2)
    if graph.opset < 20:
        y = graph.add('DFT', [x], axis=1, inverse=inverse)
    else:
        y = graph.add('DFT', [x, '', graph.constant(1, dtype='int64')], inverse=inverse)
    return [graph.reshape(part, shape)
            for part in graph.add('Split', [y, graph.ints([1, 1])], 2, axis=2)]


def cumprod(graph, node):
    """Products over a triangle of all pairs of places: ONNX has running sums only."""
    axis, shape, x = node.attribute('axis'), node.input_shapes[0], node.inputs[0]
    length = fixed(shape[axis], 'running products')
    before = np.tri(length, dtype=bool).reshape(length, length, *[1] * (len(shape) - axis - 1))
    x = graph.add('Unsqueeze', [x, graph.ints([axis])])
    x = graph.add('Where', [graph.constant(before), x, graph.constant(1, dtype=node.dtype)])
    return graph.reduce('ReduceProd', x, (axis + 1,))


CONVERTERS = {
    Det: same('Det'), EinSum: einsum, Diagonal: diagonal, FFT: fft, Cumprod: cumprod,
}
REFUSALS = {
    Inv: 'ONNX has no inverse of a matrix',
    Cholesky: 'ONNX has no decomposition of a matrix',
    InverseSquareRoot: 'ONNX has no eigenvectors; in test mode the link uses averages instead',
    Sylvester: 'it occurs in gradients, which are not exported',
}

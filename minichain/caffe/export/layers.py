"""Which layers of Caffe each function becomes: one table from its class to a converter.

A converter gets the Network and a Step, adds layers, and returns the name of the blob of the
result, or a list of names. What it cannot express it refuses with CannotExport.
"""
import numpy as np

from minichain.caffe.export.arithmetic import CONVERTERS as ARITHMETIC
from minichain.caffe.export.network import CannotExport
from minichain.caffe.export.windows import CONVERTERS as WINDOWS
from minichain.functions.batch_normalization import BatchNormalization
from minichain.functions.broadcast import BroadcastTo
from minichain.functions.cast import Cast
from minichain.functions.concat import Concat, Stack
from minichain.functions.elu import ELU
from minichain.functions.embed_id import EmbedID
from minichain.functions.extremum import Extremum
from minichain.functions.get_item import GetItem
from minichain.functions.hyperbolic import Tanh
from minichain.functions.identity import Copy, Identity
from minichain.functions.linear import Linear
from minichain.functions.local_response_normalization import LocalResponseNormalization
from minichain.functions.matmul import MatMul
from minichain.functions.mean import Mean
from minichain.functions.pad import Pad
from minichain.functions.relu import LeakyReLU, PReLU, ReLU
from minichain.functions.reshape import Reshape, Transpose
from minichain.functions.sigmoid import Sigmoid
from minichain.functions.softmax import LogSoftmax, Softmax
from minichain.functions.softplus import Softplus
from minichain.functions.split import Separate, SplitAxis
from minichain.functions.sum import Sum

MAX_PARTS = 64   # of an axis, whose maximum is taken part by part


def identity(net, step):
    return [net.blob(number) for number in step.operands]


def cast(net, step):
    dtype = net.trace.arrays[step.results[0]].dtype
    if dtype.kind != 'f':
        raise CannotExport(f'blobs of Caffe hold floats, no {dtype}')
    return step.bottom()


# Activations

def same(kind):
    """Return the converter of a function that Caffe has as a layer without options."""
    def convert(net, step):
        return net.add(kind, [step.bottom()])
    return convert


def leaky_relu(net, step):
    return net.add('ReLU', [step.bottom()],
                   relu_param={'negative_slope': float(step.function.slope)})


def prelu(net, step):
    W, = step.weights()
    shape = step.shape()
    if W.size == 1 or (W.size,) == W.shape[1 - len(shape):][:1] == shape[1:2]:
        return net.add('PReLU', [step.bottom()], weights=[W.reshape(() if W.size == 1 else -1)],
                       owner=step.operands[1], prelu_param={'channel_shared': W.size == 1})
    if (W == W.flat[0]).all():
        return net.add('ReLU', [step.bottom()], relu_param={'negative_slope': float(W.flat[0])})
    raise CannotExport(f'one slope, or one for each channel of {shape}, expected, got '
                       f'{W.shape}')


def elu(net, step):
    return net.add('ELU', [step.bottom()], elu_param={'alpha': float(step.function.alpha)})


def softplus(net, step):
    beta = step.function.beta
    return net.power(net.add('BNLL', [net.power(step.bottom(), scale=beta)]), scale=1 / beta)


def softmax(net, step):
    return net.add('Softmax', [step.bottom()], softmax_param={'axis': int(step.function.axis)})


def local_response_normalization(net, step):
    f, shape = step.function, step.shape()
    if len(shape) != 4:
        raise CannotExport(f'x of shape (N, C, H, W) expected, got {shape}')
    size = 2 * (f.n // 2) + 1   # Caffe divides alpha by it
    # Some readers, OpenCV's among them, take k for 1:  (k + a) ** -b = k ** -b (1 + a / k) ** -b
    y = net.add('LRN', [step.bottom()], lrn_param={
        'local_size': size, 'alpha': float(f.alpha * size / f.k), 'beta': float(f.beta)})
    return net.power(y, scale=float(f.k) ** -f.beta)


# Matrices and tables

def linear(net, step):
    W, *b = step.weights()
    return net.add('InnerProduct', [step.bottom()], weights=[W, *b], owner=step.operands[1],
                   inner_product_param={'num_output': len(W), 'bias_term': bool(b)})


def matmul(net, step):
    f = step.function
    if step.is_constant(0) or not step.is_constant(1) or f.transa or len(step.shape(1)) != 2:
        raise CannotExport('Caffe multiplies a blob only with a matrix of weights behind it')
    W = net.array(step.operands[1])
    W = W if f.transb else W.T
    return net.add('InnerProduct', [step.bottom()], weights=[W], owner=step.operands[1],
                   inner_product_param={'num_output': len(W), 'bias_term': False,
                                        'axis': len(step.shape()) - 1})


def embed_id(net, step):
    f = step.function
    if f.ignore_label is not None:
        raise CannotExport(f'its ignore_label={f.ignore_label} has no form in Caffe; leave it out '
                           'and let another row of the table be zeros')
    W, = step.weights(0)
    number = net.trace.find(f.ids)
    ids = net.reshape(net.blob(number), net.trace.arrays[number].shape, f.ids.shape)
    return net.add('Embed', [ids], weights=[W], owner=step.operands[0], embed_param={
        'num_output': W.shape[1], 'input_dim': W.shape[0], 'bias_term': False})


# Shapes

def reshape(net, step):
    return net.reshape(step.bottom(), step.shape(), step.result_shape)


def transpose(net, step):
    axes, ndim = step.function.axes, len(step.shape())
    return net.permute(step.bottom(), range(ndim)[::-1] if axes is None else [
        axis % ndim for axis in axes])


def broadcast_to(net, step):
    return net.tile(step.bottom(), step.shape(), step.result_shape)


def concat(net, step):
    blobs = [net.blob(number) for number in step.operands]
    if len(blobs) == 1:
        return blobs
    return net.add('Concat', blobs, concat_param={'axis': int(step.function.axis)})


def stack(net, step):
    axis, shape = step.function.axis, step.shape()
    parts = [net.reshape(net.blob(number), shape, (*shape[:axis], 1, *shape[axis:]))
             for number in step.operands]
    if len(parts) == 1:
        return parts
    return net.add('Concat', parts, concat_param={'axis': axis})


def split_axis(net, step):
    cuts, axis = list(step.function.cuts), step.function.axis
    if not cuts:
        return step.bottom()
    if sorted({0, *cuts, step.shape()[axis]}) != [0, *cuts, step.shape()[axis]]:
        raise CannotExport(f'the cuts {cuts} leave an empty part, which Caffe cannot make')
    return net.add('Slice', [step.bottom()], len(cuts) + 1,
                   slice_param={'axis': axis, 'slice_point': cuts})


def slices(net, x, axis, count):
    """Return the parts of length 1 along an axis."""
    return [x] if count == 1 else net.add('Slice', [x], count, slice_param={
        'axis': axis, 'slice_point': list(range(1, count))})


def separate(net, step):
    axis, shape = step.function.axis, step.shape()
    thin = (*shape[:axis], 1, *shape[axis + 1:])
    return [net.reshape(part, thin, step.result_shape)
            for part in slices(net, step.bottom(), axis, shape[axis])]


def get_item(net, step):
    index, x, shape = list(step.function.index), step.bottom(), list(step.shape())
    if not all(i is None or i is Ellipsis or isinstance(i, slice) or (
            isinstance(i, (int, np.integer)) and not isinstance(i, bool)) for i in index):
        raise CannotExport('an index of ints and slices expected; Caffe picks no elements by '
                           'arrays')
    used = sum(i is not None and i is not Ellipsis for i in index)
    rest = [slice(None)] * (len(shape) - used)
    place = next((place for place, i in enumerate(index) if i is Ellipsis), None)
    if place is not None:
        index[place:place + 1] = rest
    for axis, i in enumerate(i for i in index if i is not None):
        start, stop, stride = (i if isinstance(i, slice) else slice(
            i, i + 1 if i != -1 else None)).indices(shape[axis])
        if stride != 1 or stop <= start:
            raise CannotExport(f'slices forward, without steps and not empty, expected, got {i}')
        x = net.cut(x, shape[axis], axis, start, stop)
        shape[axis] = stop - start
    return net.reshape(x, shape, step.result_shape)


# Sums and extremes over axes

def pooled_whole(net, step, method):
    """Pool whole images, (N, C, H, W) -> (N, C) or (N, C, 1, 1)."""
    y = net.add('Pooling', [step.bottom()], pooling_param={'pool': method, 'global_pooling': True})
    return net.reshape(y, (*step.shape()[:2], 1, 1), step.result_shape)


def reduction(operation):
    """Return the converter of a reduction with attribute ``axes``."""
    def convert(net, step):
        shape, axes = step.shape(), sorted(step.function.axes)
        if operation == 'MEAN' and axes == [2, 3] and len(shape) == 4:
            return pooled_whole(net, step, 'AVE')
        rest = [axis for axis in range(len(shape)) if axis not in axes]
        y = net.add('Reduction', [net.permute(step.bottom(), rest + axes)],
                    reduction_param={'operation': operation, 'axis': len(rest)})
        return net.reshape(y, [shape[axis] for axis in rest], step.result_shape)
    return convert


def extremum(net, step):
    f, shape, axes = step.function, step.shape(), sorted(step.function.axes)
    if f.method == 'max' and axes == [2, 3] and len(shape) == 4:
        return pooled_whole(net, step, 'MAX')
    if f.method != 'max' or len(axes) != 1 or shape[axes[0]] > MAX_PARTS:
        raise CannotExport(f'Caffe has max over whole images, or over one axis of up to '
                           f'{MAX_PARTS} elements')
    axis, = axes
    parts = slices(net, step.bottom(), axis, shape[axis])
    y = parts[0] if len(parts) == 1 else net.add(
        'Eltwise', parts, eltwise_param={'operation': 'MAX'})
    return net.reshape(y, (*shape[:axis], 1, *shape[axis + 1:]), step.result_shape)


CONVERTERS = {
    Identity: identity, Copy: identity, Cast: cast,
    ReLU: same('ReLU'), LeakyReLU: leaky_relu, PReLU: prelu, ELU: elu, Sigmoid: same('Sigmoid'),
    Tanh: same('TanH'), Softplus: softplus, Softmax: softmax,
    LocalResponseNormalization: local_response_normalization,
    Linear: linear, MatMul: matmul, EmbedID: embed_id,
    Reshape: reshape, Transpose: transpose, BroadcastTo: broadcast_to, Concat: concat,
    Stack: stack, SplitAxis: split_axis, Separate: separate, GetItem: get_item,
    Sum: reduction('SUM'), Mean: reduction('MEAN'), Extremum: extremum,
    **ARITHMETIC, **WINDOWS,
}
REFUSALS = {
    BatchNormalization: 'it takes the statistics of the batch; in test mode '
                        'links.BatchNormalization uses its averages, which Caffe has',
    LogSoftmax: 'Caffe has no logarithm of it that does not underflow; return what it is taken '
                'of, or use softmax',
    Pad: 'Caffe pads only in convolution and pooling; give pad to these',
}

"""Activations, softmax and its kin, dropout."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.functions.dropout import Dropout
from minichain.functions.relu import PReLU
from minichain.onnx.operators.arithmetic import unary
from minichain.onnx.operators.elementary import erf
from minichain.onnx.operators.values import (
    check_broadcast,
    is_float,
    keep_dtype,
    normalize_axis,
    on_one_device,
    to_scalar,
)


def in_float32(operator):
    """The operator, computed in float32 for float16, where its steps would lose digits."""
    def compute(node, x):
        if x.dtype != np.float16:
            return operator(node, x)
        return F.cast(operator(node, F.cast(x, np.float32)), np.float16)
    return compute


def relu(node, x):
    return F.relu(x) if is_float(x) else get_array_module(x).maximum(as_array(x), 0)


def leaky_relu(node, x):
    return F.leaky_relu(x, node.get('alpha', .01))


def prelu(node, x, slope):
    """The slopes broadcast to x; one slope a channel is placed there, as before version 7."""
    if slope.ndim == 1 < x.ndim - 1 and slope.size == x.shape[1] and (
            node.opset < 7 or slope.size not in (1, x.shape[-1])):
        slope = slope.reshape((-1,) + (1,) * (x.ndim - 2))
    if check_broadcast(x, slope) != x.shape:
        raise DataError(f'slopes that broadcast to {x.shape} expected, got {slope.shape}')
    if is_float(x):
        return PReLU().apply((x, slope))[0]
    x, slope = on_one_device(x, slope)
    return get_array_module(x).where(x < 0, x * slope, x)


@in_float32
def elu(node, x):
    return F.elu(x, node.get('alpha', 1.))


@in_float32
def celu(node, x):
    alpha = node.get('alpha', 1.)
    return F.elu(x / alpha) * alpha


@in_float32
def selu(node, x):
    return F.selu(x, node.get('alpha', 1.67326319217681884765625),
                  node.get('gamma', 1.05070102214813232421875))


def hard_sigmoid(node, x):
    return F.clip(x * node.get('alpha', .2) + node.get('beta', .5), 0, 1)


def hard_swish(node, x):
    return x * F.clip(x * (1 / 6) + .5, 0, 1)


@in_float32
def gelu(node, x):
    """x P(z < x) with z of the standard normal distribution, exactly or by a tanh."""
    if node.get('approximate', 'none') == 'tanh':
        inner = (x + x * x * x * .044715) * math.sqrt(2 / math.pi)
        return x * (F.tanh(inner) + 1) * .5
    return x * (erf(x * math.sqrt(.5)) + 1) * .5


@in_float32
def swish(node, x):
    return x * F.sigmoid(x * node.get('alpha', 1.))


def swiglu(node, gate, x):
    if gate.shape != x.shape:
        raise DataError(f'two operands of one shape expected, got {gate.shape} and {x.shape}')
    return swish(node, gate) * x


def thresholded_relu(node, x):
    return keep_where(as_array(x) > node.get('alpha', 1.), x)


def shrink(node, x):
    """x moved by `bias` towards zero, and zero where it lies within `lambd` of it."""
    bias, limit = node.get('bias', 0.), node.get('lambd', .5)
    array, xp = as_array(x), get_array_module(x)
    low, high = array < -limit, array > limit
    if is_float(x):
        return keep_where(low | high, x + bias * (low.astype(x.dtype) - high.astype(x.dtype)))
    moved = xp.where(low, array + bias, xp.where(high, array - bias, 0))
    return keep_dtype(moved, x)


def keep_where(condition, x):
    """x where the condition holds, else 0: also where x is infinite, unlike a product."""
    return F.where(condition, x, get_array_module(x).zeros((), x.dtype))


def along_axis(function):
    """An operator along one axis; before operator set 13 along all from `axis` on as one."""
    def operator(node, x):
        axis = node.get('axis', 1 if node.opset < 13 else -1)
        if node.opset >= 13:
            return function(x, normalize_axis(axis, x.ndim))
        axis = axis if axis == x.ndim else normalize_axis(axis, x.ndim)
        flat = F.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
        return F.reshape(function(flat, 1), x.shape)
    return operator


def hardmax(x, axis):
    """1 at the first of the largest elements along an axis, else 0."""
    x, xp = as_array(x), get_array_module(x)
    places = xp.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    if not x.size:
        return x
    return (places == xp.expand_dims(x.argmax(axis), axis)).astype(x.dtype)


def dropout(node, x, ratio=None, training_mode=None):
    """Only a model that asks for training, by an input since operator set 12, gets zeros."""
    xp = get_array_module(x)
    ratio = node.get('ratio', .5) if ratio is None else to_scalar(ratio)
    if training_mode is None or not to_scalar(training_mode) or not ratio:
        kept, y = xp.ones(x.shape, bool), x
    elif not 0 < ratio < 1:
        raise DataError(f'a ratio from 0 to less than 1 expected, got {ratio}')
    else:
        seed = node.get('seed')
        random = np.random if seed is None else np.random.RandomState(seed % (1 << 32))
        kept = xp.asarray(random.uniform(0, 1, x.shape) >= ratio)
        y, = Dropout(ratio, kept * x.dtype.type(1 / (1 - ratio))).apply((x,))
    if len(node.outputs) < 2:
        return y
    return y, kept if node.opset >= 10 else kept.astype(x.dtype)


OPERATORS = {
    'Celu': celu,
    'Dropout': dropout,
    'Elu': elu,
    'Gelu': gelu,
    'HardSigmoid': hard_sigmoid,
    'HardSwish': hard_swish,
    'Hardmax': along_axis(hardmax),
    'Identity': lambda node, x: x,
    'LeakyRelu': leaky_relu,
    'LogSoftmax': along_axis(F.log_softmax),
    'Mish': in_float32(unary(lambda x: x * F.tanh(F.softplus(x)))),
    'PRelu': prelu,
    'Relu': relu,
    'Selu': selu,
    'Shrink': shrink,
    'Sigmoid': in_float32(unary(F.sigmoid)),
    'Softmax': along_axis(F.softmax),
    'Softplus': unary(F.softplus),
    'Softsign': unary(lambda x: x / (abs(x) + 1)),
    'SwiGLU': swiglu,
    'Swish': swish,
    'Tanh': unary(F.tanh),
    'ThresholdedRelu': thresholded_relu,
}

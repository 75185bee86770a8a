"""Caffe's layers that work value by value, and softmax."""

import math

import minichain.functions as F
from minichain.autograd import as_variable
from minichain.caffe.geometry import canonical
from minichain.errors import DataError


def relu(layer, blobs):
    slope = layer.relu_param.negative_slope
    return F.relu if slope == 0 else lambda x: F.leaky_relu(x, slope)


def elu(layer, blobs):
    return lambda x: F.elu(x, layer.elu_param.alpha)


def power(layer, blobs):
    p = layer.power_param

    def forward(x):
        y = x * p.scale + p.shift
        return y if p.power == 1 else y ** p.power
    return forward


def exp(layer, blobs):
    p = layer.exp_param
    rate = 1 if p.base == -1 else logarithm(p.base)
    return lambda x: F.exp((x * p.scale + p.shift) * rate)


def log(layer, blobs):
    p = layer.log_param
    rate = 1 if p.base == -1 else logarithm(p.base)
    return lambda x: F.log(x * p.scale + p.shift) / rate


def logarithm(base):
    if not 0 < base < math.inf or base == 1:
        raise DataError(f'base: -1 for e, or a positive number other than 1 expected, got {base}')
    return math.log(base)


def dropout(layer, blobs):
    p = layer.dropout_param
    ratio = p.dropout_ratio
    if not 0 <= ratio < 1:
        raise DataError(f'dropout_ratio in [0, 1) expected, got {ratio}')
    if p.sample_weights_test:
        raise DataError('sample_weights_test, chance in use, is not supported')
    # without scale_train the values are not scaled up in training but down in use
    return lambda x: F.dropout(x, ratio) * (1 if p.scale_train else 1 - ratio)


def softmax(layer, blobs):
    return lambda x: F.softmax(x, canonical(layer.softmax_param.axis, x.ndim))


def threshold(layer, blobs):
    limit = layer.threshold_param.threshold
    return lambda x: as_variable((x.array > limit).astype(x.dtype))


def swish(layer, blobs):
    return lambda x: x * F.sigmoid(x * layer.swish_param.beta)


def clip(layer, blobs):
    p = layer.clip_param
    if 'min' not in p or 'max' not in p or not p.min <= p.max:
        raise DataError('min and max, not below it, expected')
    return lambda x: F.clip(x, p.min, p.max)


def axpy(layer, blobs):
    """a x + y with a factor a for each channel; Hu et al. 2018, "Squeeze-and-excitation"."""
    def forward(a, x, y):
        if a.ndim < 2 or a.shape[:2] != x.shape[:2] or math.prod(a.shape[2:]) != 1:
            raise DataError(f'factors {x.shape[:2]} expected, got {a.shape}')
        a = F.reshape(a, (*a.shape[:2], *(1,) * (x.ndim - 2)))
        return F.broadcast_to(a, x.shape) * x + y
    return forward


def hard_swish(x):
    """x min(max(x + 3, 0), 6) / 6;  Howard et al. 2019, "Searching for MobileNetV3"."""
    return x * F.relu6(x + 3) * (1 / 6)


def mish(x):
    """x tanh(log(1 + exp(x)));  Misra 2019, "Mish", arXiv:1908.08681."""
    return x * F.tanh(F.softplus(x))

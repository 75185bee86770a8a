"""Tensors that a model makes itself: constants, shapes, ranges, marks, random numbers."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.arithmetic import same_dtype
from minichain.onnx.operators.values import (
    check_growth,
    check_size,
    is_float,
    on_one_device,
    to_ints,
    to_scalar,
)
from minichain.onnx.schema import dtype_of

DTYPES = {'value_float': np.float32, 'value_floats': np.float32, 'value_int': np.int64,
          'value_ints': np.int64, 'value_string': object, 'value_strings': object}


def constant(node):
    if 'value' in node.attributes:
        return node.attributes['value']
    for name, dtype in DTYPES.items():
        if name in node.attributes:
            return np.array(node.attributes[name], dtype)
    raise DataError(f'a value expected among the attributes, got {", ".join(node.attributes)}')


def constant_of_shape(node, shape):
    value = node.get('value')
    value = np.zeros(1, np.float32) if value is None else value
    if value.size != 1:
        raise DataError(f'one number expected as value, got the shape {value.shape}')
    return np.full(check_size(to_ints(shape), value.dtype.itemsize), value.ravel()[0], value.dtype)


def shape(node, x):
    return np.array(x.shape[slice(node.get('start', 0), node.get('end'))], np.int64)


def arange(node, start, limit, delta):
    same_dtype(start, limit, delta)
    dtype = start.dtype
    start, limit, delta = (to_scalar(value) for value in (start, limit, delta))
    if not delta or not all(map(math.isfinite, (start, limit, delta))):
        raise DataError(f'finite numbers and a step that is not 0 expected, got start {start}, '
                        f'limit {limit}, delta {delta}')
    if dtype.kind == 'f':
        length = math.ceil((limit - start) / delta)
    else:
        length = -((start - limit) // delta)
    length, = check_size((max(0, length),), 8)
    return (start + np.arange(length) * delta).astype(dtype)


def eye_like(node, x):
    if x.ndim != 2:
        raise DataError(f'a matrix expected, got the shape {x.shape}')
    k = max(-x.shape[0], min(node.get('k', 0), x.shape[1]))
    return get_array_module(x).eye(*x.shape, k=k, dtype=like(node, x))


def like(node, x=None, default=1):
    """The type that the attribute `dtype` names, that of x without it."""
    number = node.get('dtype')
    if number is None and x is not None:
        return x.dtype
    return dtype_of(default if number is None else number, 'dtype')


def one_hot(node, indices, depth, values):
    """The second value where a position along the new axis is the index, the first elsewhere."""
    depth, axis = int(to_scalar(depth)), node.get('axis', -1)
    if values.shape != (2,) or depth < 1 or not -indices.ndim - 1 <= axis <= indices.ndim:
        raise DataError(f'a positive depth, two values and an axis from {-indices.ndim - 1} to '
                        f'{indices.ndim} expected, got {depth}, values of the shape '
                        f'{values.shape} and the axis {axis}')
    axis += indices.ndim + 1 if axis < 0 else 0
    check_growth((*indices.shape, depth), indices)
    indices, off_on = on_one_device(indices, values)
    xp = get_array_module(indices)
    indices = indices.astype(np.int64, copy=False)
    indices = xp.expand_dims(xp.where(indices < 0, indices + depth, indices), axis)
    hot = indices == xp.arange(depth).reshape((-1,) + (1,) * (indices.ndim - 1 - axis))
    if is_float(values):
        return F.where(hot, values[1], values[0])
    return xp.where(hot, off_on[1], off_on[0])


def generator(node):
    """NumPy's generator of random numbers: that of the attribute `seed`, or the common one."""
    seed = node.get('seed')
    if seed is None:
        return np.random
    return np.random.RandomState(np.float32(seed).view(np.uint32))


def uniform(node, shape):
    return generator(node).uniform(node.get('low', 0.), node.get('high', 1.),
                                   check_size(shape, 8))


def normal(node, shape):
    mean, scale = node.get('mean', 0.), node.get('scale', 1.)
    return generator(node).standard_normal(check_size(shape, 8)) * scale + mean


def random(draw):
    def operator(node):
        return draw(node, node.require('shape')).astype(like(node))
    return operator


def random_like(draw):
    def operator(node, x):
        y = draw(node, x.shape).astype(like(node, x))
        return get_array_module(x).asarray(y)
    return operator


def bernoulli(node, x):
    """1 with the probabilities x, else 0."""
    drawn = get_array_module(x).asarray(generator(node).uniform(size=x.shape))
    return (drawn < as_array(x)).astype(like(node, x))


def multinomial(node, x):
    """Numbers of classes, drawn with the probabilities exp(x) / sum exp(x) of each row."""
    if x.ndim != 2 or not x.shape[1]:
        raise DataError(f'log-probabilities of the shape (rows, classes) expected, got {x.shape}')
    (N, C), count = x.shape, node.get('sample_size', 1)
    check_size((N, count), 8)
    x, xp = as_array(x).astype(np.float64), get_array_module(x)
    limits = xp.exp(x - x.max(axis=1, keepdims=True)).cumsum(axis=1)
    limits /= limits[:, -1:].copy()
    # All rows in one search: those of row n lie between n and n + 1.
    row = xp.arange(N)[:, None]
    drawn = xp.asarray(generator(node).uniform(size=(N, count)))
    places = xp.searchsorted((limits + row).ravel(), (drawn + row).ravel(), side='right')
    return xp.minimum(places.reshape(N, count) - row * C, C - 1).astype(like(node, None, 6))


OPERATORS = {
    'Bernoulli': bernoulli,
    'Constant': constant,
    'ConstantOfShape': constant_of_shape,
    'EyeLike': eye_like,
    'Multinomial': multinomial,
    'OneHot': one_hot,
    'RandomNormal': random(normal),
    'RandomNormalLike': random_like(normal),
    'RandomUniform': random(uniform),
    'RandomUniformLike': random_like(uniform),
    'Range': arange,
    'Shape': shape,
    'Size': lambda node, x: np.array(x.size, np.int64),
}

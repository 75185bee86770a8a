"""Arithmetic of blobs, weights and numbers in Caffe's layers, and batch normalization in it."""
import numpy as np

from minichain.caffe.export.network import CannotExport
from minichain.functions.broadcast import BroadcastTo
from minichain.functions.clip import Clip, Maximum, Minimum
from minichain.functions.exponential import Exp, Expm1, Log, Log1p
from minichain.functions.operators import (
    Absolute,
    Add,
    AddConstant,
    Div,
    DivFromConstant,
    Mul,
    MulConstant,
    Neg,
    PowerConstant,
    PowerOfConstant,
    Sub,
    SubFromConstant,
)
from minichain.functions.power import Rsqrt, Sqrt, Square
from minichain.functions.relu import ClippedReLU
from minichain.functions.sigmoid import HardSigmoid
from minichain.functions.squared_difference import SquaredDifference


def power(**arguments):
    """Return the converter of a function (scale x + shift) ** power."""
    def convert(net, step):
        return net.power(step.bottom(), **arguments)
    return convert


def layer(kind, shift_before=0, shift_behind=0):
    """Return the converter of a layer without options, of a shifted operand, itself shifted."""
    def convert(net, step):
        x = net.power(step.bottom(), shift=shift_before)
        return net.power(net.add(kind, [x]), shift=shift_behind)
    return convert


def with_number(make):
    """Return the converter of a function of a blob and a number: make(net, x, number)."""
    def convert(net, step):
        return make(net, step.bottom(), step.function.value)
    return convert


def raised(net, x, exponent):
    if exponent in (2, 3):   # not by logarithms, as some readers do it: x may be negative
        return net.add('Eltwise', [x] * int(exponent), eltwise_param={'operation': 'PROD'})
    return net.power(x, power=exponent)


def square(net, step):
    return raised(net, step.bottom(), 2)


def power_of_number(net, x, base):
    if base <= 0 or base == 1:
        raise CannotExport(f'a base above 0 and other than 1 expected, got {base}')
    return net.add('Exp', [x], exp_param={'base': float(base)})


def at_least(net, x, limit):
    """max(x, limit)"""
    return net.power(net.add('ReLU', [net.power(x, shift=-limit)]), shift=limit)


def at_most(net, x, limit):
    """min(x, limit)"""
    x = net.add('ReLU', [net.power(x, scale=-1, shift=limit)])
    return net.power(x, scale=-1, shift=limit)


def clip(net, step):
    x, low, high = step.bottom(), step.function.x_min, step.function.x_max
    x = x if low is None else at_least(net, x, low)
    return x if high is None else at_most(net, x, high)


def clipped_relu(net, step):
    return at_most(net, net.add('ReLU', [step.bottom()]), step.function.z)


def hard_sigmoid(net, step):
    return at_most(net, net.add('ReLU', [net.power(step.bottom(), scale=.2, shift=.5)]), 1)


# Two operands

def operand(net, step, place):
    """Return blob and shape of an operand, before it was broadcast."""
    number = step.operands[place]
    while number in net.sources and isinstance(net.sources[number].function, BroadcastTo):
        number = net.sources[number].operands[0]
    return net.blob(number), net.trace.arrays[number].shape


def by_weight(net, step, kind, x, place, weight):
    """Add a Scale or Bias by a constant, which is broadcast.

    Args:
        x: blob of the other operand, at ``place``.
        weight: array, made of the constant.
    """
    shape = step.result_shape
    x = net.tile(x, step.shape(place), shape)
    if weight.size == 1:
        return net.power(x, **{'scale' if kind == 'Scale' else 'shift': float(weight.flat[0])})
    aligned = (1,) * (len(shape) - weight.ndim) + weight.shape
    first, last = _span(aligned)
    weight = np.broadcast_to(weight.reshape(aligned[first:last]), shape[first:last])
    # Some readers, OpenCV's among them, have no Bias but the one behind a Scale.
    weights = [weight] if kind == 'Scale' else [np.ones_like(weight), weight]
    return net.add('Scale', [x], weights=weights, owner=step.operands[1 - place], scale_param={
        'axis': first, 'num_axes': last - first, 'bias_term': kind == 'Bias'})


def _span(shape):
    """Return where the axes longer than 1 begin and end."""
    axes = [axis for axis, n in enumerate(shape) if n != 1]
    return axes[0], axes[-1] + 1


def of_two(kind, prepare=None):
    """Return the converter of x + y (kind Bias) or x y (Scale), broadcast.

    Args:
        prepare: (of a blob, of an array): what is done to y before; None: nothing.
    """
    of_blob, of_array = prepare or (lambda net, y: y, lambda y: y)

    def convert(net, step):
        if step.is_constant(1):
            return by_weight(net, step, kind, step.bottom(0), 0,
                             of_array(net.array(step.operands[1])))
        if step.is_constant(0):
            return by_weight(net, step, kind, of_blob(net, step.bottom(1)), 1,
                             net.array(step.operands[0]))
        (x, x_shape), (y, y_shape) = operand(net, step, 0), operand(net, step, 1)
        return joined(net, kind, x, x_shape, of_blob(net, y), y_shape, step.result_shape)
    return convert


def joined(net, kind, x, x_shape, y, y_shape, shape):
    """Add x + y or x y of two blobs that broadcast to a shape."""
    if x_shape != shape and y_shape == shape:
        x, x_shape, y, y_shape = y, y_shape, x, x_shape
    aligned = (1,) * (len(shape) - len(y_shape)) + y_shape
    if x_shape == shape != y_shape and any(n != 1 for n in aligned):
        # Caffe aligns a second blob with all axes from one on, if their lengths are the same.
        first, last = _span(aligned)
        first = 0 if shape[:first] == aligned[:first] else first
        if aligned[first:last] == shape[first:last]:
            y = net.reshape(y, y_shape, shape[first:last])
            return net.add(kind, [x, y], **{f'{kind.lower()}_param': {'axis': first}})
    operation = {'Scale': 'PROD', 'Bias': 'SUM'}[kind]
    return net.add('Eltwise', [net.tile(x, x_shape, shape), net.tile(y, y_shape, shape)],
                   eltwise_param={'operation': operation})


def larger(sign):
    """Return the converter of the larger (sign 1) or smaller (sign -1) of two operands."""
    def convert(net, step):
        constants = [place for place in (0, 1) if step.is_constant(place)]
        if constants:
            limit = net.array(step.operands[constants[0]])
            if not (limit == limit.flat[0]).all():
                raise CannotExport('Caffe compares blobs with each other or with one number')
            x = net.tile(step.bottom(1 - constants[0]), step.shape(1 - constants[0]),
                         step.result_shape)
            return (at_least if sign > 0 else at_most)(net, x, float(limit.flat[0]))
        blobs = [net.power(net.tile(step.bottom(i), step.shape(i), step.result_shape), scale=sign)
                 for i in (0, 1)]
        y = net.add('Eltwise', blobs, eltwise_param={'operation': 'MAX'})
        return net.power(y, scale=sign)
    return convert


MINUS = (lambda net, y: net.power(y, scale=-1)), (lambda y: -y)
INVERSE = (lambda net, y: net.power(y, power=-1)), (lambda y: 1 / y)
subtract = of_two('Bias', MINUS)


def add(net, step):
    return batch_normalization(net, step) or of_two('Bias')(net, step)


def squared_difference(net, step):
    return raised(net, subtract(net, step), 2)


# Batch normalization, which is made of small functions

def batch_normalization(net, step):
    """Return the result of a sum that ends  (x - mean) * (gamma * rsqrt(var + eps)) + beta.

    None if it does not, or if there is not one number a channel.
    """
    def source(number, kind):
        application = net.sources.get(number)
        return application and isinstance(application.function, kind) and application
    product = source(step.operands[0], Mul)
    difference = product and source(product.operands[0], Sub)
    scale = product and source(product.operands[1], Mul)
    root = scale and source(scale.operands[1], Rsqrt)
    shifted = root and source(root.operands[0], AddConstant)
    if not (difference and shifted) or net.is_constant(difference.operands[0]):
        return None
    numbers = [difference.operands[1], shifted.operands[0], scale.operands[0], step.operands[1]]
    shape = step.result_shape
    kept = 1, *shape[1:2], *[1] * (len(shape) - 2)
    if not all(net.is_constant(n) and net.trace.arrays[n].shape == kept for n in numbers):
        return None
    mean, var, gamma, beta = (net.array(number).reshape(-1) for number in numbers)
    y = net.add('BatchNorm', [net.blob(difference.operands[0])],
                weights=[mean, var, np.ones(1)], owner=numbers[0], batch_norm_param={
                    'use_global_stats': True, 'eps': float(shifted.function.value)})
    return net.add('Scale', [y], weights=[gamma, beta], scale_param={'bias_term': True})


CONVERTERS = {
    Add: add, Sub: subtract, Mul: of_two('Scale'), Div: of_two('Scale', INVERSE),
    SquaredDifference: squared_difference, Maximum: larger(1), Minimum: larger(-1),
    AddConstant: with_number(lambda net, x, value: net.power(x, shift=value)),
    SubFromConstant: with_number(lambda net, x, value: net.power(x, scale=-1, shift=value)),
    MulConstant: with_number(lambda net, x, value: net.power(x, scale=value)),
    DivFromConstant: with_number(
        lambda net, x, value: net.power(net.power(x, power=-1), scale=value)),
    PowerConstant: with_number(raised),
    PowerOfConstant: with_number(power_of_number),
    Neg: power(scale=-1), Sqrt: power(power=.5), Rsqrt: power(power=-.5), Square: square,
    Absolute: layer('AbsVal'), Exp: layer('Exp'), Log: layer('Log'),
    Expm1: layer('Exp', shift_behind=-1), Log1p: layer('Log', shift_before=1),
    Clip: clip, ClippedReLU: clipped_relu, HardSigmoid: hard_sigmoid,
}

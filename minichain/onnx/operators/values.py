"""What operators share: looking at their inputs, and bounds on what they may allocate."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import Variable, as_array
from minichain.backend import get_array_module, to_cpu
from minichain.configuration import config
from minichain.errors import DataError
from minichain.onnx.budget import current, room_of

# Work for each integer that goes to the host as a Python number, as `budget` counts it.
INTEGER = 40_000


def is_float(x):
    """Whether a value is one that the functions of minichain compute, with gradients."""
    return x.dtype.kind == 'f'


def to_ints(x):
    """The integers of a tensor as a tuple, on the host: shapes, axes, indices of a setting.

    Raises:
        DataError: not integers, or more axes than one.
    """
    values = to_cpu(as_array(x))
    if values.dtype.kind not in 'iu' or values.ndim > 1:
        raise DataError(f'a list of integers expected, got {values.dtype} {values.shape}')
    current().work(INTEGER * values.size)
    return tuple(values.ravel().tolist())


def to_scalar(x):
    """The only element of a tensor as a Python number, on the host."""
    values = to_cpu(as_array(x))
    if values.size != 1:
        raise DataError(f'one number expected, got the shape {values.shape}')
    return values.item()


def axes_of(node, x, axes=None):
    """Axes from an input (newer operator sets) or the attribute `axes`, as a tuple, or None."""
    if axes is not None:
        return normalize_axes(to_ints(axes), x.ndim)
    axes = node.get('axes')
    return None if axes is None else normalize_axes(axes, x.ndim)


def normalize_axes(axes, ndim):
    """Axes counted from the front.

    Raises:
        DataError: one does not exist, or is there twice.
    """
    result = tuple(axis + ndim if axis < 0 else axis for axis in axes)
    if any(not 0 <= axis < ndim for axis in result) or len(set(result)) != len(result):
        raise DataError(f'axes {tuple(axes)} do not exist or repeat in a tensor of {ndim} axes')
    return result


def normalize_axis(axis, ndim):
    """One axis counted from the front; see `normalize_axes`."""
    return normalize_axes((axis,), ndim)[0]


def check_size(shape, itemsize=4, on_the_way=False):
    """A shape that may be allocated, as a tuple.

    Args:
        itemsize: bytes of an element.
        on_the_way: it is not the result, but needed for it.
    Raises:
        DataError: a negative length, or no room is left for it; see ``budget``.
    """
    shape = tuple(map(int, shape))
    if any(length < 0 for length in shape):
        raise DataError(f'a tensor of the shape {shape!s:.200} is asked for; no length may be '
                        'negative. The model is damaged or not meant for this input.')
    try:
        current().expect(room_of(shape, itemsize), on_the_way)
    except DataError as error:
        raise DataError(f'a tensor of the shape {shape!s:.200}: {error}') from error
    return shape


def check_growth(shape, *values, on_the_way=False):
    """A shape that may be allocated: no larger than the operands together, or there is room.

    Args:
        values: the operands.
        on_the_way: as of `check_size`.
    Raises:
        DataError: as of `check_size`.
    """
    if math.prod(shape) > sum(value.size for value in values):
        check_size(shape, max(value.dtype.itemsize for value in values), on_the_way)
    return tuple(shape)


def check_broadcast(*values):
    """Refuses operands whose common shape would be far larger than they are.

    Raises:
        DataError: the shapes do not fit, or the result is too large.
    """
    try:
        shape = np.broadcast_shapes(*(value.shape for value in values))
    except ValueError as error:
        raise DataError(f'shapes that do not broadcast: '
                        f'{", ".join(str(value.shape) for value in values)}') from error
    return check_growth(shape, *values)


def send_like(array, x):
    """An array on the device of another value, for operands that come from the host."""
    array, xp = as_array(array), get_array_module(x)
    return array if get_array_module(array) is xp else xp.asarray(array)


def on_one_device(*values):
    """Arrays of values, all on the GPU if one of them is: integers may still be on the host."""
    xp = get_array_module(*values)
    return tuple(as_array(value) if get_array_module(value) is xp
                 else xp.asarray(as_array(value)) for value in values)


def keep_dtype(result, x):
    """A result with the type of an operand: NumPy widens some."""
    return result if result.dtype == x.dtype else result.astype(x.dtype)


def root(x):
    """The square root of sums of squares: where all of them are 0 its gradient is 0, too."""
    if not config.enable_backprop or as_array(x).all():
        return F.sqrt(x)
    zero = (as_array(x) == 0).astype(x.dtype)
    return F.sqrt(x + zero) - zero


def arrays(*values):
    """The arrays of values, None kept."""
    return tuple(None if value is None else as_array(value) for value in values)


def is_variable(x):
    """Whether a value may hand back a gradient."""
    return isinstance(x, Variable)

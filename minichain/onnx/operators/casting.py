"""Change of the type of elements."""
import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.errors import DataError
from minichain.onnx.operators.values import is_float
from minichain.onnx.schema import dtype_of


def is_text(dtype):
    return dtype.kind in 'OU'


def cast(x, dtype):
    """Numbers to fewer digits, cut to integers; texts that are numbers to these, and back.

    The gradient of a float that stays a float is handed back.
    """
    if is_text(x.dtype):
        return x if is_text(dtype) else parse(x, dtype)
    if is_text(dtype):
        return np.asarray(as_array(x)).astype(np.str_).astype(object)
    if is_float(x) and dtype.kind == 'f':
        return x if x.dtype == dtype else F.cast(x, dtype)
    return as_array(x).astype(dtype)


def parse(texts, dtype):
    """The numbers that texts stand for.

    Raises:
        DataError: one does not stand for a number.
    """
    texts = np.asarray(texts).astype(np.str_)
    try:
        if dtype.kind in 'iu':
            try:
                return texts.astype(dtype)
            except ValueError:
                pass    # 1e3 and 2.0
        return texts.astype(np.float64).astype(dtype)
    except (ValueError, OverflowError) as error:
        raise DataError(f'texts that are numbers expected: {error}') from error


def bit_cast(node, x):
    dtype = dtype_of(node.require('to'), 'to')
    if is_text(dtype) or is_text(x.dtype) or dtype.itemsize != x.dtype.itemsize:
        raise DataError(f'types of the same number of bits expected, got {x.dtype} and {dtype}')
    if dtype.kind == 'b':   # other bits than those of 0 and 1 are no truth of NumPy
        return as_array(x).view(np.uint8) != 0
    return as_array(x).view(dtype)


OPERATORS = {
    'BitCast': bit_cast,
    'Cast': lambda node, x: cast(x, dtype_of(node.require('to'), 'to')),
    'CastLike': lambda node, x, like: cast(x, like.dtype),
}

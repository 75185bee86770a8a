"""Between float32 and bfloat16: see ``kernels/casts.cu``."""
import numpy as np

from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.gpu.grids import flat
from minichain.gpu.launcher import kernel
from minichain.gpu.precision import is_bfloat16

WIDTH = 4   # neighbours that a thread takes


def narrow(x, y):
    """Round ``x``, any shape, float32, to bfloat16, ties to even; ``y`` is filled."""
    kernel('narrow_bfloat16')(x, y, x.size, **flat(x.size, WIDTH))


def widen(x, y):
    """Fill ``y``, float32, with the numbers of ``x``, bfloat16, any shape; exact."""
    kernel('widen_bfloat16')(x, y, x.size, **flat(x.size, WIDTH))


def storage_dtype():
    """Return in which dtype activations and copies of weights are kept: bfloat16 under 'bf16'."""
    return np.dtype(np.uint16 if config.precision == 'bf16' else np.float32)


def as_stored(x, dtype=None):
    """Return an array as activations and copies of weights are kept.

    Args:
        x: float32, or bfloat16 held as uint16, any layout.
        dtype: float32, or uint16 for bfloat16; None: that of :func:`storage_dtype`.
    Returns:
        C-contiguous array of that dtype, or bfloat16 if ``x`` is; ``x`` itself where it is that.
    """
    xp = get_array_module(x)
    if not x.flags.c_contiguous:
        x = xp.ascontiguousarray(x)
    if is_bfloat16(x.dtype) or not is_bfloat16(storage_dtype() if dtype is None else dtype):
        return x
    y = xp.empty(x.shape, np.uint16)
    narrow(x, y)
    return y


def as_float32(x):
    """Return the numbers of an array of :func:`as_stored` in float32, ``x`` itself if it is."""
    if not is_bfloat16(x.dtype):
        return x
    y = get_array_module(x).empty(x.shape, np.float32)
    widen(x, y)
    return y

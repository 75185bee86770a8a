"""How exactly a GPU computes, and whether two runs agree in every bit.

``config.precision`` is one of

- ``float32``: arithmetic as IEEE 754 has it, everywhere;
- ``tf32``: arrays are float32, but operands of matrix products and convolutions are rounded to
  10 bits of fraction; products are added up in float32;
- ``bf16``: activations and copies of weights are bfloat16 (7 bits of fraction); products are
  added up in float32, weights and the optimizer's state are kept in float32.

A bfloat16 is the upper half of a float32. NumPy has no such type, so arrays hold it as uint16.
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.configuration import config


def describe():
    """Return in words how the current configuration computes on a GPU, for logs and headers."""
    words = {'float32': 'float32 (IEEE)',
             'tf32': 'tf32 (products of float32 rounded to 10 bits of fraction, float32 sums)',
             'bf16': 'bf16 (bfloat16 activations and products, float32 sums, weights and state)'}
    repeats = 'deterministic' if config.deterministic else 'not deterministic'
    if cudnn_deterministic() and not config.deterministic:
        repeats += ' but for cuDNN'
    return f'{words[config.precision]}, {repeats}'


def cudnn_deterministic():
    """Return whether cuDNN may only run what repeats: Chainer's switch, or the one for all."""
    return bool(config.deterministic or config.cudnn_deterministic)


def is_bfloat16(dtype):
    """Return whether arrays of a dtype are taken to hold bfloat16 numbers."""
    return dtype == np.uint16 or dtype.name == 'bfloat16'   # the latter: of the package ml_dtypes


def to_bfloat16(x):
    """Round float32 to the nearest bfloat16, ties to the even one.

    Args:
        x: NumPy or CuPy array, float32.
    Returns:
        array of the same shape, uint16. NaN stays NaN.
    """
    xp = get_array_module(x)
    bits = xp.ascontiguousarray(x, np.float32).view(np.uint32).reshape(x.shape)
    rounded = (bits + (np.uint32(0x7fff) + (bits >> 16 & 1))) >> 16
    # Adding to the bits of a NaN could carry into the sign; its quiet bit is set instead.
    return xp.where(xp.isnan(x), bits >> 16 | np.uint32(0x40), rounded).astype(np.uint16)


def from_bfloat16(bits):
    """Return bfloat16 numbers, held as uint16, as a float32 array; exact."""
    xp = get_array_module(bits)
    wide = xp.ascontiguousarray(bits).view(np.uint16).astype(np.uint32) << 16
    return wide.view(np.float32).reshape(bits.shape)


def round_to_tf32(x):
    """Round float32 to the nearest number with 10 bits of fraction, ties to the even one."""
    xp = get_array_module(x)
    bits = xp.ascontiguousarray(x, np.float32).view(np.uint32).reshape(x.shape)
    rounded = bits + (np.uint32(0xfff) + (bits >> 13 & 1)) & np.uint32(0xffffe000)
    return xp.where(xp.isfinite(x), rounded.view(np.float32), x)

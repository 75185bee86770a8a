"""Indices for which there is nothing, noticed by kernels and reported when the host looks.

To look at once would make the host wait for the GPU at every call.
"""
import numpy as np

from minichain.errors import InvalidType


def new_error_flag(xp=np):
    """Return a flag that kernels can be given: zero, (1,), int32."""
    return xp.zeros(1, np.int32)


def raise_if_set(flag, what):
    """Raise if a kernel met an index for which there is nothing; waits for the GPU.

    Args:
        flag: of :func:`new_error_flag`, given to kernels since; set back to zero.
        what: which indices of what, for the message.
    Raises:
        InvalidType: naming the last row with such an index.
    """
    row = int(flag[0]) - 1
    if row >= 0:
        flag.fill(0)
        raise InvalidType(f'{what}: an index out of range in row {row} (the last such row), '
                          'noticed on the device')

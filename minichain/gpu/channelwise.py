"""Sums of images, and a factor and a term for every channel: see ``kernels/channelwise.cu``.

Images are (..., C), float32 or bfloat16, all of one dtype.
"""
from minichain.gpu.grids import flat
from minichain.gpu.launcher import kernel, storage


def add(a, b, y, relu=False):
    """Compute  y = a + b,  or max(a + b, 0);  all of one shape, y may be one of the others."""
    kernel(f'add_{storage(a)}')(a, b, y, a.size, int(relu), **flat(a.size, 16 // a.itemsize))


def scale_channels(x, factor, term, y, relu=False):
    """Compute  y = x factor + term,  or max(., 0) of it.

    Args:
        x, y: (..., C); y is filled and may be x.
        factor, term: (C,), float32.
    """
    kernel(f'scale_channels_{storage(x)}')(x, factor, term, y, x.size, x.shape[-1], int(relu),
                                           **flat(x.size, 16 // x.itemsize))

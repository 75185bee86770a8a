"""Convolution of every channel by itself, of images with channels last: see
``kernels/depthwise_channels_last.cu``."""
from minichain.gpu.grids import planes
from minichain.gpu.launcher import kernel, storage


def depthwise_channels_last(x, W, b, y, windows, M=1, first=0, relu=False, begin=0):
    """Compute what M filters for each channel make of it.

    Args:
        x: images, (N, H, W, at least begin + C), float32 or bfloat16, as the others.
        W: (kh, kw, C M); channel c is seen by the filters c M, ..., c M + M - 1.
        b: (C M,) or None.
        y: (N, OH, OW, at least first + C M), of which C M channels from ``first`` on are filled.
        windows: :class:`~minichain.functions.windows.Windows` of two axes, of any padding.
        relu: whether to store max(., 0).
        begin: the first of the C channels of x that are filtered.
    """
    N, O = len(x), W.shape[2]
    kernel(f'depthwise_channels_last_{storage(x)}')(
        x, W, W if b is None else b, y, N, O, M, x.shape[3], begin,
        y.shape[3], first, *windows.size, *windows.out,
        *windows.ksize, *windows.stride, *windows.pad, *windows.dilate, int(b is not None),
        int(relu), **planes(N * windows.out[0], windows.out[1] * -(-O * x.itemsize // 16)))

"""What windows of a convolution see, as rows of a matrix, of images with channels last: see
``kernels/im2row.cu``."""
from minichain.gpu.grids import flat
from minichain.gpu.launcher import kernel, storage

AT_ONCE = 4     # rows of a thread


def row_width(count, itemsize):
    """Return how many numbers a row has for ``count`` of them: whole 16 bytes."""
    pack = 16 // itemsize
    return -(-count // pack) * pack


def im2row(x, rows, windows, first=0, begin=0, channels=None):
    """Fill rows with what windows see, tap after tap, and zeros behind; 0 also for padding.

    Args:
        x: images, (N, H, W, C), float32 or bfloat16.
        rows: (count, width), of the dtype of x; width as of :func:`row_width` for
            kh kw channels numbers. Begins at a multiple of 16 bytes.
        windows: :class:`~minichain.functions.windows.Windows` of two axes, of any padding.
        first: number of the window of the first row; they are counted image by image, row by row.
        begin, channels: which channels are seen; None: those from ``begin`` on.
    """
    N, H, W, C = x.shape
    count, packs = len(rows), rows.shape[1] * rows.itemsize // 16
    kernel(f'im2row_{storage(x)}')(
        x, rows, first, count, packs, C, begin, C - begin if channels is None else channels,
        *windows.size, *windows.out, *windows.ksize, *windows.stride, *windows.pad,
        *windows.dilate, **flat(-(-count // AT_ONCE) * packs))

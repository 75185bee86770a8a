"""What windows of a convolution see, as a matrix, and back: see ``kernels/im2col.cu``.

``stride``, ``pad`` and ``dilate`` are pairs of ints; a padding may be negative. Arrays are float32
or bfloat16.
"""
from minichain.gpu.grids import planes
from minichain.gpu.launcher import kernel, storage


def im2col(x, columns, stride, pad, dilate=(1, 1), joined=False):
    """Compute  columns[n, c, ky, kx, oy, ox] = x[n, c, oy sy - py + ky dy, ox sx - px + kx dx].

    Args:
        x: images, (N, C, H, W).
        columns: filled, (N, C, kh, kw, OH, OW), or (C, kh, kw, N, OH, OW) if ``joined``; 0 where
            a window sees padding.
    """
    N, C, H, W = x.shape
    kh, kw = columns.shape[1:3] if joined else columns.shape[2:4]
    OH, OW = columns.shape[4:]
    kernel(f'im2col_{storage(x)}')(x, columns, N, C, H, W, OH, OW, kh, kw, *stride, *pad, *dilate,
                                   int(joined), **planes(N * C * kh * kw, OH * OW))


def col2im(columns, x, stride, pad, dilate=(1, 1)):
    """Add everything in ``columns`` (N, C, kh, kw, OH, OW) up where :func:`im2col` takes it from.

    Args:
        x: filled, (N, C, H, W).
    """
    N, C, H, W = x.shape
    _, _, kh, kw, OH, OW = columns.shape
    kernel(f'col2im_{storage(x)}')(columns, x, N * C, H, W, OH, OW, kh, kw, *stride, *pad, *dilate,
                                   **planes(N * C, H * W))

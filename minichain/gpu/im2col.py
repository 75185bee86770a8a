"""What windows of a convolution see, as a matrix, and back: see ``kernels/im2col.cu``.

``stride``, ``pad`` and ``dilate`` are pairs of ints. Arrays are float32 or bfloat16.
"""
from minichain.gpu.grids import planes
from minichain.gpu.launcher import kernel, storage


def launch(name, first, second, image, columns, stride, pad, dilate, count, size):
    N, C, H, W = image
    _, _, kh, kw, OH, OW = columns
    kernel(f'{name}_{storage(first)}')(first, second, N * C, H, W, OH, OW, kh, kw, *stride, *pad,
                                       *dilate, **planes(count, size))


def im2col(x, columns, stride, pad, dilate=(1, 1)):
    """Compute  columns[n, c, ky, kx, oy, ox] = x[n, c, oy sy - py + ky dy, ox sx - px + kx dx].

    Args:
        x: images, (N, C, H, W).
        columns: filled, (N, C, kh, kw, OH, OW); 0 where a window sees padding.
    """
    _, _, kh, kw, OH, OW = columns.shape
    launch('im2col', x, columns, x.shape, columns.shape, stride, pad, dilate,
           x.shape[0] * x.shape[1] * kh * kw, OH * OW)


def col2im(columns, x, stride, pad, dilate=(1, 1)):
    """Add everything in ``columns`` up where :func:`im2col` takes it from; ``x`` is filled."""
    N, C, H, W = x.shape
    launch('col2im', columns, x, x.shape, columns.shape, stride, pad, dilate, N * C, H * W)

"""Local convolution: a convolution with filters of its own at every position."""
from minichain.errors import InvalidType
from minichain.functions.im2col import Im2Col
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape, transpose
from minichain.functions.windows import slide
from minichain.type_check import expect_float, expect_ndim, expect_same_dtype, expect_shape


def local_convolution_2d(x, W, b=None, stride=1):
    """Convolution whose weights are not shared between positions, without padding.

    Args:
        x: images, (N, C, H, W), float.
        W: filters, (O, OH, OW, C, kh, kw), dtype of ``x``.
        b: bias, (O, OH, OW); None adds nothing.
        stride: int or pair of ints.
    Returns:
        (N, O, OH, OW).
    Raises:
        InvalidType: shapes do not fit.
    """
    label = 'local_convolution_2d'
    expect_ndim(label, 4, x=x)
    expect_ndim(label, 6, W=W)
    expect_float(label, x=x)
    expect_same_dtype(label, x=x, W=W)
    o, oh, ow, c, kh, kw = W.shape
    windows = slide(label, x.shape[2:], (kh, kw), stride)
    if windows.out != (oh, ow) or x.shape[1] != c:
        raise InvalidType(f'{label}: W of shape (O, {windows.out[0]}, {windows.out[1]}, '
                          f'{x.shape[1]}, kh, kw) expected for x {x.shape} and stride '
                          f'{windows.stride}, got {W.shape}')
    n, rows = x.shape[0], c * kh * kw
    columns = reshape(Im2Col(windows).apply((x,))[0], (n, rows, oh * ow))
    columns = transpose(columns, (2, 0, 1))                                      # (L, N, rows)
    W = transpose(reshape(W, (o, oh * ow, rows)), (1, 2, 0))                     # (L, rows, O)
    y = reshape(transpose(matmul(columns, W), (1, 2, 0)), (n, o, oh, ow))
    if b is not None:
        expect_shape(label, (o, oh, ow), b=b)
        y = y + b
    return y

"""Deformable convolution: every tap of every window is moved by an offset of its own."""
from minichain.backend import get_array_module
from minichain.functions.convolution import check_operands, convolve
from minichain.functions.reshape import reshape, transpose
from minichain.functions.spatial_transformer import bilinear
from minichain.functions.windows import slide
from minichain.type_check import expect_ndim, expect_same_dtype, expect_shape


def deformable_convolution_2d_sampler(x, offset, W, b=None, stride=1, pad=0):
    """Convolution that samples its taps between the pixels, each at a given offset.

    Args:
        x: images, (N, C, H, W), float.
        offset: (N, 2 * kh * kw, OH, OW), same dtype, in pixels: horizontal offsets of the kh * kw
            taps, then vertical ones.
        W: filters, (O, C, kh, kw), same dtype.
        b: bias, (O,); None adds nothing.
        stride, pad: int or pair of ints.
    Returns:
        (N, O, OH, OW).
    Raises:
        InvalidType: shapes or dtypes do not fit.
    Dai et al. 2017, "Deformable convolutional networks", arXiv:1703.06211.
    """
    label = 'deformable_convolution_2d_sampler'
    expect_ndim(label, 4, x=x)
    check_operands(label, x, W, b, 1)
    expect_same_dtype(label, x=x, offset=offset, W=W)
    windows = slide(label, x.shape[2:], W.shape[2:], stride, pad)
    (n, c), (kh, kw), (oh, ow) = x.shape[:2], windows.ksize, windows.out
    expect_shape(label, (n, 2 * kh * kw, oh, ow), offset=offset)
    xp, points = get_array_module(x), (n, kh * kw * oh * ow)
    rows, columns = ((xp.arange(k)[:, None] + xp.arange(out) * s - p).astype(x.dtype)
                     for _, k, s, p, _, out in zip(*windows))            # (k, out)
    v = reshape(offset[:, kh * kw:], (n, kh, kw, oh, ow)) + rows[:, None, :, None]
    u = reshape(offset[:, :kh * kw], (n, kh, kw, oh, ow)) + columns[None, :, None, :]
    seen = bilinear(x, reshape(v, points), reshape(u, points))           # (N, kh kw OH OW, C)
    seen = reshape(transpose(seen, (0, 2, 1)), (n, c * kh * kw, oh, ow))
    W = reshape(W, (W.shape[0], c * kh * kw, 1, 1))
    return convolve(label, 2, seen, W, b, 1, 0, False, 1, 1)

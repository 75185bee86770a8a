"""Transposed convolution: the adjoint of convolution, which makes a larger image of a smaller."""
from minichain.errors import InvalidType
from minichain.functions.convolution import Deconvolution, check_operands
from minichain.functions.windows import fill, get_conv_outsize
from minichain.type_check import expect_ndim, refuse_former


def deconvolve(label, ndim, x, W, b, stride, pad, outsize, dilate, groups):
    """Check the operands and apply :class:`Deconvolution`; ``ndim`` None takes any."""
    if ndim is not None:
        expect_ndim(label, ndim + 2, x=x)
    check_operands(label, x, W, b, groups, transposed=True)
    windows = fill(label, x.shape[2:], W.shape[2:], stride, pad, outsize, False, dilate)
    for size, k, s, p, d, out in zip(*windows):
        bounds = [get_conv_outsize(size, k, s, p, cover_all, d) for cover_all in (False, True)]
        if not bounds[0] <= out <= bounds[1]:
            raise InvalidType(
                f'{label}: an outsize whose convolution gives back the spatial shape of x '
                f'expected, got outsize {windows.size} for x {x.shape}, W {W.shape}, '
                f'stride {windows.stride}, pad {windows.pad}, dilate {windows.dilate}. The '
                'smallest is stride * (size - 1) + dilate * (ksize - 1) + 1 - 2 * pad')
    return Deconvolution(windows, groups).apply((x, W) if b is None else (x, W, b))[0]


def deconvolution_nd(x, W, b=None, stride=1, pad=0, outsize=None, dilate=1, groups=1):
    """Transposed convolution over any number of spatial axes: every x adds its filter to y,

        y[n, o, p * stride - pad + t * dilate] += sum over c of W[c, o, t] x[n, c, p]

    Args:
        x: (N, C, size...), float.
        W: filters, (C, O / groups, ksize...), float; the result has the dtype of ``x``.
        b: bias, (O,); None adds nothing.
        stride, pad, dilate: int or one int per spatial axis, as of the convolution whose adjoint
            this is; ``pad`` positions are cut off on either side of the result.
        outsize: spatial shape of the result; None takes the smallest that fits. A convolution
            with a stride forgets the exact size; this restores it.
        groups: the channels are cut into so many parts which do not see each other.
    Returns:
        (N, O, outsize...), by default stride (size - 1) + dilate (ksize - 1) + 1 - 2 pad.
    Raises:
        InvalidType: shapes do not fit, or ``outsize`` belongs to another size of ``x``.
        InvalidArgument: stride, pad, dilate or groups too small or of a wrong length.
    """
    return deconvolve('deconvolution_nd', None, x, W, b, stride, pad, outsize, dilate, groups)


def deconvolution_1d(x, W, b=None, stride=1, pad=0, outsize=None, dilate=1, groups=1):
    """:func:`deconvolution_nd` over one axis: x (N, C, L), W (C, O / groups, k)."""
    return deconvolve('deconvolution_1d', 1, x, W, b, stride, pad, outsize, dilate, groups)


def deconvolution_2d(x, W, b=None, stride=1, pad=0, outsize=None, *, dilate=1, groups=1,
                     **former):
    """:func:`deconvolution_nd` over images: x (N, C, H, W), filters W (C, O / groups, kh, kw)."""
    if former:
        refuse_former('deconvolution_2d', former)
    return deconvolve('deconvolution_2d', 2, x, W, b, stride, pad, outsize, dilate, groups)


def deconvolution_3d(x, W, b=None, stride=1, pad=0, outsize=None, dilate=1, groups=1):
    """:func:`deconvolution_nd` over volumes: x (N, C, D, H, W), W (C, O / groups, kd, kh, kw)."""
    return deconvolve('deconvolution_3d', 3, x, W, b, stride, pad, outsize, dilate, groups)

"""Transposed convolution layers over one, two, three or any number of spatial axes."""
from minichain.functions.deconvolution import deconvolution_2d, deconvolution_nd
from minichain.links.convolution import ConvolutionBase


class DeconvolutionND(ConvolutionBase):
    """Transposed convolution: ``functions.deconvolution_nd`` with trained filters.

    Args:
        ndim: number of spatial axes.
        in_channels: C; None takes it from the first data. ``DeconvolutionND(d, n, k)`` means
            ``DeconvolutionND(d, None, n, k)``.
        out_channels: O.
        ksize, stride, pad, dilate: int or one int per spatial axis.
        nobias: leave b out.
        outsize: spatial shape of the result; None is the smallest that fits.
        initialW: initializer of W; None is LeCunNormal.
        initial_bias: initializer of b; None is 0.
        groups: the channels are cut into so many parts which do not see each other.
    Attributes:
        W: (C, O / groups, ksize...). b: (O,) or None.
    Raises:
        InvalidArgument: ``groups`` does not divide C and O, or a size is no positive int.
    """

    def __init__(self, ndim, in_channels, out_channels, ksize=None, stride=1, pad=0, nobias=False,
                 outsize=None, initialW=None, initial_bias=None, dilate=1, groups=1):
        super().__init__(ndim, in_channels, out_channels, ksize, stride, pad, nobias, initialW,
                         initial_bias, dilate, groups)
        self.outsize = outsize

    def _filter_shape(self, in_channels):
        return in_channels, self.out_channels // self.groups, *self._kernel

    def forward(self, x):
        """Spread x (N, C, size...) -> (N, O, outsize...)."""
        self._expect_filters(x)
        return deconvolution_nd(x, self.W, self.b, self.stride, self.pad, self.outsize,
                                self.dilate, self.groups)


class Deconvolution1D(DeconvolutionND):
    """:class:`DeconvolutionND` over one axis: x (N, C, L)."""

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, nobias=False,
                 outsize=None, initialW=None, initial_bias=None, dilate=1, groups=1):
        super().__init__(1, in_channels, out_channels, ksize, stride, pad, nobias, outsize,
                         initialW, initial_bias, dilate, groups)


class Deconvolution2D(DeconvolutionND):
    """:class:`DeconvolutionND` over images: x (N, C, H, W), filters W (C, O / groups, kh, kw)."""

    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, nobias=False,
                 outsize=None, initialW=None, initial_bias=None, *, dilate=1, groups=1):
        super().__init__(2, in_channels, out_channels, ksize, stride, pad, nobias, outsize,
                         initialW, initial_bias, dilate, groups)

    def forward(self, x):
        self._expect_filters(x)
        return deconvolution_2d(x, self.W, self.b, self.stride, self.pad, self.outsize,
                                dilate=self.dilate, groups=self.groups)


class Deconvolution3D(DeconvolutionND):
    """:class:`DeconvolutionND` over volumes: x (N, C, D, H, W)."""

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, nobias=False,
                 outsize=None, initialW=None, initial_bias=None, dilate=1, groups=1):
        super().__init__(3, in_channels, out_channels, ksize, stride, pad, nobias, outsize,
                         initialW, initial_bias, dilate, groups)

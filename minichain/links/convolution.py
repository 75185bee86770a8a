"""Convolution layers over one, two, three or any number of spatial axes."""
from minichain import initializers
from minichain.autograd import as_array
from minichain.errors import InvalidArgument
from minichain.functions.convolution import convolution_2d, convolution_nd
from minichain.functions.windows import as_ints
from minichain.link import Link
from minichain.variable import Parameter


class ConvolutionBase(Link):
    """Filters and geometry that convolutions and their transposes share.

    Attributes:
        W: filters; without array until the number of input channels is known.
        b: (out_channels,) or None.
        in_channels, out_channels, ksize, groups: as given.
        stride, pad, dilate: tuples with one int per spatial axis.
    """

    def __init__(self, ndim, in_channels, out_channels, ksize, stride, pad, nobias, initialW,
                 initial_bias, dilate, groups):
        super().__init__()
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        label = type(self).__name__
        self.in_channels, self.out_channels, self.ksize = in_channels, out_channels, ksize
        self.stride = as_ints(label, 'stride', stride, ndim, 1)
        self.pad = as_ints(label, 'pad', pad, ndim, 0)
        self.dilate = as_ints(label, 'dilate', dilate, ndim, 1)
        self.groups = int(groups)
        self._kernel = as_ints(label, 'ksize', ksize, ndim, 1)
        with self.init_scope():
            self.W = Parameter(initializers.get_initializer(initialW))
            self.b = None if nobias else Parameter(
                0 if initial_bias is None else initial_bias, out_channels)
        if in_channels is not None:
            self._initialize_params(in_channels)

    def _initialize_params(self, in_channels):
        if self.groups < 1 or in_channels % self.groups or self.out_channels % self.groups:
            raise InvalidArgument(
                f'{type(self).__name__}: groups that divides both numbers of channels expected, '
                f'got {self.groups} for {in_channels} -> {self.out_channels}')
        self.W.initialize(self._filter_shape(in_channels))

    def _filter_shape(self, in_channels):
        return self.out_channels, in_channels // self.groups, *self._kernel

    def _expect_filters(self, x):
        """Draw the filters if ``x`` (N, C, ...) is the first data."""
        if self.W.array is None:
            self._initialize_params(x.shape[1])

    @property
    def printable_specs(self):
        return (('in_channels', self.in_channels), ('out_channels', self.out_channels),
                ('ksize', self.ksize), ('stride', self.stride), ('pad', self.pad),
                ('nobias', self.b is None), ('dilate', self.dilate), ('groups', self.groups))


class Convolution2D(ConvolutionBase):
    """Convolution of images: ``functions.convolution_2d`` with trained filters.

    Args:
        in_channels: C; None takes it from the first data. ``Convolution2D(n, k)`` means
            ``Convolution2D(None, n, k)``.
        out_channels: O.
        ksize, stride, pad, dilate: int or pair of ints (kh, kw).
        nobias: leave b out.
        initialW: initializer of W; None is LeCunNormal.
        initial_bias: initializer of b; None is 0.
        groups: the channels are cut into so many parts which do not see each other.
    Attributes:
        W: (O, C / groups, kh, kw). b: (O,) or None.
    Raises:
        InvalidArgument: ``groups`` does not divide C and O, or a size is no positive int.
    """

    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, nobias=False,
                 initialW=None, initial_bias=None, *, dilate=1, groups=1):
        super().__init__(2, in_channels, out_channels, ksize, stride, pad, nobias, initialW,
                         initial_bias, dilate, groups)

    @classmethod
    def from_params(cls, W, b=None, stride=1, pad=0, nobias=False, *, dilate=1, groups=1):
        """Return a layer with given filters W (O, C / groups, kh, kw) and bias b (O,), None: 0."""
        return cls(W.shape[1] * groups, W.shape[0], W.shape[2:], stride, pad, nobias, as_array(W),
                   as_array(b), dilate=dilate, groups=groups)

    def forward(self, x):
        """Convolve images (N, C, H, W) -> (N, O, OH, OW)."""
        self._expect_filters(x)
        return convolution_2d(x, self.W, self.b, self.stride, self.pad, dilate=self.dilate,
                              groups=self.groups)


class DilatedConvolution2D(Convolution2D):
    """:class:`Convolution2D` with its arguments in another order.

    Yu and Koltun 2016, "Multi-scale context aggregation by dilated convolutions",
    arXiv:1511.07122.
    """

    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, dilate=1,
                 nobias=False, initialW=None, initial_bias=None):
        super().__init__(in_channels, out_channels, ksize, stride, pad, nobias, initialW,
                         initial_bias, dilate=dilate)


class ConvolutionND(ConvolutionBase):
    """Convolution over ``ndim`` spatial axes: ``functions.convolution_nd`` with trained filters.

    Args:
        ndim: number of spatial axes.
        in_channels: C; None takes it from the first data. ``ConvolutionND(d, n, k)`` means
            ``ConvolutionND(d, None, n, k)``.
        out_channels: O.
        ksize, stride, pad, dilate: int or one int per spatial axis.
        nobias, initialW, initial_bias, groups: as in :class:`Convolution2D`.
        cover_all: add a window at the end if positions would be left over.
    Attributes:
        W: (O, C / groups, ksize...). b: (O,) or None.
    """

    def __init__(self, ndim, in_channels, out_channels, ksize=None, stride=1, pad=0, nobias=False,
                 initialW=None, initial_bias=None, cover_all=False, dilate=1, groups=1):
        super().__init__(ndim, in_channels, out_channels, ksize, stride, pad, nobias, initialW,
                         initial_bias, dilate, groups)
        self.cover_all = cover_all

    @classmethod
    def from_params(cls, W, b=None, stride=1, pad=0, nobias=False, *, cover_all=False, dilate=1,
                    groups=1):
        """Return a layer with given filters W (O, C / groups, ksize...) and b (O,), None: 0."""
        return ConvolutionND(W.ndim - 2, W.shape[1] * groups, W.shape[0], W.shape[2:], stride, pad,
                             nobias, as_array(W), as_array(b), cover_all, dilate, groups)

    def forward(self, x):
        """Convolve x (N, C, size...) -> (N, O, out...)."""
        self._expect_filters(x)
        return convolution_nd(x, self.W, self.b, self.stride, self.pad, self.cover_all,
                              self.dilate, self.groups)


class Convolution1D(ConvolutionND):
    """:class:`ConvolutionND` over one axis: x (N, C, L)."""

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, nobias=False,
                 initialW=None, initial_bias=None, cover_all=False, dilate=1, groups=1):
        super().__init__(1, in_channels, out_channels, ksize, stride, pad, nobias, initialW,
                         initial_bias, cover_all, dilate, groups)


class Convolution3D(ConvolutionND):
    """:class:`ConvolutionND` over volumes: x (N, C, D, H, W)."""

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, nobias=False,
                 initialW=None, initial_bias=None, cover_all=False, dilate=1, groups=1):
        super().__init__(3, in_channels, out_channels, ksize, stride, pad, nobias, initialW,
                         initial_bias, cover_all, dilate, groups)

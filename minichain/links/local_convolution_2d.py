"""A convolution with filters of its own at every position."""
from minichain import initializers
from minichain.errors import InvalidArgument
from minichain.functions.local_convolution_2d import local_convolution_2d
from minichain.functions.windows import as_ints, slide
from minichain.link import Link
from minichain.variable import Parameter


class LocalConvolution2D(Link):
    """Convolution whose weights are not shared between positions, without padding.

    Args:
        in_channels: C; None takes it from the first data.
        out_channels: O.
        in_size: H and W of the images, int or pair of ints; None takes it from the first data.
        ksize, stride: int or pair of ints.
        nobias: leave b out.
        initialW: initializer of W; None is LeCunNormal.
        initial_bias: initializer of b; None is 0.
    Attributes:
        W: (O, OH, OW, C, kh, kw). b: (O, OH, OW) or None.
    Raises:
        InvalidArgument: ``ksize`` is missing or no positive int.
    """

    def __init__(self, in_channels, out_channels, in_size=None, ksize=None, stride=1, nobias=False,
                 initialW=None, initial_bias=None):
        super().__init__()
        if ksize is None:
            raise InvalidArgument('LocalConvolution2D: ksize expected, got None')
        self.out_channels, self.ksize, self.nobias = out_channels, ksize, nobias
        self.stride = as_ints('LocalConvolution2D', 'stride', stride, 2, 1)
        self._kernel = as_ints('LocalConvolution2D', 'ksize', ksize, 2, 1)
        with self.init_scope():
            self.W = Parameter(initializers.get_initializer(initialW))
            self.b = None if nobias else Parameter(0 if initial_bias is None else initial_bias)
        if in_channels is not None and in_size is not None:
            self._initialize_params(in_channels, as_ints('LocalConvolution2D', 'in_size', in_size,
                                                         2, 1))

    def _initialize_params(self, in_channels, in_size):
        out = slide('LocalConvolution2D', in_size, self._kernel, self.stride).out
        self.W.initialize((self.out_channels, *out, in_channels, *self._kernel))
        if self.b is not None:
            self.b.initialize((self.out_channels, *out))

    def forward(self, x):
        """Convolve images (N, C, H, W) -> (N, O, OH, OW)."""
        if self.W.array is None:
            self._initialize_params(x.shape[1], x.shape[2:])
        return local_convolution_2d(x, self.W, self.b, self.stride)

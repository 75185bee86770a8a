"""A convolution of each channel by itself."""
from minichain import initializers
from minichain.functions.depthwise_convolution_2d import depthwise_convolution_2d
from minichain.functions.windows import as_ints
from minichain.link import Link
from minichain.variable import Parameter


class DepthwiseConvolution2D(Link):
    """Convolution of each channel with its own M filters.

    Args:
        in_channels: C; None takes it from the first data.
        channel_multiplier: M.
        ksize, stride, pad: int or pair of ints.
        nobias: leave b out.
        initialW: initializer of W; None is LeCunNormal.
        initial_bias: initializer of b; None is 0.
    Attributes:
        W: (M, C, kh, kw). b: (C M,) or None.
    Chollet 2017, "Xception", arXiv:1610.02357.
    """

    def __init__(self, in_channels, channel_multiplier, ksize, stride=1, pad=0, nobias=False,
                 initialW=None, initial_bias=None):
        super().__init__()
        self.channel_multiplier, self.ksize, self.nobias = channel_multiplier, ksize, nobias
        self.stride = as_ints('DepthwiseConvolution2D', 'stride', stride, 2, 1)
        self.pad = as_ints('DepthwiseConvolution2D', 'pad', pad, 2, 0)
        self._kernel = as_ints('DepthwiseConvolution2D', 'ksize', ksize, 2, 1)
        with self.init_scope():
            self.W = Parameter(initializers.get_initializer(initialW))
            self.b = None if nobias else Parameter(0 if initial_bias is None else initial_bias)
        if in_channels is not None:
            self._initialize_params(in_channels)

    def _initialize_params(self, in_channels):
        self.W.initialize((self.channel_multiplier, in_channels, *self._kernel))
        if self.b is not None:
            self.b.initialize(self.channel_multiplier * in_channels)

    def forward(self, x):
        """Convolve images (N, C, H, W) -> (N, C M, OH, OW)."""
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return depthwise_convolution_2d(x, self.W, self.b, self.stride, self.pad)

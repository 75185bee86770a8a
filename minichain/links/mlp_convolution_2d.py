"""Convolutions followed by small networks at every pixel."""
from minichain.chain import ChainList
from minichain.functions.relu import relu
from minichain.links.convolution import Convolution2D


class MLPConvolution2D(ChainList):
    """A convolution and 1 x 1 convolutions after it, with activations between them.

    Args:
        in_channels: C; None takes it from the first data. ``MLPConvolution2D(n, k)`` means
            ``MLPConvolution2D(None, n, k)``.
        out_channels: tuple of ints, the channels after each convolution.
        ksize, stride, pad: of the first convolution.
        activation: function between the convolutions, not after the last.
        conv_init, bias_init: initializers of all W and b; None is LeCunNormal and 0.
    Lin et al. 2014, "Network in network", arXiv:1312.4400.
    """

    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, activation=relu,
                 conv_init=None, bias_init=None):
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        initial = {'initialW': conv_init, 'initial_bias': bias_init}
        super().__init__(
            Convolution2D(in_channels, out_channels[0], ksize, stride, pad, **initial),
            *(Convolution2D(before, after, 1, **initial)
              for before, after in zip(out_channels, out_channels[1:])))
        self.activation = activation

    def forward(self, x):
        """Convolve images (N, C, H, W) -> (N, out_channels[-1], OH, OW)."""
        *first, last = self
        for convolution in first:
            x = self.activation(convolution(x))
        return last(x)

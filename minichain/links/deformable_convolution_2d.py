"""A convolution that learns where to look."""
from minichain.chain import Chain
from minichain.functions.deformable_convolution_2d_sampler import deformable_convolution_2d_sampler
from minichain.functions.windows import as_ints
from minichain.links.convolution import Convolution2D, ConvolutionBase


class DeformableConvolution2DSampler(ConvolutionBase):
    """The filters: ``functions.deformable_convolution_2d_sampler`` with trained W and b."""

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, nobias=False,
                 initialW=None, initial_bias=None):
        super().__init__(2, in_channels, out_channels, ksize, stride, pad, nobias,
                         0 if initialW is None else initialW, initial_bias, 1, 1)

    def forward(self, x, offset):
        """Convolve images (N, C, H, W) at offsets (N, 2 kh kw, OH, OW) -> (N, O, OH, OW)."""
        self._expect_filters(x)
        return deformable_convolution_2d_sampler(x, offset, self.W, self.b, self.stride, self.pad)


class DeformableConvolution2D(Chain):
    """Convolution whose taps are moved, at every position, by offsets that another one computes.

    Args:
        in_channels: C; None takes it from the first data.
        out_channels: O.
        ksize, stride, pad: int or pair of ints.
        offset_nobias, offset_initialW, offset_initial_bias: of ``offset_conv``, as of
            Convolution2D.
        deform_nobias, deform_initialW, deform_initial_bias: of ``deform_conv``; its W starts
            from 0 by default.
    Attributes:
        offset_conv: Convolution2D with 2 kh kw output channels.
        deform_conv: filters W (O, C, kh, kw) and b (O,).
    Dai et al. 2017, "Deformable convolutional networks", arXiv:1703.06211.
    """

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, offset_nobias=False,
                 offset_initialW=None, offset_initial_bias=None, deform_nobias=False,
                 deform_initialW=None, deform_initial_bias=None):
        super().__init__()
        kh, kw = as_ints('DeformableConvolution2D', 'ksize', ksize, 2, 1)
        with self.init_scope():
            self.offset_conv = Convolution2D(
                in_channels, 2 * kh * kw, ksize, stride, pad, offset_nobias, offset_initialW,
                offset_initial_bias)
            self.deform_conv = DeformableConvolution2DSampler(
                in_channels, out_channels, ksize, stride, pad, deform_nobias, deform_initialW,
                deform_initial_bias)

    def forward(self, x):
        """Convolve images (N, C, H, W) -> (N, O, OH, OW)."""
        return self.deform_conv(x, self.offset_conv(x))

"""What the networks share. Links are numbered as torchvision's modules are."""
import minichain.functions as F
import minichain.links as L
from minichain import ChainList
from minichain.image import Preprocessing
from minichain.vision.initialization import QuickNormal


class InTurn(ChainList):
    """Links called one after another, each named by its position."""

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        for link in self:
            x = link(x)
        return x


class NormalizedConvolution(InTurn):
    """Convolution, batch normalization, activation; an odd window keeps the size at stride 1.

    Args:
        in_channels, out_channels, ksize, stride, groups: as of ``L.Convolution2D``.
        activation: function of a Variable; None leaves y as it is.
        decay, eps: as of ``L.BatchNormalization``.
    """

    def __init__(self, in_channels, out_channels, ksize=1, stride=1, groups=1, activation=None,
                 decay=.9, eps=1e-5):
        super().__init__(
            L.Convolution2D(in_channels, out_channels, ksize, stride, ksize // 2, nobias=True,
                            initialW=QuickNormal(), groups=groups),
            L.BatchNormalization(out_channels, decay, eps))
        self.activation = activation

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        x = super().forward(x)
        return x if self.activation is None else self.activation(x)


def global_average(x):
    """Mean over each plane: (N, C, H, W) -> (N, C)."""
    return F.average(x, axis=(2, 3))


def imagenet_preprocessing(size, resize_to):
    """What torchvision's transforms do: centre crops, RGB, mean and deviation of ImageNet.

    Keras' ``applications.efficientnet`` has the same numbers inside the network. Images are
    resized bilinearly here, while torchvision's EfficientNets were shown bicubic ones.

    Args:
        size, resize_to: side of the crop, and of the image's shorter side before, in pixels.
    """
    return Preprocessing((size, size), 'RGB', (.485 * 255, .456 * 255, .406 * 255), 1 / 255,
                         'crop', resize_to, (.229, .224, .225))

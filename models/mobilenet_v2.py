"""MobileNetV2: inverted residuals, which are wide inside and narrow where they are added.

Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks", arXiv:1801.04381.
"""
import minichain.functions as F
import minichain.links as L
from minichain import Chain
from minichain.vision.initialization import QuickNormal
from models.blocks import InTurn, NormalizedConvolution, global_average, imagenet_preprocessing
from models.torchvision_network import TorchvisionNetwork

# expansion, channels, blocks, stride of the first block (Table 2)
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(Chain):
    """1 x 1 to ``expansion`` times the channels, 3 x 3 on each of them, 1 x 1 back; then + x.

    Args:
        in_channels, out_channels: of the narrow ends; x is added where they are alike.
        stride: of the 3 x 3 convolution; with 2, x is not added.
        expansion: how many times wider it is inside; 1 leaves the first convolution out.
    Attributes:
        conv: links in turn; after the last there is no activation.
    """

    def __init__(self, in_channels, out_channels, stride, expansion):
        super().__init__()
        inside = in_channels * expansion
        self.is_residual = stride == 1 and in_channels == out_channels
        with self.init_scope():
            self.conv = InTurn(
                *([NormalizedConvolution(in_channels, inside, activation=F.relu6)]
                  if expansion != 1 else []),
                NormalizedConvolution(inside, inside, 3, stride, inside, F.relu6),
                *NormalizedConvolution(inside, out_channels))

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        y = self.conv(x)
        return x + y if self.is_residual else y


def dropout(x):
    """Dropout before the classifier."""
    return F.dropout(x, .2)


class MobileNetV2(TorchvisionNetwork):
    """MobileNetV2 of width 1: 3,504,872 parameters.

    Input: 224 x 224, or any size. Preprocessing is torchvision's
    (MobileNet_V2_Weights.IMAGENET1K_V1): the shorter side to 256 pixels, the centre, RGB, mean and
    deviation of ImageNet.

    Args:
        n_classes: number of classes.
    Attributes:
        blocks: the convolutional part, layers ``blocks.0`` to ``blocks.18``.
        fc: Linear(1280, n_classes).
    """

    head, feature_layer = ('fc',), 'pool'
    preprocessing = imagenet_preprocessing(224, 256)

    def __init__(self, n_classes=1000):
        super().__init__()
        blocks, channels = [NormalizedConvolution(3, 32, 3, 2, activation=F.relu6)], 32
        for expansion, out_channels, count, stride in STAGES:
            for number in range(count):
                blocks.append(InvertedResidual(channels, out_channels, 1 if number else stride,
                                               expansion))
                channels = out_channels
        blocks.append(NormalizedConvolution(channels, 1280, activation=F.relu6))
        with self.init_scope():
            self.blocks = InTurn(*blocks)
            self.fc = L.Linear(1280, n_classes, initialW=QuickNormal(.01))

    @property
    def functions(self):
        return {
            **{f'blocks.{i}': [block] for i, block in enumerate(self.blocks)},
            'pool': [global_average],
            'fc': [dropout, self.fc],
            'prob': [F.softmax]}

    def torchvision_layer(self, path):
        name = path.replace('blocks', 'features', 1).replace('/', '.')
        return 'classifier.1' if name == 'fc' else name

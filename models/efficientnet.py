"""EfficientNet-B0 to B7: one network, grown in width, depth and resolution together.

Tan, Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks",
arXiv:1905.11946.
"""
import math

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import Chain
from minichain.errors import InvalidArgument
from minichain.vision.initialization import QuickNormal
from models.blocks import InTurn, NormalizedConvolution, global_average, imagenet_preprocessing
from models.torchvision_network import TorchvisionNetwork

# expansion, ksize, stride of the first block, channels, blocks (Table 1)
STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
          (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))

# B0 to B7. width, depth: factors on the channels and on the numbers of blocks; size: side of the
# image; resize_to: of its shorter side before the crop, in torchvision's IMAGENET1K_V1 weights.
VARIANTS = tuple(dict(zip(('width', 'depth', 'size', 'resize_to', 'dropout'), row)) for row in (
    (1.0, 1.0, 224, 256, .2), (1.0, 1.1, 240, 256, .2), (1.1, 1.2, 288, 288, .3),
    (1.2, 1.4, 300, 320, .3), (1.4, 1.8, 380, 384, .4), (1.6, 2.2, 456, 456, .4),
    (1.8, 2.6, 528, 528, .5), (2.0, 3.1, 600, 600, .5)))


def divisible(channels):
    """The multiple of 8 that is nearest to ``channels``, but not less than 0.9 of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < .9 * channels else nearest


def swish(x):
    """x sigmoid(x), elementwise."""
    return x * F.sigmoid(x)


def stochastic_depth(x, ratio):
    """While training, set whole images to 0 with probability ``ratio`` and scale the others.

    Args:
        x: (N, C, H, W), what a block adds.
        ratio: 0 <= ratio < 1; the others are multiplied by 1 / (1 - ratio).
    Huang et al. 2016, "Deep networks with stochastic depth", arXiv:1603.09382.
    """
    if ratio == 0 or not minichain.config.train:
        return x
    xp = minichain.backend.get_array_module(x)
    kept = xp.random.rand(len(x)) >= ratio
    return x * (kept / (1 - ratio)).astype(x.dtype)[:, None, None, None]


class SqueezeExcitation(Chain):
    """Scales every channel by what the means of all channels say:  x sigmoid(fc2(swish(fc1(m)))).

    Args:
        channels, squeezed: channels of x, and between the two 1 x 1 convolutions.
    Hu et al. 2018, "Squeeze-and-excitation networks", arXiv:1709.01507.
    """

    def __init__(self, channels, squeezed):
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Convolution2D(channels, squeezed, 1, initialW=QuickNormal())
            self.fc2 = L.Convolution2D(squeezed, channels, 1, initialW=QuickNormal())

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        mean = F.average(x, axis=(2, 3), keepdims=True)
        return x * F.sigmoid(self.fc2(swish(self.fc1(mean))))


class Block(Chain):
    """An inverted residual with squeeze-and-excitation inside, skipped now and then in training.

    Args:
        in_channels, out_channels: of the narrow ends; x is added where they are alike.
        ksize, stride: of the convolution of each channel by itself; with stride 2, x is not added.
        expansion: how many times wider it is inside; 1 leaves the first convolution out.
        drop: probability to skip the block, for each image.
        normalization: decay and eps of ``L.BatchNormalization``.
    """

    def __init__(self, in_channels, out_channels, ksize, stride, expansion, drop, normalization):
        super().__init__()
        inside = in_channels * expansion
        self.is_residual, self.drop = stride == 1 and in_channels == out_channels, drop
        with self.init_scope():
            self.block = InTurn(
                *([NormalizedConvolution(in_channels, inside, activation=swish, **normalization)]
                  if expansion != 1 else []),
                NormalizedConvolution(inside, inside, ksize, stride, inside, swish,
                                      **normalization),
                SqueezeExcitation(inside, in_channels // 4),
                NormalizedConvolution(inside, out_channels, **normalization))

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        y = self.block(x)
        return stochastic_depth(y, self.drop) + x if self.is_residual else y


class EfficientNet(TorchvisionNetwork):
    """EfficientNet: 5,288,548 parameters (B0) to 66,347,960 (B7).

    Input: any size, meant for sides of 224, 240, 288, 300, 380, 456, 528, 600 pixels, B0 to B7
    (Keras shows B2 260). Preprocessing is torchvision's: the centre, RGB, mean and deviation of
    ImageNet; so is batch normalization: eps 1e-5 and decay 0.9 up to B4, then 1e-3 and 0.99.

    Args:
        variant: 0 to 7.
        n_classes: number of classes.
        drop: probability to skip the last block while training; the first is never skipped, in
            between it grows linearly.
    Attributes:
        stages: the convolutional part, layers ``stages.0`` to ``stages.8``.
        fc: Linear(channels of the last stage, n_classes).
        dropout: ratio before ``fc``, while training.
    Raises:
        InvalidArgument: another variant.
    """

    head, feature_layer = ('fc',), 'pool'

    def __init__(self, variant=0, n_classes=1000, drop=.2):
        super().__init__()
        if variant not in range(len(VARIANTS)):
            raise InvalidArgument(f'EfficientNet: variant 0 to {len(VARIANTS) - 1} expected, got '
                                  f'{variant!r}')
        scale = VARIANTS[variant]
        self.dropout = scale['dropout']
        self.preprocessing = imagenet_preprocessing(scale['size'], scale['resize_to'])
        normalization = {'decay': .99, 'eps': 1e-3} if variant >= 5 else {}
        counts = [math.ceil(count * scale['depth']) for *_, count in STAGES]
        channels, number = divisible(32 * scale['width']), 0
        stages = [NormalizedConvolution(3, channels, 3, 2, activation=swish, **normalization)]
        for (expansion, ksize, stride, out_channels, _), count in zip(STAGES, counts):
            out_channels, blocks = divisible(out_channels * scale['width']), []
            for _ in range(count):
                blocks.append(Block(channels, out_channels, ksize, 1 if blocks else stride,
                                    expansion, drop * number / sum(counts), normalization))
                channels, number = out_channels, number + 1
            stages.append(InTurn(*blocks))
        stages.append(NormalizedConvolution(channels, 4 * channels, activation=swish,
                                            **normalization))
        with self.init_scope():
            self.stages = InTurn(*stages)
            self.fc = L.Linear(4 * channels, n_classes, initialW=QuickNormal(.01))

    @property
    def functions(self):
        return {
            **{f'stages.{i}': [stage] for i, stage in enumerate(self.stages)},
            'pool': [global_average],
            'fc': [lambda x: F.dropout(x, self.dropout), self.fc],
            'prob': [F.softmax]}

    def torchvision_layer(self, path):
        name = path.replace('stages', 'features', 1).replace('/', '.')
        return 'classifier.1' if name == 'fc' else name

"""SqueezeNet 1.0 and 1.1: AlexNet's accuracy with a fiftieth of its parameters.

Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB
model size", arXiv:1602.07360; 1.1 is described with the authors' files.
"""
import minichain.functions as F
import minichain.links as L
from minichain import Chain
from minichain.errors import InvalidArgument
from minichain.image import Preprocessing
from minichain.vision import ImageNetwork
from minichain.vision.initialization import QuickNormal

# conv1: channels and ksize; modules after which images are halved; padding of conv10, which the
# authors' file of 1.0 has
VERSIONS = {'1.0': ((96, 7), (1, 4, 8), 1), '1.1': ((64, 3), (1, 3, 5), 0)}
WIDTHS = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}


def halve(x):
    """Maximum over windows 3 x 3, two apart."""
    return F.max_pooling_2d(x, 3, 2)


class Fire(Chain):
    """A narrow 1 x 1 convolution, then 1 x 1 and 3 x 3 convolutions side by side.

    Args:
        in_channels: C.
        width: channels of ``squeeze1x1``; ``expand1x1`` and ``expand3x3`` have four times as many.
    """

    def __init__(self, in_channels, width):
        super().__init__()
        initialW = QuickNormal()
        with self.init_scope():
            self.squeeze1x1 = L.Convolution2D(in_channels, width, 1, initialW=initialW)
            self.expand1x1 = L.Convolution2D(width, 4 * width, 1, initialW=initialW)
            self.expand3x3 = L.Convolution2D(width, 4 * width, 3, pad=1, initialW=initialW)

    def forward(self, x):
        """Apply to images (N, C, H, W) -> (N, 8 width, H, W)."""
        x = F.relu(self.squeeze1x1(x))
        return F.relu(F.concat((self.expand1x1(x), self.expand3x3(x)), axis=1))


class SqueezeNet(ImageNetwork):
    """SqueezeNet: 1,248,424 parameters (1.0) or 1,235,496 (1.1), links of Caffe's names.

    Input: 227 x 227, or any size from 21 x 21 up.

    Args:
        version: '1.0', or '1.1', which needs 2.4 times less computation.
            The authors' 1.0 pads ``conv10`` by 1, torchvision's does not: for weights from there
            set ``net.conv10.pad = 0, 0``.
        n_classes: channels of the last convolution.
    Raises:
        InvalidArgument: another version.
    """

    head, feature_layer = ('conv10',), 'pool10'
    preprocessing = Preprocessing((227, 227), 'BGR', (104, 117, 123), resize='crop',
                                  resize_to=256)

    def __init__(self, version='1.1', n_classes=1000):
        super().__init__()
        if version not in VERSIONS:
            raise InvalidArgument(f"SqueezeNet: version '1.0' or '1.1' expected, got {version!r}")
        (channels, ksize), self._halved, pad = VERSIONS[version]
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, channels, ksize, 2, initialW=QuickNormal())
            for number, width in WIDTHS.items():
                setattr(self, f'fire{number}', Fire(channels, width))
                channels = 8 * width
            self.conv10 = L.Convolution2D(channels, n_classes, 1, pad=pad,
                                          initialW=QuickNormal(.01))

    @property
    def functions(self):
        layers = {'conv1': [self.conv1, F.relu]}
        for number in (1, *WIDTHS):
            if number > 1:
                layers[f'fire{number}'] = [self[f'fire{number}']]
            if number in self._halved:
                layers[f'pool{number}'] = [halve]
        layers['conv10'] = [F.dropout, self.conv10, F.relu]
        layers['pool10'] = [lambda x: F.mean(x, axis=(2, 3))]
        layers['prob'] = [F.softmax]
        return layers

    def torchvision_layer(self, path):
        link, _, part = path.partition('/')
        if link == 'conv10':
            return 'classifier.1'
        names = ['conv1', 'relu', *(name for name in self.functions if name != 'conv1')]
        part = 'squeeze' if part == 'squeeze1x1' else part
        return f'features.{names.index(link)}' + (f'.{part}' if part else '')

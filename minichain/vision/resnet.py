"""Residual networks with 50, 101 and 152 layers, of bottleneck blocks.

He et al. 2015, "Deep residual learning for image recognition", arXiv:1512.03385.
"""
from minichain.chain import Chain
from minichain.errors import InvalidArgument
from minichain.functions.average_pooling import average_pooling_2d
from minichain.functions.max_pooling import max_pooling_2d
from minichain.functions.relu import relu
from minichain.functions.reshape import reshape
from minichain.functions.softmax import softmax
from minichain.image import Preprocessing
from minichain.links.batch_normalization import BatchNormalization
from minichain.links.convolution import Convolution2D
from minichain.links.linear import Linear
from minichain.vision import pretrained
from minichain.vision.image_network import ImageNetwork
from minichain.vision.initialization import QuickNormal
from minichain.vision.preparation import prepare_as_in_chainer

PREPROCESSING = Preprocessing((224, 224), 'BGR', (103.063, 115.903, 123.152), resize='crop',
                              resize_to=256)
TORCHVISION = Preprocessing((224, 224), 'RGB', (123.675, 116.28, 103.53), 1 / 255, 'crop', 256,
                            (.229, .224, .225))


def prepare(image, size=(224, 224)):
    """Make a ResNet's input of an image: BGR minus the mean, float32 (3, H, W).

    Args:
        image: path, PIL image, or array in RGB: (3, H, W), (1, H, W), (H, W) or (H, W, 3).
        size: (width, height) to resize to; None leaves the size.
    """
    return prepare_as_in_chainer(image, size, PREPROCESSING)


def _halve(x):
    return max_pooling_2d(x, 3, 2)


def _halve_padded(x):
    return max_pooling_2d(x, 3, 2, 1, cover_all=False)


def _average(x):
    return reshape(average_pooling_2d(x, x.shape[2:], 1), x.shape[:2])


class Bottleneck(Chain):
    """Convolutions 1 x 1, 3 x 3, 1 x 1 beside a shortcut:  relu(x + f(x)).

    Args:
        in_channels, mid_channels, out_channels: before, inside, behind.
        stride: of the first convolution, or of the second if ``downsample_fb``.
        projects: whether the shortcut is a 1 x 1 convolution, ``conv4``, instead of nothing.
        downsample_fb: see :class:`ResNetLayers`.
        initialW: initializer of all W.
    """

    def __init__(self, in_channels, mid_channels, out_channels, stride, projects, downsample_fb,
                 initialW):
        super().__init__()
        first, second = (1, stride) if downsample_fb else (stride, 1)
        options = {'nobias': True, 'initialW': initialW}
        with self.init_scope():
            self.conv1 = Convolution2D(in_channels, mid_channels, 1, first, **options)
            self.bn1 = BatchNormalization(mid_channels)
            self.conv2 = Convolution2D(mid_channels, mid_channels, 3, second, 1, **options)
            self.bn2 = BatchNormalization(mid_channels)
            self.conv3 = Convolution2D(mid_channels, out_channels, 1, **options)
            self.bn3 = BatchNormalization(out_channels)
            if projects:
                self.conv4 = Convolution2D(in_channels, out_channels, 1, stride, **options)
                self.bn4 = BatchNormalization(out_channels)
        self._projects = projects

    def forward(self, x):
        """Apply to x (N, C, H, W)."""
        h = relu(self.bn1(self.conv1(x)))
        h = relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return relu(h + (self.bn4(self.conv4(x)) if self._projects else x))


class Stage(Chain):
    """Bottlenecks one after another: ``a``, which has the stride, then ``b1``, ``b2``, ..."""

    def __init__(self, depth, in_channels, mid_channels, out_channels, stride, downsample_fb,
                 initialW):
        super().__init__()
        self._names = ['a'] + [f'b{number}' for number in range(1, depth)]
        with self.init_scope():
            for name in self._names:
                first = name == 'a'
                setattr(self, name, Bottleneck(
                    in_channels if first else out_channels, mid_channels, out_channels,
                    stride if first else 1, first, downsample_fb, initialW))

    def forward(self, x):
        """Apply to x (N, C, H, W)."""
        for name in self._names:
            x = self[name](x)
        return x


class ResNetLayers(ImageNetwork):
    """A residual network of four stages, res2 to res5.

    Input: 224 x 224, or any size from 32 x 32 up. As in Caffe's public files ``conv1`` has a
    bias, which the paper's network has not: 64 parameters more than are published.

    Args:
        pretrained_model: path of weights, .npz, .caffemodel or .onnx; 'auto' finds Chainer's
            file; None draws weights.
        n_layers: 50, 101 or 152.
        downsample_fb: False halves images in the first convolution of a stage, as published;
            True in the 3 x 3 convolution, as Facebook's networks do.
        n_classes: the head is a new one if this is not 1000.
        torchvision: the variant that weights of torchvision are for: ``downsample_fb``, padding
            before ``pool1``, RGB images.
    """

    head, feature_layer, preprocessing = ('fc6',), 'pool5', PREPROCESSING
    n_layers = 50
    depths = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

    def __init__(self, pretrained_model='auto', n_layers=50, downsample_fb=False, n_classes=1000,
                 torchvision=False):
        super().__init__()
        if n_layers not in self.depths:
            raise InvalidArgument('ResNetLayers: n_layers 50, 101 or 152 expected, got '
                                  f'{n_layers!r}')
        self._halve = _halve_padded if torchvision else _halve
        if torchvision:
            downsample_fb, self.preprocessing = True, TORCHVISION
        self._depths = self.depths[n_layers]
        initialW = pretrained.initializer(pretrained_model, QuickNormal())
        channels = 64
        with self.init_scope():
            self.conv1 = Convolution2D(3, 64, 7, 2, 3, initialW=initialW)
            self.bn1 = BatchNormalization(64)
            for number, depth in enumerate(self._depths):
                width = 64 * 2 ** number
                setattr(self, f'res{number + 2}', Stage(
                    depth, channels, width, 4 * width, 2 if number else 1, downsample_fb,
                    initialW))
                channels = 4 * width
            self.fc6 = Linear(2048, 1000, initialW=pretrained.initializer(pretrained_model, None))
        pretrained.finish(self, pretrained_model, f'ResNet-{n_layers}-model.npz', n_classes)

    @property
    def functions(self):
        return {
            'conv1': [self.conv1, self.bn1, relu], 'pool1': [self._halve],
            'res2': [self.res2], 'res3': [self.res3], 'res4': [self.res4], 'res5': [self.res5],
            'pool5': [_average], 'fc6': [self.fc6], 'prob': [softmax]}

    def caffe_layer(self, path):
        """As in the files of the paper's authors: res2a_branch2b, bn2a_branch2b, scale2a_..."""
        if path == 'bn1':
            return 'bn_conv1', 'scale_conv1'
        if '/' not in path:
            return ('fc1000' if path == 'fc6' else path,)
        stage, block, link = path.split('/')
        number = int(stage[3:])
        # the longer networks count blocks in the middle stages: 3a, 3b1, 3b2, not 3a, 3b, 3c
        counts = number in (3, 4) and self._depths != self.depths[50]
        letter = block if counts or block == 'a' else chr(ord('a') + int(block[1:]))
        branch = 'branch1' if link[-1] == '4' else f'branch2{"abc"[int(link[-1]) - 1]}'
        place = f'{number}{letter}_{branch}'
        return (f'bn{place}', f'scale{place}') if link.startswith('bn') else (f'res{place}',)

    def torchvision_layer(self, path):
        if '/' not in path:
            return 'fc' if path == 'fc6' else path
        stage, block, link = path.split('/')
        number = 0 if block == 'a' else int(block[1:])
        link = {'conv4': 'downsample.0', 'bn4': 'downsample.1'}.get(link, link)
        return f'layer{int(stage[3:]) - 1}.{number}.{link}'

    @classmethod
    def convert_caffemodel_to_npz(cls, path_caffemodel, path_npz, n_layers=None):
        """Write the weights of a caffemodel as an npz file that Chainer reads too.

        Args:
            n_layers: None means the number in the name of the class, else 50.
        """
        n_layers = cls.n_layers if n_layers is None else n_layers
        pretrained.convert(ResNetLayers(path_caffemodel, n_layers), path_npz)


class ResNet50Layers(ResNetLayers):
    """:class:`ResNetLayers` with 50 layers: 25,557,032 parameters and 64 of the bias."""

    def __init__(self, pretrained_model='auto', downsample_fb=False, n_classes=1000,
                 torchvision=False):
        super().__init__(pretrained_model, 50, downsample_fb, n_classes, torchvision)


class ResNet101Layers(ResNetLayers):
    """:class:`ResNetLayers` with 101 layers: 44,549,160 parameters and 64 of the bias."""

    n_layers = 101

    def __init__(self, pretrained_model='auto', downsample_fb=False, n_classes=1000,
                 torchvision=False):
        super().__init__(pretrained_model, 101, downsample_fb, n_classes, torchvision)


class ResNet152Layers(ResNetLayers):
    """:class:`ResNetLayers` with 152 layers: 60,192,808 parameters and 64 of the bias."""

    n_layers = 152

    def __init__(self, pretrained_model='auto', downsample_fb=False, n_classes=1000,
                 torchvision=False):
        super().__init__(pretrained_model, 152, downsample_fb, n_classes, torchvision)

"""VGG with 16 and 19 layers: 3 x 3 convolutions and nothing else, then three fully connected.

Simonyan, Zisserman 2014, "Very deep convolutional networks for large-scale image recognition",
arXiv:1409.1556.
"""
from minichain.errors import InvalidArgument
from minichain.functions.dropout import dropout
from minichain.functions.max_pooling import max_pooling_2d
from minichain.functions.relu import relu
from minichain.functions.softmax import softmax
from minichain.image import Preprocessing
from minichain.links.convolution import Convolution2D
from minichain.links.linear import Linear
from minichain.vision import pretrained
from minichain.vision.image_network import ImageNetwork
from minichain.vision.initialization import QuickNormal
from minichain.vision.preparation import prepare_as_in_chainer

PREPROCESSING = Preprocessing((224, 224), 'BGR', (103.939, 116.779, 123.68), resize='crop',
                              resize_to=256)


def prepare(image, size=(224, 224)):
    """Make VGG's input of an image: BGR minus the mean, float32 (3, H, W).

    Args:
        image: path, PIL image, or array in RGB: (3, H, W), (1, H, W), (H, W) or (H, W, 3).
        size: (width, height) to resize to; None leaves the size.
    """
    return prepare_as_in_chainer(image, size, PREPROCESSING)


def _halve(x):
    return max_pooling_2d(x, 2)


class VGGLayers(ImageNetwork):
    """VGG: five stages of convolutions, each before pooling, and the layers fc6, fc7, fc8.

    Input: 224 x 224; without fc6 any size.

    Args:
        pretrained_model: path of weights, .npz, .caffemodel or .onnx; 'auto' finds Chainer's
            file; None draws weights.
        n_layers: 16 or 19.
        n_classes: the head is a new one if this is not 1000.
    """

    head, feature_layer, preprocessing = ('fc8',), 'fc7', PREPROCESSING
    depths = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

    def __init__(self, pretrained_model='auto', n_layers=16, n_classes=1000):
        super().__init__()
        if n_layers not in self.depths:
            raise InvalidArgument(f'VGGLayers: n_layers 16 or 19 expected, got {n_layers!r}')
        self._depths = self.depths[n_layers]
        initialW = pretrained.initializer(pretrained_model, QuickNormal(.01))
        channels = 3
        with self.init_scope():
            for stage, depth in enumerate(self._depths, 1):
                width = min(512, 32 * 2 ** stage)
                for number in range(1, depth + 1):
                    setattr(self, f'conv{stage}_{number}', Convolution2D(
                        channels, width, 3, pad=1, initialW=initialW))
                    channels = width
            self.fc6 = Linear(512 * 7 * 7, 4096, initialW=initialW)
            self.fc7 = Linear(4096, 4096, initialW=initialW)
            self.fc8 = Linear(4096, 1000, initialW=initialW)
        pretrained.finish(self, pretrained_model, f'VGG_ILSVRC_{n_layers}_layers.npz', n_classes)

    @property
    def functions(self):
        layers = {}
        for stage, depth in enumerate(self._depths, 1):
            for number in range(1, depth + 1):
                name = f'conv{stage}_{number}'
                layers[name] = [self[name], relu]
            layers[f'pool{stage}'] = [_halve]
        layers['fc6'] = [self.fc6, relu, dropout]
        layers['fc7'] = [self.fc7, relu, dropout]
        layers['fc8'] = [self.fc8]
        layers['prob'] = [softmax]
        return layers

    def torchvision_layer(self, path):
        if path.startswith('fc'):
            return f'classifier.{3 * (int(path[2:]) - 6)}'
        names = [name for name in self.functions if not name.startswith('fc')]
        before = names[:names.index(path)]      # convolutions come with a ReLU
        return f'features.{sum(2 if name.startswith("conv") else 1 for name in before)}'

    @classmethod
    def convert_caffemodel_to_npz(cls, path_caffemodel, path_npz):
        """Write the weights of a caffemodel as an npz file that Chainer reads too."""
        pretrained.convert(cls(pretrained_model=path_caffemodel), path_npz)


class VGG16Layers(VGGLayers):
    """:class:`VGGLayers` with 16 layers: 138,357,544 parameters."""

    def __init__(self, pretrained_model='auto', n_classes=1000):
        super().__init__(pretrained_model, 16, n_classes)


class VGG19Layers(VGGLayers):
    """:class:`VGGLayers` with 19 layers: 143,667,240 parameters."""

    def __init__(self, pretrained_model='auto', n_classes=1000):
        super().__init__(pretrained_model, 19, n_classes)

"""GoogLeNet, Inception v1: blocks of convolutions side by side, and two auxiliary classifiers.

Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842.
"""
from minichain.functions.average_pooling import average_pooling_2d
from minichain.functions.dropout import dropout
from minichain.functions.local_response_normalization import local_response_normalization
from minichain.functions.max_pooling import max_pooling_2d
from minichain.functions.relu import relu
from minichain.functions.softmax import softmax
from minichain.image import Preprocessing
from minichain.initializers import LeCunUniform
from minichain.links.convolution import Convolution2D
from minichain.links.inception import Inception
from minichain.links.linear import Linear
from minichain.vision import pretrained
from minichain.vision.image_network import ImageNetwork
from minichain.vision.preparation import prepare_as_in_chainer

PREPROCESSING = Preprocessing((224, 224), 'BGR', (104, 117, 123), resize='crop', resize_to=256)
BLOCKS = {   # channels: in, 1 x 1, before 3 x 3, 3 x 3, before 5 x 5, 5 x 5, after pooling
    '3a': (192, 64, 96, 128, 16, 32, 32), '3b': (256, 128, 128, 192, 32, 96, 64),
    '4a': (480, 192, 96, 208, 16, 48, 64), '4b': (512, 160, 112, 224, 24, 64, 64),
    '4c': (512, 128, 128, 256, 24, 64, 64), '4d': (512, 112, 144, 288, 32, 64, 64),
    '4e': (528, 256, 160, 320, 32, 128, 128), '5a': (832, 256, 160, 320, 32, 128, 128),
    '5b': (832, 384, 192, 384, 48, 128, 128)}
CAFFE_LAYERS = {
    'conv1': 'conv1/7x7_s2', 'conv2_reduce': 'conv2/3x3_reduce', 'conv2': 'conv2/3x3',
    'loss1_conv': 'loss1/conv', 'loss1_fc1': 'loss1/fc', 'loss1_fc2': 'loss1/classifier',
    'loss2_conv': 'loss2/conv', 'loss2_fc1': 'loss2/fc', 'loss2_fc2': 'loss2/classifier',
    'loss3_fc': 'loss3/classifier'}
CAFFE_BLOCKS = {'conv1': '1x1', 'proj3': '3x3_reduce', 'conv3': '3x3', 'proj5': '5x5_reduce',
                'conv5': '5x5', 'projp': 'pool_proj'}


def prepare(image, size=(224, 224)):
    """Make GoogLeNet's input of an image: BGR minus the mean, float32 (3, H, W).

    Args:
        image: path, PIL image, or array in RGB: (3, H, W), (1, H, W), (H, W) or (H, W, 3).
        size: (width, height) to resize to; None leaves the size.
    """
    return prepare_as_in_chainer(image, size, PREPROCESSING)


def _halve(x):
    return max_pooling_2d(x, 3, 2)


def _normalize(x):
    return local_response_normalization(x, n=5, k=1, alpha=1e-4 / 5)


class GoogLeNet(ImageNetwork):
    """GoogLeNet: 6,998,552 parameters, with both auxiliary classifiers 13,378,280.

    For training, add their losses to the main one, with weight 0.3::

        y = net(x, layers=['loss1_fc2', 'loss2_fc2', 'loss3_fc'])

    Input: 224 x 224.

    Args:
        pretrained_model: path of weights, .npz, .caffemodel or .onnx; 'auto' finds Chainer's
            file; None draws weights.
        n_classes: the heads are new ones if this is not 1000.
        aux_heads: whether to have the auxiliary classifiers; files of weights may have them or
            not in either case.
    """

    head, feature_layer, preprocessing = ('loss3_fc',), 'pool5', PREPROCESSING
    branches = {'loss1_fc2': 'inception_4a', 'loss2_fc2': 'inception_4d'}
    optional = ('loss1', 'loss2')

    def __init__(self, pretrained_model='auto', n_classes=1000, aux_heads=True):
        super().__init__()
        self._has_aux_heads = aux_heads
        initial = {'initialW': pretrained.initializer(pretrained_model, LeCunUniform())}
        conv_init = pretrained.initializer(pretrained_model, None)
        with self.init_scope():
            self.conv1 = Convolution2D(3, 64, 7, 2, 3, **initial)
            self.conv2_reduce = Convolution2D(64, 64, 1, **initial)
            self.conv2 = Convolution2D(64, 192, 3, pad=1, **initial)
            for name, channels in BLOCKS.items():
                setattr(self, f'inc{name}', Inception(*channels, conv_init=conv_init))
            self.loss3_fc = Linear(1024, 1000, **initial)
            if aux_heads:
                for loss, channels in (('loss1', 512), ('loss2', 528)):
                    setattr(self, f'{loss}_conv', Convolution2D(channels, 128, 1, **initial))
                    setattr(self, f'{loss}_fc1', Linear(128 * 4 * 4, 1024, **initial))
                    setattr(self, f'{loss}_fc2', Linear(1024, 1000, **initial))
        if aux_heads:
            self.head = ('loss1_fc2', 'loss2_fc2', 'loss3_fc')
        pretrained.finish(self, pretrained_model, 'bvlc_googlenet.npz', n_classes)

    @property
    def functions(self):
        layers = {
            'conv1': [self.conv1, relu],
            'pool1': [_halve, _normalize],
            'conv2_reduce': [self.conv2_reduce, relu],
            'conv2': [self.conv2, relu, _normalize],
            'pool2': [_halve]}
        for name in BLOCKS:
            layers[f'inception_{name}'] = [self[f'inc{name}']]
            if name in ('3b', '4e'):
                layers['pool3' if name == '3b' else 'pool4'] = [_halve]
        layers['pool5'] = [lambda x: average_pooling_2d(x, 7, 1)]
        layers['loss3_fc'] = [lambda x: dropout(x, .4), self.loss3_fc]
        layers['prob'] = [softmax]
        if self._has_aux_heads:
            for loss in ('loss1', 'loss2'):
                layers[f'{loss}_fc2'] = [
                    lambda x: average_pooling_2d(x, 5, 3), self[f'{loss}_conv'], relu,
                    self[f'{loss}_fc1'], relu, self[f'{loss}_fc2']]
        return layers

    def caffe_layer(self, path):
        block, _, branch = path.partition('/')
        if branch:
            return (f'inception_{block[3:]}/{CAFFE_BLOCKS[branch]}',)
        return (CAFFE_LAYERS[path],)

    @classmethod
    def convert_caffemodel_to_npz(cls, path_caffemodel, path_npz):
        """Write the weights of a caffemodel as an npz file that Chainer reads too."""
        pretrained.convert(cls(pretrained_model=path_caffemodel), path_npz)

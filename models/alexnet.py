"""AlexNet and CaffeNet, its variant from Caffe: the networks that began it.

Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural
networks".
"""
import minichain.functions as F
import minichain.links as L
from minichain.image import Preprocessing
from minichain.vision import ImageNetwork
from minichain.vision.initialization import QuickNormal


def halve(x):
    """Maximum over windows 3 x 3, two apart."""
    return F.max_pooling_2d(x, 3, 2)


def normalize(x):
    """Local response normalization as in the paper, but for k = 1, which is Caffe's."""
    return F.local_response_normalization(x, n=5, k=1, alpha=1e-4 / 5, beta=.75)


class AlexNet(ImageNetwork):
    """AlexNet as Caffe's bvlc_alexnet: 60,965,224 parameters, links and layers of its names.

    conv2, conv4 and conv5 are in two groups, as on the two GPUs of the paper. Input: 227 x 227.

    Args:
        n_classes: length of the last layer.
    """

    head, feature_layer = ('fc8',), 'fc7'
    preprocessing = Preprocessing((227, 227), 'BGR', (104, 117, 123), resize='crop',
                                  resize_to=256)

    def __init__(self, n_classes=1000):
        super().__init__()
        narrow, wide = ({'initialW': QuickNormal(scale)} for scale in (.005, .01))
        one = {'initial_bias': 1, 'groups': 2}      # keeps the first steps away from dead units
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 96, 11, 4, **wide)
            self.conv2 = L.Convolution2D(96, 256, 5, pad=2, **wide, **one)
            self.conv3 = L.Convolution2D(256, 384, 3, pad=1, **wide)
            self.conv4 = L.Convolution2D(384, 384, 3, pad=1, **wide, **one)
            self.conv5 = L.Convolution2D(384, 256, 3, pad=1, **wide, **one)
            self.fc6 = L.Linear(256 * 6 * 6, 4096, initial_bias=1, **narrow)
            self.fc7 = L.Linear(4096, 4096, initial_bias=1, **narrow)
            self.fc8 = L.Linear(4096, n_classes, **wide)

    @property
    def functions(self):
        return {
            'conv1': [self.conv1, F.relu], 'norm1': [normalize], 'pool1': [halve],
            'conv2': [self.conv2, F.relu], 'norm2': [normalize], 'pool2': [halve],
            **self._upper_layers()}

    def _upper_layers(self):
        return {
            'conv3': [self.conv3, F.relu],
            'conv4': [self.conv4, F.relu],
            'conv5': [self.conv5, F.relu], 'pool5': [halve],
            'fc6': [self.fc6, F.relu, F.dropout],
            'fc7': [self.fc7, F.relu, F.dropout],
            'fc8': [self.fc8], 'prob': [F.softmax]}


class CaffeNet(AlexNet):
    """CaffeNet, bvlc_reference_caffenet: :class:`AlexNet`, but pooling precedes normalization."""

    @property
    def functions(self):
        return {
            'conv1': [self.conv1, F.relu], 'pool1': [halve], 'norm1': [normalize],
            'conv2': [self.conv2, F.relu], 'pool2': [halve], 'norm2': [normalize],
            **self._upper_layers()}

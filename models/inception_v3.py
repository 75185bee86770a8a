"""InceptionV3: convolutions of several shapes side by side, large ones cut into rows and columns.

Szegedy et al. 2015, "Rethinking the inception architecture for computer vision", arXiv:1512.00567.
"""
import minichain.functions as F
import minichain.links as L
from minichain import Chain
from minichain.errors import InvalidArgument
from minichain.image import Preprocessing
from minichain.vision.initialization import QuickNormal
from models.blocks import global_average
from models.torchvision_network import TorchvisionNetwork

SMALLEST = 75               # pixels: at the end 1 x 1 are left
SMALLEST_AUXILIARY = 299    # pixels: its 5 x 5 window fits once


class Convolution(Chain):
    """Convolution, batch normalization, ReLU; ``same`` keeps the size of the image.

    Args:
        in_channels, out_channels, ksize, stride: as of ``L.Convolution2D``.
        same: whether to pad by half the window.
    """

    def __init__(self, in_channels, out_channels, ksize=1, stride=1, same=False):
        super().__init__()
        kh, kw = ksize if isinstance(ksize, tuple) else (ksize, ksize)
        with self.init_scope():
            self.conv = L.Convolution2D(in_channels, out_channels, (kh, kw), stride,
                                        (kh // 2, kw // 2) if same else 0, nobias=True,
                                        initialW=QuickNormal())
            self.bn = L.BatchNormalization(out_channels, decay=.9, eps=1e-3)

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        return F.relu(self.bn(self.conv(x)))


def average_of_neighbours(x):
    """Mean over 3 x 3, the margin counted as zeros: the size stays."""
    return F.average_pooling_2d(x, 3, 1, 1)


def maximum_of_neighbours(x):
    """Maximum over 3 x 3 at stride 2, only where the window fits."""
    return F.max_pooling_2d(x, 3, 2, cover_all=False)


class InceptionA(Chain):
    """1 x 1, 5 x 5, twice 3 x 3 and pooling side by side (figure 5): 224 + n_pool channels."""

    def __init__(self, in_channels, n_pool):
        super().__init__()
        with self.init_scope():
            self.branch1x1 = Convolution(in_channels, 64)
            self.branch5x5_1 = Convolution(in_channels, 48)
            self.branch5x5_2 = Convolution(48, 64, 5, same=True)
            self.branch3x3dbl_1 = Convolution(in_channels, 64)
            self.branch3x3dbl_2 = Convolution(64, 96, 3, same=True)
            self.branch3x3dbl_3 = Convolution(96, 96, 3, same=True)
            self.branch_pool = Convolution(in_channels, n_pool)

    def forward(self, x):
        """(N, C, H, W) -> (N, 224 + n_pool, H, W)."""
        return F.concat((
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(average_of_neighbours(x))))


class InceptionB(Chain):
    """Halves the image: 3 x 3, twice 3 x 3 and pooling side by side (figure 10)."""

    def __init__(self, in_channels):
        super().__init__()
        with self.init_scope():
            self.branch3x3 = Convolution(in_channels, 384, 3, 2)
            self.branch3x3dbl_1 = Convolution(in_channels, 64)
            self.branch3x3dbl_2 = Convolution(64, 96, 3, same=True)
            self.branch3x3dbl_3 = Convolution(96, 96, 3, 2)

    def forward(self, x):
        """(N, C, H, W) -> (N, C + 480, (H - 1) // 2, (W - 1) // 2)."""
        return F.concat((
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            maximum_of_neighbours(x)))


class InceptionC(Chain):
    """7 x 7 as 1 x 7 after 7 x 1, once and twice (figure 6); ``inside`` channels between them."""

    def __init__(self, in_channels, inside):
        super().__init__()
        row, column = (1, 7), (7, 1)
        with self.init_scope():
            self.branch1x1 = Convolution(in_channels, 192)
            self.branch7x7_1 = Convolution(in_channels, inside)
            self.branch7x7_2 = Convolution(inside, inside, row, same=True)
            self.branch7x7_3 = Convolution(inside, 192, column, same=True)
            self.branch7x7dbl_1 = Convolution(in_channels, inside)
            self.branch7x7dbl_2 = Convolution(inside, inside, column, same=True)
            self.branch7x7dbl_3 = Convolution(inside, inside, row, same=True)
            self.branch7x7dbl_4 = Convolution(inside, inside, column, same=True)
            self.branch7x7dbl_5 = Convolution(inside, 192, row, same=True)
            self.branch_pool = Convolution(in_channels, 192)

    def forward(self, x):
        """(N, C, H, W) -> (N, 768, H, W)."""
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return F.concat((
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(twice)),
            self.branch_pool(average_of_neighbours(x))))


class InceptionD(Chain):
    """Halves the image: 3 x 3, 7 x 7 before 3 x 3, and pooling side by side."""

    def __init__(self, in_channels):
        super().__init__()
        with self.init_scope():
            self.branch3x3_1 = Convolution(in_channels, 192)
            self.branch3x3_2 = Convolution(192, 320, 3, 2)
            self.branch7x7x3_1 = Convolution(in_channels, 192)
            self.branch7x7x3_2 = Convolution(192, 192, (1, 7), same=True)
            self.branch7x7x3_3 = Convolution(192, 192, (7, 1), same=True)
            self.branch7x7x3_4 = Convolution(192, 192, 3, 2)

    def forward(self, x):
        """(N, C, H, W) -> (N, C + 512, (H - 1) // 2, (W - 1) // 2)."""
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return F.concat((self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(seven),
                         maximum_of_neighbours(x)))


class InceptionE(Chain):
    """The widest: 3 x 3 as 1 x 3 beside 3 x 1 (figure 7)."""

    def __init__(self, in_channels):
        super().__init__()
        row, column = (1, 3), (3, 1)
        with self.init_scope():
            self.branch1x1 = Convolution(in_channels, 320)
            self.branch3x3_1 = Convolution(in_channels, 384)
            self.branch3x3_2a = Convolution(384, 384, row, same=True)
            self.branch3x3_2b = Convolution(384, 384, column, same=True)
            self.branch3x3dbl_1 = Convolution(in_channels, 448)
            self.branch3x3dbl_2 = Convolution(448, 384, 3, same=True)
            self.branch3x3dbl_3a = Convolution(384, 384, row, same=True)
            self.branch3x3dbl_3b = Convolution(384, 384, column, same=True)
            self.branch_pool = Convolution(in_channels, 192)

    def forward(self, x):
        """(N, C, H, W) -> (N, 2048, H, W)."""
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return F.concat((
            self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice),
            self.branch_pool(average_of_neighbours(x))))


class AuxiliaryHead(Chain):
    """A second classifier, from the middle, that helps the gradients while training."""

    def __init__(self, in_channels, n_classes):
        super().__init__()
        with self.init_scope():
            self.conv0 = Convolution(in_channels, 128)
            self.conv1 = Convolution(128, 768, 5)
            self.fc = L.Linear(768, n_classes, initialW=QuickNormal(.001))

    def forward(self, x):
        """(N, C, H, W), H and W at least 17 -> scores (N, classes)."""
        x = self.conv1(self.conv0(F.average_pooling_2d(x, 5, 3)))
        return self.fc(global_average(x))


class InceptionV3(TorchvisionNetwork):
    """InceptionV3: 23,834,568 parameters, 27,161,264 with the auxiliary head.

    Input: 299 x 299, or any size from 75 x 75 up. Before pooling, layer ``Mixed_7c`` is
    (N, 2048, 8, 8) for 299 x 299 pixels, (N, 2048, 3, 3) for 150 x 150. Preprocessing: the shorter
    side to 342 pixels, the centre, RGB, values in -1..1: what torchvision shows its network
    (Inception_V3_Weights.IMAGENET1K_V1 with ``transform_input``); Keras' has these values too.

    For training on images of 299 x 299 or more, add the loss of the auxiliary head to the main
    one, with weight 0.3::

        y = net(x, layers=['AuxLogits', 'fc'])

    Args:
        n_classes: number of classes.
        aux_heads: whether to have the auxiliary head; files of weights may have it or not in
            either case.
    Attributes:
        fc: Linear(2048, n_classes).
    Raises:
        InvalidArgument: the images are too small.
    """

    head, feature_layer, optional = ('fc',), 'pool', ('AuxLogits',)
    branches = {'AuxLogits': 'Mixed_6e'}
    preprocessing = Preprocessing((299, 299), 'RGB', (127.5,) * 3, 1 / 127.5, 'crop', 342)

    def __init__(self, n_classes=1000, aux_heads=False):
        super().__init__()
        self.aux_heads = aux_heads
        with self.init_scope():
            self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2)
            self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
            self.Conv2d_2b_3x3 = Convolution(32, 64, 3, same=True)
            self.Conv2d_3b_1x1 = Convolution(64, 80)
            self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
            self.Mixed_5b = InceptionA(192, n_pool=32)
            self.Mixed_5c = InceptionA(256, n_pool=64)
            self.Mixed_5d = InceptionA(288, n_pool=64)
            self.Mixed_6a = InceptionB(288)
            self.Mixed_6b = InceptionC(768, inside=128)
            self.Mixed_6c = InceptionC(768, inside=160)
            self.Mixed_6d = InceptionC(768, inside=160)
            self.Mixed_6e = InceptionC(768, inside=192)
            self.Mixed_7a = InceptionD(768)
            self.Mixed_7b = InceptionE(1280)
            self.Mixed_7c = InceptionE(2048)
            self.fc = L.Linear(2048, n_classes)
            if aux_heads:
                self.AuxLogits = AuxiliaryHead(768, n_classes)

    @property
    def functions(self):
        return {
            'Conv2d_1a_3x3': [self.Conv2d_1a_3x3],
            'Conv2d_2a_3x3': [self.Conv2d_2a_3x3],
            'Conv2d_2b_3x3': [self.Conv2d_2b_3x3],
            'maxpool1': [maximum_of_neighbours],
            'Conv2d_3b_1x1': [self.Conv2d_3b_1x1],
            'Conv2d_4a_3x3': [self.Conv2d_4a_3x3],
            'maxpool2': [maximum_of_neighbours],
            'Mixed_5b': [self.Mixed_5b],
            'Mixed_5c': [self.Mixed_5c],
            'Mixed_5d': [self.Mixed_5d],
            'Mixed_6a': [self.Mixed_6a],
            'Mixed_6b': [self.Mixed_6b],
            'Mixed_6c': [self.Mixed_6c],
            'Mixed_6d': [self.Mixed_6d],
            'Mixed_6e': [self.Mixed_6e],
            'Mixed_7a': [self.Mixed_7a],
            'Mixed_7b': [self.Mixed_7b],
            'Mixed_7c': [self.Mixed_7c],
            'pool': [global_average],
            'fc': [F.dropout, self.fc],
            'prob': [F.softmax],
            **({'AuxLogits': [self.AuxLogits]} if self.aux_heads else {})}

    def forward(self, x, layers=None):
        smallest = SMALLEST_AUXILIARY if layers and 'AuxLogits' in layers else SMALLEST
        if min(x.shape[2:]) < smallest:
            what = 'the auxiliary head' if smallest == SMALLEST_AUXILIARY else 'InceptionV3'
            raise InvalidArgument(f'{what}: images of at least {smallest} x {smallest} pixels '
                                  f'expected, got {x.shape}. Resize them')
        return super().forward(x, layers)

    def replace_head(self, n_classes):
        super().replace_head(n_classes)
        if self.aux_heads:
            with self.AuxLogits.init_scope():
                self.AuxLogits.fc = L.Linear(768, n_classes).to_device(self.device)
        return self

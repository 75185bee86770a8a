"""The networks of ``networks.py`` in Chainer 7.8, links of the same names; for chainer_worker.py.

They are twins of what is measured, written for Chainer's own interface.
"""
import chainer
from chainer import functions as F
from chainer import links as L


def make(name):
    """Return the network of a name, in which every parameter has its array."""
    if name == 'googlenet':
        return L.GoogLeNet(pretrained_model=None)
    return {'caffenet': CaffeNet, 'squeezenet': SqueezeNet, 'unet': UNet}[name]()


def normalize(x):
    """Local response normalization as in Caffe."""
    return F.local_response_normalization(x, 5, 1, 1e-4 / 5, .75)


class CaffeNet(chainer.Chain):
    """CaffeNet up to fc7."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 96, 11, 4)
            self.conv2 = L.Convolution2D(96, 256, 5, pad=2, groups=2)
            self.conv3 = L.Convolution2D(256, 384, 3, pad=1)
            self.conv4 = L.Convolution2D(384, 384, 3, pad=1, groups=2)
            self.conv5 = L.Convolution2D(384, 256, 3, pad=1, groups=2)
            self.fc6 = L.Linear(9216, 4096)
            self.fc7 = L.Linear(4096, 4096)
            self.fc8 = L.Linear(4096, 1000)

    def forward(self, x, layers):
        """Apply to images (N, 3, 227, 227)."""
        x = normalize(F.max_pooling_2d(F.relu(self.conv1(x)), 3, 2))
        x = normalize(F.max_pooling_2d(F.relu(self.conv2(x)), 3, 2))
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = F.max_pooling_2d(F.relu(self.conv5(x)), 3, 2)
        return {'fc7': F.relu(self.fc7(F.relu(self.fc6(x))))}


class Fire(chainer.Chain):
    """SqueezeNet's block."""

    def __init__(self, channels, width):
        super().__init__()
        with self.init_scope():
            self.squeeze1x1 = L.Convolution2D(channels, width, 1)
            self.expand1x1 = L.Convolution2D(width, 4 * width, 1)
            self.expand3x3 = L.Convolution2D(width, 4 * width, 3, pad=1)

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        x = F.relu(self.squeeze1x1(x))
        return F.concat((F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))))


class SqueezeNet(chainer.Chain):
    """SqueezeNet 1.0."""

    def __init__(self):
        super().__init__()
        channels = 96
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 96, 7, 2)
            for number in range(2, 10):
                width = 16 * (number // 2)
                setattr(self, f'fire{number}', Fire(channels, width))
                channels = 8 * width
            self.conv10 = L.Convolution2D(512, 1000, 1, pad=1)

    def forward(self, x, layers):
        """Apply to images (N, 3, H, W)."""
        x = F.max_pooling_2d(F.relu(self.conv1(x)), 3, 2)
        for number in range(2, 10):
            x = self[f'fire{number}'](x)
            if number in (4, 8):
                x = F.max_pooling_2d(x, 3, 2)
        return {'pool10': F.mean(F.relu(self.conv10(x)), axis=(2, 3))}


class UNet(chainer.Chain):
    """Encoder and decoder."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            for name, channels, out in (
                    ('down1', 3, 16), ('down2', 16, 32), ('middle', 32, 64), ('wide2', 64, 32),
                    ('wide1', 32, 16)):
                setattr(self, f'{name}a', L.Convolution2D(channels, out, 3, pad=1))
                setattr(self, f'{name}b', L.Convolution2D(out, out, 3, pad=1))
            self.up2 = L.Deconvolution2D(64, 32, 2, 2)
            self.up1 = L.Deconvolution2D(32, 16, 2, 2)
            self.last = L.Convolution2D(16, 4, 1)

    def twice(self, name, x):
        """Apply two convolutions."""
        return F.relu(self[f'{name}b'](F.relu(self[f'{name}a'](x))))

    def forward(self, x, layers):
        """Apply to images (N, 3, H, W), H and W multiples of 4."""
        down1 = self.twice('down1', x)
        down2 = self.twice('down2', F.max_pooling_2d(down1, 2, 2))
        x = self.up2(self.twice('middle', F.max_pooling_2d(down2, 2, 2)))
        x = self.up1(self.twice('wide2', F.concat((x, down2))))
        return {'last': self.last(self.twice('wide1', F.concat((x, down1))))}

"""The networks of ``networks.py`` in torch.nn, modules of the same names.

Import it only where torch is installed.
"""
import torch
from torch import nn
from torch.nn import functional as F


def make(name, weights):
    """Return the network of a name with the weights of minichain's, dict path -> array."""
    net = {'caffenet': CaffeNet, 'squeezenet': SqueezeNet, 'googlenet': GoogLeNet,
           'unet': UNet}[name]()
    state = {}
    for path, array in weights.items():
        module, _, kind = path[1:].replace('/', '.').rpartition('.')
        state[f'{module}.{"weight" if kind == "W" else "bias"}'] = torch.tensor(array)
    wanted = net.state_dict()
    net.load_state_dict({name: state[name] for name in wanted})
    return net.eval()


def parameter_of(net, path):
    """Return the parameter that has minichain's path, such as '/conv1/W'."""
    module, _, kind = path[1:].replace('/', '.').rpartition('.')
    return net.get_parameter(f'{module}.{"weight" if kind == "W" else "bias"}')


class CaffeNet(nn.Module):
    """CaffeNet up to fc7."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(9216, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.norm = nn.LocalResponseNorm(5, 1e-4, .75, 1)   # alpha is divided by 5 inside
        self.halve = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Apply to images (N, 3, 227, 227)."""
        x = self.norm(self.halve(self.relu(self.conv1(x))))
        x = self.norm(self.halve(self.relu(self.conv2(x))))
        x = self.relu(self.conv4(self.relu(self.conv3(x))))
        x = self.halve(self.relu(self.conv5(x))).flatten(1)
        return self.relu(self.fc7(self.relu(self.fc6(x))))


class Fire(nn.Module):
    """SqueezeNet's block."""

    def __init__(self, channels, width):
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, width, 1)
        self.expand1x1 = nn.Conv2d(width, 4 * width, 1)
        self.expand3x3 = nn.Conv2d(width, 4 * width, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        x = self.relu(self.squeeze1x1(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0."""

    def __init__(self):
        super().__init__()
        channels = 96
        self.conv1 = nn.Conv2d(3, 96, 7, 2)
        for number in range(2, 10):
            width = 16 * (number // 2)
            self.add_module(f'fire{number}', Fire(channels, width))
            channels = 8 * width
        self.conv10 = nn.Conv2d(512, 1000, 1, padding=1)
        self.halve = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Apply to images (N, 3, H, W)."""
        x = self.halve(self.relu(self.conv1(x)))
        x = self.halve(self.fire4(self.fire3(self.fire2(x))))
        x = self.halve(self.fire8(self.fire7(self.fire6(self.fire5(x)))))
        return self.relu(self.conv10(self.fire9(x))).mean((2, 3))


class Inception(nn.Module):
    """GoogLeNet's block."""

    def __init__(self, channels, out1, proj3, out3, proj5, out5, proj_pool):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out1, 1)
        self.proj3 = nn.Conv2d(channels, proj3, 1)
        self.conv3 = nn.Conv2d(proj3, out3, 3, padding=1)
        self.proj5 = nn.Conv2d(channels, proj5, 1)
        self.conv5 = nn.Conv2d(proj5, out5, 5, padding=2)
        self.projp = nn.Conv2d(channels, proj_pool, 1)
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        return self.relu(torch.cat([
            self.conv1(x), self.conv3(self.relu(self.proj3(x))),
            self.conv5(self.relu(self.proj5(x))), self.projp(self.pool(x))], 1))


class GoogLeNet(nn.Module):
    """GoogLeNet up to its scores, without the auxiliary classifiers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.conv2_reduce = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.inc3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inc3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.inc4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inc4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inc4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inc4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inc4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.inc5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inc5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.loss3_fc = nn.Linear(1024, 1000)
        self.norm = nn.LocalResponseNorm(5, 1e-4, .75, 1)
        self.halve = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Apply to images (N, 3, 224, 224)."""
        x = self.norm(self.halve(self.relu(self.conv1(x))))
        x = self.norm(self.relu(self.conv2(self.relu(self.conv2_reduce(x)))))
        x = self.halve(self.inc3b(self.inc3a(self.halve(x))))
        x = self.inc4e(self.inc4d(self.inc4c(self.inc4b(self.inc4a(x)))))
        x = self.inc5b(self.inc5a(self.halve(x)))
        return self.loss3_fc(F.avg_pool2d(x, 7).flatten(1))


class UNet(nn.Module):
    """Encoder and decoder."""

    def __init__(self):
        super().__init__()
        for name, channels, out in (('down1', 3, 16), ('down2', 16, 32), ('middle', 32, 64),
                                    ('wide2', 64, 32), ('wide1', 32, 16)):
            self.add_module(f'{name}a', nn.Conv2d(channels, out, 3, padding=1))
            self.add_module(f'{name}b', nn.Conv2d(out, out, 3, padding=1))
        self.up2 = nn.ConvTranspose2d(64, 32, 2, 2)
        self.up1 = nn.ConvTranspose2d(32, 16, 2, 2)
        self.last = nn.Conv2d(16, 4, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Apply to images (N, 3, H, W), H and W multiples of 4."""
        relu = self.relu
        down1 = relu(self.down1b(relu(self.down1a(x))))
        down2 = relu(self.down2b(relu(self.down2a(F.max_pool2d(down1, 2)))))
        x = self.up2(relu(self.middleb(relu(self.middlea(F.max_pool2d(down2, 2))))))
        x = self.up1(relu(self.wide2b(relu(self.wide2a(torch.cat([x, down2], 1))))))
        return self.last(relu(self.wide1b(relu(self.wide1a(torch.cat([x, down1], 1))))))

"""Networks for features in torch.nn: InceptionV3, modules of the names that minichain's has.

Import it only where torch is installed.
"""
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import torch_networks

EPSILON = 1e-3      # of batch normalization


class Convolution(nn.Module):
    """Convolution, batch normalization, ReLU; ``same`` keeps the size of the image."""

    def __init__(self, channels, out, ksize=1, stride=1, same=False):
        super().__init__()
        kh, kw = ksize if isinstance(ksize, tuple) else (ksize, ksize)
        self.conv = nn.Conv2d(channels, out, (kh, kw), stride, (kh // 2, kw // 2) if same else 0,
                              bias=False)
        self.bn = nn.BatchNorm2d(out, EPSILON)

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


def average(x):
    """Mean over 3 x 3, the margin counted as zeros."""
    return F.avg_pool2d(x, 3, 1, 1)


def halve(x):
    """Maximum over 3 x 3 at stride 2."""
    return F.max_pool2d(x, 3, 2)


ROW, COLUMN, BACK, UP = (1, 7), (7, 1), (1, 3), (3, 1)


def five(channels, n_pool):
    """1 x 1, 5 x 5, twice 3 x 3 and pooling side by side."""
    return Block({
        'branch1x1': [(channels, 64)],
        'branch5x5': [(channels, 48), (48, 64, 5, 1, True)],
        'branch3x3dbl': [(channels, 64), (64, 96, 3, 1, True), (96, 96, 3, 1, True)],
        'branch_pool': [average, (channels, n_pool)]})


def seven(channels, inside):
    """7 x 7 as 1 x 7 after 7 x 1, once and twice."""
    def convolution(ksize, out=inside):
        return inside, out, ksize, 1, True
    return Block({
        'branch1x1': [(channels, 192)],
        'branch7x7': [(channels, inside), convolution(ROW), convolution(COLUMN, 192)],
        'branch7x7dbl': [(channels, inside), convolution(COLUMN), convolution(ROW),
                         convolution(COLUMN), convolution(ROW, 192)],
        'branch_pool': [average, (channels, 192)]})


class Block(nn.Module):
    """Branches side by side.

    Args:
        branches: dict name -> list of functions, and of arguments of Convolution. The only
            convolution of a branch has its name, several are numbered.
    """

    def __init__(self, branches):
        super().__init__()
        self._plan = []
        for name, parts in branches.items():
            several, number, path = sum(isinstance(part, tuple) for part in parts) > 1, 0, []
            for part in parts:
                if isinstance(part, tuple):
                    number += 1
                    path.append(f'{name}_{number}' if several else name)
                    self.add_module(path[-1], Convolution(*part))
                else:
                    path.append(part)
            self._plan.append(path)

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        results = []
        for path in self._plan:
            y = x
            for part in path:
                y = getattr(self, part)(y) if isinstance(part, str) else part(y)
            results.append(y)
        return torch.cat(results, 1)


class Wide(nn.Module):
    """The widest: 3 x 3 as 1 x 3 beside 3 x 1."""

    def __init__(self, channels):
        super().__init__()
        self.branch1x1 = Convolution(channels, 320)
        self.branch3x3_1 = Convolution(channels, 384)
        self.branch3x3dbl_1 = Convolution(channels, 448)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, 1, True)
        for name, ksize in (('a', BACK), ('b', UP)):
            for branch in ('branch3x3_2', 'branch3x3dbl_3'):
                self.add_module(branch + name, Convolution(384, 384, ksize, 1, True))
        self.branch_pool = Convolution(channels, 192)

    def forward(self, x):
        """Apply to images (N, C, H, W)."""
        once, twice = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat([
            self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice),
            self.branch_pool(average(x))], 1)


class InceptionV3(nn.Module):
    """InceptionV3 up to the mean over each plane."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, 1, True)
        self.Conv2d_3b_1x1 = Convolution(64, 80)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        blocks = {
            'Mixed_5b': five(192, 32), 'Mixed_5c': five(256, 64), 'Mixed_5d': five(288, 64),
            'Mixed_6a': Block({
                'branch3x3': [(288, 384, 3, 2)],
                'branch3x3dbl': [(288, 64), (64, 96, 3, 1, True), (96, 96, 3, 2)],
                'branch_pool': [halve]}),
            'Mixed_6b': seven(768, 128), 'Mixed_6c': seven(768, 160), 'Mixed_6d': seven(768, 160),
            'Mixed_6e': seven(768, 192),
            'Mixed_7a': Block({
                'branch3x3': [(768, 192), (192, 320, 3, 2)],
                'branch7x7x3': [(768, 192), (192, 192, ROW, 1, True), (192, 192, COLUMN, 1, True),
                                (192, 192, 3, 2)],
                'branch_pool': [halve]}),
            'Mixed_7b': Wide(1280), 'Mixed_7c': Wide(2048)}
        for name, block in blocks.items():
            self.add_module(name, block)
        self._blocks = list(blocks)

    def forward(self, x):
        """Apply to images (N, 3, H, W) -> (N, 2048)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(halve(x))))
        for name in self._blocks:
            x = getattr(self, name)(x)
        return x.mean((2, 3))


def inception_v3(state):
    """Return InceptionV3 with the parameters and statistics of minichain's.

    Args:
        state: dict path -> array; links end in /W, /gamma, /beta, /avg_mean, /avg_var.
    """
    names = {'W': 'weight', 'gamma': 'weight', 'beta': 'bias', 'avg_mean': 'running_mean',
             'avg_var': 'running_var'}
    net = InceptionV3()
    wanted = {}
    for path, array in state.items():
        module, _, kind = path[1:].replace('/', '.').rpartition('.')
        if kind in names and not module.startswith('fc'):
            wanted[f'{module}.{names[kind]}'] = torch.tensor(array)
    found = net.load_state_dict(wanted, strict=False)
    left = [name for name in found.missing_keys if not name.endswith('num_batches_tracked')]
    if left or found.unexpected_keys:
        raise ValueError(f'weights without a place or without a value: {left} '
                         f'{found.unexpected_keys}')
    return net


def googlenet(state):
    """Return GoogLeNet up to pool5."""
    net = torch_networks.make('googlenet', state)
    net.loss3_fc = nn.Identity()
    return net


features_of = {'googlenet': googlenet, 'inception_v3': inception_v3}

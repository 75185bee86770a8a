"""Single convolutions, the layers that networks for images are made of."""
from typing import NamedTuple

import numpy as np

import minichain.functions as F
from benchmarks import remote
from benchmarks.comparison import (
    CHAINER,
    CHANNELS_LAST,
    COMPILED,
    TORCH,
    Computation,
    add_row,
    explain_missing,
    make_table,
    remotes,
)
from benchmarks.frame import find_peer
from benchmarks.variants import ONEDNN, in_all_ways
from minichain import Variable, no_backprop_mode
from minichain.backend import get_device


class Layer(NamedTuple):
    """A convolution: its operands, and bars beside torch, (forward, forward + backward)."""

    name: str
    batch: int
    channels: int
    side: int
    out: int
    ksize: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    bars: tuple = ((), ())
    onednn_bars: tuple = ((.9,), (.9,))

    @property
    def shapes(self):
        """The operands as text."""
        return (f'x {self.batch}x{self.channels}x{self.side}x{self.side}, '
                f'{self.out} filters')

    def make_arrays(self):
        """Return (x, W, b, gy), random, float32; the result is about as large as x."""
        source, after = np.random.default_rng(0), (self.side + 2 * self.pad - self.ksize)
        W = self.out, self.channels // self.groups, self.ksize, self.ksize
        scale = np.prod(W[1:]) ** -.5
        return tuple(source.standard_normal(shape, np.float32) * np.float32(by) for shape, by in (
            ((self.batch, self.channels, self.side, self.side), 1), (W, scale), (W[:1], 1),
            ((self.batch, self.out, *[after // self.stride + 1] * 2), 1)))

    def operations(self):
        """Return the floating-point operations of the forward pass, without tricks."""
        x, W, b, gy = self.make_arrays()
        return 2 * gy.size * (W.size // self.out)


LAYERS = [
    Layer('3x3', 16, 64, 56, 64, 3, pad=1, bars=((.65, .5), (1.2, .9)),
          onednn_bars=((), (.85,))),
    Layer('3x3', 32, 256, 14, 256, 3, pad=1, onednn_bars=((), ())),
    Layer('1x1', 32, 256, 28, 64, 1, bars=((.95, .8), (.6, .5))),
    Layer('5x5 in 2 groups', 16, 96, 27, 256, 5, pad=2, groups=2, bars=((1.2, 1.), (1.4, 1.1))),
    Layer('7x7/2, first of GoogLeNet', 16, 3, 224, 64, 7, 2, 3, bars=((.7, .6), (.9, .8))),
    Layer('11x11/4, first of CaffeNet', 16, 3, 227, 96, 11, 4, bars=((.95, .8), (1.1, .9)))]


def ours(layer, arrays, backward, device='cpu'):
    """Return minichain's function: y, or [y, gx, gW, gb]."""
    *operands, gy = get_device(device).send(arrays)
    x, W, b = map(Variable, operands)

    def convolve():
        return F.convolution_2d(x, W, b, layer.stride, layer.pad, groups=layer.groups)

    def forward():
        with no_backprop_mode():
            return convolve()

    def both():
        for variable in (x, W, b):
            variable.cleargrad()
        y = convolve()
        y.grad = gy
        y.backward()
        return [y, x.grad, W.grad, b.grad]
    return both if backward else forward


def with_torch(torch, layer, arrays, backward, how=TORCH):
    """Return the function of torch: eager, on channels_last tensors, or compiled."""
    x, W, b, gy = map(torch.tensor, arrays)
    if how == CHANNELS_LAST:
        x, W, gy = (value.contiguous(memory_format=torch.channels_last) for value in (x, W, gy))

    def convolve(x, W, b):
        return torch.nn.functional.conv2d(x, W, b, layer.stride, layer.pad, 1, layer.groups)
    if how == COMPILED:
        torch.compiler.reset()      # it compiles a function for few settings only
        convolve = torch.compile(convolve)

    def forward():
        with torch.inference_mode():
            return convolve(x, W, b)

    def both():
        y = convolve(x, W, b)
        return [y, *torch.autograd.grad(y, (x, W, b), gy)]
    for value in (x, W, b):
        value.requires_grad_(backward)
    return both if backward else forward


def run(options):
    """Return the Table."""
    peers = [TORCH, CHANNELS_LAST, *[COMPILED] * options.compile, CHAINER]
    table = make_table('Convolutions, forward and with the gradients of x, W and b', peers)
    torch = find_peer('torch')
    for layer in LAYERS:
        layer = layer._replace(batch=1) if options.quick else layer
        arrays = layer.make_arrays()
        for backward in (False, True):
            functions = in_all_ways(
                lambda layer=layer, arrays=arrays, backward=backward: ours(
                    layer, arrays, backward))
            if torch is not None:
                functions.update({how: with_torch(torch, layer, arrays, backward, how)
                                  for how in peers if how != CHAINER})
            with remotes() as opened:
                functions.update(remote.chainer_function(
                    table, options, {'kind': 'convolution', 'backward': backward,
                                     'stride': layer.stride, 'pad': layer.pad,
                                     'groups': layer.groups},
                    dict(zip(('x', 'W', 'b', 'gy'), arrays)), opened))
                add_row(table, peers, Computation(
                    layer.name + ', forward' + ' + backward' * backward, layer.shapes, functions,
                    {TORCH: layer.bars[backward], CHAINER: (.5,)},
                    layer.operations() * (3 if backward else 1),
                    bars_of={ONEDNN: {TORCH: layer.onednn_bars[backward]}}), options)
    explain_missing(table, peers, options)
    table.note('GFLOP/s count multiplications and additions of the direct formula, so that an '
               'algorithm with fewer of them can pass the ceiling.')
    return table

"""The computations of the cases in PyTorch, with operands on a device.

Import it only where torch is installed.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import torch_networks
from benchmarks.gpu.peers import autocast, dtype_of
from benchmarks.torch_captioner import TorchCaptioner
from benchmarks.torch_steps import Cells, Padded, cell_of, run_cell
from benchmarks.torch_steps import search as torch_search

KINDS = {'Padded': Padded, 'Cells': Cells}


class Chunk:
    """Captions of equal length: inputs and targets, (T, N), int64."""

    def __init__(self, inputs, targets, steps, place):
        self.inputs, self.targets = (
            torch.tensor(ids.reshape(steps, -1), dtype=torch.long, device=place)
            for ids in (inputs, targets))


def caption_step(kind, model, arrays, steps, clip, precision, place):
    """Return the update of a captioner, with a step size of 0.

    Args:
        kind: of KINDS.
        model: CaptionGenerator on the CPU, whose weights are copied.
        arrays: features (N, D), words read and words to be said, (T N,).
        steps: T. clip: largest norm of the gradients.
        precision, place: see peers.py.
    """
    net = KINDS[kind](model).to(place).train()
    features, *words = arrays
    features, chunk = torch.tensor(features, device=place), Chunk(*words, steps, place)
    parameters = net.trained()
    optimizer = torch.optim.Adam(parameters, lr=0., fused=True,
                                 capturable=place.startswith('cuda'))

    def function():
        with autocast(precision, place):
            loss, _ = net.loss(net.image(features), chunk)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        return [loss, net.out.weight.grad, net.embed.weight.grad, net.img2x.weight.grad]
    return function


def lstm_step(lstm, x, weights, precision, place, cells=False):
    """Return a function: the gradients of x and of the recurrent weights of sum(weights hs).

    Args:
        lstm: StatelessLSTM on the CPU. x: inputs, (T, N, I). weights: (T, N, H).
        cells: by a loop of nn.LSTMCell.
    """
    size = lstm.state_size
    rows = np.arange(4 * size).reshape(size, 4)[:, [1, 2, 0, 3]].T.ravel()   # blocks i, f, a, o
    net = nn.LSTM(x.shape[2], size)
    net.load_state_dict({name: torch.tensor(value[rows]) for name, value in (
        ('weight_ih_l0', lstm.upward.W.array), ('weight_hh_l0', lstm.lateral.W.array),
        ('bias_ih_l0', lstm.upward.b.array), ('bias_hh_l0', np.zeros_like(lstm.upward.b.array)))})
    net.to(place)
    cell = cell_of(net)
    x, weights = (torch.tensor(array, device=place) for array in (x, weights))
    zeros = x.new_zeros(x.shape[1], size)
    x.requires_grad_()
    wanted = x, net.weight_hh_l0, net.weight_ih_l0

    def function():
        with autocast(precision, place):
            hs = run_cell(cell, x, zeros, zeros)[0] if cells else net(x)[0]
            total = (hs * weights).sum()
        gx, gW, _ = torch.autograd.grad(total, wanted)
        return [gx.flatten(0, 1), gW.view(4, size, size).transpose(0, 1)[:, [2, 0, 1, 3]]]
    return function


def search(model, features, arguments, place):
    """Return a function that decodes, see benchmarks/torch_steps.py.

    Args:
        model: CaptionGenerator on the CPU. features: (N, D).
        arguments: of ``search``, from ``bos`` on.
    """
    net, features = TorchCaptioner(model).to(place).eval(), torch.tensor(features, device=place)
    # sent once: a graph cannot read the host's memory
    *arguments, banned = *arguments[:-1], torch.tensor(arguments[-1], device=place)
    return lambda: list(torch_search(net, features, *arguments, banned))


def convolution(layer, arrays, backward, precision, place):
    """Return a function: y, or [y, gx, gW, gb], of channels_last tensors.

    Args:
        layer: benchmarks.conv.Layer. arrays: x, W, b, gy.
    """
    dtype, last = dtype_of(precision), {'memory_format': torch.channels_last}
    x, W, b, gy = (torch.tensor(array, device=place, dtype=dtype) for array in arrays)
    x, W, gy = (value.contiguous(**last) for value in (x, W, gy))

    def convolve():
        return functional.conv2d(x, W, b, layer.stride, layer.pad, 1, layer.groups)

    def forward():
        with torch.inference_mode():
            return convolve()

    def both():
        y = convolve()
        return [y, *torch.autograd.grad(y, (x, W, b), gy)]
    for value in (x, W, b):
        value.requires_grad_(backward)
    return both if backward else forward


def network(make, images, precision, place):
    """Return a function that applies a network to channels_last images in test mode.

    Args:
        make: makes the module. images: (N, 3, H, W).
    """
    how = {'device': place, 'dtype': dtype_of(precision), 'memory_format': torch.channels_last}
    net, images = make().to(**how).eval(), torch.tensor(images).to(**how)

    def function():
        with torch.inference_mode():
            return net(images)
    return function


def gradients_of_network(name, weights, images, labels, precision, place):
    """Return a function: the loss and the gradients of all weights, in test mode.

    Args:
        name, weights: of ``torch_networks.make``. images: (N, 3, H, W). labels: (N,).
    """
    last = {'memory_format': torch.channels_last}
    net = torch_networks.make(name, weights).to(place, **last)
    images, labels = torch.tensor(images, device=place).to(**last), torch.tensor(
        labels, device=place).long()
    parameters = [torch_networks.parameter_of(net, path) for path in sorted(weights)]

    def function():
        with autocast(precision, place):
            loss = functional.cross_entropy(net(images), labels)
        return [loss, *torch.autograd.grad(loss, parameters)]
    return function


def update(rule, arguments, arrays, lr, clip, place):
    """Return a function that updates weights and returns them.

    Args:
        rule, arguments: name in torch.optim, keywords. arrays: (weights, gradients), lists.
        lr: step size. clip: norm to which gradients are clipped, or None.
    """
    weights, gradients = ([torch.tensor(array, device=place) for array in each]
                          for each in arrays)
    parameters = [nn.Parameter(weight.clone()) for weight in weights]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient.clone()
    graphs = {'capturable': place != 'cpu'} if rule == 'Adam' else {}
    optimizer = getattr(torch.optim, rule)(parameters, lr=lr, fused=True, **arguments, **graphs)

    def function():
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        return parameters

    def reset():
        with torch.no_grad():
            for parameter, weight, gradient in zip(parameters, weights, gradients):
                parameter.copy_(weight)
                parameter.grad.copy_(gradient)
                for value in optimizer.state[parameter].values():
                    if value is not None:
                        value.zero_()
    function.reset = reset
    return function

"""What tests of all networks for images use."""
import contextlib
from unittest import mock

import numpy as np

import minichain.functions as F
from minichain import initializer, no_backprop_mode, using_config
from minichain.initializers import LeCunNormal
from minichain.optimizers import MomentumSGD
from minichain.vision.initialization import QuickNormal


@contextlib.contextmanager
def undrawn():
    """Networks that are made here have weights of zeros, of memory that is not touched yet."""
    generate = initializer.generate_array

    def zeros(fill, shape, **options):
        if isinstance(fill, (QuickNormal, LeCunNormal)):
            return np.zeros(shape, 'float32')
        return generate(fill, shape, **options)

    with mock.patch.object(initializer, 'generate_array', zeros):
        yield


def shapes(net, *shape):
    """Shapes of all layers but the last for an input of zeros, without the images' axis."""
    with using_config('train', False), no_backprop_mode():
        ys = net(np.zeros(shape, 'float32'), layers=net.available_layers)
    return {name: y.shape[1:] for name, y in ys.items()}


def without_gradient(net, x, layers):
    """Paths of parameters that a step of training does not reach."""
    ys = net(x, layers=layers).values()
    sum(F.sum(y * y) for y in ys).backward()
    return [path for path, parameter in net.namedparams()
            if parameter.grad is None or not np.abs(parameter.grad).max() > 0]


def values(net):
    """Copies of all parameters and statistics: path -> array."""
    return {f'{path}/{name}': np.copy(getattr(value, 'array', value))
            for path, link in net.namedlinks()
            for name in link._params | link._persistent
            for value in [getattr(link, name)] if value is not None}


def changed_by_training(net, x, layer, steps=10):
    """Paths of what some steps of SGD with momentum change."""
    before = values(net)
    optimizer = MomentumSGD(lr=1e-3).setup(net)
    for _ in range(steps):
        optimizer.update(lambda: F.sum(net(x, layers=[layer])[layer] ** 2))
    return {path for path, value in values(net).items()
            if not np.array_equal(value, before[path])}

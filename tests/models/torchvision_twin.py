"""The same network in torchvision, with the same weights: what it computes is the reference."""
import numpy as np
import pytest

import minichain.functions as F
from minichain import no_backprop_mode, using_config


def torchvision_models():
    pytest.importorskip('torch', reason='PyTorch is the independent implementation')
    return pytest.importorskip('torchvision', reason='torchvision has the same networks').models


def values(net):
    """Yield (name in torchvision's state, array, its Parameter or itself) of every value."""
    for theirs, ours in net.torchvision_names().items():
        *path, attribute = ours.split('/')
        value = net
        for name in path:
            value = value[int(name) if name.isdigit() else name]
        value = getattr(value, attribute)
        yield theirs, getattr(value, 'array', value), value


def share_weights(net, twin, seed=0):
    """Draw weights that keep activations at about 1, and statistics, for both networks."""
    import torch
    random = np.random.default_rng(seed)
    state = twin.state_dict()
    left = {name for name in state if not name.endswith('num_batches_tracked')}
    for name, array, _ in values(net):
        if array.ndim > 1:
            drawn = random.normal(0, (1.6 / array[0].size) ** .5, array.shape)
        elif name.endswith(('var', 'weight')):
            drawn = random.uniform(.5, 1.5, array.shape)
        else:
            drawn = random.normal(0, .2, array.shape)
        array[...] = drawn
        assert tuple(state[name].shape) == array.shape, name
        state[name].copy_(torch.from_numpy(array))
        left.remove(name)
    assert not left


def pictures(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype('float32')


def error(y, expected):
    expected = expected.detach().numpy()
    return np.abs(y.array.reshape(expected.shape) - expected).max() / np.abs(expected).max()


def worst_error(net, twin, x, layers):
    """Largest error, relative to the largest output, of layers: our name -> torchvision's."""
    import torch
    from torchvision.models.feature_extraction import create_feature_extractor
    twin.eval()
    with torch.no_grad():
        expected = create_feature_extractor(twin, {v: v for v in layers.values()})(
            torch.from_numpy(x))
    with using_config('train', False), no_backprop_mode():
        ys = net(x, layers=list(layers))
    return max(error(ys[ours], expected[theirs]) for ours, theirs in layers.items())


def training_errors(net, twin, x):
    """Errors of outputs, moved averages and gradients of one training step in float64."""
    import torch
    twin = twin.train().double()
    y = twin(torch.from_numpy(x))
    (y * y).sum().backward()
    ours = net(x, layers=['fc'])['fc']
    F.sum(ours * ours).backward()
    gradients = {name: value.grad.numpy() for name, value in twin.named_parameters()}
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    state, of_averages, of_gradients = twin.state_dict(), 0, 0
    for name, array, value in values(net):
        if 'running' in name:
            of_averages = max(of_averages, np.abs(array - state[name].numpy()).max())
        else:
            difference = np.abs(value.grad - gradients[name]).max()
            # a bias before batch normalization has gradient 0, and noise around it
            of_gradients = max(of_gradients, difference / max(np.abs(gradients[name]).max(),
                                                              1e-6 * largest))
    return error(ours, y), of_averages, of_gradients

"""Networks for images on the device 'sim', and on a GPU: they learn as on the CPU, by kernels."""
import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import Chain, optimizers
from minichain.backend import cuda_available
from minichain.configuration import config, using_config
from minichain.gpu import compile_step
from minichain.gpu.cuda_machine import CudaMachine
from minichain.gpu.simulator.arrays import no_waiting
from minichain.gpu.simulator.builder import missing
from minichain.gpu.simulator.machine import Simulator
from models.squeezenet import Fire

simulated = pytest.mark.skipif(missing() is not None, reason=str(missing()))
on_a_gpu = pytest.mark.skipif(not cuda_available(), reason='needs a GPU and CuPy')

CLASSES = 5
LABELS = np.array([0, 3, 3, 1], np.int32)
FOR_EVERY = {'im2col', 'max_pooling_forward', 'max_pooling_backward', 'softmax_cross_entropy'}


class AlexNetLike(Chain):
    """A large window with a stride, normalization of responses, groups, dropout."""

    kernels = FOR_EVERY | {'lrn_forward', 'lrn_backward', 'dropout', 'col2im'}

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 8, 5, stride=2)
            self.conv2 = L.Convolution2D(8, 12, 3, pad=1, groups=2)
            self.fc = L.Linear(12 * 2 * 2, CLASSES)
        self.mask = self.drawn = None   # factors of dropout: given, and used at last

    def forward(self, x):
        h = F.relu(self.conv1(x))
        h = F.max_pooling_2d(F.local_response_normalization(h, alpha=.1), 3, 2)
        h = F.max_pooling_2d(F.relu(self.conv2(h)), 3, 2, pad=1, cover_all=False)
        h, self.drawn = F.dropout(h, .4, mask=self.mask, return_mask=True)
        return self.fc(h)


class GoogLeNetLike(Chain):
    """Branches side by side, without and with batch normalization; means over windows."""

    kernels = FOR_EVERY | {
        'col2im', 'average_pooling_forward', 'average_pooling_backward', 'batch_norm_apply',
        'batch_norm_parts', 'batch_norm_statistics', 'batch_norm_gradient_parts',
        'batch_norm_parameters', 'batch_norm_backward'}

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.first = L.Inception(3, 4, 3, 4, 2, 3, 3)
            self.second = L.InceptionBN(14, 4, 3, 4, 3, 4, 'avg', 4)
            self.fc = L.Linear(16, CLASSES)

    def forward(self, x):
        h = self.second(F.max_pooling_2d(self.first(x), 3, 2))
        return self.fc(F.average_pooling_2d(h, h.shape[2:]))


class SqueezeNetLike(Chain):
    """Narrow, then wide; no linear layer."""

    kernels = FOR_EVERY | {'col2im', 'average_pooling_forward', 'average_pooling_backward'}

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 6, 3, stride=2)
            self.fire = Fire(6, 2)
            self.classes = L.Convolution2D(16, CLASSES, 1)

    def forward(self, x):
        h = self.fire(F.max_pooling_2d(F.relu(self.conv(x)), 3, 2))
        h = F.relu(self.classes(h))
        return F.reshape(F.average_pooling_2d(h, h.shape[2:]), (len(x), CLASSES))


NETWORKS = [AlexNetLike, GoogLeNetLike, SqueezeNetLike]
DEVICES = [pytest.param('sim', marks=simulated), pytest.param('cuda', marks=on_a_gpu)]


@pytest.fixture
def launched(monkeypatch):
    names = []
    for machine in (Simulator, CudaMachine):
        def noted(self, kernel, *arguments, launch=machine.launch):
            names.append(kernel.name.removesuffix('_float32'))
            launch(self, kernel, *arguments)
        monkeypatch.setattr(machine, 'launch', noted)
    return names


@pytest.fixture(autouse=True)
def exact():
    with using_config('winograd', False), using_config('use_onednn', 'never'), \
            using_config('use_cudnn', 'never'):
        yield


def make(network, device):
    """Return a network on a device, its optimizer, images and labels; always the same ones."""
    np.random.seed(1)
    model, device = network(), minichain.get_device(device)
    x = np.random.standard_normal((4, 3, 21, 21)).astype(np.float32)
    model.to_device(device)
    return model, optimizers.MomentumSGD(.05).setup(model), device.send(x), device.send(LABELS)


def step(model, optimizer, x, labels):
    """Return the outputs, the loss and all gradients of a step of training."""
    y = model(x)
    loss = F.softmax_cross_entropy(y, labels)
    model.cleargrads()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in sorted(model.namedparams())}
    optimizer.update()
    return {'y': y.array, 'loss': loss.array, **gradients}


def expect_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        array = minichain.to_cpu(array)
        difference = np.abs(minichain.to_cpu(found[name]) - array).max()
        assert difference <= 1e-5 * max(1, np.abs(array).max()), name


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('network', NETWORKS)
def test_a_network_computes_and_learns_as_on_the_cpu(network, device, launched):
    there, here = make(network, device), make(network, 'cpu')
    for _ in range(3):
        found = step(*there)
        if network is AlexNetLike:
            here[0].mask = there[0].drawn.get()   # the CPU would draw other zeros
        expect_equal(found, step(*here))
    assert network.kernels <= set(launched)
    for model in (there[0], here[0]):
        model.cleargrads()
    with using_config('train', False), minichain.no_backprop_mode():
        expect_equal({'y': there[0](there[2]).array}, {'y': here[0](here[2]).array})


@simulated
@pytest.mark.parametrize('network', NETWORKS)
def test_the_generic_way_computes_the_same(network, launched):
    one, other = make(network, 'sim'), make(network, 'sim')
    found = step(*one)
    launched.clear()
    if network is AlexNetLike:
        other[0].mask = one[0].drawn
    with using_config('kernels', 'generic'):
        expect_equal(found, step(*other))
    assert not launched


@simulated
@pytest.mark.parametrize('network', NETWORKS)
def test_a_step_lets_the_host_run_ahead(network):
    arguments = make(network, 'sim')
    step(*arguments)
    with no_waiting():
        step(*arguments)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('network', NETWORKS[1:])
def test_a_captured_step_has_the_bits_of_the_step_as_written(network, device, monkeypatch):
    monkeypatch.setattr(config, 'deterministic', True)
    written = make(network, device)
    expected = [step(*written)['loss'].get() for _ in range(5)]
    model, optimizer, x, labels = make(network, device)
    run = compile_step(lambda batch: step(model, optimizer, *batch)['loss'], (x, labels),
                       state=(model, optimizer))
    assert [run((x, labels)).get() for _ in range(5)] == expected
    assert run.captures == 1


@simulated
def test_with_and_without_cudnn_are_two_captured_steps():
    model, optimizer, x, labels = make(SqueezeNetLike, 'sim')
    run = compile_step(lambda batch: step(model, optimizer, *batch)['loss'], (x, labels),
                       state=(model, optimizer))
    for use_cudnn, captures in (('never', 1), ('auto', 2), ('never', 2)):
        with using_config('use_cudnn', use_cudnn):
            for _ in range(4):
                run((x, labels))
        assert run.captures == captures

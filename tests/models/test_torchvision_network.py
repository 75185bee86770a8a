"""Weights under torchvision's names, from npz and ONNX files."""
import warnings

import numpy as np
import pytest

from minichain.errors import DataError
from models.efficientnet import EfficientNet
from models.inception_v3 import InceptionV3
from models.mobilenet_v2 import MobileNetV2
from tests.models import network_checks, torchvision_twin

# As torchvision's state_dict() has them, with shapes.
SOME_NAMES = {
    MobileNetV2: {
        'features.0.0.weight': (32, 3, 3, 3), 'features.0.1.running_var': (32,),
        'features.1.conv.0.0.weight': (32, 1, 3, 3), 'features.1.conv.1.weight': (16, 32, 1, 1),
        'features.1.conv.2.bias': (16,), 'features.17.conv.1.0.weight': (960, 1, 3, 3),
        'features.17.conv.3.running_mean': (320,), 'features.18.1.weight': (1280,),
        'classifier.1.weight': (1000, 1280), 'classifier.1.bias': (1000,)},
    EfficientNet: {
        'features.0.0.weight': (32, 3, 3, 3), 'features.1.0.block.0.0.weight': (32, 1, 3, 3),
        'features.1.0.block.1.fc1.bias': (8,), 'features.1.0.block.2.1.running_mean': (16,),
        'features.2.1.block.2.fc2.weight': (144, 6, 1, 1), 'features.8.1.bias': (1280,),
        'classifier.1.weight': (1000, 1280), 'classifier.1.bias': (1000,)},
    InceptionV3: {
        'Conv2d_1a_3x3.conv.weight': (32, 3, 3, 3), 'Mixed_5b.branch5x5_2.bn.running_var': (64,),
        'Mixed_6b.branch7x7_2.conv.weight': (128, 128, 1, 7), 'fc.bias': (1000,),
        'Mixed_7c.branch3x3dbl_3b.bn.bias': (384,)}}


@pytest.fixture(scope='module')
def net():
    np.random.seed(0)
    return MobileNetV2()


@pytest.fixture
def state(net):
    """What torchvision's state_dict() would be, with other values than the network's."""
    values, random = network_checks.values(net), np.random.default_rng(1)
    state = {theirs: random.random(values[f'/{ours}'].shape, np.float32)
             for theirs, ours in net.torchvision_names().items()}
    return state | {'features.0.1.num_batches_tracked': np.array(7)}


@pytest.mark.parametrize('network', SOME_NAMES)
def test_names_and_shapes_are_those_of_torchvision(network):
    with network_checks.undrawn():
        net = network()
    names, values = net.torchvision_names(), network_checks.values(net)
    assert {name: values[f'/{names[name]}'].shape for name in SOME_NAMES[network]} \
        == SOME_NAMES[network]


def expect_loaded(net, state, report):
    values = network_checks.values(net)
    for theirs, ours in net.torchvision_names().items():
        np.testing.assert_array_equal(values[f'/{ours}'], state[theirs])
    assert len(report.matched) == len(state) - 1 and not report.missing and not report.unused


def test_a_state_dict_in_an_npz_file_is_loaded(net, state, tmp_path):
    np.savez(tmp_path / 'state.npz', **state)
    expect_loaded(net, state, net.load(tmp_path / 'state.npz'))


def test_an_onnx_file_of_torchvision_is_loaded(net, state, tmp_path):
    models = torchvision_twin.torchvision_models()
    torch = pytest.importorskip('torch', reason='PyTorch writes the file')
    twin = models.mobilenet_v2().eval()
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')     # this exporter is an old one
        torch.onnx.export(twin, torch.zeros(2, 3, 32, 32), tmp_path / 'net.onnx', dynamo=False,
                          training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    expect_loaded(net, state, net.load(tmp_path / 'net.onnx'))


def test_a_file_that_does_not_fit_changes_nothing_unless_that_is_allowed(net, state, tmp_path):
    before = network_checks.values(net)
    del state['features.0.0.weight']
    state['classifier.1.weight'] = np.zeros((10, 1280), np.float32)
    state['features.19.0.weight'] = np.zeros(3, np.float32)
    np.savez(tmp_path / 'state.npz', **state)
    with pytest.raises(DataError, match='does not fit') as caught:
        net.load(tmp_path / 'state.npz')
    for word in ('missing in the file: blocks/0/0/W', 'fc/W', 'unused: features.19.0.weight'):
        assert word in str(caught.value)
    for path, value in network_checks.values(net).items():
        np.testing.assert_array_equal(value, before[path])
    report = net.load(tmp_path / 'state.npz', partial=True)
    assert report.missing == ['blocks/0/0/W'] and list(report.wrong_shape) == ['fc/W']
    np.testing.assert_array_equal(net.fc.b.array, state['classifier.1.bias'])


def test_weights_with_an_auxiliary_head_load_without_it(tmp_path):
    with network_checks.undrawn():
        net, full = InceptionV3(), InceptionV3(aux_heads=True)
    values = network_checks.values(full)
    arrays = {theirs: np.broadcast_to(np.float32(0), values[f'/{ours}'].shape)
              for theirs, ours in full.torchvision_names().items()}
    np.savez_compressed(tmp_path / 'state.npz', **arrays)
    report = net.load(tmp_path / 'state.npz')
    assert 'AuxLogits.fc.weight' in report.unused and len(report.unused) == 12
    assert not net.fc.b.array.any()

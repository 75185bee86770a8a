"""Devices: how they are spelled, what is said when there is none, and how arrays move."""
import copy
import os
import subprocess
import sys

import numpy as np
import pytest

import minichain
from minichain import backend
from minichain.backend import (
    CpuDevice,
    GpuDevice,
    copyto,
    get_array_module,
    get_device,
    get_device_from_array,
    to_cpu,
    to_gpu,
    using_device,
)
from minichain.errors import DeviceError, InvalidArgument, InvalidType, MinichainError
from tests import strict_cupy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def gpu():
    with strict_cupy.installed() as cupy:
        yield cupy


@pytest.fixture
def no_driver():
    with strict_cupy.installed(available=False) as cupy:
        yield cupy


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', None)   # import cupy raises ImportError
    backend.import_cupy.cache_clear()
    backend.cuda_available.cache_clear()
    yield
    backend.import_cupy.cache_clear()
    backend.cuda_available.cache_clear()


@pytest.mark.parametrize('spelling', [-1, '-1', 'cpu', 'CPU', '@numpy', CpuDevice()])
def test_the_cpu_has_many_spellings(spelling):
    device = get_device(spelling)
    assert device == CpuDevice() and device.name == '@numpy' and device.xp is np
    assert get_device(device.name) == device
    assert device.supported_array_types == (np.ndarray,)


@pytest.mark.parametrize('spelling', [
    0, '0', np.int64(0), 'cuda', 'cuda:0', 'gpu', '@cupy', '@cupy:0', ' CUDA '])
def test_the_first_gpu_has_many_spellings(gpu, spelling):
    device = get_device(spelling)
    assert device == GpuDevice(0) and device.name == '@cupy:0' and device.xp is gpu
    assert get_device(device.name) == device and get_device(device.device) == device
    assert GpuDevice.from_device_id(0) == device
    assert device.supported_array_types == (gpu.ndarray,)
    assert {device: 1}[get_device('cuda')] == 1 and device != CpuDevice()
    assert str(device) == '@cupy:0' and repr(device) == '<GpuDevice @cupy:0>'


@pytest.mark.parametrize('spelling', [
    '', 'tpu', 'cuda:', 'cuda:x', 'cuda:-1', -2, '-2', '@cupy:', '@chainerx', '@intel64', None,
    True, 1.5, 'cpu:0', '0;1', 'cuda:1 cuda:0'])
def test_what_is_no_device_is_refused_with_the_spellings_that_are(spelling):
    with pytest.raises(InvalidArgument, match='is not a device; write cpu, cuda, cuda:1'):
        get_device(spelling)


@pytest.mark.parametrize('spelling', ['cuda:1', 1, '@cupy:1', 'cuda:99999999999'])
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(gpu, spelling):
    with pytest.raises(DeviceError, match=r'GPU (1|99999999999) .* there are 1: cuda:0'):
        get_device(spelling)


@pytest.mark.parametrize('ask', [
    lambda: get_device('cuda'), lambda: get_device(0), lambda: to_gpu(np.zeros(2)),
    lambda: minichain.Link(W=(2,)).to_gpu(), lambda: minichain.Variable(np.zeros(2)).to_gpu(),
    lambda: minichain.Link(W=(2,)).to_device('@cupy:0'), backend.check_cuda_available])
def test_a_gpu_without_cupy_is_one_message_that_says_what_to_install(no_cupy, ask):
    with pytest.raises(DeviceError, match=r'CuPy does not import.*pip install.*--device cpu'):
        ask()


@pytest.mark.parametrize('ask', [
    lambda: get_device('cuda'), lambda: to_gpu(np.zeros(2)),
    lambda: minichain.Link(W=(2,)).to_gpu(), backend.check_cuda_available])
def test_a_gpu_without_driver_is_one_message_that_says_where_to_look(no_driver, ask):
    with pytest.raises(DeviceError, match=r'no GPU with a working CUDA driver.*nvidia-smi'):
        ask()


def test_without_driver_or_cupy_nothing_is_available(no_driver):
    assert not backend.cuda_available() and not minichain.cuda.available


def test_a_device_error_is_caught_as_one_of_the_family_and_as_a_runtime_error(no_cupy):
    for family in (MinichainError, RuntimeError):
        with pytest.raises(family):
            get_device('cuda')
    assert not backend.cuda_available()


TRAINS = """
import numpy as np, sys
import minichain, minichain.functions as F
x = minichain.Parameter(np.ones((2, 3), 'f'))
F.sum(F.tanh(x) * 2).backward()
assert x.grad.shape == (2, 3)
assert minichain.backend.get_device_from_array(x.array) == minichain.get_device('cpu')
assert not minichain.cuda.available
try:
    minichain.get_device('cuda')
except minichain.errors.DeviceError as error:
    print('refused:', error)
"""


def run_with_path(folder, code):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(folder), ROOT])}
    return subprocess.run([sys.executable, '-W', 'error', '-c', code], capture_output=True,
                          text=True, timeout=60, env=environment)


@pytest.mark.parametrize('source, reason', [
    ("__version__ = '14.0'\nclass ndarray: pass\nclass cuda:\n    is_available = lambda: False\n",
     'CuPy 14.0 finds no GPU'),
    ("raise ImportError('libcuda.so.1: cannot open shared object file')\n", 'libcuda.so.1'),
], ids=['no driver', 'broken installation'])
def test_a_process_with_an_unusable_cupy_imports_and_trains_on_the_cpu(tmp_path, source, reason):
    (tmp_path / 'cupy').mkdir()
    (tmp_path / 'cupy' / '__init__.py').write_text(source)
    for first in ('', 'try:\n    import cupy\nexcept ImportError:\n    pass\n'):
        done = run_with_path(tmp_path, first + TRAINS)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith('refused: a GPU was asked for') and reason in done.stdout


def test_the_array_module_is_that_of_any_argument(gpu):
    here, there = np.zeros(2), gpu.zeros(2)
    assert get_array_module() is np and get_array_module(here, 1, None) is np
    assert get_array_module(there) is gpu and get_array_module(here, there) is gpu
    assert get_array_module(minichain.Variable(there)) is gpu
    assert backend.is_array(here) and backend.is_array(there)
    assert not backend.is_array([1.]) and not backend.is_array(None)


def test_the_device_of_arrays_is_that_of_the_first_on_a_gpu(gpu):
    here, there = np.zeros(2), gpu.zeros(2)
    assert get_device_from_array() == CpuDevice() == get_device_from_array(here)
    assert get_device_from_array(here, minichain.Variable(there)) == GpuDevice(0)
    assert GpuDevice.from_array(here) is None and CpuDevice.from_array(there) is None
    assert CpuDevice.from_array(here) == CpuDevice()


def test_send_goes_into_lists_tuples_and_dicts_and_passes_none(gpu):
    batch = {'x': [np.arange(3.), None], 'y': (np.float32(2), {'z': np.ones((2, 2), 'i')})}
    sent = get_device('cuda').send(batch)
    assert type(sent['x'][0]) is gpu.ndarray and sent['x'][1] is None
    assert type(sent['y']) is tuple and type(sent['y'][1]['z']) is gpu.ndarray
    assert sent['y'][0].dtype == np.float32 and sent['y'][1]['z'].dtype == np.int32
    back = CpuDevice().send(sent)
    assert type(back['x']) is list and (back['x'][0] == [0, 1, 2]).all()
    assert type(back['y'][1]['z']) is np.ndarray


def test_send_copies_only_what_is_elsewhere(gpu):
    here = np.zeros(2)
    assert CpuDevice().send(here) is here
    assert CpuDevice().send([here])[0] is here
    there = gpu.zeros(2)
    assert CpuDevice().send(there) is not there


def test_an_array_of_another_gpu_is_copied_to_this_one(gpu):
    class Elsewhere(gpu.ndarray):
        device = strict_cupy.Device(1)

        def copy(self):
            return gpu.array(self)

    elsewhere = Elsewhere(np.arange(3.))
    sent = GpuDevice(0).send(elsewhere)
    assert type(sent) is gpu.ndarray and sent.tolist() == [0, 1, 2] and sent.device.id == 0


def test_to_cpu_and_to_gpu_are_there_and_back(gpu):
    x = np.arange(6, dtype=np.float16).reshape(2, 3)
    there = to_gpu(x)
    assert type(there) is gpu.ndarray
    assert to_gpu(x, 0).shape == (2, 3)
    np.testing.assert_array_equal(to_cpu(there), x)
    assert to_cpu(there).dtype == np.float16 and to_cpu(x) is x and to_cpu(None) is None


@pytest.mark.parametrize('value', [minichain.Variable(np.zeros(2)), [1, 2], {}, object()])
def test_to_cpu_refuses_what_is_no_array(value):
    with pytest.raises(InvalidType, match='array expected.*Of a Variable, give .array'):
        to_cpu(value)


def test_copyto_writes_in_place_across_devices(gpu):
    here, there = np.zeros(3), gpu.zeros(3)
    copyto(there, np.array([1., 2., 3.]))
    copyto(here, there)
    assert here.tolist() == there.tolist() == [1, 2, 3]
    copyto(here, np.array([4., 5., 6.]))
    assert here.tolist() == [4, 5, 6]


def test_using_device_yields_the_device_and_a_device_is_its_own_copy(gpu):
    with using_device('@cupy:0') as device:
        assert device == GpuDevice(0)
        device.use()
    with using_device(-1) as device:
        assert device == CpuDevice()
        device.use()
    assert copy.deepcopy(device) is device


def test_a_model_moves_and_operands_on_two_devices_are_refused(gpu):
    link = minichain.links.Linear(3, 2)
    assert link.to_device('cuda') is link and link.xp is gpu and link.device.name == '@cupy:0'
    with pytest.raises(DeviceError, match='all operands on one device expected'):
        link(np.zeros((1, 3), 'f'))
    y = link(gpu.zeros((1, 3), 'f'))
    assert type(y.array) is gpu.ndarray
    assert type(link.to_cpu()(np.zeros((1, 3), 'f')).array) is np.ndarray

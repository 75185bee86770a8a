"""The binding to cuDNN: against a library of Python functions, the header, and the real one."""
import ctypes
import itertools
import pathlib
import shutil
import subprocess
from ctypes import c_double, c_int, c_uint

import numpy as np
import pytest

import minichain.functions as F
from minichain import Variable, using_config
from minichain.backend import cuda_available
from minichain.errors import DeviceError, InvalidArgument, InvalidType
from minichain.gpu import cudnn, cudnn_convolution, libraries
from minichain.gpu.cudnn_convolution import (
    Convolution,
    convolution_backward_data,
    convolution_backward_filter,
    convolution_forward,
)
from minichain.gpu.precision import from_bfloat16, to_bfloat16
from tests.gpu import fake_cudnn, stand_in
from tests.gpu.c_interface import prototypes

FUNCTIONS = set(cudnn.PROTOTYPES)
GEOMETRIES = [Convolution(), Convolution((2, 1), (1, 2), (1, 2)),
              Convolution(pad=(1, 1), groups=2), Convolution((1, 2), (0, 1), (2, 1), 4)]


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A GPU of Python: functions run whole, on stand-in arrays and a fake library."""
    behaviour = fake_cudnn.Cudnn()
    library = fake_cudnn.library(behaviour)
    library.behaviour, library.cupy = behaviour, stand_in.cupy()
    binding = cudnn.Cudnn(library)
    library.binding = binding
    for module in (cudnn, cudnn_convolution, libraries):
        monkeypatch.setattr(module, 'import_cupy', lambda: library.cupy)
    monkeypatch.setattr(cudnn, 'library_of', lambda device: binding)
    monkeypatch.setattr(cudnn, 'version', lambda: 92801)
    monkeypatch.setattr(libraries, '_workspaces', {})
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    cudnn_convolution.remembered.cache_clear()
    yield library
    cudnn_convolution.remembered.cache_clear()
    assert not library.failures, library.failures


def whole_numbers(shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype('f')


def in_layout(x, layout):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if layout == 'NHWC' else x.copy()


def in_order(x, layout):
    return x.transpose(0, 3, 1, 2) if layout == 'NHWC' else x


def example(geometry, seed=0):
    """Return (x, W, gy, y, gx, gW) in the order N C H W, by the library's functions on NumPy."""
    x = Variable(whole_numbers((2, 4, 7, 6), seed))
    W = Variable(whole_numbers((4, 4 // geometry.groups, 3, 2), seed + 1))
    y = F.convolution_2d(x, W, None, geometry.stride, geometry.pad, dilate=geometry.dilate,
                         groups=geometry.groups)
    y.grad = whole_numbers(y.shape, seed + 2)
    y.backward()
    return x.array, W.array, y.grad, y.array, x.grad, W.grad


gpu = stand_in.Array


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_three_passes_agree_with_numpy(fake, geometry, layout):
    x, W, gy, y, gx, gW = (gpu(in_layout(array, layout)) for array in example(geometry))
    for alpha, beta in ((1, 0), (2, 3)):
        for run, inputs, result in (
                (convolution_forward, (x, W), y), (convolution_backward_data, (W, gy), gx),
                (convolution_backward_filter, (x, gy), gW)):
            before = np.full_like(result.values, 5)
            out = gpu(before.copy())
            run(*inputs, out, geometry, layout=layout, alpha=alpha, beta=beta)
            np.testing.assert_allclose(out.values, alpha * result.values + beta * before, 1e-6)


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
def test_bias_and_relu_are_part_of_the_same_call(fake, layout, relu):
    x, W, _, y, _, _ = example(GEOMETRIES[1])
    b = whole_numbers(4, 9)
    expected = y + b[:, None, None]
    out = gpu(in_layout(np.empty_like(y), layout))
    convolution_forward(gpu(in_layout(x, layout)), gpu(in_layout(W, layout)), out, GEOMETRIES[1],
                        b=gpu(b), relu=relu, layout=layout)
    np.testing.assert_array_equal(in_order(out.values, layout),
                                  np.maximum(expected, 0) if relu else expected)
    algorithm = fake.behaviour.ran[-1][1]
    assert algorithm == (0 if relu else 1)   # only this one adds a bias without a ReLU


def test_channels_of_wider_images_are_operands_and_results(fake):
    x, W, _, y, _, _ = example(Convolution())
    wide_x, wide_y = np.zeros((2, 7, 6, 10), 'f'), np.zeros((*y.shape[:1], *y.shape[2:], 9), 'f')
    wide_x[..., 3:7] = x.transpose(0, 2, 3, 1)
    convolution_forward(gpu(wide_x[..., 3:7]), gpu(in_layout(W, 'NHWC')), gpu(wide_y[..., 5:]),
                        layout='NHWC')
    np.testing.assert_array_equal(in_order(wide_y[..., 5:], 'NHWC'), y)
    assert not wide_y[..., :5].any()


def test_bfloat16_images(fake):
    x, W = np.ones((1, 2, 3, 3), 'f'), whole_numbers((4, 2, 2, 2))
    out = gpu(np.empty((1, 4, 2, 2), 'u2'))
    convolution_forward(gpu(to_bfloat16(x)), gpu(to_bfloat16(W)), out)
    np.testing.assert_array_equal(from_bfloat16(out.values)[0, :, 0, 0], W.sum((1, 2, 3)))
    assert fake.called('cudnnSetConvolutionMathType')[0][1] == 1   # tensor cores


def run_one(**options):
    x, W, _, y, _, _ = example(Convolution())
    convolution_forward(gpu(x), gpu(W), gpu(np.empty_like(y)), **options)


def measurements(fake):
    return len(fake.called('cudnnFindConvolutionForwardAlgorithmEx'))


def test_an_algorithm_is_measured_once_and_remembered_on_disk(fake, tmp_path):
    run_one()
    run_one()
    assert measurements(fake) == 1
    assert (tmp_path / 'minichain/algorithms/cudnn.json').exists()
    fake.binding.plans.clear()
    cudnn_convolution.remembered.cache_clear()   # as in another process
    run_one()
    assert measurements(fake) == 1
    # algorithm 5 is faster, but wants more memory than the workspace has
    assert {ran[:2] for ran in fake.behaviour.ran} == {('Forward', 0)}


def test_a_remembered_algorithm_is_of_this_gpu_and_this_version(fake, monkeypatch):
    for count, version in ((1, 92801), (2, 92900), (2, 92801)):
        monkeypatch.setattr(cudnn, 'version', lambda version=version: version)
        fake.binding.plans.clear()
        run_one()
        assert measurements(fake) == count
    monkeypatch.setattr(fake.cupy.cuda.runtime, 'getDeviceProperties', lambda n: {'name': b'B'})
    fake.binding.plans.clear()
    run_one()
    assert measurements(fake) == 3


@pytest.mark.parametrize('choice', [[5, 0], [7, 0], [-1, 0], [100, 0], [0, 9], [0], []])
def test_a_remembered_algorithm_that_cannot_be_is_measured_again(fake, choice):
    run_one()
    memory = cudnn_convolution.remembered()
    for key in list(memory._choices):
        memory.put(key, choice)
    fake.binding.plans.clear()
    run_one()
    assert measurements(fake) == 2


def test_while_a_graph_is_captured_nothing_is_measured_and_nothing_remembered(fake):
    ordinary, fake.cupy = fake.cupy, stand_in.cupy(capturing=True)
    run_one()
    assert measurements(fake) == 0
    assert len(fake.called('cudnnGetConvolutionForwardAlgorithm_v7')) == 1
    assert fake.behaviour.ran[-1][1] == 1
    fake.cupy = ordinary
    run_one()
    assert measurements(fake) == 1 and fake.behaviour.ran[-1][1] == 0


@pytest.mark.parametrize('switch', ['deterministic', 'cudnn_deterministic'])
def test_only_algorithms_that_repeat_run_when_they_must(fake, switch):
    with using_config(switch, True):
        run_one()
    assert fake.behaviour.ran[-1][1] == 1
    run_one()
    assert fake.behaviour.ran[-1][1] == 0


def test_float32_is_never_multiplied_by_tensor_cores_unless_tf32_is_asked_for(fake):
    run_one()
    assert fake.behaviour.ran[-1][2] == 3
    with using_config('precision', 'tf32'):
        run_one()
    assert fake.behaviour.ran[-1][2] == 1   # what the measured algorithm used
    assert {call[1] for call in fake.called('cudnnSetConvolutionMathType')[-2:]} == {0, 1}


def test_stream_and_workspace_are_those_of_the_call(fake):
    run_one()
    memory, = fake.cupy.allocated
    assert fake.behaviour.ran[-1][3:] == (memory.ptr, 32 << 20, stand_in.STREAM)
    own = gpu(np.zeros(5000, 'u1'))
    run_one(stream=0x1234, workspace=own)
    assert fake.behaviour.ran[-1][3:] == (own.data.ptr, 5000, 0x1234)
    with pytest.raises(DeviceError, match='no algorithm within 10 bytes of workspace for Forward'):
        run_one(workspace=gpu(np.zeros(10, 'u1')))


def test_descriptors_die_with_what_needed_them(fake):
    run_one()
    alive = len(fake.behaviour.objects.alive)
    for _ in range(3):
        x = gpu(np.ones((1, 1, 4, 4), 'f'))
        cudnn.pooling_forward(x, gpu(np.empty((1, 1, 2, 2), 'f')), (2, 2), (2, 2), (0, 0))
    assert len(fake.behaviour.objects.alive) == alive


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('mode, function', [
    ('max', F.max_pooling_2d), ('average', F.average_pooling_2d)])
def test_pooling_agrees_with_numpy(fake, mode, function, layout):
    x = Variable(np.random.default_rng(0).permutation(2 * 3 * 7 * 6).reshape(2, 3, 7, 6)
                 .astype('f'))
    ksize, stride, pad = (3, 2), (2, 1), (1, 0) if mode == 'max' else (0, 0)
    options = {'cover_all': False} if mode == 'max' else {}
    y = function(x, ksize, stride, pad, **options)
    there_x, there_y = gpu(in_layout(x.array, layout)), gpu(in_layout(y.array * 0, layout))
    cudnn.pooling_forward(there_x, there_y, ksize, stride, pad, mode, layout)
    np.testing.assert_allclose(in_order(there_y.values, layout), y.array, 1e-6)
    if mode == 'max':
        y.grad = whole_numbers(y.shape)
        y.backward()
        gx = gpu(np.empty_like(there_x.values))
        with using_config('deterministic', True):
            cudnn.pooling_backward(there_x, there_y, gpu(in_layout(y.grad, layout)), gx, ksize,
                                   stride, pad, mode, layout)
        np.testing.assert_array_equal(in_order(gx.values, layout), x.grad)
        assert [call[1] for call in fake.called('cudnnSetPooling2dDescriptor')] == [0, 3]


def test_numbers_of_a_local_response_normalization_arrive_as_they_are(fake):
    # All bits are compared: half of a register that holds a float is anybody's guess.
    cudnn._normalization(fake.binding, 5, 2, 0.1, 0.75)
    assert fake.called('cudnnSetLRNDescriptor')[-1][1:] == (5, 0.5, 0.75, 2)


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
def test_local_response_normalization_agrees_with_numpy(fake, layout):
    x = Variable(whole_numbers((2, 7, 3, 2)))
    y = F.local_response_normalization(x, 5, 2, 0.1, 0.75)
    y.grad = whole_numbers(y.shape, 1)
    y.backward()
    there_x, there_y, gx = (gpu(in_layout(x.array, layout)) for _ in range(3))
    cudnn.local_response_normalization_forward(there_x, there_y, 5, 2, 0.1, 0.75, layout)
    np.testing.assert_allclose(in_order(there_y.values, layout), y.array, 1e-5)
    cudnn.local_response_normalization_backward(
        there_x, there_y, gpu(in_layout(y.grad, layout)), gx, 5, 2, 0.1, 0.75, layout)
    np.testing.assert_allclose(in_order(gx.values, layout), x.grad, 1e-4, 1e-6)


def ones(*shape, dtype='f'):
    return gpu(np.ones(shape, dtype))


@pytest.mark.parametrize('error, match, run', [
    (InvalidArgument, "layout='NC'; expected 'NCHW' or 'NHWC'",
     lambda: convolution_forward(ones(1, 1, 3, 3), ones(1, 1, 3, 3), ones(1, 1, 1, 1),
                                 layout='NC')),
    (InvalidType, r'ndarray float32 .* expected CuPy arrays', lambda: convolution_forward(
        np.ones((1, 1, 3, 3), 'f'), ones(1, 1, 3, 3), ones(1, 1, 1, 1))),
    (InvalidType, r'float64', lambda: convolution_forward(
        ones(1, 1, 3, 3, dtype='d'), ones(1, 1, 3, 3, dtype='d'), ones(1, 1, 1, 1, dtype='d'))),
    (InvalidType, r'all float32 or all bfloat16', lambda: convolution_forward(
        ones(1, 1, 3, 3), ones(1, 1, 3, 3, dtype='u2'), ones(1, 1, 1, 1))),
    (InvalidType, r'none empty', lambda: convolution_forward(
        ones(0, 1, 3, 3), ones(1, 1, 3, 3), ones(0, 1, 1, 1))),
    (InvalidType, r'y has shape \(1, 1, 2, 1\); expected \(1, 1, 1, 1\)',
     lambda: convolution_forward(ones(1, 1, 3, 3), ones(1, 1, 3, 3), ones(1, 1, 2, 1))),
    (InvalidType, r'and 4 channels of x', lambda: convolution_forward(
        ones(1, 3, 3, 3), ones(2, 2, 3, 3), ones(1, 2, 1, 1), Convolution(groups=2))),
    (InvalidType, r'expected both contiguous, b \(1,\)', lambda: convolution_forward(
        ones(1, 1, 3, 3), ones(1, 1, 3, 3), ones(1, 1, 1, 1), b=ones(2))),
    (InvalidType, r'expected both contiguous', lambda: convolution_forward(
        ones(1, 1, 3, 3), gpu(np.ones((1, 1, 3, 6), 'f')[..., ::2]), ones(1, 1, 1, 1))),
    (InvalidType, r'relu needs b', lambda: convolution_forward(
        ones(1, 1, 3, 3), ones(1, 1, 3, 3), ones(1, 1, 1, 1), relu=True)),
    (InvalidType, r'with b there is no beta', lambda: convolution_forward(
        ones(1, 1, 3, 3), ones(1, 1, 3, 3), ones(1, 1, 1, 1), b=ones(1), beta=1.0)),
    (InvalidArgument, "mode='min'; expected one of 'max'", lambda: cudnn.pooling_forward(
        ones(1, 1, 4, 4), ones(1, 1, 2, 2), (2, 2), (2, 2), (0, 0), 'min')),
    (InvalidType, r'it must have \(1, 1, 2, 2\)', lambda: cudnn.pooling_forward(
        ones(1, 1, 4, 4), ones(1, 1, 3, 2), (2, 2), (2, 2), (0, 0))),
    (InvalidType, r'are to be of one shape', lambda: cudnn.pooling_backward(
        ones(1, 1, 4, 4), ones(1, 1, 2, 2), ones(1, 1, 2, 2), ones(1, 1, 4, 3), (2, 2), (2, 2),
        (0, 0))),
    *[(InvalidArgument, 'wants n odd and below 16',
       lambda n=n: cudnn.local_response_normalization_forward(
           ones(1, 1, 4, 4), ones(1, 1, 4, 4), n=n)) for n in (17, 4, 0)],
])
def test_what_does_not_fit_is_refused(fake, error, match, run):
    with pytest.raises(error, match=match):
        run()
    assert not fake.behaviour.ran


def test_argument_types_are_those_of_the_header():
    assert prototypes(fake_cudnn.HEADER, FUNCTIONS) == cudnn.PROTOTYPES


def test_a_number_of_a_wrong_width_arrives_wrong_and_is_caught(fake, monkeypatch):
    function = fake.cudnnSetLRNDescriptor   # the planted fault: floats where C reads doubles
    monkeypatch.setattr(function, 'argtypes', (ctypes.c_void_p, c_uint, *[ctypes.c_float] * 3))
    with pytest.raises(AssertionError):
        test_numbers_of_a_local_response_normalization_arrive_as_they_are(fake)


def headers():
    """Return the folder of cuDNN's headers, or skip."""
    for path in libraries.candidates('cudnn'):
        folder = pathlib.Path(path).parent.parent / 'include'
        if (folder / 'cudnn_graph.h').exists():
            return folder
    return pytest.skip('cudnn.h is not there: pip install nvidia-cudnn-cu13')


def test_argument_types_are_those_of_the_installed_header():
    text = '\n'.join((headers() / f'cudnn_{part}.h').read_text()
                     for part in ('graph', 'ops', 'cnn'))
    assert prototypes(text, FUNCTIONS) == cudnn.PROTOTYPES


def test_numbers_and_sizes_are_those_of_the_installed_header(tmp_path):
    folder = headers()
    if not shutil.which('gcc'):
        pytest.skip('needs gcc')
    Performance = cudnn_convolution.Performance
    wanted = {
        'CUDNN_DATA_FLOAT': cudnn.FLOAT32, 'CUDNN_DATA_BFLOAT16': cudnn.BFLOAT16,
        'CUDNN_TENSOR_NCHW': cudnn.LAYOUTS['NCHW'], 'CUDNN_TENSOR_NHWC': cudnn.LAYOUTS['NHWC'],
        'CUDNN_POOLING_MAX': cudnn.POOLING['max'],
        'CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING': cudnn.POOLING['average'],
        'CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING': cudnn.POOLING['average_without_pad'],
        'CUDNN_POOLING_MAX_DETERMINISTIC': cudnn._REPEATABLE_MAX,
        'CUDNN_PROPAGATE_NAN': cudnn._PROPAGATE_NAN,
        'CUDNN_LRN_CROSS_CHANNEL_DIM1': cudnn._ACROSS_CHANNELS,
        'CUDNN_CROSS_CORRELATION': cudnn_convolution._CROSS_CORRELATION,
        'CUDNN_ACTIVATION_RELU': cudnn_convolution._RELU,
        'CUDNN_ACTIVATION_IDENTITY': cudnn_convolution._IDENTITY,
        'CUDNN_DEFAULT_MATH': cudnn_convolution._DEFAULT,
        'CUDNN_FMA_MATH': cudnn_convolution._AS_IEEE,
        'CUDNN_TENSOR_OP_MATH': cudnn_convolution._TENSOR_CORES,
        'CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM':
            cudnn_convolution._IMPLICIT_PRECOMPUTED, 'CUDNN_DETERMINISTIC': 1}
    for kind, short in (('Forward', 'Fwd'), ('BackwardData', 'BwdData'),
                        ('BackwardFilter', 'BwdFilter')):
        upper = {'Fwd': 'FWD', 'BwdData': 'BWD_DATA', 'BwdFilter': 'BWD_FILTER'}[short]
        wanted[f'CUDNN_CONVOLUTION_{upper}_ALGO_COUNT'] = cudnn_convolution.ALGORITHMS[kind]
        struct = f'cudnnConvolution{short}AlgoPerf_t'
        wanted[f'sizeof({struct})'] = ctypes.sizeof(Performance)
        for theirs, ours in (('algo', 'algorithm'), ('status', 'status'), ('time', 'time'),
                             ('memory', 'memory'), ('determinism', 'deterministic'),
                             ('mathType', 'math')):
            wanted[f'offsetof({struct}, {theirs})'] = getattr(Performance, ours).offset
    source = ['#include <stddef.h>', '#include <cudnn_cnn.h>', *(
        f'_Static_assert({text} == {number}, "{text}");' for text, number in wanted.items())]
    (tmp_path / 'check.c').write_text('\n'.join(source))
    (tmp_path / 'cuda_runtime_api.h').write_text(
        'typedef struct CUstream_st *cudaStream_t; typedef struct CUgraph_st *cudaGraph_t;')
    (tmp_path / 'library_types.h').write_text('typedef int libraryPropertyType;')
    result = subprocess.run(['gcc', '-fsyntax-only', '-w', f'-I{tmp_path}', f'-I{folder}',
                             tmp_path / 'check.c'], capture_output=True, text=True)
    assert not result.returncode, result.stderr


@pytest.fixture
def real():
    """The installed library, as far as it works without a GPU; its own declared copy.

    It is a :class:`~minichain.gpu.cudnn.Cudnn` without a handle, which needs a GPU.
    """
    if not libraries.available('cudnn'):
        pytest.skip('cuDNN is not installed: pip install nvidia-cudnn-cu13')
    library = ctypes.CDLL(libraries.open_library('cudnn')._name)
    binding = cudnn.Cudnn.__new__(cudnn.Cudnn)
    binding.library = libraries.declare(
        library, 'cudnn', cudnn.PROTOTYPES, cudnn.functools.partial(cudnn._reason, library))
    return binding


def told(library, name, handle, *types, before=()):
    """Return what a descriptor holds."""
    values = [kind() for kind in types]
    function = getattr(library, name)
    function.argtypes = (ctypes.c_void_p, *[type(x) for x in before],
                         *[ctypes.c_void_p] * len(values))
    assert function(handle, *before, *map(ctypes.byref, values)) == 0
    return [value.value for value in values]


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
def test_the_library_holds_the_description_of_images(real, layout):
    x = gpu(in_layout(np.zeros((2, 3, 5, 7), 'u2'), layout))
    assert told(real.library, 'cudnnGetTensor4dDescriptor', real.tensor(x, layout),
                *[c_int] * 9) == [9, 2, 3, 5, 7, *(
                    (105, 35, 7, 1) if layout == 'NCHW' else (105, 1, 21, 3))]


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_the_library_holds_the_description_of_a_convolution(real, geometry, layout):
    x, W, _, y, _, _ = (gpu(in_layout(array, layout)) for array in example(geometry))
    with using_config('precision', 'tf32'):
        plan = cudnn_convolution.Plan(real, 'Forward', x, W, y, geometry, layout, 'key')
    assert told(real.library, 'cudnnGetFilter4dDescriptor', plan.W, *[c_int] * 6) == [
        0, cudnn.LAYOUTS[layout], 4, 4 // geometry.groups, 3, 2]
    assert told(real.library, 'cudnnGetConvolution2dDescriptor', plan.convolution,
                *[c_int] * 8) == [*geometry.pad, *geometry.stride, *geometry.dilate, 1, 0]
    assert told(real.library, 'cudnnGetConvolutionGroupCount', plan.convolution, c_int) == [
        geometry.groups]
    assert told(real.library, 'cudnnGetConvolutionMathType', plan.convolution, c_int) == [0]
    with pytest.raises(InvalidType, match='y has shape'):
        cudnn_convolution.Plan(real, 'Forward', x, W, ones(2, 4, 9, 9), geometry, layout, 'key')


def test_the_library_holds_the_description_of_a_normalization(real):
    normalization = cudnn._normalization(real, 5, 2.5, 0.25, 0.75)
    assert told(real.library, 'cudnnGetLRNDescriptor', normalization, c_uint, *[c_double] * 3) == [
        5, 1.25, 0.75, 2.5]


@pytest.mark.parametrize('mode, number', [('max', 0), ('average', 1), ('average_without_pad', 2)])
def test_the_library_holds_the_description_of_pooling(real, monkeypatch, mode, number):
    monkeypatch.setattr(cudnn, 'library_of', lambda device: real)
    monkeypatch.setattr(cudnn, 'import_cupy', stand_in.cupy)
    arguments = ones(1, 2, 9, 8), ones(1, 2, 5, 7), (), mode, (3, 2), (2, 1), (1, 0), 'NCHW'
    _, _, pooling, _, _ = cudnn._pooling('pooling', *arguments)
    assert told(real.library, 'cudnnGetPooling2dDescriptor', pooling, *[c_int] * 8) == [
        number, 1, 3, 2, 1, 0, 2, 1]


def test_an_argument_that_the_library_refuses_is_an_error_with_its_words(real):
    with pytest.raises(DeviceError, match='GroupCount failed: CUDNN_STATUS_BAD'):
        real.library.cudnnSetConvolutionGroupCount(real.descriptor('Convolution'), -1)


def test_the_library_tells_its_version(real):
    assert cudnn.version() >= 90000


def test_without_a_gpu_there_is_an_error_of_ours(real):
    if cuda_available():
        pytest.skip('there is a GPU')
    with pytest.raises(DeviceError, match='cudnnCreate failed: CUDNN_STATUS_'):
        cudnn.Cudnn(real.library)


needs_cudnn = pytest.mark.skipif(not cuda_available() or not libraries.available('cudnn'),
                                 reason='needs a GPU, CuPy and cuDNN')


@needs_cudnn
@pytest.mark.parametrize('precision', ['float32', 'tf32', 'bf16'])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_three_passes_on_a_gpu_agree_with_numpy(monkeypatch, tmp_path, geometry, layout,
                                                precision):
    cupy = pytest.importorskip('cupy')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    cudnn_convolution.remembered.cache_clear()

    def there(array):
        array = in_layout(array, layout)
        return cupy.asarray(to_bfloat16(array) if precision == 'bf16' else array)

    def here(array):
        return from_bfloat16(array.get()) if precision == 'bf16' else array.get()

    arrays = example(geometry)
    x, W, gy, y, gx, gW = map(there, arrays)
    for switch, (run, inputs, result) in itertools.product((False, True), (
            (convolution_forward, (x, W), y), (convolution_backward_data, (W, gy), gx),
            (convolution_backward_filter, (x, gy), gW))):
        out = cupy.full_like(result, 7)
        with using_config('precision', precision), using_config('deterministic', switch):
            run(*inputs, out, geometry, layout=layout)
        np.testing.assert_allclose(here(out), here(result), 2 ** -7 if precision == 'bf16'
                                   else 1e-5, 1e-4)
    cudnn_convolution.remembered.cache_clear()

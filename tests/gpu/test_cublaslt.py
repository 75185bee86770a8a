"""The binding to cublasLt: against a library of Python functions, the header, and the real one."""
import ctypes
import pathlib
import shutil
import subprocess
from ctypes import c_int32, c_int64, c_uint32, c_uint64

import numpy as np
import pytest

from minichain import using_config
from minichain.backend import cuda_available
from minichain.errors import DeviceError
from minichain.gpu import cublaslt, gemm, libraries
from tests.gpu import fake_cublaslt, stand_in
from tests.gpu.c_interface import prototypes
from tests.gpu.test_gemm import EPILOGUES, assert_as_expected, expected, operands, whole_numbers

FUNCTIONS = set(cublaslt.PROTOTYPES)


@pytest.fixture
def fake(monkeypatch):
    """A GPU of Python: gemm runs whole, on stand-in arrays and a fake library."""
    behaviour = fake_cublaslt.CublasLt()
    library = fake_cublaslt.library(behaviour)
    binding = cublaslt.CublasLt(library)
    library.behaviour, library.binding, library.cupy = behaviour, binding, stand_in.cupy()
    for module in (gemm, libraries):
        monkeypatch.setattr(module, 'import_cupy', lambda: library.cupy)
    monkeypatch.setattr(cublaslt, 'library_of', lambda device: binding)
    monkeypatch.setattr(libraries, '_workspaces', {})
    yield library
    assert not library.failures, library.failures


def run(arguments, **more):
    """Run gemm on stand-in arrays over the memory of the NumPy arrays given."""
    return gemm.gemm(**{name: stand_in.Array(x) if isinstance(x, np.ndarray) else x
                        for name, x in arguments.items()}, **more)


def as_bfloat16(values):
    return (values.view('u4') >> 16).astype('u2')


@pytest.mark.parametrize('trans_b', [False, True])
@pytest.mark.parametrize('trans_a', [False, True])
@pytest.mark.parametrize('epilogue', EPILOGUES)
def test_rows_reach_a_library_of_columns_rightly(fake, epilogue, trans_a, trans_b):
    for alpha, beta in ((1, 0), (2, 0), (-1, 3)):
        arguments = operands(trans_a, trans_b, epilogue)
        result = expected(arguments, alpha, beta)
        run(arguments, alpha=alpha, beta=beta)
        assert_as_expected(arguments, result)


@pytest.mark.parametrize('narrow', [False, True])
@pytest.mark.parametrize('epilogue', EPILOGUES)
def test_bfloat16_operands_and_results(fake, epilogue, narrow):
    arguments = operands(epilogue=epilogue)
    result = expected(arguments)
    there = {name: as_bfloat16(x) if isinstance(x, np.ndarray) and x.dtype == 'f4'
             and (narrow or name in ('a', 'b')) else x for name, x in arguments.items()}
    run(there)
    widened = {name: fake_cublaslt.numbers(x) if isinstance(x, np.ndarray) else x
               for name, x in there.items()}
    assert_as_expected(widened, result)


def test_batches_slices_and_interleaved_matrices(fake):
    a, W = whole_numbers((3, 6, 4), 1), whole_numbers((4, 7), 2)
    wide = np.zeros((6, 3, 20), 'f')
    run({'a': a, 'b': W, 'out': wide.swapaxes(0, 1)[..., 5:12], 'epilogue': 'bias',
         'bias': whole_numbers(7, 3)})
    np.testing.assert_array_equal(wide[..., 5:12].swapaxes(0, 1), a @ W + whole_numbers(7, 3))
    assert not wide[..., :5].any() and not wide[..., 12:].any()


def test_what_is_added_may_lie_elsewhere(fake):
    arguments, wide = operands(epilogue='relu_bias'), np.zeros((5, 9), 'f')
    wide[:, 1:8] = arguments['out']
    result = expected(arguments, 2, 3)
    arguments['out'][...] = np.nan
    run(arguments, alpha=2, beta=3, addend=stand_in.Array(wide[:, 1:8]))
    assert_as_expected(arguments, result)
    aligned = fake.behaviour.preferences[-1]
    assert aligned['align_c'] == 4 < aligned['align_d']


def test_the_types_of_arithmetic_follow_the_arrays_and_the_configuration(fake):
    def compute(precision, bfloat16=False):
        arguments = operands()
        if bfloat16:
            arguments |= {name: as_bfloat16(arguments[name]) for name in 'ab'}
        with using_config('precision', precision):
            run(arguments)
        return fake.called('cublasLtMatmulDescCreate')[-1][1:]

    assert compute('float32') == (68, 0)
    assert compute('tf32') == compute('bf16') == (77, 0)
    assert compute('bf16', True) == compute('float32', True) == (68, 0)


def test_a_kind_of_product_is_described_once_and_addresses_are_told_each_time(fake):
    arguments, rows = operands(epilogue='bias'), np.empty((3, 64), 'f')   # aligned alike
    for row in rows:
        arguments['bias'] = row[:7]
        row[...] = whole_numbers(64, int(row.ctypes.data))
        result = expected(arguments)
        run(arguments)
        assert_as_expected(arguments, result)
    assert len(fake.called('cublasLtMatmulAlgoGetHeuristic')) == 1
    assert len(fake.called('cublasLtMatmul')) == 3
    transposed = operands(trans_a=True)
    run(transposed)
    assert len(fake.called('cublasLtMatmulAlgoGetHeuristic')) == 2
    with using_config('deterministic', True):
        run(transposed)
    assert [each['reductions'] for each in fake.behaviour.preferences] == [7, 7, 2]


def test_the_choice_of_an_algorithm_knows_how_operands_are_aligned(fake):
    arguments, room = operands(), np.zeros(4096, 'f')
    start = -room.ctypes.data % 256 // 4
    for offset, alignment in ((0, 256), (4, 16), (1, 4)):
        a = room[start + offset:start + offset + 20].reshape(5, 4)
        run(arguments | {'a': a})
        # The library's B is our a.
        assert fake.behaviour.preferences[-1]['align_b'] == alignment
    assert len(fake.behaviour.preferences) == 3


def test_stream_and_workspace_are_those_of_the_call(fake):
    arguments = operands()
    run(arguments)
    run(arguments)
    memory, = fake.cupy.allocated
    assert memory.size == 32 << 20 and memory is libraries._workspaces[0, stand_in.STREAM]
    assert fake.called('cublasLtMatmul')[-1][-3:] == (memory.ptr, 32 << 20, stand_in.STREAM)
    assert fake.behaviour.preferences[-1]['workspace'] == 32 << 20
    run(operands(), stream=0x1234)
    assert len(fake.cupy.allocated) == 2 and fake.called('cublasLtMatmul')[-1][-1] == 0x1234
    own = stand_in.Array(np.zeros(1 << 12, 'u1'))
    run(operands(), workspace=own)
    assert fake.called('cublasLtMatmul')[-1][-3:-1] == (own.data.ptr, 1 << 12)
    assert fake.behaviour.preferences[-1]['workspace'] == 1 << 12
    assert len(fake.cupy.allocated) == 2


def test_a_product_for_which_there_is_no_algorithm_is_named(fake):
    fake.behaviour.refuses = {512}
    with pytest.raises(DeviceError, match="CUBLAS_STATUS_NOT_SUPPORTED.*epilogue='bias_gradient_a'"
                       '.*trans_a=True.*epilogue=None'):
        run(operands(trans_a=True, epilogue='bias_gradient_a'))
    before = len(fake.behaviour.objects.alive)
    with pytest.raises(DeviceError):
        run(operands(trans_a=True, epilogue='bias_gradient_a'))
    assert len(fake.behaviour.objects.alive) == before   # nothing is kept of what failed


def test_an_attribute_of_a_wrong_width_is_caught(fake, monkeypatch):
    monkeypatch.setattr(cublaslt, 'c_int64', c_int32)   # the planted fault
    with pytest.raises(DeviceError, match='SetAttribute failed: CUBLAS_STATUS_INVALID_VALUE'):
        run(operands(epilogue='relu_mask'))


def test_argument_types_are_those_of_the_header():
    assert prototypes(fake_cublaslt.HEADER, FUNCTIONS) == cublaslt.PROTOTYPES


def test_a_wrong_argument_type_would_differ_from_the_header():
    for wrong in (c_int32, c_uint32, c_uint64):
        planted = cublaslt.PROTOTYPES['cublasLtMatrixLayoutCreate'][:-1] + (wrong,)
        assert planted != prototypes(fake_cublaslt.HEADER, FUNCTIONS)['cublasLtMatrixLayoutCreate']


def headers():
    """Return the folders of the CUDA headers in wheels, or skip."""
    for path in libraries.candidates('cublasLt'):
        folder = pathlib.Path(path).parent.parent / 'include'
        if (folder / 'cublasLt.h').exists():
            return folder
    return pytest.skip('cublasLt.h is not there: pip install nvidia-cublas')


def test_argument_types_are_those_of_the_installed_header():
    text = (headers() / 'cublasLt.h').read_text()
    assert prototypes(text, FUNCTIONS) == cublaslt.PROTOTYPES


def test_numbers_and_sizes_are_those_of_the_installed_header(tmp_path):
    folder = headers()
    if not (folder / 'library_types.h').exists() or not shutil.which('gcc'):
        pytest.skip('needs gcc and the headers of CUDA: pip install nvidia-cuda-runtime')
    wanted = {
        'sizeof(cublasLtMatmulHeuristicResult_t)': ctypes.sizeof(cublaslt.Algorithm),
        'sizeof(cublasLtMatmulAlgo_t)': cublaslt.Algorithm.algorithm.size,
        'offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize)':
            cublaslt.Algorithm.workspace.offset,
        'offsetof(cublasLtMatmulHeuristicResult_t, state)': cublaslt.Algorithm.status.offset,
        'offsetof(cublasLtMatmulHeuristicResult_t, wavesCount)': cublaslt.Algorithm.waves.offset,
        'CUDA_R_32F': cublaslt.FLOAT32, 'CUDA_R_16BF': cublaslt.BFLOAT16,
        'CUBLAS_COMPUTE_32F': cublaslt.COMPUTE_FLOAT32,
        'CUBLAS_COMPUTE_32F_FAST_TF32': cublaslt.COMPUTE_TF32,
        'CUBLASLT_MATMUL_DESC_TRANSA': cublaslt._TRANSPOSE_A,
        'CUBLASLT_MATMUL_DESC_TRANSB': cublaslt._TRANSPOSE_B, 'CUBLAS_OP_N': 0, 'CUBLAS_OP_T': 1,
        'CUBLASLT_MATMUL_DESC_EPILOGUE': cublaslt._EPILOGUE,
        'CUBLASLT_MATMUL_DESC_BIAS_POINTER': cublaslt._BIAS,
        'CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER': cublaslt._MASK,
        'CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD': cublaslt._MASK_WIDTH,
        'CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT': cublaslt._BATCH,
        'CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET': cublaslt._BATCH_STRIDE,
        'CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES': cublaslt._MAX_WORKSPACE,
        'CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK': cublaslt._REDUCTIONS,
        'CUBLASLT_REDUCTION_SCHEME_MASK': cublaslt._ALL_REDUCTIONS,
        'CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE': cublaslt._REPEATABLE,
    }
    for letter, number in zip('ABCD', cublaslt._ALIGNMENTS):
        wanted[f'CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_{letter}_BYTES'] = number
    for name, theirs in {None: 'DEFAULT', 'relu': 'RELU', 'bias': 'BIAS', 'relu_bias': 'RELU_BIAS',
                         'relu_mask': 'RELU_AUX', 'relu_mask_bias': 'RELU_AUX_BIAS',
                         'drelu': 'DRELU', 'drelu_bias_gradient': 'DRELU_BGRAD',
                         'bias_gradient_a': 'BGRADB', 'bias_gradient_b': 'BGRADA'}.items():
        wanted[f'CUBLASLT_EPILOGUE_{theirs}'] = cublaslt.EPILOGUES[name].value
    assert len(cublaslt.EPILOGUES) == 10
    source = ['#include <stddef.h>', '#include <cublasLt.h>', *(
        f'_Static_assert({text} == {number}, "{text}");'
        for text, number in wanted.items())]
    (tmp_path / 'check.c').write_text('\n'.join(source))
    for name in ('cublasLt.h', 'cublas_api.h', 'library_types.h'):
        shutil.copy(folder / name, tmp_path)
    # What these include needs the compiler of CUDA; all that they use of it is here.
    for name, text in {'driver_types.h': 'typedef struct CUstream_st *cudaStream_t;',
                       'cuda_fp16.h': 'typedef struct { short bits; } __half;',
                       'cuda_bf16.h': 'typedef struct { short bits; } __nv_bfloat16;',
                       'cuComplex.h': 'typedef struct { float x, y; } cuComplex;'
                                      'typedef struct { double x, y; } cuDoubleComplex;'}.items():
        (tmp_path / name).write_text(text)
    result = subprocess.run(['gcc', '-fsyntax-only', '-w', f'-I{tmp_path}', tmp_path / 'check.c'],
                            capture_output=True, text=True)
    assert not result.returncode, result.stderr


@pytest.fixture
def real():
    """The installed library, as far as it works without a GPU; its own declared copy."""
    if not libraries.available('cublasLt'):
        pytest.skip('cublasLt is not installed: pip install nvidia-cublas')
    library = ctypes.CDLL(libraries.open_library('cublasLt')._name)
    reason = cublaslt.functools.partial(cublaslt._reason, library)
    return libraries.declare(library, 'cublasLt', cublaslt.PROTOTYPES, reason)


def attribute(library, kind, handle, number, dtype):
    """Return an attribute as the library has it, and how many bytes it wrote."""
    value, written = dtype(), ctypes.c_size_t()
    function = getattr(library, f'cublasLt{kind}GetAttribute')
    function.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t,
                         ctypes.c_void_p)
    assert function(handle, number, ctypes.byref(value), ctypes.sizeof(value),
                    ctypes.byref(written)) == 0
    return value.value, written.value


def described(trans_a=False, trans_b=True, epilogue='relu_mask_bias', **changes):
    arguments = operands(trans_a, trans_b, epilogue) | changes
    names = 'a', 'b', 'out', 'bias', 'mask', 'addend'
    return gemm.describe(*map(arguments.get, names), trans_a, trans_b, epilogue, 1 << 25)


def test_the_library_holds_the_description_of_an_operation(real):
    for compute in (68, 77):
        operation = cublaslt.describe_operation(real, described()._replace(compute=compute))
        for number, value, dtype in ((0, compute, c_int32), (1, 0, c_int32), (3, 1, c_int32),
                                     (4, 0, c_int32), (7, 134, c_uint32), (12, 128, c_int64)):
            assert attribute(real, 'MatmulDesc', operation, number, dtype) == (
                value, ctypes.sizeof(dtype)), number


def test_the_library_holds_the_addresses_of_bias_and_mask(real):
    plan = cublaslt.Plan.__new__(cublaslt.Plan)
    plan.library, plan.operation = real, cublaslt.describe_operation(real, described())
    plan.point_to(0x123456789abcde00, 0xfedcba9876543210)
    assert attribute(real, 'MatmulDesc', plan.operation, 8, c_uint64) == (0x123456789abcde00, 8)
    assert attribute(real, 'MatmulDesc', plan.operation, 11, c_uint64) == (0xfedcba9876543210, 8)


def test_the_library_holds_the_description_of_matrices(real):
    big = cublaslt.Matrix(14, 5, 7, 1 << 33, 3, 1 << 35, 256)   # past 32 bits
    layout = cublaslt.describe_matrix(real, big, 3)
    for number, value, dtype in ((0, 14, c_uint32), (1, 0, c_int32), (2, 7, c_uint64),
                                 (3, 5, c_uint64), (4, 1 << 33, c_int64), (5, 3, c_int32),
                                 (6, 1 << 35, c_int64)):
        assert attribute(real, 'MatrixLayout', layout, number, dtype) == (
            value, ctypes.sizeof(dtype)), number


def test_the_library_holds_the_preferences(real):
    with using_config('deterministic', True):
        preference = cublaslt.describe_preference(real, described())
    assert attribute(real, 'MatmulPreference', preference, 1, c_uint64) == (1 << 25, 8)
    assert attribute(real, 'MatmulPreference', preference, 3, c_uint32) == (2, 4)
    for number in (5, 6, 7, 8):
        value, written = attribute(real, 'MatmulPreference', preference, number, c_uint32)
        assert written == 4 and value in (16, 32, 64, 128, 256)


def test_the_library_refuses_an_attribute_of_a_wrong_width(real):
    operation = cublaslt.describe_operation(real, described())
    with pytest.raises(DeviceError, match='SetAttribute failed: CUBLAS_STATUS_INVALID_VALUE'):
        cublaslt._set(real.cublasLtMatmulDescSetAttribute, operation, 12, c_int32(128))


def test_the_library_tells_its_version(real):
    assert cublaslt.version() >= 120000


def test_without_a_gpu_there_is_an_error_of_ours(real):
    if cuda_available():
        pytest.skip('there is a GPU')
    with pytest.raises(DeviceError, match='cublasLtCreate failed: CUBLAS_STATUS_'):
        cublaslt.CublasLt(real)

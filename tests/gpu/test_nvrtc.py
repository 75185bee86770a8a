"""Every kernel compiled for every chip by NVRTC, the compiler that users have, without a GPU."""
import functools

import pytest

from minichain.errors import DeviceError
from minichain.gpu import nvrtc
from minichain.gpu.sources import KernelFile, file_of_kernels, kernel_files
from tests.gpu.registry import entries

CHIPS = (75, 80, 86, 89, 90, 100, 120)
ENTRIES = entries()


def missing():
    try:
        nvrtc.library()
    except DeviceError as error:
        return str(error)
    return None


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@functools.cache
def compiled(name, chip):
    return nvrtc.compile_file(kernel_files()[name], chip)


def too_expensive(name, needed, allowed):
    """Return what is wrong with the resources that a kernel needs, '' if nothing."""
    return (f'{name}: {needed.spilled} bytes spilled; ' * (needed.spilled > 0)
            + f'{name}: {needed.registers} registers, {allowed} allowed' * (
                needed.registers > allowed))


@pytest.mark.parametrize('chip', CHIPS)
@pytest.mark.parametrize('name', kernel_files())
def test_a_file_compiles_without_warnings_and_spills_nothing(name, chip):
    result = compiled(name, chip)
    assert 'warning' not in result.log and result.cubin[:4] == b'\x7fELF'
    found = nvrtc.resources(result.log)
    assert set(found) == set(kernel_files()[name].entry_points())
    for kernel, needed in sorted(found.items()):
        case, _ = ENTRIES[kernel]
        print(f'sm_{chip:<4} {kernel:<44} {needed.registers:>3} registers of '
              f'{case.registers:>3} {needed.shared:>6} bytes shared {needed.spilled:>3} spilled')
        assert not too_expensive(kernel, needed, case.registers)


def test_the_compiler_sees_parameters_as_wide_as_the_signature_says():
    for name, file in file_of_kernels().items():
        widths = tuple(parameter.size for parameter in file.entry_points()[name])
        assert nvrtc.parameter_sizes(compiled(file.name, 90).ptx)[name] == widths, name


def test_a_signature_read_wrongly_is_noticed():
    file = KernelFile('x.cu', 'extern "C" __global__ void k(float *x, float a) { *x = a; }', {})
    ptx = nvrtc.compile_file(file, 90).ptx
    assert nvrtc.parameter_sizes(ptx) == {'k': (8, 4)}
    wide = KernelFile('x.cu', file.text.replace('float a', 'double a'), {})
    assert nvrtc.parameter_sizes(nvrtc.compile_file(wide, 90).ptx) == {'k': (8, 8)}


def test_a_kernel_that_spills_is_noticed():
    """So many sums at once find no place in 32 registers."""
    text = """extern "C" __global__ void __launch_bounds__(1024, 2) k(float *x, int n) {
        float sums[64];
        #pragma unroll
        for (int j = 0; j < 64; j++) sums[j] = x[j * 1024 + threadIdx.x];
        for (int i = 0; i < n; i++) {
            #pragma unroll
            for (int j = 0; j < 64; j++) sums[j] = sums[j] * x[i] + sums[(j + 13) & 63];
        }
        #pragma unroll
        for (int j = 0; j < 64; j++) x[j * 1024 + threadIdx.x] = sums[j];
    }"""
    needed = nvrtc.resources(nvrtc.compile_file(KernelFile('x.cu', text, {}), 90).log)['k']
    assert needed.spilled > 0 and 'bytes spilled' in too_expensive('k', needed, 64)
    assert '40 allowed' in too_expensive('k', nvrtc.Resources(41, 0, 0), 40)
    assert not too_expensive('k', nvrtc.Resources(40, 0, 0), 40)


def test_an_error_in_a_kernel_is_reported_with_its_line():
    with pytest.raises(DeviceError, match=r'x\.cu does not compile for sm_90(.|\n)*x\.cu\(2\)'):
        nvrtc.compile_file(KernelFile('x.cu', '\nint f() { return y; }', {}), 90)


def test_a_chip_that_the_compiler_does_not_know_is_refused_with_those_that_it_knows():
    with pytest.raises(DeviceError, match='sm_90.*not for sm_34'):
        nvrtc.compile_file(KernelFile('x.cu', '', {}), 34)


def test_machine_code_is_kept_by_source_headers_and_chip(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    text = '#include "h.cuh"\nextern "C" __global__ void k(float *x) { *x = N; }'
    file = KernelFile('x.cu', text, {'h.cuh': '#define N 1'})
    path = nvrtc.cubin_path(file, 90)
    assert path.read_bytes()[:4] == b'\x7fELF' and tmp_path in path.parents
    with monkeypatch.context() as patch:
        patch.setattr(nvrtc, 'compile_file', None)
        assert nvrtc.cubin_path(file, 90) == path
    path.write_bytes(b'damaged')
    assert nvrtc.cubin_path(file, 90, anew=True) == path and path.read_bytes()[:4] == b'\x7fELF'
    others = {nvrtc.cubin_path(file, 80),
              nvrtc.cubin_path(file._replace(text=file.text + '\n'), 90),
              nvrtc.cubin_path(file._replace(headers={'h.cuh': '#define N 2'}), 90)}
    assert len(others | {path}) == 4
    assert not list(tmp_path.rglob('*.tmp'))

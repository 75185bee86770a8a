"""Shared libraries: where they are looked for, and what is said when one is missing or wrong."""
import ctypes
import subprocess
import sys
import types

import pytest

from minichain.errors import DeviceError
from minichain.gpu import libraries, nvrtc


def no_toolkit(monkeypatch):
    for name in ('CUDA_PATH', 'CUDA_HOME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(libraries, 'TOOLKIT', '/nowhere')


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(libraries.importlib.util, 'find_spec', lambda name: None)
    monkeypatch.setattr(libraries, 'LIBRARIES', {
        'cudnn': libraries.Library((99,), 'the-wheel')})
    no_toolkit(monkeypatch)
    libraries.open_library.cache_clear()
    yield
    libraries.open_library.cache_clear()


def test_a_missing_library_is_named_with_what_to_install(nothing_installed):
    with pytest.raises(DeviceError, match=r'cudnn: .*libcudnn\.so\.99.*pip install the-wheel'):
        libraries.open_library('cudnn')
    assert not libraries.available('cudnn')


def test_a_file_that_is_no_library_is_named(nothing_installed, monkeypatch, tmp_path):
    (tmp_path / 'lib64').mkdir()
    (tmp_path / 'lib64/libcudnn.so.99').write_bytes(b'no library')
    monkeypatch.setenv('CUDA_PATH', str(tmp_path))
    with pytest.raises(DeviceError, match=str(tmp_path / 'lib64/libcudnn.so.99')):
        libraries.open_library('cudnn')


def test_wheels_come_before_a_toolkit_and_that_before_the_system(monkeypatch, tmp_path):
    for file in ('nvidia/cu13/lib/libcublasLt.so.13', 'nvidia/cublas/lib/libcublasLt.so.12',
                 'toolkit/lib64/libcublasLt.so.13'):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path / 'nvidia')])
    monkeypatch.setattr(libraries.importlib.util, 'find_spec', lambda name: spec)
    no_toolkit(monkeypatch)
    monkeypatch.setenv('CUDA_PATH', str(tmp_path / 'toolkit'))

    def found(major):
        monkeypatch.setattr(libraries, '_cuda_major', lambda: major)
        return [path.replace(str(tmp_path), '') for path in libraries.candidates('cublasLt')]

    new = ['/nvidia/cu13/lib/libcublasLt.so.13', '/toolkit/lib64/libcublasLt.so.13']
    old = ['/nvidia/cublas/lib/libcublasLt.so.12']
    assert found(None) == found(13) == new + old + ['libcublasLt.so.13', 'libcublasLt.so.12']
    assert found(12) == old + new + ['libcublasLt.so.12', 'libcublasLt.so.13']


def test_a_toolkit_is_where_the_environment_says_then_where_it_is_usually(monkeypatch, tmp_path):
    monkeypatch.setattr(libraries.importlib.util, 'find_spec', lambda name: None)
    no_toolkit(monkeypatch)
    for name in ('usual', 'home', 'path'):
        (tmp_path / name / 'lib64').mkdir(parents=True)
        (tmp_path / name / 'lib64/libnvrtc.so.12').touch()
    monkeypatch.setattr(libraries, 'TOOLKIT', str(tmp_path / 'usual'))
    monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('CUDA_PATH', str(tmp_path / 'path'))
    assert [path.replace(str(tmp_path), '') for path in libraries.candidates('nvrtc')] == [
        f'/{name}/lib64/libnvrtc.so.12' for name in ('path', 'home', 'usual')] + [
            'libnvrtc.so.13', 'libnvrtc.so.12']


def test_nvrtc_that_is_missing_says_what_to_install(nothing_installed, monkeypatch):
    monkeypatch.setitem(libraries.LIBRARIES, 'nvrtc',
                        libraries.Library((99,), 'a wheel with a compiler'))
    nvrtc.library.cache_clear()
    with pytest.raises(DeviceError, match='nvrtc: .*pip install a wheel with a compiler'):
        nvrtc.library()


def test_a_function_that_is_missing_is_named():
    with pytest.raises(DeviceError, match='cudnn: .* has no function cudnnNoSuchThing'):
        libraries.declare(ctypes.CDLL(None), 'cudnn', {'cudnnNoSuchThing': ()}, str)


def test_declared_functions_refuse_other_types_and_raise_when_they_fail():
    library = libraries.declare(ctypes.CDLL(None), 'cudnn', {'abs': (ctypes.c_int,)},
                                lambda status: f'reason {status}')
    assert library.abs(0) is None
    with pytest.raises(DeviceError, match='cudnn: abs failed: reason 3'):
        library.abs(-3)
    with pytest.raises(ctypes.ArgumentError):
        library.abs(1.5)


def test_a_handle_is_destroyed_once_and_not_when_it_was_never_made():
    events = []

    def create(where, failing):
        if failing:
            raise DeviceError('no')
        where._obj.value = 7

    handle = libraries.Handle(create, lambda handle: events.append(handle.value), False)
    assert handle._as_parameter_.value == 7
    del handle
    assert events == [7]
    with pytest.raises(DeviceError):
        libraries.Handle(create, events.append, True)
    for_the_process = libraries.Handle(create, None, False)
    del for_the_process
    assert events == [7]


def test_no_library_is_opened_by_an_import():
    code = ('import ctypes, sys\n'
            'def refuse(*arguments, **options): raise SystemExit("a library was opened")\n'
            'import numpy\n'
            'ctypes.CDLL = refuse\n'
            'import minichain.gpu.gemm, minichain.gpu.cudnn, minichain.gpu.precision\n'
            'assert "cupy" not in sys.modules\n')
    subprocess.run([sys.executable, '-c', code], check=True)

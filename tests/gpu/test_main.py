import pytest

from minichain.backend import cuda_available
from minichain.gpu import __main__ as program
from minichain.gpu import nvrtc
from minichain.gpu.sources import kernel_files
from tests.gpu.test_nvrtc import missing


@pytest.mark.skipif(cuda_available(), reason='there is a GPU here')
def test_without_a_gpu_warming_up_says_what_is_missing(capsys):
    assert program.main(['warmup']) == 1
    assert 'a GPU was asked for, but CuPy' in capsys.readouterr().err


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_warming_up_compiles_every_file_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert program.main(['warmup', '--arch', '90']) == 0
    assert len(list(tmp_path.rglob('*.sm_90.*.cubin'))) == len(kernel_files())
    assert len(capsys.readouterr().out.splitlines()) == len(kernel_files())
    monkeypatch.setattr(nvrtc, 'compile_file', None)
    assert program.main(['warmup', '--arch', '90']) == 0

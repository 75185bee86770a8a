"""What several tests of GPU code start from."""
import pytest

from minichain.gpu import convolution, fastest
from minichain.gpu.simulator.machine import Simulator


@pytest.fixture
def launched(monkeypatch):
    """Return the names of the kernels that the simulator runs, a list that grows."""
    names, launch = [], Simulator.launch

    def noted(self, kernel, *arguments):
        names.append(kernel.name)
        launch(self, kernel, *arguments)
    monkeypatch.setattr(Simulator, 'launch', noted)
    return names


@pytest.fixture
def cudnn_is_chosen(monkeypatch):
    """Let cuDNN seem to be there and the faster way; return the keys of the choices, a list."""
    calls = []
    monkeypatch.setattr(convolution, '_cudnn_is_there', lambda: True)
    monkeypatch.setattr(convolution, 'MACHINES', {})
    for library in (convolution.cudnn, convolution.cublaslt):
        monkeypatch.setattr(library, 'version', lambda: 90000)
    monkeypatch.setattr(fastest, 'run', lambda key, ways: calls.append(key) or ways[1]())
    return calls

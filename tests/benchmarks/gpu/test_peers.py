import types

import pytest

from benchmarks.gpu import peers
from benchmarks.gpu.peers import MissingPeerError
from tests.benchmarks.gpu.fakes import Gpu

OPTIONS = types.SimpleNamespace(compile=True)


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu()
    torch = gpu.torch()
    monkeypatch.setattr(peers, 'find_peer', lambda name: torch)
    return gpu


def test_a_graph_is_captured_after_warm_ups_aside_and_then_replayed(gpu):
    def step():
        gpu.log.append('step')
        return 'results'
    replay = peers.forms(lambda: step, 'cuda:0', OPTIONS)[peers.GRAPH]()
    assert gpu.log == ['wait', 'aside begins', 'step', 'step', 'step', 'aside ends', 'wait',
                       'capture begins', 'step', 'capture ends']
    assert replay() == replay() == 'results' and gpu.log[-2:] == ['replay'] * 2


def test_a_graph_is_captured_on_the_stream_on_which_its_function_was_made(gpu):
    """Torch goes back on the stream on which it went forward: of another, nothing is captured."""
    def make():
        stream = gpu.streams[-1]

        def backward():
            assert gpu.streams[-1] is stream is not None
        return backward
    peers.forms(make, 'cuda:0', OPTIONS)[peers.GRAPH]()
    assert gpu.log[-1] == 'capture ends'


def test_what_warm_ups_changed_is_put_back(gpu):
    def step():
        gpu.log.append('step')
    step.reset = lambda: gpu.log.append('undone')
    step.read = lambda: 'what it did'
    for form in (peers.GRAPH, peers.COMPILED):
        function = peers.forms(lambda: step, 'cuda:0', OPTIONS)[form]()
        assert gpu.log[-1] == 'undone' and function.read() == 'what it did'
        assert function.reset is step.reset


def test_a_graph_wants_a_gpu(gpu):
    with pytest.raises(MissingPeerError, match='wants a GPU'):
        peers.graphed(None, 'cpu', None)


def test_torch_compile_is_there_if_it_was_asked_for(gpu):
    asked, not_asked = (peers.forms(lambda: len, 'cpu', types.SimpleNamespace(compile=compile))
                        for compile in (True, False))
    assert list(asked) == list(peers.FORMS) and list(not_asked) == list(peers.FORMS[:2])
    some, fewer = (peers.missing('why', peers.FORMS, types.SimpleNamespace(compile=compile))
                   for compile in (True, False))
    assert (list(some), list(fewer)) == (list(asked), list(not_asked))
    with pytest.raises(MissingPeerError, match='^why$'):
        some[peers.TORCH]()


def test_the_place_of_tensors_is_the_device_s_or_there_is_a_reason(gpu, monkeypatch):
    assert peers.place_of('cuda') == ('cuda:0', None) and peers.place_of('sim') == ('cpu', None)
    assert peers.place_of('cuda:1') == ('cuda:1', None)
    peers.find_peer('torch').cuda.is_available = lambda: False
    assert peers.place_of('cuda') == (None, 'torch 9 sees no GPU; install its build for CUDA')
    monkeypatch.setattr(peers, 'find_peer', lambda name: None)
    assert peers.place_of('cuda') == (None, 'torch is not installed: pip install torch')


@pytest.mark.parametrize('precision, word, tf32', [('float32', 'highest', False),
                                                   ('tf32', 'high', True), ('bf16', 'high', True)])
def test_both_libraries_multiply_alike_and_torch_does_as_before_afterwards(
        gpu, precision, word, tf32):
    cudnn = peers.find_peer('torch').backends.cudnn
    cudnn.allow_tf32 = not tf32
    with peers.settled(precision):
        assert gpu.log == [word] and cudnn.allow_tf32 == tf32 and cudnn.benchmark
    assert gpu.log == [word, 'medium'] and cudnn.allow_tf32 != tf32 and not cudnn.benchmark


def test_without_torch_nothing_is_settled(monkeypatch):
    monkeypatch.setattr(peers, 'find_peer', lambda name: None)
    with peers.settled('bf16'):
        pass

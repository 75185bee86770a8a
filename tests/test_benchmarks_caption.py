"""Benchmarks of the captioner: all libraries compute the same, and a peer may be absent."""
import sys

import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks import caption_step, decode, lstm_step, optimizers
from benchmarks.comparison import as_arrays, largest_gap
from minichain import links as L
from minichain.vocabulary import BOS, EOS, UNK

QUICK = main.parse_arguments(['--quick'])
SMALL = 7, 9, 40, 5     # embedding, LSTM, vocabulary, batch


@pytest.fixture
def torch():
    return pytest.importorskip('torch', reason='PyTorch is the peer')


def test_every_way_to_write_the_caption_step_learns_the_same(torch):
    functions = caption_step.make_functions(*SMALL)
    assert list(functions) == ['minichain', *caption_step.PEERS]
    for _ in range(3):      # updates
        ours = as_arrays(functions['minichain']())
        for peer in caption_step.PEERS:
            assert largest_gap(ours, as_arrays(functions[peer]())) < 1e-3, peer


def test_the_arithmetic_of_a_caption_step_is_counted_as_by_hand():
    _, ids = caption_step.draw(5, 40)
    tokens = sum(len(caption) - 1 for caption in ids)
    forward = tokens * (7 * 36 + 9 * 36 + 9 * 40) * 2 + 5 * 2048 * 7 * 2
    features_need_no_gradient = 5 * 2048 * 7 * 2
    assert caption_step.flop(*SMALL) == 3 * forward - features_need_no_gradient


@pytest.mark.parametrize('shortest', [4, 9])
def test_every_way_to_run_an_lstm_has_the_same_gradients(torch, shortest):
    np.random.seed(0)
    lstm, sizes = L.StatelessLSTM(3, 5), lstm_step.batch_sizes_of(6, shortest, 9)
    assert sizes[0] == 6 and sizes == sorted(sizes, reverse=True) and len(sizes) == 9
    x, weights = (np.random.randn(sum(sizes), n).astype('float32') for n in (3, 5))
    expected = as_arrays(lstm_step.ours(lstm, x, weights, sizes)())
    for peer, function in lstm_step.torch_functions(lstm, x, weights, sizes).items():
        assert largest_gap(expected, as_arrays(function())) < 1e-5, peer


@pytest.mark.parametrize('beam', [1, 4])
def test_both_libraries_say_the_same_captions(torch, beam):
    from benchmarks.torch_captioner import TorchCaptioner
    from benchmarks.torch_steps import search
    model = decode.make_model((60, 8, 6, 10))
    x = np.random.RandomState(0).standard_normal((5, 8)).astype('float32')
    words, log_p = decode.ours(model, model.step, x, beam)()
    assert words.shape == (5, decode.LENGTH)
    theirs = search(TorchCaptioner(model).eval(), x, BOS, EOS, decode.LENGTH, beam, [UNK, BOS])
    np.testing.assert_array_equal(words, theirs[0].numpy())
    np.testing.assert_allclose(log_p, theirs[1].numpy(), rtol=1e-5)


@pytest.mark.parametrize('name', optimizers.RULES)
@pytest.mark.parametrize('clip', [None, .5])
def test_both_libraries_update_alike(torch, name, clip):
    ours, my_arguments, theirs, their_arguments, _ = optimizers.RULES[name]
    mine = optimizers.ours(ours, my_arguments, [(5, 3), (4,)], clip)
    other = optimizers.with_torch(theirs, their_arguments, [(5, 3), (4,)], clip)
    for _ in range(4):
        assert largest_gap(as_arrays(mine()), as_arrays(other())) < 1e-5


@pytest.mark.parametrize('case', [caption_step, lstm_step, decode, optimizers])
def test_without_torch_the_peers_are_shown_as_missing(case, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)     # import torch raises ImportError
    monkeypatch.setattr('benchmarks.timing.WINDOW', 0)
    monkeypatch.setattr('benchmarks.timing.SHORTEST', 0)
    table = case.run(QUICK)
    column = table.columns.index('/ torch')
    assert table.rows and all(row[column] == 'missing' for row in table.rows)
    assert any('pip install torch' in note for note in table.notes)

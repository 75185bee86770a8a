import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain.onnx.exporting import export
from tests.onnx.exporting.running import RUNNERS, expect_same, operators, run

RANDOM = np.random.default_rng(6)


def floats(*shape):
    return RANDOM.standard_normal(shape, 'f')


@pytest.mark.parametrize('runner', RUNNERS)
def test_an_lstm_is_an_lstm(runner):
    link = L.LSTM(3, 4)
    proto = expect_same(lambda x: (link.reset_state(), link(x))[1], floats(2, 3), runner,
                        chain=link)
    assert operators(proto) == ['Unsqueeze', 'LSTM', 'Squeeze']


def test_links_with_a_state_begin_without_one_and_keep_theirs():
    link = L.LSTM(3, 4)
    link.set_state(floats(7, 4), floats(7, 4))
    before, x = (link.c, link.h), floats(2, 3)
    proto = export(link, x)
    assert link.c is before[0] and link.h is before[1]
    link.reset_state()
    np.testing.assert_allclose(run(proto, {'x': x})[0], link(x).array, atol=1e-6)


@pytest.mark.parametrize('runner', RUNNERS)
def test_steps_of_an_lstm_share_its_weights(runner):
    link = L.LSTM(3, 4)

    def three_steps(x):
        link.reset_state()
        for t in range(3):
            y = link(x[:, t])
        return y, link.c
    proto = expect_same(three_steps, floats(2, 3, 3), runner, chain=link)
    assert operators(proto).count('LSTM') == 3
    names = [weight.name for weight in proto.graph.initializer]
    assert {'upward/W_iofc', 'lateral/W_iofc', 'upward/b_iofc'} <= set(names)
    assert sum('W_iofc' in name for name in names) == 2


@pytest.mark.parametrize('runner', RUNNERS)
def test_states_given_as_inputs(runner):
    proto = expect_same(L.StatelessLSTM(3, 4), (floats(2, 4), floats(2, 4), floats(2, 3)), runner)
    assert 'LSTM' in operators(proto)
    assert [i.name for i in proto.graph.input] == ['c', 'h', 'x']


@pytest.mark.parametrize('runner', RUNNERS)
def test_the_function_alone_is_written_out(runner):
    expect_same(F.lstm, (floats(2, 4), floats(2, 16)), runner)
    expect_same(F.lstm, (floats(2, 4, 3), floats(2, 16, 3)), runner)
    expect_same(F.lstm, (floats(3, 4), floats(2, 16)), runner, batch_axis=None)


@pytest.mark.parametrize('runner', RUNNERS)
def test_whole_sequences_of_one_length(runner):
    link = L.StatelessLSTM(3, 4)

    def whole(x):
        n = x.shape[0]
        return link.sequence(x.transpose(1, 0, 2).reshape(-1, 3), [n] * 5)
    proto = expect_same(whole, floats(2, 5, 3), runner, chain=link)
    assert operators(proto).count('LSTM') == 1


@pytest.mark.parametrize('with_state', [False, True])
def test_packed_sequences_of_several_lengths(with_state):   # none for the reference evaluator
    link = L.StatelessLSTM(3, 4)
    state = floats(4, 4) if with_state else None
    proto = expect_same(lambda x: link.sequence(x, [4, 2, 1], state, state), floats(7, 3),
                        'onnxruntime', chain=link, batch_axis=None)
    assert operators(proto).count('LSTM') == 1


@pytest.mark.parametrize('name', ['NStepLSTM', 'NStepBiLSTM', 'NStepGRU', 'NStepBiGRU',
                                  'NStepRNNTanh', 'NStepBiRNNReLU'])
def test_layers_over_sequences(name):
    link = getattr(L, name)(2, 3, 4, .5)
    states = [None, None] if 'LSTM' in name else [None]
    proto = expect_same(lambda *xs: link(*states, list(xs)),
                        (floats(2, 3), floats(4, 3), floats(1, 3)), 'onnxruntime', chain=link,
                        batch_axis=None)
    assert ('LSTM' in operators(proto)) == ('LSTM' in name)

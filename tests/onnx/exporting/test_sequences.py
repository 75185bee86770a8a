"""Links of several layers over sequences of several lengths, there and back again."""
import numpy as np
import pytest

import minichain.links as L
from tests.onnx.exporting.running import expect_same, operators

RANDOM = np.random.default_rng(0)
NAMES = [f'NStep{way}{cell}' for way in ('', 'Bi')
         for cell in ('LSTM', 'GRU', 'RNNTanh', 'RNNReLU')]


def floats(*shape):
    return RANDOM.standard_normal(shape, 'f')


@pytest.mark.parametrize('runner', ['onnxruntime', 'minichain'])
@pytest.mark.parametrize('name', NAMES)
def test_sequences_in_any_order(name, runner):
    link = getattr(L, name)(2, 3, 4, .5)
    states = [None, None] if 'LSTM' in name else [None]
    expect_same(lambda *xs: link(*states, list(xs)), (floats(2, 3), floats(4, 3), floats(1, 3)),
                runner, chain=link, batch_axis=None)


@pytest.mark.parametrize('runner', ['onnxruntime', 'minichain'])
@pytest.mark.parametrize('name', NAMES)
def test_states_that_are_inputs(name, runner):
    link = getattr(L, name)(1, 3, 4, .5)
    states = tuple(floats(2 if 'Bi' in name else 1, 2, 4)
                   for _ in range(2 if 'LSTM' in name else 1))
    expect_same(lambda *given: link(*given[:len(states)], list(given[len(states):])),
                (*states, floats(3, 3), floats(2, 3)), runner, chain=link, batch_axis=None)


def test_an_lstm_is_written_as_one_in_each_direction():
    link = L.NStepBiLSTM(1, 3, 4, 0)
    proto = expect_same(lambda x, y: link(None, None, [x, y]), (floats(3, 3), floats(3, 3)),
                        'onnxruntime', chain=link, batch_axis=None)
    assert operators(proto).count('LSTM') == 2

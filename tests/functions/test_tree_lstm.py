import numpy as np
import pytest

from minichain.errors import InvalidType
from minichain.functions import tree_lstm
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(*inputs):
    *cells, x = inputs
    H = cells[0].shape[1]
    c = np.tanh(x[:, :H]) * sigmoid(x[:, H:2 * H])
    for k, cell in enumerate(cells, 3):
        c = c + cell * sigmoid(x[:, k * H:(k + 1) * H])
    return c, np.tanh(c) * sigmoid(x[:, 2 * H:3 * H])


@pytest.mark.parametrize('children', [1, 2, 3])
def test_a_node_with_children(children):
    check_function(tree_lstm, [RANDOM.randn(2, 2) for _ in range(children)]
                   + [RANDOM.randn(2, (3 + children) * 2)], reference)


def test_what_does_not_fit_is_refused():
    c, x = RANDOM.randn(2, 2), RANDOM.randn(2, 10)
    with pytest.raises(InvalidType, match='at least one cell state'):
        tree_lstm(x)
    with pytest.raises(InvalidType, match=r'x.shape \(2, 8\) expected, got \(2, 10\)'):
        tree_lstm(c, x)
    with pytest.raises(InvalidType, match=r'c2.shape \(2, 2\) expected, got \(1, 2\)'):
        tree_lstm(c, c[:1], x)

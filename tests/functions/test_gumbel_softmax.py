import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import gumbel_softmax
from tests.functions.check import check_function

LOG_PI = np.random.RandomState(0).uniform(-1, 1, (2, 3))


@pytest.mark.parametrize('axis', [0, 1])
def test_gradients_of_a_repeated_draw(axis):
    def draw(log_pi):
        np.random.seed(0)
        return gumbel_softmax(log_pi, .8, axis)

    def reference(log_pi):
        np.random.seed(0)
        y = np.exp((log_pi + np.random.gumbel(size=log_pi.shape)) / .8)
        return y / y.sum(axis=axis, keepdims=True)
    check_function(draw, [LOG_PI], reference, gpu=False)   # the stand-in draws by itself


def test_cold_samples_are_drawn_as_often_as_the_probabilities_say():
    np.random.seed(0)
    p = np.array([.1, .3, .6], 'float32')
    y = gumbel_softmax(np.tile(np.log(p), (20000, 1)), 1e-3)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.array.mean(axis=0), p, atol=.01)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match='tau > 0'):
        gumbel_softmax(LOG_PI, 0)
    with pytest.raises(InvalidType, match='axis'):
        gumbel_softmax(LOG_PI, axis=2)

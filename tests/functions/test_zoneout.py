import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import zoneout
from tests.functions.check import check_function

H, X = np.random.RandomState(0).uniform(-1, 1, (2, 3, 4))


def test_elements_are_kept_or_taken():
    def draw(h, x):
        np.random.seed(0)
        return zoneout(h, x, .5)

    def reference(h, x):
        np.random.seed(0)
        return np.where(np.random.rand(3, 4) < .5, h, x)
    check_function(draw, [H, X], reference, gpu=False)   # the stand-in draws by itself


def test_the_share_that_is_kept_is_the_ratio():
    np.random.seed(0)
    y = zoneout(np.ones((100, 100), 'float32'), np.zeros((100, 100), 'float32'), .3)
    assert abs(y.array.mean() - .3) < .02
    np.testing.assert_array_equal(zoneout(H, X, 0).array, X)
    np.testing.assert_array_equal(zoneout(H, X, 1).array, H)


def test_the_new_state_is_returned_unless_training():
    x = Variable(X)
    with minichain.using_config('train', False):
        assert zoneout(H, x, .5) is x


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match='0 <= ratio <= 1'):
        zoneout(H, X, 1.1)
    with pytest.raises(InvalidType, match='one shape'):
        zoneout(H[0], X)

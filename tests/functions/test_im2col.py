import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


@pytest.mark.parametrize('options', [
    {'ksize': 2}, {'ksize': (3, 2), 'stride': (2, 1), 'pad': (1, 0)},
    {'ksize': 2, 'stride': 3, 'cover_all': True}, {'ksize': 2, 'dilate': 2}], ids=str)
def test_columns_times_weights_are_a_convolution(options):
    random = np.random.RandomState(0)
    x = random.uniform(-1, 1, (2, 2, 5, 4))
    kh, kw = options['ksize'] if isinstance(options['ksize'], tuple) else (options['ksize'],) * 2
    columns = F.im2col(x, **options)
    W = random.uniform(-1, 1, (3, 2, kh, kw))
    others = {name: value for name, value in options.items() if name != 'ksize'}
    np.testing.assert_allclose(np.einsum('or,nrhw->nohw', W.reshape(3, -1), columns.array),
                               F.convolution_2d(x, W, **others).array, atol=1e-12)
    check_function(lambda x: F.im2col(x, **options), [x[:1]])


def test_channels_come_before_taps():
    x = np.arange(8.).reshape(1, 2, 2, 2)
    np.testing.assert_array_equal(F.im2col(x, 2).array.ravel(), np.arange(8))


def test_other_operands_are_refused():
    with pytest.raises(InvalidType, match='4 axes'):
        F.im2col(np.ones((1, 2, 2)), 1)

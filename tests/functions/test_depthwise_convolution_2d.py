import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


def test_every_channel_is_filtered_by_its_own_filters():
    random = np.random.RandomState(0)
    x, W, b = (random.uniform(-1, 1, shape) for shape in ((2, 2, 3, 3), (3, 2, 2, 2), (6,)))

    def reference(x, W, b):
        parts = [F.convolution_2d(x[:, [c]], W[[m]][:, [c]], pad=1).array
                 for c in range(2) for m in range(3)]
        return np.concatenate(parts, axis=1) + b.reshape(6, 1, 1)

    check_function(lambda x, W, b: F.depthwise_convolution_2d(x, W, b, pad=1), [x, W, b],
                   reference)


def test_channels_that_do_not_meet_are_refused():
    with pytest.raises(InvalidType, match=r'W.shape\[1\] == x.shape\[1\].*\(1, 2, 3, 3\)'):
        F.depthwise_convolution_2d(np.ones((1, 2, 3, 3)), np.ones((1, 3, 2, 2)))

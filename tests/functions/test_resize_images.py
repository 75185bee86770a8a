import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('shape', [(3, 2), (7, 6), (4, 5), (9, 3)], ids=str)
def test_bilinear_is_torchs_with_two_orders_of_gradients(shape, align_corners):
    torch = pytest.importorskip('torch', reason='torch is the reference here')

    def reference(x):
        return torch.nn.functional.interpolate(
            torch.tensor(x), shape, mode='bilinear', align_corners=align_corners).numpy()

    check_function(lambda x: F.resize_images(x, shape, align_corners=align_corners),
                   [RANDOM.uniform(-1, 1, (1, 2, 4, 5))], reference)


@pytest.mark.parametrize('shape', [(1, 2), (7, 10), (3, 4)], ids=str)
def test_nearest_picks_pixels(shape):
    check_function(lambda x: F.resize_images(x, shape, mode='nearest'),
                   [RANDOM.uniform(-1, 1, (1, 2, 3, 5))],
                   lambda x: x[:, :, [i * 3 // shape[0] for i in range(shape[0])]]
                   [..., [i * 5 // shape[1] for i in range(shape[1])]])


def test_a_single_pixel():
    x = np.arange(12.).reshape(1, 1, 3, 4)
    assert F.resize_images(x, (1, 1)).item() == 0               # the first corner
    assert F.resize_images(x, (1, 1), align_corners=False).item() == 5.5   # the middle
    assert (F.resize_images(x[..., :1, 1:2], (2, 3)).array == 1).all()


def test_options_that_are_not_allowed_are_refused():
    with pytest.raises(InvalidArgument, match='cubic'):
        F.resize_images(np.ones((1, 1, 2, 2)), (2, 2), mode='cubic')
    with pytest.raises(InvalidArgument, match='output_shape'):
        F.resize_images(np.ones((1, 1, 2, 2)), (0, 2))

import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('reach', [.9, 1.7], ids=['inside', 'beyond'])
def test_sampler_is_torchs_with_two_orders_of_gradients(reach):
    torch = pytest.importorskip('torch', reason='torch is the reference here')

    def reference(x, grid):
        return torch.nn.functional.grid_sample(
            torch.tensor(x), torch.tensor(grid.transpose(0, 2, 3, 1)), padding_mode='zeros',
            align_corners=True).numpy()

    check_function(F.spatial_transformer_sampler,
                   [RANDOM.uniform(-1, 1, (2, 2, 4, 3)),
                    RANDOM.uniform(-reach, reach, (2, 2, 3, 2))], reference,
                   dtypes=('float32', 'float64'))


def test_points_far_outside_are_zeros():
    grid = np.full((1, 2, 1, 1), 1e30)
    assert F.spatial_transformer_sampler(np.ones((1, 1, 2, 2)), grid).item() == 0


def test_the_grid_of_the_identity_runs_from_minus_one_to_one():
    y = F.spatial_transformer_grid(np.array([[[1., 0, 0], [0, 1, 0]]]), (3, 2)).array[0]
    np.testing.assert_array_equal(y[0], [[-1, 1]] * 3)
    np.testing.assert_array_equal(y[1], [[-1, -1], [0, 0], [1, 1]])


def test_the_grid_is_torchs_with_two_orders_of_gradients():
    torch = pytest.importorskip('torch', reason='torch is the reference here')

    def reference(theta):
        grid = torch.nn.functional.affine_grid(torch.tensor(theta), (2, 1, 3, 4), True)
        return grid.numpy().transpose(0, 3, 1, 2)

    check_function(lambda theta: F.spatial_transformer_grid(theta, (3, 4)),
                   [RANDOM.uniform(-1, 1, (2, 2, 3))], reference)


def test_operands_that_do_not_fit_are_refused():
    with pytest.raises(InvalidType, match=r'theta.shape \(any, 2, 3\)'):
        F.spatial_transformer_grid(np.ones((2, 3)), (2, 2))
    with pytest.raises(InvalidType, match=r'grid.shape \(2, 2, any, any\)'):
        F.spatial_transformer_sampler(np.ones((2, 1, 3, 3)), np.ones((1, 2, 3, 3)))

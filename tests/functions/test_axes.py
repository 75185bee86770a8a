import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

X = np.random.RandomState(0).randn(2, 1, 3, 1)


@pytest.mark.parametrize('function, reference', [
    (lambda x: F.expand_dims(x, 2), lambda x: x[:, :, None]),
    (lambda x: F.expand_dims(x, -1), lambda x: x[..., None]),
    (F.squeeze, np.squeeze),
    (lambda x: F.squeeze(x, -1), lambda x: x[..., 0]),
    (lambda x: F.squeeze(x, (1, 3)), np.squeeze),
    (F.flatten, np.ravel),
    (lambda x: F.swapaxes(x, 0, -2), lambda x: np.swapaxes(x, 0, -2)),
    (lambda x: F.moveaxis(x, 0, 2), lambda x: np.moveaxis(x, 0, 2)),
    (lambda x: F.moveaxis(x, (0, -1), (1, 0)), lambda x: np.moveaxis(x, (0, -1), (1, 0))),
    (lambda x: F.rollaxis(x, 2), lambda x: np.rollaxis(x, 2)),
    (lambda x: F.rollaxis(x, 0, 3), lambda x: np.rollaxis(x, 0, 3)),
    (lambda x: F.rollaxis(x, 0, 4), lambda x: np.rollaxis(x, 0, 4)),
    (lambda x: F.rollaxis(x, -1, -3), lambda x: np.rollaxis(x, -1, -3)),
])
def test_axes_move_as_in_numpy(function, reference):
    check_function(function, [X], reference)


@pytest.mark.parametrize('apply, message', [
    (lambda x: F.expand_dims(x, 5), 'expand_dims: axis'), (lambda x: F.squeeze(x, 0), 'length 1'),
    (lambda x: F.swapaxes(x, 0, 4), 'axis2'), (lambda x: F.moveaxis(x, (0, 1), 2), 'as many'),
    (lambda x: F.rollaxis(x, 0, 5), 'start')])
def test_axes_that_are_not_there_are_refused(apply, message):
    with pytest.raises(InvalidType, match=message):
        apply(X)

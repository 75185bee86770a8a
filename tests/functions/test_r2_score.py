import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import r2_score

TRUE = np.array([[1., 5], [2, 5], [3, 5]])
PRED = np.array([[1., 4], [2, 5], [4, 5]])


def test_scores_computed_by_hand():
    assert r2_score(PRED, TRUE, multioutput='raw_values').array.tolist() == [.5, 0]
    assert r2_score(PRED, TRUE).array == .25
    assert r2_score(TRUE[:, 0], TRUE[:, 0]).array == 1


def test_the_mean_as_a_prediction_explains_nothing():
    assert r2_score(np.full(3, 2.), TRUE[:, 0]).array == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match="'all'"):
        r2_score(PRED, TRUE, multioutput='all')
    with pytest.raises(InvalidArgument, match='sample_weight'):
        r2_score(PRED, TRUE, sample_weight=PRED)
    with pytest.raises(InvalidType, match='one shape'):
        r2_score(PRED[0], TRUE)

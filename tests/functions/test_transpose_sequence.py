import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('lengths', [(3, 2, 2, 1), (2, 2), (3, 0), (1,)])
@pytest.mark.parametrize('rest', [(), (2,)])
def test_time_and_sequences_change_places(lengths, rest):
    xs = [RANDOM.randn(n, *rest) for n in lengths]
    check_function(lambda *xs: F.transpose_sequence(xs), xs, lambda *xs: [
        np.stack([x[t] for x in xs if len(x) > t]) for t in range(len(xs[0]))])


def test_nothing_gives_nothing():
    assert F.transpose_sequence([]) == ()


def test_rising_lengths_are_refused():
    with pytest.raises(InvalidType, match=r'\[1, 2\]'):
        F.transpose_sequence([np.ones(1), np.ones(2)])

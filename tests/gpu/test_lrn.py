"""Local response normalization beyond its formula: what is refused, long walks, wide windows."""
import numpy as np
import pytest

from minichain.errors import InvalidArgument
from minichain.gpu.lrn import lrn_backward, lrn_forward
from minichain.gpu.simulator import simulation
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def test_how_many_channels_a_thread_takes_changes_no_bit(monkeypatch):
    x, gy = np.random.default_rng(0).standard_normal((2, 1, 40, 3)).astype(np.float32)
    results = set()
    for walk in (1, 7, 64):
        monkeypatch.setattr('minichain.gpu.lrn.WALK', walk)
        y = x.copy()
        with simulation('random', walk):
            lrn_forward(x, y)
        results.add(y.tobytes())
        gx = [np.full_like(x, np.nan), np.full_like(x, np.nan)]
        for order, out in zip(('forward', 'reverse'), gx):
            with simulation(order):
                lrn_backward(x, gy, out)
        assert np.array_equal(*gx)
    assert len(results) == 1


def test_a_window_may_be_wider_than_the_channels_are_many():
    x = np.full((1, 2, 1), 3, np.float32)
    y, gx = np.zeros_like(x), np.zeros_like(x)
    lrn_forward(x, y, n=41, k=7, alpha=.5, beta=.5)
    lrn_backward(x, np.ones_like(x), gx, n=41, k=7, alpha=.5, beta=.5)
    assert np.allclose(y, 3 / 4) and np.allclose(gx, 1 / 4 - .5 * 3 * 6 / 64)


@pytest.mark.parametrize('options, message', [({'n': 0}, 'n of at least 1'), ({'k': 0}, 'k above'),
                                              ({'n': 999}, 'too large for shared memory')])
def test_what_has_no_result_is_refused(options, message):
    x = np.zeros((1, 600, 30), np.float32)
    with pytest.raises(InvalidArgument, match=message):
        lrn_backward(x, x.copy(), x.copy(), **options)

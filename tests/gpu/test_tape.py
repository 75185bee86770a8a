"""Steps recorded on the device 'sim': undone after recording, done again on the same memory."""
import numpy as np
import pytest

import minichain
from minichain.gpu.simulator.arrays import xp
from minichain.gpu.simulator.tape import recording

sim = minichain.get_device('sim')


def normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def arithmetic(x, w):
    y = 2 * x + w
    w -= .5 * y
    return y, w.sum(), -y.T, y > 0


def views(x, w):
    x[1:3] *= 2
    w[...] = x.reshape(-1)[:6].reshape(2, -1)[:, 1:].sum()
    w[xp.array([0, 2])] += x[[3, 1]]
    return x[::2].copy(), w[0]


def outputs(x, w):
    y = xp.empty_like(x)
    xp.multiply(x, x, out=y)
    xp.add.at(w, xp.array([0, 0, 1]), 1)
    w.fill(3)
    xp.copyto(w, y)
    return xp.split(y, 2), xp.linalg.norm(y), list(y[0])


@pytest.mark.parametrize('step', [arithmetic, views, outputs])
def test_a_replay_does_what_the_step_does_to_the_arrays_that_it_was_recorded_with(step):
    x, w = sim.send(normal(4, 3)), sim.send(normal(4, 3))
    before = x.get(), w.get()
    with recording() as tape:
        results = step(x, w)
    assert len(tape) > 2
    np.testing.assert_array_equal(x.get(), before[0])
    np.testing.assert_array_equal(w.get(), before[1])
    for number in range(3):
        given = normal(4, 3) + number, normal(4, 3) * number
        x[...], w[...] = map(sim.send, given)
        expected = [sim.send(given[0]), sim.send(given[1])]
        expected += [step(*expected)]
        tape.replay()
        for one, other in zip(leaves([x, w, results]), leaves(expected)):
            np.testing.assert_array_equal(one, other)


def leaves(tree):
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree.get()]

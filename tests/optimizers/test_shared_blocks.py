"""Blocks of a large parameter that threads share give the bits that one thread gives."""
import numpy as np
import pytest

import minichain
from minichain import optimizers
from minichain.optimizers import _elementwise


@pytest.mark.parametrize('make', [optimizers.Adam, optimizers.MomentumSGD, optimizers.RMSprop])
def test_two_threads_give_what_one_gives(make, monkeypatch):
    monkeypatch.setattr(_elementwise, 'BLOCK', 1000)
    source = np.random.default_rng(0)
    start, gradients = source.standard_normal(4321), source.standard_normal((3, 4321))
    found, parts = [], []

    def in_two(work, items, cost):
        parts.append(len(items))
        work(items[len(items) // 2:])
        work(items[:len(items) // 2])

    for share in (lambda work, items, cost: work(items), in_two):
        monkeypatch.setattr(_elementwise, 'share', share)
        link = minichain.Link()
        with link.init_scope():
            link.x = minichain.Parameter(start.astype('float32'))
        optimizer = make().setup(link)
        for gradient in gradients.astype('float32'):
            link.x.grad = gradient
            optimizer.update()
        found.append(link.x.array.copy())
    np.testing.assert_array_equal(*found)
    assert parts == [5, 5, 5] and abs(found[0] - start).max() > 1e-4

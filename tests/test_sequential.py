"""Sequential: calls, numbers of links as Chainer gives them, editing, copies."""
import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import Chain, ChainList, Sequential
from minichain.errors import InvalidType


def sizes(link):
    return [(path, child.out_size) for path, child in link.namedlinks(skipself=True)]


def layers(*out_sizes):
    return [L.Linear(None, size) for size in out_sizes]


def test_items_are_called_one_after_another():
    first, second = L.Linear(3, 2), L.Linear(2, 4)
    x = np.random.RandomState(0).randn(5, 3).astype('f')
    model = Sequential(first, F.relu, second)
    np.testing.assert_array_equal(model(x).array, second(F.relu(first(x))).array)
    assert Sequential(lambda x: (x, x), lambda x, y: x + y)(2) == 4
    assert Sequential(lambda x, y: (y, x))(1, 2) == (2, 1)


def test_links_are_numbered_as_in_files_of_chainer():
    """Observed of Chainer 7.8.1: later links stand right behind the first one's place."""
    a, b, c, d = layers(1, 2, 3, 4)
    assert sizes(Sequential(a, b, c)) == [('/0', 1), ('/1', 3), ('/2', 2)]
    assert sizes(Sequential(a, F.relu, b, F.relu, c)) == [('/0', 1), ('/1', 3), ('/2', 2)]
    assert sizes(Sequential(F.relu, a, F.relu, b)) == [('/0', 1), ('/1', 2)]
    assert sizes(Sequential(F.relu, a, b, c, d)) == [('/0', 1), ('/1', 2), ('/2', 4), ('/3', 3)]


def test_numbers_follow_every_change():
    a, b, c = layers(1, 2, 3)
    model = Sequential(a, F.relu)
    model.append(b)
    assert sizes(model) == [('/0', 1), ('/1', 2)]
    del model[0]
    assert sizes(model) == [('/0', 2)]
    model[1] = c
    assert sizes(model) == [('/0', 3)] and len(model) == 2 and c.name == '0'
    assert list(model + model) == [F.relu, c, F.relu, c]
    with pytest.raises(InvalidType, match='link or function'):
        model.append(3)


def test_repetitions_are_items_with_values_of_their_own():
    block = Sequential(L.Linear(3, 3), F.tanh)
    model = block.repeat(2)
    assert [path for path, _ in model.namedparams()] == ['/0/0/W', '/0/0/b', '/1/0/W', '/1/0/b']
    assert not np.array_equal(model[0][0].W.array, model[1][0].W.array)
    assert len(model.flatten()) == 4 and len(block.repeat(0)) == 0
    shared = L.Linear(3, 3).repeat(2, mode='share')
    assert shared[0].W.array is shared[1].W.array and shared[0].W is not shared[1].W


def test_running_averages_are_repeated_not_shared():
    first, second = L.BatchNormalization(3).repeat(2)
    first(np.arange(12, dtype='f').reshape(4, 3))
    assert first.avg_mean.any() and not second.avg_mean.any()


def test_items_are_counted_and_removed_by_type():
    model = Sequential(L.Linear(1), F.relu, L.Linear(2), F.relu)
    assert model.count_by_layer_type('Linear') == model.count_by_layer_type('relu') == 2
    model.remove_by_layer_type('relu')
    assert [type(layer) for layer in model] == [L.Linear, L.Linear]


def test_a_link_with_two_names_is_saved_under_both():
    chain = Chain()
    with chain.init_scope():
        chain.a = chain.b = L.Linear(2, 1)
    assert [path for path, _ in chain.namedparams()] == ['/a/W', '/a/b', '/b/W', '/b/b']
    link = L.Linear(2, 1)
    assert [path for path, _ in ChainList(link, link).namedlinks()] == ['/', '/0', '/1']

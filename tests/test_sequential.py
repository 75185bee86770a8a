"""Sequential: items in a row, links and functions alike."""
import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import Sequential
from minichain.errors import InvalidType

X = np.array([[1., -2.]], 'f')


def test_items_run_in_order_and_tuples_become_arguments():
    model = Sequential(lambda a, b: (a + b, a - b), lambda s, d: (s, d, 1), lambda *xs: xs[:2])
    s, d = model(np.float32(3), np.float32(1))
    assert (s, d) == (4, 2)
    assert Sequential(lambda x: (x * 2,))(3) == 6 and Sequential()(3) == 3


def test_links_have_paths_by_their_position_among_links():
    model = Sequential(L.Linear(2, 3), F.relu, L.Linear(3, 1))
    assert [path for path, _ in model.namedparams()] == ['/0/W', '/0/b', '/1/W', '/1/b']
    assert list(model.children()) == [model[0], model[2]] and len(model) == 3
    y = model(X)
    expected = np.maximum(X @ model[0].W.array.T + model[0].b.array, 0) @ model[2].W.array.T
    np.testing.assert_allclose(y.array, expected + model[2].b.array, rtol=1e-6)
    model.insert(0, F.tanh)
    assert model[1].name == '0' and model[3].name == '1'
    model.insert(0, L.Linear(2, 2))
    assert [link.name for link in model.children()] == ['0', '1', '2']


def test_what_cannot_be_called_is_refused():
    for add in (lambda: Sequential(3), lambda: Sequential().append('relu'),
                lambda: Sequential().insert(0, None)):
        with pytest.raises(InvalidType, match='link or function expected'):
            add()


def test_two_are_joined_and_nested_ones_flattened():
    a, b = Sequential(L.Linear(2, 2), F.relu), Sequential(L.Linear(2, 1))
    joined = a + b
    assert type(joined) is Sequential and list(joined) == [*a, *b]
    nested = Sequential(a, F.tanh, Sequential(b, Sequential()))
    assert list(nested.flatten()) == [a[0], F.relu, F.tanh, b[0]]
    assert len(nested) == 3


def test_items_are_counted_and_removed_by_the_name_of_their_type():
    model = Sequential(L.Linear(2, 2), F.relu, L.Linear(2, 2), F.relu, F.tanh)
    assert model.count_by_layer_type('Linear') == 2 == model.count_by_layer_type('relu')
    model.remove_by_layer_type('Linear')
    model.remove_by_layer_type('relu')
    assert list(model) == [F.tanh] and model.count_by_layer_type('Linear') == 0


def test_a_repeated_sequential_nests_its_copies_as_in_chainer():
    model = Sequential(L.Linear(2, 2), F.relu)
    twice = model.repeat(2)
    assert [path for path, _ in twice.namedparams()] == ['/0/0/W', '/0/0/b', '/1/0/W', '/1/0/b']
    assert (twice[0][0].W.array != twice[1][0].W.array).all()
    shared = model.repeat(2, mode='share')
    assert shared[0][0].W.array is model[0].W.array is shared[1][0].W.array
    assert shared[0][1] is F.relu


def test_copies_have_lists_of_their_own():
    model = Sequential(L.Linear(2, 2), F.relu)
    clone = model.copy()
    clone.append(F.tanh)
    assert len(model) == 2 and clone[0] is not model[0]
    assert clone[0].W.array is model[0].W.array and clone[1] is F.relu


def test_it_shows_its_items():
    lines = str(Sequential(L.Linear(2, 2), F.relu)).splitlines()
    assert lines[0] == 'Sequential(' and 'Linear' in lines[1] and 'relu' in lines[2]

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from tests.onnx.exporting.running import RUNNERS, expect_same, operators

X = np.random.default_rng(3).standard_normal((4, 3, 6), 'f')
SHAPES = {
    'reshape': lambda x: x.reshape(-1, 2).reshape(x.shape[0], 3, 3, 2),
    'rows merged': lambda x: F.linear(x, np.ones((2, 6), 'f'), n_batch_axes=2),
    'two open axes': lambda x: F.concat((x, x), 0).reshape(2, x.shape[0], 18),
    'transpose': lambda x: (x.transpose(2, 0, 1), F.transpose(x), F.swapaxes(x, -1, 0)),
    'axes': lambda x: F.squeeze(F.expand_dims(x, 1), 1),
    'broadcast': lambda x: F.broadcast_to(x[:, :1], x.shape) + F.broadcast_to(x[0, 0], x.shape),
    'concat': lambda x: (F.concat((x, x * 2)), F.stack((x, -x), 1), F.hstack((x, x))),
    'split': lambda x: (F.split_axis(x, [1, 4], 2), F.split_axis(x, 3, 1)),
    'split of rows': lambda x: F.split_axis(F.concat((x, -x), 0), 2, 0),
    'separate': lambda x: F.separate(x, 1),
    'permutate': lambda x: F.permutate(x, np.array([2, 0, 1]), 1),
    'sums': lambda x: (F.sum(x), F.sum(x, 1), F.sum(x, (0, 2), keepdims=True), F.mean(x, 2)),
    'extremes': lambda x: (F.max(x, 1), F.min(x, (1, 2), keepdims=True), F.prod(x, 2)),
    'cumsum': lambda x: F.cumsum(x, 1),
    'sum_to': lambda x: F.sum_to(x, (3, 1)),
}
INDEXES = {
    'numbers': np.s_[:, 1], 'negative': np.s_[:, -1], 'slices': np.s_[:, 1:, -2:],
    'backwards': np.s_[:, ::-1, 4:1:-2], 'new axes': np.s_[:, None, 1, ..., None],
    'a row': np.s_[0], 'rows behind the first': np.s_[1:], 'an array': np.s_[:, [0, 2, 0]],
    'a matrix': np.s_[..., np.array([[0, 1], [5, -1]])], 'two arrays': np.s_[:, [0, 1], [5, 2]],
    'arrays apart': np.s_[[0, 1], :, [5, 2]], 'a number and an array': np.s_[:, 1, [3, 4]],
    'a slice and an array': np.s_[:, 1:, [3, 4]],
}


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('name', SHAPES)
def test_shapes_follow_the_batch(name, runner):
    expect_same(SHAPES[name], X, runner, rows=(1, 5))


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('name', INDEXES)
def test_indexes(name, runner):
    expect_same(lambda x: x[INDEXES[name]], X, runner, rows=(2, 5))


@pytest.mark.parametrize('runner', RUNNERS)
def test_a_slice_up_to_the_batch_size_takes_all(runner):
    proto = expect_same(lambda x: -x[:x.shape[0]], X, runner)
    assert operators(proto) == ['Neg']


@pytest.mark.parametrize('runner', RUNNERS)
def test_elements_picked_by_an_input(runner):
    expect_same(F.select_item, (X[..., 0].copy(), np.array([0, 2, 1, 1])), runner)


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('dtype', ['int32', 'int64', 'uint8'])
def test_ids_are_inputs_and_the_ignored_one_gives_zeros(dtype, runner):
    ids = np.array([[1, 2], [0, 6]], dtype)
    expect_same(L.EmbedID(7, 3), ids, runner)
    proto = expect_same(L.EmbedID(7, 3, ignore_label=2), ids, runner)
    assert 'W' in [weight.name for weight in proto.graph.initializer]
    if dtype != 'uint8':
        expect_same(L.EmbedID(7, 3, ignore_label=-1), np.array([1, -1, 6], dtype), runner)

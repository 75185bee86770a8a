import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from minichain.functions.shift import Shift
from minichain.functions.windows import slide
from minichain.onnx.exporting import export
from tests.onnx.exporting.running import RUNNERS, expect_same, operators

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((4, 3, 6), 'f')
PADS = {
    'zeros': lambda x: F.pad(x, ((0, 0), (1, 2), (0, 3)), 'constant'),
    'a number': lambda x: F.pad(x, ((0, 0), (1, 0), (2, 2)), 'constant', constant_values=-7.5),
    'a number for each side': lambda x: F.pad(
        x, ((0, 0), (1, 2), (3, 1)), 'constant', constant_values=((9, 9), (1, 2), (3, 4))),
    'rows': lambda x: F.pad(x, ((1, 2), (0, 0), (0, 0)), 'constant')[1:-2],
    'edge': lambda x: F.pad(x, ((0, 0), (1, 2), (0, 3)), 'edge'),
    'reflect': lambda x: F.pad(x, ((0, 0), (1, 2), (0, 3)), 'reflect'),
    'symmetric': lambda x: F.pad(x, ((0, 0), (1, 2), (0, 3)), 'symmetric'),
    'wrap': lambda x: F.pad(x, ((0, 0), (1, 2), (0, 3)), 'wrap'),
}


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('name', PADS)
def test_pads(name, runner):
    expect_same(PADS[name], X, runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_sequences_are_filled_up(runner):
    sequences = tuple(RANDOM.standard_normal((n, 2), 'f') for n in (2, 4, 1))
    expect_same(lambda *xs: (F.pad_sequence(xs), F.pad_sequence(xs, 5, -1)), sequences, runner,
                batch_axis=None)


@pytest.mark.parametrize('runner', RUNNERS)
def test_sequences_are_turned_into_steps(runner):
    sequences = tuple(RANDOM.standard_normal((n, 2), 'f') for n in (4, 3, 1))
    expect_same(lambda *xs: F.transpose_sequence(xs), sequences, runner, batch_axis=None)


def test_sequences_as_long_as_the_batch_are_refused():
    with pytest.raises(InvalidArgument, match='batch'):
        export(lambda x: F.pad_sequence([x]), X)


@pytest.mark.parametrize('runner', RUNNERS)
def test_flips(runner):
    expect_same(lambda x: (F.flip(x, 1), F.flip(x, -1), F.fliplr(x), F.flipud(x)), X, runner)


@pytest.mark.parametrize('runner', ['onnxruntime', 'minichain'])
@pytest.mark.parametrize('options', [{}, {'dilate': 2}, {'ksize': (1, 3)}])
@pytest.mark.parametrize('channels', [3, 11])
def test_shifts_are_convolutions(channels, options, runner):
    x = RANDOM.standard_normal((2, channels, 5, 6), 'f')
    proto = expect_same(lambda x: F.shift(x, **options), x, runner)
    assert operators(proto) == ['Conv']
    windows = slide('', (5, 6), 3, 1, 1)
    expect_same(lambda x: Shift(windows, True).apply((x,))[0], x, runner)


SCATTERED = {
    'numbers': (np.s_[:, 1], (4, 6)), 'slices': (np.s_[:, 1:, ::2], (4, 2, 3)),
    'repeated': (np.s_[:, [0, 2, 0]], (4, 3, 6)), 'last': (np.s_[..., [5, 5]], (4, 3, 2)),
    'two arrays': (np.s_[:, [0, 1, 0], [5, 2, 5]], (4, 3)),
    'new axes': (np.s_[:, None, 2], (4, 1, 6)),
}


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('name', SCATTERED)
def test_adding_at_fixed_places_of_every_row(name, runner):
    index, shape = SCATTERED[name]
    expect_same(lambda x, y: F.scatter_add(x, index, y),
                (X, RANDOM.standard_normal(shape, 'f')), runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_adding_at_places_that_are_inputs(runner):
    t, y = np.array([0, 2, -1, 1]), RANDOM.standard_normal((4, 6), 'f')
    expect_same(lambda x, y, t: F.scatter_add(x, (np.arange(len(t)), t), y), (X, y, t), runner)
    table = np.zeros((3, 6), 'f')
    expect_same(lambda y, t: F.scatter_add(table, t, y), (y, np.array([0, 2, 0, 1])), runner)
    expect_same(lambda y, t: F.scatter_add(table, (t[:, None], np.array([0, 5])), y),
                (y[:, :2].copy(), np.array([0, 2, 0, 1])), runner)
    expect_same(lambda x, y: F.scatter_add(x, np.s_[1:, [0, 2], 3], y), (X, X[1:, :2, 3].copy()),
                runner, batch_axis=None)
    expect_same(lambda x, y: F.scatter_add(x, (), y), (y, y), runner, batch_axis=None)


def test_adding_where_no_operator_does_is_refused():
    with pytest.raises(InvalidArgument, match='among the rows of the batch'):
        export(lambda x, y: F.scatter_add(x, np.s_[:2], y), (X, X[:2].copy()),
               batch_axis={'x': 0})
    with pytest.raises(InvalidArgument, match='on both sides of a slice'):
        export(lambda x, y: F.scatter_add(F.stack((x, x), 3), np.s_[:, [0, 1], :, [0, 1]], y),
               (X, X[:, :2].swapaxes(0, 1).copy()), batch_axis={'x': 0, 'y': 1})
    with pytest.raises(InvalidArgument, match='a mask picks'):
        export(lambda x, y: F.scatter_add(x, y[:, 0, 0].array > 0, x[y[:, 0, 0].array > 0]),
               (X, X), batch_axis=None)
    with pytest.raises(InvalidArgument, match='opset 16'):
        export(lambda x, y: F.scatter_add(x, 0, y), (X, X[0]), batch_axis=None, opset=15)

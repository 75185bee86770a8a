"""Shapes, cuts and pads beyond what the onnx package generates cases for."""
import numpy as np
import pytest

import minichain as mc
from minichain.errors import DataError
from tests.onnx.building import load, run

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BIGGEST, SMALLEST = np.iinfo(np.int64).max, np.iinfo(np.int64).min


def ints(*values):
    return np.array(values, np.int64)


def gradient(op_type, x, *inputs, **keywords):
    """Of the sum of squares of the outputs with respect to the first input."""
    net, x = load(op_type, (x, *inputs), **keywords), mc.Variable(x)
    results = net(x, *(y for y in inputs if y is not None))
    sum(mc.functions.sum(y * y) for y in results).backward()
    return x.grad


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'int64', 'uint8', 'bool', 'float16'])
def test_reshape_takes_its_shape_from_an_input_or_the_attribute_of_old_models(dtype):
    x = X.astype(dtype)
    for y in (run('Reshape', x, ints(0, -1, 2), opset=13), run('Reshape', x, opset=1,
                                                               shape=[0, -1, 2])):
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x.reshape(2, 6, 2))


def test_reshape_keeps_lengths_of_zero_or_asks_for_them():
    x = np.zeros((0, 3, 4), np.float32)
    assert run('Reshape', x, ints(0, 12)).shape == (0, 12)
    assert run('Reshape', x, ints(3, 0, 7), allowzero=1).shape == (3, 0, 7)
    with pytest.raises(DataError, match='same axis of the input'):
        run('Reshape', X, ints(2, 3, 4, 0))
    with pytest.raises(mc.errors.MinichainError, match='24 elements'):
        run('Reshape', X, ints(5, -1))


@pytest.mark.parametrize('axis, shape', [(0, (1, 24)), (1, (2, 12)), (3, (24, 1)), (-1, (6, 4))])
def test_flatten_makes_a_matrix_at_any_axis(axis, shape):
    np.testing.assert_array_equal(run('Flatten', X, axis=axis), X.reshape(shape))


def test_flatten_refuses_an_axis_outside():
    with pytest.raises(DataError, match='axis 4'):
        run('Flatten', X, axis=4)


def test_axes_of_squeeze_and_unsqueeze_are_attributes_or_inputs():
    x = X.reshape(1, 2, 1, 12)
    assert run('Squeeze', x, opset=11, axes=[0]).shape == (2, 1, 12)
    assert run('Squeeze', x, ints(-2, 0)).shape == (2, 12)
    assert run('Squeeze', x, opset=6).shape == (2, 12)
    assert run('Unsqueeze', X, opset=11, axes=[0, 4]).shape == (1, 2, 3, 4, 1)
    assert run('Unsqueeze', X, ints(-1, 0)).shape == (1, 2, 3, 4, 1)
    assert run('Unsqueeze', np.float32(3), ints(0)).shape == (1,)
    with pytest.raises(DataError, match='length 1'):
        run('Squeeze', x, ints(1))
    with pytest.raises(DataError, match='repeat'):
        run('Unsqueeze', X, ints(0, 0))


def test_expand_broadcasts_both_ways_and_refuses_absurd_sizes():
    x = np.array([[1], [2]], np.int32)
    np.testing.assert_array_equal(run('Expand', x, ints(3, 1, 2)), x * np.ones((3, 1, 2), int))
    assert run('Expand', X, ints(1)).shape == X.shape
    with pytest.raises(DataError, match='damaged'):
        run('Expand', x, ints(1 << 40, 2, 1))


def test_tile_of_the_first_operator_set_repeats_one_axis():
    np.testing.assert_array_equal(
        run('Tile', X, np.array([2], np.float32), np.array([1], np.float32), opset=1),
        np.tile(X, (1, 2, 1)))
    np.testing.assert_array_equal(run('Tile', X, ints(1, 0, 2)), np.tile(X, (1, 0, 2)))
    with pytest.raises(DataError, match='damaged'):
        run('Tile', X, ints(1 << 30, 1, 1 << 30))


@pytest.mark.parametrize('dtype', ['float32', 'int32', 'bool'])
def test_concat_joins_empty_parts_and_old_models_join_along_channels(dtype):
    x = X.astype(dtype)
    np.testing.assert_array_equal(run('Concat', x, x[:, :0], x[:, 1:], axis=-2),
                                  np.concatenate([x, x[:, 1:]], 1))
    np.testing.assert_array_equal(run('Concat', x, x, opset=1), np.concatenate([x, x], 1))
    with pytest.raises(DataError, match='one type'):
        run('Concat', X, X.astype('float64'), axis=0)


def test_split_sizes_come_from_an_attribute_an_input_or_the_number_of_outputs():
    parts = run('Split', X, opset=2, n_outputs=2, axis=2, split=[1, 3])
    np.testing.assert_array_equal(parts[1], X[:, :, 1:])
    parts = run('Split', X, ints(0, 3), n_outputs=2, axis=-2)
    assert [part.shape for part in parts] == [(2, 0, 4), (2, 3, 4)]
    parts = run('Split', np.arange(7), opset=18, n_outputs=3, num_outputs=3)
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6]]
    np.testing.assert_array_equal(run('Split', X, opset=11, n_outputs=2, axis=2)[0], X[..., :2])
    for keywords in ({'opset': 11, 'n_outputs': 2, 'axis': 1}, {'n_outputs': 2, 'num_outputs': 3}):
        with pytest.raises(DataError):
            run('Split', X, **keywords)
    with pytest.raises(DataError, match='add up to 2'):
        run('Split', X, ints(3, -1), n_outputs=2)


@pytest.mark.parametrize('start, end, step, expected', [
    (BIGGEST, SMALLEST, -1, slice(None, None, -1)), (-2, BIGGEST, 1, slice(-2, None)),
    (-100, 2, 1, slice(0, 2)), (3, 0, -2, slice(3, 0, -2)), (5, 9, 1, slice(4, 4)),
    (2, -100, -1, slice(2, None, -1))])
def test_slices_clip_at_the_ends(start, end, step, expected):
    for x in (X, X.astype('int32')):
        y = run('Slice', x, ints(start), ints(end), ints(-1), ints(step))
        np.testing.assert_array_equal(y, x[:, :, expected])


def test_slices_of_old_models_have_attributes():
    np.testing.assert_array_equal(
        run('Slice', X, opset=1, starts=[1, -2], ends=[BIGGEST, BIGGEST], axes=[0, 2]),
        X[1:, :, -2:])
    np.testing.assert_array_equal(run('Slice', X, opset=9, starts=[0, 1], ends=[1, 3]),
                                  X[:1, 1:])
    with pytest.raises(DataError):
        run('Slice', X, ints(0), ints(3), ints(0), ints(0))


PADS = (0, 1, 2, 1, 1, 0)       # before each of three axes, then behind


@pytest.mark.parametrize('mode', ['constant', 'edge', 'reflect', 'wrap'])
@pytest.mark.parametrize('dtype', ['float32', 'int64'])
def test_pads_of_all_modes(mode, dtype):
    x = X.astype(dtype)
    expected = np.pad(x, ((0, 1), (1, 1), (2, 0)), mode)
    np.testing.assert_array_equal(run('Pad', x, ints(*PADS), mode=mode), expected)
    if dtype == 'float32' and mode != 'wrap':
        np.testing.assert_array_equal(run('Pad', x, opset=2, pads=PADS, mode=mode), expected)
        np.testing.assert_array_equal(run('Pad', x, opset=1, paddings=PADS, mode=mode), expected)


def test_pads_take_a_value_axes_and_cut_off_where_they_are_negative():
    x = X.astype('int32')
    np.testing.assert_array_equal(
        run('Pad', x, ints(-1, 2), np.int32(7), ints(-1)),
        np.pad(x[:, :, 1:], ((0, 0), (0, 0), (0, 2)), constant_values=7))
    np.testing.assert_array_equal(run('Pad', X, opset=2, pads=[0, 0, 0, 0, 0, 1], value=2.5),
                                  np.pad(X, ((0, 0), (0, 0), (0, 1)), constant_values=2.5))
    np.testing.assert_array_equal(
        run('Pad', X, ints(0, -1, 0, 0, 0, 3), mode='reflect'),
        np.pad(X[:, 1:], ((0, 0), (0, 0), (0, 3)), 'reflect'))
    with pytest.raises(DataError, match='cut off more'):
        run('Pad', X, ints(0, -4, 0, 0, 4, 0))
    with pytest.raises(DataError, match='damaged'):
        run('Pad', X, ints(0, 0, 0, 0, 0, BIGGEST))
    with pytest.raises(DataError, match='something to repeat'):
        run('Pad', X[:0], ints(1, 0, 0, 0, 0, 0), mode='edge')


def test_sequences_are_reversed_as_far_as_they_go():
    x = X.reshape(4, 3, 2)
    y = run('ReverseSequence', x, ints(0, 1, 4), time_axis=0, batch_axis=1)
    expected = x.copy()
    expected[:, 2] = x[::-1, 2]
    np.testing.assert_array_equal(y, expected)
    by_batch = run('ReverseSequence', x.transpose(1, 0, 2), ints(0, 1, 4), time_axis=1,
                   batch_axis=0)
    np.testing.assert_array_equal(by_batch, expected.transpose(1, 0, 2))
    with pytest.raises(DataError, match='lengths from 0 to 4'):
        run('ReverseSequence', x, ints(0, 1, 5))


def test_compress_keeps_what_a_condition_of_any_length_names():
    condition = np.array([False, True])
    np.testing.assert_array_equal(run('Compress', X, condition, axis=2), X[:, :, 1:2])
    np.testing.assert_array_equal(run('Compress', X, condition), [1])
    np.testing.assert_array_equal(run('Compress', X[:1], np.array([True, True, True]), axis=0),
                                  X[:1])


@pytest.mark.parametrize('op_type, inputs, keywords', [
    ('Reshape', (ints(6, 4),), {}), ('Transpose', (), {'perm': [2, 0, 1]}),
    ('Slice', (ints(2), ints(SMALLEST), ints(1), ints(-2)), {}), ('Pad', (ints(*PADS),), {}),
    ('Flatten', (), {}), ('Unsqueeze', (ints(0),), {}), ('Compress', (X[:, 0, 0] >= 0,),
                                                         {'axis': 0}),
    ('Split', (ints(1, 2), ), {'axis': 1, 'n_outputs': 2}), ('Identity', (), {}),
    ('ReverseSequence', (ints(1, 2, 2),), {})])
def test_gradients_come_back_to_where_the_values_were(op_type, inputs, keywords):
    """The sum of squares of what is picked has the gradient 2 x where it is, 0 elsewhere."""
    taken = np.isin(X, np.concatenate([np.ravel(y) for y in np.atleast_1d(
        run(op_type, X, *inputs, **keywords))] if keywords.get('n_outputs', 1) == 1 else [
            np.ravel(y) for y in run(op_type, X, *inputs, **keywords)]))
    np.testing.assert_array_equal(gradient(op_type, X, *inputs, **keywords), 2 * X * taken)


@pytest.mark.parametrize('op_type, second, times', [
    ('Expand', ints(5, 2, 3, 4), 5), ('Tile', ints(1, 2, 3), 6)])
def test_gradients_of_copies_add_up(op_type, second, times):
    np.testing.assert_array_equal(gradient(op_type, X, second), 2 * times * X)


def test_zero_axes_stay_zero_axes():
    x = np.float32(2)
    assert run('Transpose', x).shape == () == run('Squeeze', x).shape
    assert run('Reshape', x, np.zeros(0, np.int64)).shape == ()
    assert run('Flatten', x, axis=0).shape == (1, 1)
    assert run('Tile', x, np.zeros(0, np.int64)) == 2
    assert run('Pad', x, np.zeros(0, np.int64)) == 2

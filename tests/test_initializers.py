"""Initializers: draws equal those of NumPy's own generator, widths follow the papers."""
import math

import numpy as np
import pytest

import minichain
from minichain import initializers
from minichain.errors import InvalidArgument
from tests import strict_cupy

WIDTHS = {   # of weights (out, in): fan_in 60 and fan_out 40 for the shape below
    'LeCunNormal': ('normal', math.sqrt(1 / 60)),
    'GlorotNormal': ('normal', math.sqrt(2 / 100)),
    'HeNormal': ('normal', math.sqrt(2 / 60)),
    'Normal': ('normal', .05),
    'LeCunUniform': ('uniform', math.sqrt(3 / 60)),
    'GlorotUniform': ('uniform', math.sqrt(6 / 100)),
    'HeUniform': ('uniform', math.sqrt(6 / 60)),
    'Uniform': ('uniform', .05),
}
SHAPE = (2, 3, 4, 5)
RANDOM = [*WIDTHS, 'Orthogonal']


def filled(initializer, shape, dtype='float64'):
    array = np.full(shape, 7, dtype)
    initializer(array)
    return array


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
@pytest.mark.parametrize('name', WIDTHS)
def test_arrays_are_the_draws_of_numpy_s_global_state_in_the_width_of_the_paper(name, dtype):
    kind, width = WIDTHS[name]
    random = np.random.RandomState(5)
    expected = (random.normal(0, width, SHAPE) if kind == 'normal'
                else random.uniform(-width, width, SHAPE))
    np.random.seed(5)
    array = filled(getattr(initializers, name)(), SHAPE, dtype)
    assert array.dtype == dtype
    np.testing.assert_allclose(array, expected, rtol=2e-3 if dtype == 'float16' else 1e-6)


@pytest.mark.parametrize('name', RANDOM)
def test_scale_is_a_factor_and_a_generator_replaces_the_global_state(name):
    kind = getattr(initializers, name)
    before = np.random.get_state()[1].copy()
    one, three = (filled(kind(scale, rng=np.random.RandomState(1)), (4, 4)) for scale in (1, 3))
    np.testing.assert_allclose(three, 3 * one, rtol=1e-12)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    new = [filled(kind(rng=np.random.default_rng(2)), (4, 4)) for _ in range(2)]
    np.testing.assert_array_equal(*new)


def test_he_normal_can_follow_the_number_of_outputs():
    drawn = [filled(initializers.HeNormal(fan_option=option, rng=np.random.RandomState(0)), SHAPE)
             for option in ('fan_in', 'fan_out')]
    np.testing.assert_allclose(drawn[1], drawn[0] * math.sqrt(60 / 40))
    with pytest.raises(InvalidArgument, match="got 'fan'"):
        initializers.HeNormal(fan_option='fan')


@pytest.mark.parametrize('name', [name for name in WIDTHS if name not in ('Normal', 'Uniform')])
def test_a_vector_has_no_fans_and_the_message_says_so(name):
    with pytest.raises(InvalidArgument, match=r'at least two dimensions.*\(3,\)'):
        getattr(initializers, name)()(np.zeros(3))


@pytest.mark.parametrize('name', ['LeCunNormal', 'GlorotNormal', 'HeNormal', 'LeCunUniform',
                                  'GlorotUniform', 'HeUniform'])
@pytest.mark.parametrize('shape', [(3, 0), (0, 3), (0, 0, 3, 3)])
def test_weights_of_no_inputs_or_outputs_are_made(name, shape):
    array = np.empty(shape, 'float32')
    getattr(initializers, name)()(array)
    assert array.shape == shape


def test_fans_count_the_kernel():
    assert initializers.get_fans((2, 3)) == (3, 2)
    assert initializers.get_fans((2, 3, 4, 5)) == (60, 40)


@pytest.mark.parametrize('shape', [(3, 5), (5, 3), (4, 4), (3, 2, 2, 2), (6, 2, 2), (3,), ()])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_orthogonal_rows_or_columns_have_length_scale(shape, dtype):
    array = filled(initializers.Orthogonal(2.), shape, dtype)
    matrix = array.reshape(len(array) if array.ndim else 1, -1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    np.testing.assert_allclose(matrix @ matrix.T, 4 * np.eye(len(matrix)), atol=1e-5)


def test_orthogonal_matrices_are_spread_evenly():
    """The signs are random: without correction qr has the same sign in every first column."""
    initializer = initializers.Orthogonal(1, rng=np.random.RandomState(0))
    mean = np.mean([filled(initializer, (3, 3)) for _ in range(2000)], axis=0)
    assert np.abs(mean).max() < .06   # five standard deviations of such a mean


@pytest.mark.parametrize('mode, shape', [('projection', (5, 3)), ('embedding', (3, 5)),
                                         ('basis', (3, 5)), ('basis', (3,))])
def test_orthogonal_refuses_a_shape_that_its_mode_does_not_allow(mode, shape):
    with pytest.raises(InvalidArgument, match=mode):
        initializers.Orthogonal(mode=mode)(np.zeros(shape))


def test_orthogonal_refuses_other_modes_and_empty_arrays():
    with pytest.raises(InvalidArgument, match="got 'q'"):
        initializers.Orthogonal(mode='q')
    with pytest.raises(InvalidArgument, match='without zeros'):
        initializers.Orthogonal()(np.zeros((3, 0)))


def test_constants():
    for name, value in (('Zero', 0), ('One', 1), ('NaN', np.nan)):
        np.testing.assert_array_equal(filled(getattr(initializers, name)(), (2, 3)),
                                      np.full((2, 3), value))
        assert getattr(initializers, name)(dtype='float16').dtype == 'float16'
    np.testing.assert_array_equal(filled(initializers.Constant(2.5), (2,)), [2.5, 2.5])
    np.testing.assert_array_equal(filled(initializers.Constant(np.arange(3.)), (3,)), [0, 1, 2])
    np.testing.assert_array_equal(filled(initializers.Identity(3), (2, 2)), [[3, 0], [0, 3]])
    for shape in ((2, 3), (2, 2, 2), (2,)):
        with pytest.raises(InvalidArgument, match='square'):
            initializers.Identity()(np.zeros(shape))


@pytest.mark.parametrize('size', [3, 4, 5, 6])
def test_the_upsampling_filter_interpolates_a_ramp(size):
    """A transposed convolution, written as the sum of shifted filters, keeps a ramp straight."""
    filters = filled(initializers.UpsamplingDeconvFilter(), (2, 2, size))
    np.testing.assert_array_equal(filters[0, 1], 0)
    np.testing.assert_array_equal(filters[0, 0], filters[1, 1])
    stride, ramp = (size + 1) // 2, np.arange(8.)
    enlarged = np.zeros(stride * 8 + size)
    for i, value in enumerate(ramp):
        enlarged[i * stride:i * stride + size] += value * filters[0, 0]
    inner = enlarged[size:-2 * size]
    np.testing.assert_allclose(np.diff(inner), 1 / stride)


@pytest.mark.parametrize('size', [3, 4, 5, 6])
def test_the_downsampling_filter_sums_to_one_and_is_the_product_of_the_axes(size):
    line = filled(initializers.DownsamplingConvFilter(), (1, 1, size))[0, 0]
    plane = filled(initializers.DownsamplingConvFilter(), (1, 1, size, size))[0, 0]
    np.testing.assert_allclose(line.sum(), 1)
    np.testing.assert_allclose(plane, line[:, None] * line)


@pytest.mark.parametrize('shape', [(2, 3, 4, 4), (2, 2, 3, 5), (2, 2)])
def test_resampling_filters_refuse_other_shapes(shape):
    for kind in (initializers.UpsamplingDeconvFilter, initializers.DownsamplingConvFilter):
        with pytest.raises(InvalidArgument, match='one kernel size'):
            kind()(np.zeros(shape))
        with pytest.raises(InvalidArgument, match="got 'nearest'"):
            kind('nearest')


def test_get_initializer_takes_what_links_take():
    assert isinstance(initializers.get_initializer(None), initializers.LeCunNormal)
    assert initializers._get_initializer is initializers.get_initializer
    assert initializers.get_initializer(3).fill_value == 3
    one = initializers.One()
    assert initializers.get_initializer(one) is one
    with pytest.raises(InvalidArgument, match='got str'):
        initializers.get_initializer('xavier')


def test_generated_arrays_have_the_dtype_asked_for_then_the_initializer_s_then_the_default():
    generate = initializers.generate_array
    assert generate(initializers.Zero(), (2,), np).dtype == 'float32'
    assert generate(initializers.Zero('float64'), (2,), np).dtype == 'float64'
    assert generate(initializers.Zero('float64'), (2,), np, dtype='float16').dtype == 'float16'
    with minichain.using_config('dtype', np.dtype('float64')):
        assert generate(initializers.HeNormal(), (2, 3), np).dtype == 'float64'


@pytest.mark.parametrize('name', [*RANDOM, 'Zero', 'One', 'NaN', 'Identity',
                                  'UpsamplingDeconvFilter', 'DownsamplingConvFilter'])
@pytest.mark.parametrize('rng', [None, 3])
def test_on_a_gpu_arrays_are_made_there_or_carried_there(name, rng):
    options = {'rng': np.random.RandomState(rng)} if rng and name in RANDOM else {}
    shape = (3, 3, 4) if name.endswith('Filter') else (4, 4)
    results = []
    with strict_cupy.installed() as cupy:
        for xp in (np, cupy):
            np.random.seed(0)
            if options:
                options['rng'].seed(rng)
            results.append(initializers.generate_array(
                getattr(initializers, name)(**options), shape, xp, dtype='float32'))
        assert isinstance(results[1], cupy.ndarray)
        np.testing.assert_allclose(results[1].get(), results[0], rtol=1e-6)

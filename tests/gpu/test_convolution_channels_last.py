"""Convolution of images with channels last: by products, and by cuDNN where it may."""
import numpy as np
import pytest

import minichain
from minichain.configuration import using_config
from minichain.functions import convolution_arrays
from minichain.gpu import convolution_channels_last, cudnn_convolution
from minichain.gpu.convolution_channels_last import Filters, convolve
from minichain.gpu.precision import from_bfloat16, to_bfloat16
from minichain.gpu.simulator.builder import missing
from tests.gpu.image_cases import CONVOLUTIONS

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
sim = minichain.get_device('sim')
DTYPES = {'float32': 1e-5, 'uint16': 2e-2}      # and how far from float64


def stored(x, dtype):
    return to_bfloat16(x) if dtype == 'uint16' else x


def wide(shape, dtype):
    """Return results with room for seven more channels, full of NaN."""
    return stored(np.full((*shape[:-1], shape[-1] + 7), np.nan, np.float32), dtype)


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('dtype', DTYPES)
def test_some_channels_of_wider_images_give_some_of_wider_results_and_no_other_matters(
        dtype, bias, relu):
    for x, W, b, _, windows, groups in CONVOLUTIONS:
        b = b if bias else None
        expected = convolution_arrays.convolve.body(*(
            None if each is None else each.astype(np.float64) for each in (x, W, b)), windows,
            groups).transpose(0, 2, 3, 1)
        expected = np.maximum(expected, 0) if relu else expected
        y = sim.send(wide(expected.shape, dtype))
        filters = Filters(sim.send(W), None if b is None else sim.send(b), windows, groups,
                          np.dtype(dtype), relu)
        images = np.ascontiguousarray(x.transpose(0, 2, 3, 1))   # between others
        images = np.pad(images, [(0, 0)] * 3 + [(2, 3)], constant_values=np.nan)
        convolve(sim.send(stored(images, dtype)), filters, y, 3, 2)
        found = from_bfloat16(y.get()) if dtype == 'uint16' else y.get()
        places = slice(3, 3 + len(W))
        error = abs(found[..., places] - expected).max() / abs(expected).max()
        assert error < DTYPES[dtype]
        assert np.isnan(np.delete(found, places, axis=3)).all()


@pytest.mark.parametrize('dtype', DTYPES)
def test_what_is_added_comes_before_relu(dtype):
    for x, W, b, more, windows, groups in CONVOLUTIONS:
        expected = np.maximum(more + convolution_arrays.convolve.body(
            *(each.astype(np.float64) for each in (x, W, b)), windows, groups), 0)
        filters = Filters(sim.send(W), sim.send(b), windows, groups, np.dtype(dtype), True)
        images, addend = (sim.send(stored(np.ascontiguousarray(each.transpose(0, 2, 3, 1)), dtype))
                          for each in (x, more))
        y = sim.send(wide(addend.shape, dtype))
        convolve(images, filters, y, 3, addend=addend)
        found = from_bfloat16(y.get()) if dtype == 'uint16' else y.get()
        error = abs(found[..., 3:3 + len(W)].transpose(0, 3, 1, 2) - expected).max()
        assert error < DTYPES[dtype] * abs(expected).max()


# ---------------------------------------------------------------------------- cuDNN

@pytest.fixture
def cudnn(monkeypatch, cudnn_is_chosen):
    """cuDNN in Python, for NumPy arrays: its calls are noted, its results are 7."""
    calls = cudnn_is_chosen

    def computes(x, W, y, how, **options):
        calls.append((W, y, how, options))
        y[...] = 7
    monkeypatch.setattr(cudnn_convolution, 'convolution_forward', computes)
    return calls


def run(case, bias=True, relu=True, first=4):
    x, W, b, y, windows, groups = case
    filters = Filters(W, b if bias else None, windows, groups, np.dtype('float32'), relu)
    y = wide(y.transpose(0, 2, 3, 1).shape, 'float32')
    convolve(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), filters, y, first)
    return y


@pytest.mark.parametrize('bias, relu', [(True, True), (True, False), (False, True),
                                        (False, False)])
def test_cudnn_gets_operands_with_channels_last_and_does_what_follows(bias, relu, cudnn):
    _, W, b, _, _, groups = case = CONVOLUTIONS[2]
    y = run(case, bias, relu)
    with using_config('use_cudnn', 'always'):
        run(case, bias, relu)
    assert (y[..., 4:12] == 7).all() and np.isnan(np.delete(y, np.s_[4:12], axis=3)).all()
    key, first, second = cudnn
    assert all(str(shape) in key for shape in ((2, 7, 9, 4), (8, 3, 2, 1)))
    for given, part, how, options in (first, second):
        np.testing.assert_array_equal(given, W.transpose(0, 2, 3, 1))
        assert part.shape[3] == len(W) and given.flags.c_contiguous
        assert how == cudnn_convolution.Convolution((1, 2), (0, 1), (2, 2), groups)
        assert options['relu'] is relu and options['layout'] == 'NHWC'
        if bias:
            np.testing.assert_array_equal(options['b'], b)
        else:   # cuDNN has no ReLU without a bias
            assert (options['b'] is None) is not relu
            assert options['b'] is None or not options['b'].any()


def test_the_key_of_the_choice_tells_kinds_of_convolution_apart(cudnn):
    for case in CONVOLUTIONS:
        for bias, relu in ((True, True), (False, True), (True, False)):
            run(case, bias, relu)
    keys = [call for call in cudnn if isinstance(call, str)]
    assert len(keys) == len(set(keys)) > 6 * 3


def test_cudnn_gets_no_channels_that_begin_between_whole_16_bytes(cudnn):
    run(CONVOLUTIONS[2], first=3)
    assert not cudnn
    run(CONVOLUTIONS[2], first=4)
    assert cudnn


@pytest.mark.parametrize('width', [8, 9])
def test_what_is_added_to_a_result_of_cudnn_is_added_by_a_kernel(width, cudnn, monkeypatch):
    x, W, b, more, windows, groups = CONVOLUTIONS[2]
    more = np.ascontiguousarray(more.transpose(0, 2, 3, 1)) * 10
    filters = Filters(W, b, windows, groups, np.dtype('float32'), True)
    y = np.full((*more.shape[:3], width), 5, np.float32)
    convolve(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), filters, y, 0, addend=more)
    if width == 8:
        assert cudnn[1][3]['relu'] is False and ' sum ' in cudnn[0]
        np.testing.assert_array_equal(y, np.maximum(more + 7, 0))
    else:
        assert not cudnn    # into some channels of wider ones only products add


@pytest.mark.parametrize('switch, value', [('use_cudnn', 'never'), ('deterministic', True)])
def test_cudnn_stays_out_where_it_is_not_wanted_or_would_count_windows_otherwise(
        switch, value, cudnn):
    with using_config(switch, value):
        run(CONVOLUTIONS[2])
    run(CONVOLUTIONS[1])    # some windows are beyond the padding
    assert not cudnn


def test_products_of_one_kind_are_few_and_as_large_as_memory_allows(monkeypatch):
    shapes = []
    gemm = convolution_channels_last.gemm
    monkeypatch.setattr(convolution_channels_last, 'gemm', lambda a, b, out, **options: (
        shapes.append(a.shape), gemm(a, b, out, **options)))
    run(CONVOLUTIONS[0])
    assert shapes == [(2 * 7 * 6, 36)]
    monkeypatch.setattr(convolution_channels_last, 'MOST', 50 * 36 * 4)
    run(CONVOLUTIONS[0])
    assert shapes[1:] == [(50, 36), (34, 36)]

"""Functions on images by kernels: what the kernels take, and what goes the generic way."""
import math

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable
from minichain.configuration import using_config
from minichain.functions.average_pooling import average_windows, count_inside
from minichain.functions.windows import slide
from minichain.gpu import lrn, pooling
from minichain.gpu.simulator.arrays import no_waiting
from minichain.gpu.simulator.builder import missing
from minichain.gpu.simulator.machine import Simulator
from tests.gpu.image_cases import normal

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
sim = minichain.get_device('sim')


@pytest.fixture
def launched(monkeypatch):
    names, launch = [], Simulator.launch

    def noted(self, kernel, *arguments):
        names.append(kernel.name.removesuffix('_float32'))
        launch(self, kernel, *arguments)
    monkeypatch.setattr(Simulator, 'launch', noted)
    return names


def results(function, gy, *arrays, send=sim.send):
    """Return y and the gradients of the arrays, as NumPy arrays."""
    variables = [Variable(send(array)) for array in arrays]
    y = function(*variables)
    y.grad = send(gy)
    y.backward()
    return [minichain.to_cpu(array) for array in (y.array, *(x.grad for x in variables))]


def compare(function, gy, *arrays):
    """Compare values and gradients on the device 'sim' with those of float64 on the CPU."""
    expected = results(function, *(array.astype(np.float64) for array in (gy, *arrays)),
                       send=lambda array: array)
    for found, wanted in zip(results(function, gy, *arrays), expected):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('margin', [False, True])
@pytest.mark.parametrize('ksize, stride, pad, cover_all', [
    (3, 2, 1, False), (3, 2, 1, True), ((2, 3), (3, 1), (1, 2), True), ((4, 5), 4, (1, 0), True)])
def test_means_that_count_the_padding_or_do_not_go_by_kernels(
        ksize, stride, pad, cover_all, margin, launched):
    windows = slide('test', (7, 6), ksize, stride, pad, cover_all)
    divisor = count_inside(windows, windows.pad if margin else 0)
    compare(lambda x: average_windows(x, windows, divisor), normal(2, 3, *windows.out),
            normal(2, 3, 7, 6))
    assert launched == ['average_pooling_forward', 'average_pooling_backward']


def test_means_of_another_kind_do_not(launched):
    windows = slide('test', (7, 6), 3, 2, 1, cover_all=True)
    dilated = slide('test', (7, 6), 2, dilate=2)
    for way, divisor in ((windows, None), (windows, 9), (windows, 5), (dilated, 4)):
        compare(lambda x, way=way, divisor=divisor: average_windows(x, way, divisor),
                normal(2, 3, *way.out), normal(2, 3, 7, 6))
    assert not launched and pooling.counts_padding(windows, 9) is None
    whole = slide('test', (7, 6), 3, 2, 1)
    assert pooling.counts_padding(whole, math.prod(whole.ksize)) is True


def test_too_wide_windows_of_channels_go_the_generic_way(launched):
    x, gy = normal(2, 60), normal(2, 60)
    compare(lambda x: F.local_response_normalization(x, 49, alpha=.1), gy, x)
    assert not launched and not lrn.fits(x, 48, 2, .1, .75)
    compare(lambda x: F.local_response_normalization(x, 47, alpha=.1), gy, x)
    assert launched == ['lrn_forward', 'lrn_backward']


def test_second_gradients_and_other_dtypes_leave_kernels_out_and_agree(launched):
    x = Variable(sim.send(normal(2, 3, 4, 4)))
    parameters = [sim.send(np.ones(3, np.float32))] * 2
    for function in (F.local_response_normalization, lambda x: F.average_pooling_2d(x, 2),
                     lambda x: F.group_normalization(x, 3, *parameters, eps=.1),
                     lambda x: F.batch_normalization(x, *parameters, eps=.1)):
        gx, = minichain.grad([F.sum(function(x * x) ** 2)], [x], enable_double_backprop=True)
        second, = minichain.grad([F.sum(gx * gx)], [x])
        with using_config('kernels', 'generic'):
            gx, = minichain.grad([F.sum(function(x * x) ** 2)], [x], enable_double_backprop=True)
            expected, = minichain.grad([F.sum(gx * gx)], [x])
        np.testing.assert_allclose(second.array.get(), expected.array.get(), rtol=1e-4, atol=1e-5)
    launched.clear()
    for function in (F.local_response_normalization, lambda x: F.average_pooling_2d(x, 2)):
        assert function(Variable(sim.send(np.ones((1, 2, 2, 2))))).dtype == np.float64
    assert not launched


def test_channels_that_are_no_neighbours_go_the_generic_way(launched):
    x, gamma, beta, gy = normal(2, 3, 4), normal(2, 4), normal(2, 4), normal(2, 3, 4)
    compare(lambda *xs: F.batch_normalization(*xs, axis=1), gy, x, gamma, beta)
    assert not launched
    compare(lambda *xs: F.batch_normalization(*xs, axis=2), gy, x, gamma[:, :3].copy(),
            beta[:, :3].copy())
    assert launched == [f'batch_norm_{name}' for name in (
        'parts', 'statistics', 'apply', 'gradient_parts', 'parameters', 'backward')]


def test_running_averages_are_those_of_the_cpu():
    x, averages = normal(4, 3, 5) + 2, []
    for where in (np.copy, sim.send):
        mean, var, gamma, beta = (where(np.full(3, number, np.float32)) for number in (1, 2, 3, 4))
        F.batch_normalization(where(x), gamma, beta, running_mean=mean, running_var=var)
        averages.append([minichain.to_cpu(each) for each in (mean, var)])
    np.testing.assert_allclose(averages[1], averages[0], rtol=1e-6)


def test_layers_and_groups_are_standardized_by_kernels(launched):
    x, gy, gamma, beta = normal(3, 6, 4), normal(3, 6, 4), normal(6), normal(6)
    compare(lambda *xs: F.group_normalization(xs[0], 2, *xs[1:]), gy, x, gamma, beta)
    compare(F.layer_normalization, gy[:, :, 0].copy(), x[:, :, 0].copy(), gamma, beta)
    assert launched == ['layer_norm_forward', 'layer_norm_backward'] * 2


def test_zeros_of_dropout_are_drawn_on_the_device_and_repeat_after_the_same_seed(launched):
    x, masks = sim.send(np.ones((100, 41), np.float32)), []
    for seed in (0, 0, 1):
        sim.xp.random.seed(seed)
        with no_waiting():
            found = [F.dropout(x, .25, return_mask=True) for _ in range(2)]
        for y, mask in found:
            np.testing.assert_array_equal(y.array.get(), mask.get())
            masks.append(mask.get())
    assert launched == ['dropout'] * 6
    first, second, again, _, other, _ = masks
    assert set(np.unique(first)) == {0, np.float32(4 / 3)}
    assert abs((first == 0).mean() - .25) < 5 * np.sqrt(.25 * .75 / first.size)
    np.testing.assert_array_equal(again, first)
    for another in (second, other):   # as often zero at the same place as chance has it
        assert abs(((first == 0) & (another == 0)).mean() - .0625) < .02


def test_gradients_are_zero_where_results_of_dropout_are():
    x = normal(30, 20)
    y, gx = results(lambda x: F.dropout(x, .5), np.ones_like(x), x)
    np.testing.assert_array_equal(y, gx * x)
    assert 0 < (gx == 0).sum() < gx.size

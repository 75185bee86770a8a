"""Prepared networks on a GPU: by products, by cuDNN where it is faster, and captured."""
import numpy as np
import pytest

import minichain
from minichain import Variable, inference
from minichain.backend import cuda_available, get_array_module
from minichain.configuration import using_config
from minichain.functions import convolution_arrays
from minichain.gpu import compile_step
from minichain.gpu.convolution_channels_last import Filters, convolve
from minichain.gpu.libraries import available
from minichain.gpu.precision import from_bfloat16, to_bfloat16
from tests.gpu.image_cases import CONVOLUTIONS
from tests.inference import test_on_a_device as cases

pytestmark = pytest.mark.skipif(not cuda_available(), reason='needs a GPU and CuPy')


@pytest.fixture(params=['never', 'auto', 'always'])
def use_cudnn(request):
    if request.param != 'never' and not available('cudnn'):
        pytest.skip('cuDNN is not installed')
    with using_config('use_cudnn', request.param):
        yield request.param


@pytest.mark.parametrize('dtype, tolerance', [('float32', 1e-5), ('uint16', 2e-2)])
def test_convolution_of_images_with_channels_last(dtype, tolerance, use_cudnn):
    send = minichain.get_device('cuda').send
    for x, W, b, _, windows, groups in CONVOLUTIONS:
        expected = np.maximum(convolution_arrays.convolve.body(
            *(each.astype('float64') for each in (x, W, b)), windows, groups), 0)
        images = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        images = send(to_bfloat16(images) if dtype == 'uint16' else images)
        y = get_array_module(images).empty((len(x), *windows.out, len(W)), dtype)
        convolve(images, Filters(send(W), send(b), windows, groups, np.dtype(dtype), True), y)
        found = (from_bfloat16(y) if dtype == 'uint16' else y).get().transpose(0, 3, 1, 2)
        assert abs(found - expected).max() <= tolerance * abs(expected).max()


@pytest.mark.parametrize('precision', cases.PRECISIONS)
@pytest.mark.parametrize('name', cases.NETWORKS)
def test_a_network_is_that_of_float64_and_can_be_captured(name, precision, use_cudnn):
    if use_cudnn == 'always':
        pytest.skip('cuDNN may not write into parts of wider images')
    (net, layer, shape), device = cases.make(name), minichain.get_device('cuda')
    x = device.send(cases.random_array(*shape))
    net.to_device(device)
    with using_config('precision', precision):
        prepared = inference.prepare(lambda x: net(x, layers=[layer])[layer], x, model=net)
        assert prepared.generic == []
        step = compile_step(prepared, x)
        for seed in range(4):
            x = device.send(cases.random_array(*shape, seed=seed))
            found, written = Variable(step(x)), prepared(x)
            np.testing.assert_allclose(found.array.get(), written.array.get(), rtol=1e-5,
                                       atol=1e-5)
    assert step.captures == 1 and step.reason is None
    expected = cases.in_float64(lambda x: net(x, layers=[layer])[layer], net,
                                cases.random_array(*shape, seed=3))
    # cuDNN may transform images before it multiplies, which costs digits of float32.
    transforms = precision == 'float32' and use_cudnn != 'never'
    cases.close(found, expected, precision, 10 if transforms else cases.SENSITIVE.get(name, 1))

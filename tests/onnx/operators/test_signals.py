"""Signals in ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest
from onnx import TensorProto

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run


def draw(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-3, 3, shape)


def pairs(y):
    return np.stack([y.real, y.imag], -1)


@pytest.mark.parametrize('length', [None, 1, 4, 5, 8])
@pytest.mark.parametrize('axis', [0, 1, -2])
@pytest.mark.parametrize('inverse', [0, 1])
def test_transforms_along_any_axis_with_any_length(length, axis, inverse):
    x = draw(5, 6, 7, 2)
    complex_x = x[..., 0] + 1j * x[..., 1]
    transform = np.fft.ifft if inverse else np.fft.fft
    expected = pairs(transform(complex_x, length, axis if axis >= 0 else axis + 1))
    given = [x, None if length is None else np.array(length), np.array(axis)]
    y = run('DFT', *given, opset=20, inverse=inverse)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, 1e-9, 1e-9)
    old = run('DFT', x, given[1], opset=17, inverse=inverse, axis=axis)
    np.testing.assert_array_equal(old, y)


@pytest.mark.parametrize('length', [None, 5, 6, 9])
def test_real_signals_have_half_a_transform(length):
    x = draw(2, 7, 1)
    given = None if length is None else np.array(length)
    y = run('DFT', x, given, opset=20, onesided=1)
    np.testing.assert_allclose(y, pairs(np.fft.rfft(x[..., 0], length, 1)), 1e-9, 1e-9)
    half = draw(2, 5, 2)
    half[:, 0, 1] = half[:, -1, 1] = 0
    z = run('DFT', half, given, opset=20, onesided=1, inverse=1)
    expected = np.fft.irfft(half[..., 0] + 1j * half[..., 1], length, 1)
    np.testing.assert_allclose(z[..., 0], expected, 1e-9, 1e-9)


def test_gradients_flow_through_transforms():
    x, window = draw(1, 9, 1), np.hanning(4)
    check_gradients(load('DFT', [x], opset=20, onesided=1), x)
    given = [x, np.array(2), window]
    check_gradients(load('STFT', given, opset=17, initializers=[2]), x, np.array(2))


@pytest.mark.parametrize('onesided', [0, 1])
@pytest.mark.parametrize('step, length', [(1, 4), (3, 5), (20, 20)])
def test_frames_of_a_signal(onesided, step, length):
    x = draw(2, 20, 1)
    window = np.hamming(length)
    frames = np.stack([x[:, start:start + length, 0]
                       for start in range(0, 20 - length + 1, step)], 1)
    transform = np.fft.rfft if onesided else np.fft.fft
    y = run('STFT', x, np.array(step), window, np.array(length), opset=17, onesided=onesided)
    np.testing.assert_allclose(y, pairs(transform(frames * window)), 1e-9, 1e-9)
    y = run('STFT', x, np.array(step), None, np.array(length), opset=17, onesided=onesided)
    np.testing.assert_allclose(y, pairs(transform(frames)), 1e-9, 1e-9)


def test_frames_that_do_not_fit_are_refused():
    for step, length in ((0, 4), (1, 30), (1, 0)):
        with pytest.raises(DataError, match='step'):
            run('STFT', draw(2, 20, 1), np.array(step), None, np.array(length), opset=17)
    with pytest.raises(DataError, match='asked for'):
        run('DFT', draw(2, 20, 1), np.array(2 ** 40), opset=20)


@pytest.mark.parametrize('size', [1, 2, 9, 10])
def test_windows(size):
    for name, function in (('HannWindow', np.hanning), ('BlackmanWindow', np.blackman)):
        y = run(name, np.array(size), opset=17, periodic=0)
        assert y.dtype == np.float32 and y.shape == (size,)
        if size > 1:
            np.testing.assert_allclose(y, function(size), 1e-6, 1e-6)
        y = run(name, np.array(size), opset=17, output_datatype=TensorProto.DOUBLE)
        np.testing.assert_allclose(y, function(size + 1)[:-1], 1e-6, 1e-6)
    y = run('HammingWindow', np.array(size), opset=17)
    np.testing.assert_allclose(y, 25 / 46 - 21 / 46 * np.cos(2 * np.pi * np.arange(size) / size),
                               1e-6)


def test_the_mel_scale():
    y = run('MelWeightMatrix', np.array(8), np.array(256), np.array(8000), np.float32(100),
            np.float32(3000), opset=17)
    assert y.shape == (129, 8) and y.dtype == np.float32
    np.testing.assert_allclose(y.max(0), 1)
    peaks = y.argmax(0)
    assert (np.diff(peaks) > 0).all()
    # Between the first peak and the last, neighbouring triangles add up to one.
    inside = y[peaks[0]:peaks[-1] + 1].sum(1)
    np.testing.assert_allclose(inside, 1, 1e-6)

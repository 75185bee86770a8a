"""Signals: Fourier transforms, windows, the mel scale."""
import math

import numpy as np

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.values import check_growth, check_size, normalize_axis, to_scalar
from minichain.onnx.schema import dtype_of


def transform(x, length, inverse, onesided):
    """Fourier transform along the last axis but one of numbers (..., 1), or (..., 2) if complex.

    Args:
        length: the signal is cut or filled with zeros to it; None keeps it.
        onesided: real numbers have a symmetric transform, of which one half is given.
    """
    halved = inverse and onesided
    if length is None:
        length = 2 * (x.shape[-2] - 1) if halved else x.shape[-2]
    if length < 1 or x.shape[-1] not in (1, 2):
        raise DataError(f'a signal of the shape (..., length, 1 or 2) and a positive length '
                        f'expected, got {x.shape} and {length}')
    check_growth((*x.shape[:-2], length, 2), x)
    x = fit(x, length // 2 + 1 if halved else length)
    real = x[..., 0]
    imag = x[..., 1] if x.shape[-1] == 2 else get_array_module(x).zeros(real.shape, x.dtype)
    if halved:     # what is left out mirrors what is there, without 0 and the middle
        behind = slice((length - 1) // 2, 0, -1)
        real = F.concat((real, real[..., behind]), -1)
        imag = F.concat((imag, -imag[..., behind]), -1)
        return F.expand_dims(F.ifft((real, imag))[0], -1)
    y = F.stack(F.ifft((real, imag)) if inverse else F.fft((real, imag)), -1)
    return y[..., :length // 2 + 1, :] if onesided else y


def fit(x, length):
    """x cut, or filled with zeros, to a length along the last axis but one."""
    if x.shape[-2] >= length:
        return x[..., :length, :]
    zeros = get_array_module(x).zeros((*x.shape[:-2], length - x.shape[-2], x.shape[-1]), x.dtype)
    return F.concat((x, zeros), -2)


def dft(node, x, length=None, axis=None):
    if axis is not None:
        axis = int(to_scalar(axis))
    else:
        axis = node.get('axis', 1 if node.opset < 20 else -2)
    axis = normalize_axis(axis, x.ndim)
    if axis == x.ndim - 1:
        raise DataError('the last axis holds real and imaginary parts; another one expected')
    length = None if length is None else int(to_scalar(length))
    y = transform(F.moveaxis(x, axis, -2), length, bool(node.get('inverse', 0)),
                  bool(node.get('onesided', 0)))
    return F.moveaxis(y, -2, axis)


def stft(node, x, step, window=None, length=None):
    """Fourier transforms of frames of a signal (N, length, 1 or 2) -> (N, frames, bins, 2)."""
    if x.ndim != 3:
        raise DataError(f'signals of the shape (N, length, 1 or 2) expected, got {x.shape}')
    step = int(to_scalar(step))
    if length is not None:
        length = int(to_scalar(length))
    else:
        length = x.shape[1] if window is None else window.size
    if step < 1 or not 1 <= length <= x.shape[1] or window is not None and window.shape != (
            length,):
        raise DataError(f'a positive step and a window of the length of a frame, at most '
                        f'{x.shape[1]}, expected, got step {step} and length {length}')
    frames = (x.shape[1] - length) // step + 1
    check_size((x.shape[0], frames, length, 2))
    xp = get_array_module(x)
    places = xp.arange(frames)[:, None] * step + xp.arange(length)
    x = F.get_item(x, (slice(None), places))
    if window is not None:
        x = x * window.reshape((-1, 1))
    return transform(x, None, False, bool(node.get('onesided', 1)) and x.shape[-1] == 1)


def window(*weights):
    """A sum of cosines:  w[n] = sum_k weights[k] cos(2 pi k n / N)."""
    def operator(node, size):
        size, = check_size((int(to_scalar(size)),))
        turns = np.arange(size) / max(1, size - 1 + node.get('periodic', 1))
        y = sum(weight * np.cos(2 * math.pi * k * turns) for k, weight in enumerate(weights))
        return y.astype(dtype_of(node.get('output_datatype', 1), 'output_datatype'))
    return operator


def mel_weight_matrix(node, bins, length, rate, low, high):
    """Triangles, evenly spaced on the mel scale  2595 log10(1 + f / 700), over frequencies."""
    bins, length, rate, *edges = (to_scalar(value) for value in (bins, length, rate, low, high))
    size = check_size((length // 2 + 1, bins))
    check_size((bins + 2,))
    low, high = (2595 * math.log10(1 + edge / 700) for edge in edges)
    mels = np.arange(bins + 2) * ((high - low) / (bins + 2)) + low
    corners = (length + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate
    left, center, right = corners[:-2], corners[1:-1], corners[2:]
    place = np.arange(size[0])[:, None]
    rising = np.where(center == left, 1, (place - left) / np.where(center == left, 1,
                                                                   center - left))
    falling = (right - place) / np.where(right == center, 1, right - center)
    y = np.where((place >= left) & (place <= center), rising, 0)
    y = np.where((place >= center) & (place < right), falling, y)
    return y.astype(dtype_of(node.get('output_datatype', 1), 'output_datatype'))


OPERATORS = {
    'BlackmanWindow': window(.42, -.5, .08),
    'DFT': dft,
    'HammingWindow': window(25 / 46, -21 / 46),
    'HannWindow': window(.5, -.5),
    'MelWeightMatrix': mel_weight_matrix,
    'STFT': stft,
}

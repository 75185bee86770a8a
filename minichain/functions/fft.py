"""Fourier transforms of complex numbers, given as pairs (real, imaginary)."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.type_check import expect_float, expect_same_dtype, expect_shape


class FFT(Primitive):
    """fft or ifft along the last axis; each is, but for a factor, the adjoint of the other."""

    label = property(lambda self: self.method)

    def __init__(self, method):
        self.method = method

    def check_type_forward(self, in_types):
        real, imag = in_types
        expect_float(self.method, real=real)
        expect_same_dtype(self.method, real=real, imag=imag)
        expect_shape(self.method, real.shape, imag=imag)
        if real.ndim == 0 or real.shape[-1] == 0:
            raise InvalidType(f'{self.method}: a last axis that is not empty expected, got shape '
                              f'{real.shape}')

    def forward(self, arrays):
        real, imag = arrays
        y = getattr(get_array_module(real).fft, self.method)(real + imag * 1j)
        return y.real.astype(real.dtype), y.imag.astype(real.dtype)

    def backward(self, indexes, grads):
        n = self.inputs[0].shape[-1]
        present = grads[0] if grads[0] is not None else grads[1]
        zero = get_array_module(present).zeros(present.shape, present.dtype)
        grads = [zero if g is None else g for g in grads]
        method, factor = ('ifft', n) if self.method == 'fft' else ('fft', 1 / n)
        return [g * factor for g in FFT(method).apply(grads)]


def fft(x):
    """Discrete Fourier transform along the last axis.

    Args:
        x: pair (real, imag) of float Variables or arrays of one shape and dtype.
    Returns:
        pair (real, imag), of the same shape.
    Raises:
        InvalidType: shapes or dtypes differ.
    """
    real, imag = x
    return FFT('fft').apply((real, imag))


def ifft(x):
    """Inverse of :func:`fft`: with a factor 1 / n, n the length of the last axis.

    Args:
        x: pair (real, imag) of float Variables or arrays of one shape and dtype.
    Returns:
        pair (real, imag), of the same shape.
    Raises:
        InvalidType: shapes or dtypes differ.
    """
    real, imag = x
    return FFT('ifft').apply((real, imag))

"""Local response normalization: every channel divided by the strength of its neighbours."""
import math

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.configuration import thread_state
from minichain.cpu import onednn, onednn_functions
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.windows import Windows, reduce_windows
from minichain.gpu import lrn as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float


class SumNeighbours(Primitive):
    """Sum over the channels c - n // 2 .. c + n // 2; its own adjoint."""

    def __init__(self, n):
        self.half = n // 2

    def forward(self, arrays):
        x, = arrays
        size, half = (x.shape[1], math.prod(x.shape[2:])), self.half
        windows = Windows(size, (2 * half + 1, 1), (1, 1), (half, 0), (1, 1), size)
        rows = x.reshape(len(x), *size)
        return reduce_windows(get_array_module(x).add, rows, windows, 0).reshape(x.shape),

    def backward(self, indexes, grads):
        return SumNeighbours(2 * self.half).apply(grads)


class InversePower(Primitive):
    """x ** -exponent for positive x; 1/4, 1/2, 3/4 by square roots, several times faster."""

    def __init__(self, exponent):
        self.exponent = exponent

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        xp, quarters = get_array_module(x), 4 * self.exponent
        if quarters not in (1, 2, 3):
            return x ** -self.exponent,
        root = xp.sqrt(x)
        if quarters == 1:
            root = xp.sqrt(root)
        elif quarters == 3:
            root = root * xp.sqrt(root)
        return 1 / root,

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * InversePower(self.exponent + 1).apply((x,))[0] * -self.exponent,


@fused(by_kernels.normalize, accepts=by_kernels.fits)
def normalize(x, n, k, alpha, beta):
    """Return the result for an array; arguments as of :func:`local_response_normalization`."""
    strength = SumNeighbours(n).forward((x * x,))[0]
    strength *= alpha
    strength += k
    y = InversePower(beta).forward((strength,))[0]
    y *= x
    return y


@fused(by_kernels.gradient, accepts=by_kernels.fits)
def gradient(x, gy, n, k, alpha, beta):
    """Return the gradient of an array x, given that of y = normalize(x, n, k, alpha, beta)."""
    return _gradient(x, gy, n, k, alpha, beta, lambda function, x: function.forward((x,))[0])


def _gradient(x, gy, n, k, alpha, beta, call):
    strength = call(SumNeighbours(n), x * x) * alpha + k
    scale = call(InversePower(beta), strength)
    inner = call(SumNeighbours(n), gy * x * scale / strength)
    return gy * scale - x * inner * (2 * alpha * beta)


class LocalResponseNormalization(Primitive):
    def __init__(self, n, k, alpha, beta):
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def check_type_forward(self, in_types):
        x, = in_types
        expect_float('local_response_normalization', x=x)
        if x.ndim < 2:
            raise InvalidType('local_response_normalization: x of shape (N, C, ...) expected, got '
                              f'{x.shape}')

    def forward(self, arrays):
        self.retain_inputs((0,))
        numbers = self.n, self.k, self.alpha, self.beta
        y = onednn.attempt(onednn_functions.normalize, arrays, *numbers)
        if y is None:
            y = normalize(_wide(arrays[0]), *numbers).astype(arrays[0].dtype, copy=False)
        return y,

    def backward(self, indexes, grads):
        numbers = self.n, self.k, self.alpha, self.beta
        operands = self.get_retained_inputs()[0], grads[0]
        if not thread_state.on_arrays:
            return _gradient(*map(_wide, operands), *numbers,
                             lambda function, x: function.apply((x,))[0]),
        gx = onednn.attempt(onednn_functions.normalize_gradient, operands, *numbers)
        return gradient(*map(_wide, operands), *numbers) if gx is None else gx,


def _wide(x):
    return x.astype('float32') if x.dtype == 'float16' else x


def local_response_normalization(x, n=5, k=2, alpha=1e-4, beta=.75):
    """Normalization across neighbouring channels:

        y[c] = x[c] / (k + alpha * sum of x[j] ** 2 over j = c - n // 2 .. c + n // 2) ** beta

    Args:
        x: (N, C, ...), float.
        n: number of channels in the sum; an even one counts as the next odd one.
        k, alpha, beta: as in the formula. (Caffe and the paper differ on ``alpha``: Caffe
            divides its own by ``n``.)
    Raises:
        InvalidType: ``x`` has no channel axis or no floating dtype.
        InvalidArgument: ``n`` is below 1, or ``k`` is not positive.
    Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks".
    """
    if n < 1 or k <= 0:
        raise InvalidArgument('local_response_normalization: n of at least 1 and k above 0 '
                              f'expected, got n={n}, k={k}')
    return LocalResponseNormalization(n, k, alpha, beta).apply((x,))[0]

"""Kernels of lrn.cu: the formula, and its gradient by the matrix of derivatives, in float64."""
import numpy as np

from minichain.gpu.lrn import lrn_backward, lrn_forward
from tests.gpu.registry import reference

# N, C, positions, n, channels last, beta in quarters.
SIZES = [(1, 18, 5, 5, 0, 3), (2, 1, 1, 3, 0, 3), (2, 37, 33, 5, 0, 2), (3, 50, 7, 7, 1, 3),
         (1, 3, 130, 9, 1, 5), (2, 16, 301, 4, 0, 3)]


def case(random, store, N, C, positions, n, last, quarters):
    """Return x, its derivatives [position, c of y, c of x], options, and a way to the layout."""
    x = store(random.standard_normal((N, positions, C)) * 3)
    wide, c = x.astype(np.float64), np.arange(C)
    near = np.abs(c[:, None] - c) <= n // 2
    strength = 2 + .125 * (wide ** 2) @ near
    beta = quarters / 4
    derivatives = (np.eye(C) * strength[..., None] ** -beta - 2 * .125 * beta * near
                   * (wide * strength ** (-beta - 1))[..., None] * wide[..., None, :])
    options = {'n': n, 'k': 2, 'alpha': .125, 'beta': beta, 'channels_last': bool(last)}

    def lay(array):
        return np.ascontiguousarray(array if last else array.transpose(0, 2, 1))
    return x, wide * strength ** -beta, derivatives, options, lay


@reference('lrn_forward', lrn_forward, SIZES, registers=72, tolerance={'float32': 1e-5})
def forward(random, store, *size):
    x, y, _, options, lay = case(random, store, *size)
    return ({'x': lay(x), 'y': store(np.full(lay(x).shape, np.nan)), **options}, {'y': lay(y)})


@reference('lrn_backward', lrn_backward, SIZES, registers=72, tolerance={'float32': 1e-5})
def backward(random, store, *size):
    x, _, derivatives, options, lay = case(random, store, *size)
    gy = store(random.standard_normal(x.shape))
    gx = np.einsum('npyx,npy->npx', derivatives, gy.astype(np.float64))
    arguments = {'x': lay(x), 'gy': lay(gy), 'gx': store(np.full(lay(x).shape, np.nan))}
    return {**arguments, **options}, {'gx': lay(gx)}

"""What kernels.py and torch_kernels.py have in common: settings, and numbers that look random."""
import numpy as np

from minichain.gpu.precision import from_bfloat16, to_bfloat16

LRN = {'n': 5, 'k': 1., 'alpha': 1e-2, 'beta': .75}
ADAM = {'alpha': 1e-3, 'beta1': .9, 'beta2': .999, 'eps': 1e-8}
KSIZE, STRIDE = 3, 2


class Storage:
    """Arrays on a device, as float32 or as bfloat16.

    Args:
        xp: array module of the device. precision: 'float32' or 'bf16'.
    """

    def __init__(self, xp, precision):
        self.xp, self.bf16 = xp, precision == 'bf16'
        self.size = 2 if self.bf16 else 4

    def draw(self, shape, salt=1):
        """Return numbers from -1 to 1 that look random, made on the device; as it stores them."""
        xp = self.xp
        x = xp.arange(int(np.prod(shape)), dtype='uint32')
        for shift, factor in ((16, 0x7feb352d), (15, 0x846ca68b)):     # a hash of 32 bits
            x = (x ^ x >> shift) * xp.asarray(factor, 'uint32') + xp.asarray(salt, 'uint32')
        x = (x.astype('float32') * np.float32(2 ** -31) - np.float32(1)).reshape(shape)
        return to_bfloat16(x) if self.bf16 else x

    def empty(self, shape):
        """Return an array whose contents mean nothing."""
        return self.xp.zeros(shape, 'uint16' if self.bf16 else 'float32')

    def read(self, x):
        """Return the numbers of a stored array, float32."""
        return from_bfloat16(x) if x.dtype == np.uint16 else x

    def wide(self, x):
        """Return the numbers of a stored array, float64."""
        return self.read(x).astype('float64')


def pooled(shape):
    """Return the shape after pooling where the window fits."""
    return (*shape[:2], *((side - KSIZE) // STRIDE + 1 for side in shape[2:]))


def labels_of(rows, classes):
    """Return labels that look random, (rows,), int32, on the CPU."""
    return (np.arange(rows, dtype='int64') * 7919 % classes).astype('int32')

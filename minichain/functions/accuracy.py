"""The share of predictions that are right: accuracy and binary_accuracy."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.type_check import expect_float, expect_integer, expect_shape


def _share(right, counted, dtype):
    """Return the share of True in ``right``, a bool array, among ``counted``; 0 of none."""
    xp = get_array_module(right)
    return xp.asarray((right & counted).sum() / xp.maximum(counted.sum(), 1), dtype)


class Accuracy(Primitive):
    label = 'accuracy'

    def __init__(self, ignore_label):
        self.ignore_label = ignore_label

    def check_type_forward(self, in_types):
        y, t = in_types
        expect_float('accuracy', y=y)
        expect_integer('accuracy', t=t)
        if y.ndim < 2:
            raise InvalidType(f'accuracy: y of shape (N, V, ...) expected, got {y.shape}')
        shape = y.shape[:1] + y.shape[2:]
        if t.shape + tuple(n for n in shape[t.ndim:] if n == 1) != shape:
            expect_shape('accuracy', shape, t=t)

    def forward(self, arrays):
        y, t = arrays
        xp = get_array_module(y)
        counted = xp.ones(t.shape, bool) if self.ignore_label is None else t != self.ignore_label
        right = y.argmax(axis=1).reshape(t.shape) == t if y.size else counted
        return _share(right, counted, y.dtype),


class BinaryAccuracy(Primitive):
    label = 'binary_accuracy'

    def check_type_forward(self, in_types):
        y, t = in_types
        expect_float('binary_accuracy', y=y)
        expect_integer('binary_accuracy', t=t)
        expect_shape('binary_accuracy', y.shape, t=t)

    def forward(self, arrays):
        y, t = arrays
        return _share((y >= 0) == (t == 1), t != -1, y.dtype),


def accuracy(y, t, ignore_label=None):
    """The share of labels that have the largest score.

    Args:
        y: scores, (N, V, ...), float.
        t: labels, (N, ...), integer; trailing axes of length 1 may be left out.
        ignore_label: the label that does not count; None: all do.
    Returns:
        a number, shape (), dtype of ``y``, 0 if no label counts. No gradient flows.
    Raises:
        InvalidType: shapes or dtypes do not fit.
    """
    return Accuracy(ignore_label).apply((y, t))[0]


def binary_accuracy(y, t):
    """The share of labels that the sign of the score tells: 1 where it is not negative, else 0.

    Args:
        y: scores, any shape, float.
        t: labels 0 and 1, or -1 for those that do not count; the shape of ``y``, integer.
    Returns:
        a number, shape (), dtype of ``y``, 0 if no label counts. No gradient flows.
    Raises:
        InvalidType: shapes or dtypes do not fit.
    """
    return BinaryAccuracy().apply((y, t))[0]

"""Initializers: what new parameters are filled with. The base is in ``minichain/initializer.py``.

Random ones draw from numpy's global state (on a GPU from CuPy's), unless given a generator.
"""
from minichain.initializer import Initializer, generate_array
from minichain.initializer import get_initializer as _get_initializer_or
from minichain.initializers.constant import Constant, Identity, NaN, One, Zero
from minichain.initializers.normal import GlorotNormal, HeNormal, LeCunNormal, Normal
from minichain.initializers.orthogonal import Orthogonal
from minichain.initializers.random import get_fans
from minichain.initializers.sampling import DownsamplingConvFilter, UpsamplingDeconvFilter
from minichain.initializers.uniform import GlorotUniform, HeUniform, LeCunUniform, Uniform


def get_initializer(initializer):
    """Return ``initializer`` as a callable that fills an array.

    Args:
        initializer: Initializer or any callable(array); number or array, for Constant; None, for
            LeCunNormal.
    Raises:
        InvalidArgument: none of these.
    """
    return _get_initializer_or(initializer, default=LeCunNormal())


_get_initializer = get_initializer   # the name by which Chainer's users call it

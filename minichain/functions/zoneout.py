"""Zoneout: units of a recurrent network that keep their former value at random."""
from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.errors import InvalidArgument
from minichain.functions._loss import expect_alike
from minichain.functions.where import where
from minichain.type_check import refuse_former


def zoneout(h, x, ratio=.5, **former):
    """Keep each element of ``h`` with probability ``ratio``, take that of ``x`` otherwise.

    Returns ``x`` unless ``config.train`` is true.

    Args:
        h, x: former and new state, float, one shape and dtype.
        ratio: probability of the former value, 0 <= ratio <= 1.
    Raises:
        InvalidType: shapes or dtypes differ.
        InvalidArgument: ``ratio`` is out of range.
    Krueger et al. 2016, "Zoneout", arXiv:1606.01305.
    """
    if former:
        refuse_former('zoneout', former)
    if not 0 <= ratio <= 1:
        raise InvalidArgument(f'zoneout: 0 <= ratio <= 1 expected, got {ratio}')
    h, x = expect_alike('zoneout', h=h, x=x)
    if not config.train:
        return x
    return where(get_array_module(x).random.rand(*x.shape) < ratio, h, x)

"""What losses have in common: operands of one shape and dtype, and how results are added up."""
from minichain.autograd import as_variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.sum import sum
from minichain.type_check import expect_float, expect_same_dtype


def expect_choice(label, name, value, choices):
    """Raise InvalidArgument unless ``value`` is one of ``choices``."""
    if value not in choices:
        expected = ', '.join(repr(choice) for choice in choices)
        raise InvalidArgument(f'{label}: {name} one of {expected} expected, got {value!r}')


def expect_alike(label, **operands):
    """Return the operands as Variables.

    Raises:
        InvalidType: they are not float, or not of one shape and dtype.
    """
    expect_float(label, **operands)
    expect_same_dtype(label, **operands)
    if len({x.shape for x in operands.values()}) > 1:
        found = ', '.join(f'{name} {x.shape}' for name, x in operands.items())
        raise InvalidType(f'{label}: operands of one shape expected, got {found}')
    return [as_variable(x) for x in operands.values()]


def mean(losses, count=None):
    """Return the sum of ``losses`` over ``count``, or over their number; 0 if there are none."""
    return sum(losses) / max(1, losses.size if count is None else count)


def reduced(losses, reduce):
    """Return ``losses`` added up ('sum'), their mean ('mean'), or as they are ('no')."""
    return {'sum': sum, 'mean': mean, 'no': lambda y: y}[reduce](losses)


def expect_labels(label, t, classes):
    """Raise InvalidType unless all of ``t``, an integer array, are from 0 to ``classes`` - 1."""
    if t.size and not (0 <= int(t.min()) and int(t.max()) < classes):
        raise InvalidType(f'{label}: labels from 0 to {classes - 1} expected, got {int(t.min())} '
                          f'to {int(t.max())}')

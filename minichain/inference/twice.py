"""Code is run twice before it is prepared: what it takes for fixed has to be fixed.

Steps are repeated with the numbers of the example. Those that the code computed unseen, by NumPy
or at random, show when it is run on other values.
"""
import numpy as np

from minichain.backend import get_array_module, get_device_from_array
from minichain.errors import InvalidArgument
from minichain.tracing import named_leaves


def other_values(array):
    """Return an array of the same shape, dtype and range, with other values or another order."""
    if not array.size:
        return array
    random = np.random.RandomState(8191)   # a seed that examples hardly have
    if array.dtype.kind != 'f':
        return array.ravel()[get_device_from_array(array).send(
            random.permutation(array.size))].reshape(array.shape)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low) or not np.isfinite(high):
        return array
    values = random.uniform(low, high if high > low else low + 1, array.shape)
    return get_device_from_array(array).send(values.astype(array.dtype))


def fixed_numbers(found):
    """Return what a Trace has besides values that it follows from its inputs.

    Returns:
        list of (label, steps, arrays), one for each function: its kind and numbers of values; and
        a dict from name to array of what it was given and is neither computed nor a parameter.
    """
    followed = {number for _, number in found.inputs}
    fixed = []
    for function, operands, results, _, _, given in found.applications:
        arrays = {f'operand {place}': found.arrays[number] for place, number in enumerate(operands)
                  if number not in followed and number not in found.names}
        for name, value in given.items():
            value = np.asarray(value) if isinstance(value, (int, float, np.generic)) else value
            arrays.update((leaf, array) for leaf, array in named_leaves(value, name)
                          if found.find(array) not in found.names)
        followed.update(results)
        fixed.append((function.label, (type(function), operands, results), arrays))
    return fixed


def expect_alike(first, second):
    """Raise unless two runs took the same steps with the same :func:`fixed_numbers`.

    Raises:
        InvalidArgument: they did not.
    """
    for (label, step, arrays), (other_label, other_step, others) in zip(first, second):
        if step != other_step or arrays.keys() != others.keys():
            labels = label if label == other_label else f'{label}, then {other_label}'
            raise InvalidArgument(f'prepare: the code takes another path ({labels}) when it runs '
                                  'again, on other values: it looks at values, or it has a state')
        for name, array in arrays.items():
            if not _equal(array, others[name]):
                raise InvalidArgument(
                    f'prepare: {label} takes fixed numbers ({name}) that are others when the code '
                    'runs again, on other values: they were computed where nothing follows them, '
                    'as indices of maxima and arrays of NumPy, or drawn, or are a state')
    if len(first) != len(second):
        raise InvalidArgument(f'prepare: the code takes {len(first)} steps, then {len(second)} '
                              'on other values')


def _equal(x, y):
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    return bool(((x == y) | (x != x) & (y != y)).all()) if get_array_module(x) is get_array_module(
        y) else False

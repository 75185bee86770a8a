"""From a batch, a list of examples, to the arrays that a network takes."""
import functools

import numpy as np

from minichain.backend import (
    GpuDevice,
    get_array_module,
    get_device,
    is_array,
    using_device,
)
from minichain.errors import DataError, InvalidArgument, InvalidType
from minichain.gpu.transfer import Transfer


def to_device(device, x):
    """Return `x` moved to a device.

    Args:
        device: anything `minichain.get_device` takes (-1, 0, 'cuda:1', a Device); None leaves
            `x` where it is.
        x: array, number, None, or a tuple, list or dict of these.
    """
    return x if device is None else get_device(device).send(x)


def concat_examples(batch, device=None, padding=None):
    """Stack the examples of a batch along a new first axis.

    Args:
        batch: non-empty list of examples. An example is an array, a number, a nested list of
            numbers, or a tuple or dict of these.
        device: where the result goes, as in `to_device`; None: where the examples are.
        padding: number that fills arrays of different shapes up at the end of every axis to the
            largest size in the batch. With tuples or dicts as examples also a tuple or dict with
            one number per entry, None for entries of one shape. Default: all shapes are equal.
    Returns:
        An array (N, ...), or a tuple or dict of such arrays as the examples are tuples or dicts.
        Padded arrays have the dtype of the first example, all others the promoted dtype.
    Raises:
        DataError: the batch is empty.
        InvalidType: the examples do not have one structure and one shape, or are no numbers.
        InvalidArgument: the padding does not have the structure of the examples.
    """
    if len(batch) == 0:
        raise DataError('concat_examples: the batch is empty. Is the data set?')
    first = batch[0]
    if isinstance(first, tuple):
        fills = _fills(padding, range(len(first)), tuple, 'tuple')
        for position, example in enumerate(batch):
            if not isinstance(example, tuple) or len(example) != len(first):
                raise InvalidType(
                    f'concat_examples: example 0 is a tuple of {len(first)}, example {position} '
                    f'is {_describe(example)}. All examples of a batch have one structure')
        return tuple(
            to_device(device, _stack([example[k] for example in batch], fills[k], f'[{k}]'))
            for k in range(len(first)))
    if isinstance(first, dict):
        fills = _fills(padding, first, dict, 'dict')
        for position, example in enumerate(batch):
            if not isinstance(example, dict) or not first.keys() <= example.keys():
                raise InvalidType(
                    f'concat_examples: example 0 has the keys {list(first)}, example {position} '
                    f'is {_describe(example)}. All examples of a batch have one structure')
        return {
            key: to_device(device, _stack([e[key] for e in batch], fills[key], f'[{key!r}]'))
            for key in first}
    if isinstance(padding, (tuple, list, dict)):
        raise InvalidArgument(f'concat_examples: padding is {_describe(padding)}, but the '
                              f'examples are {_describe(first)}. Give one number')
    return to_device(device, _stack(list(batch), padding, ''))


def _describe(x):
    if isinstance(x, tuple):
        return f'a tuple of {len(x)}'
    if isinstance(x, dict):
        return f'a dict with the keys {list(x)}'
    if is_array(x):
        return f'an array {x.dtype} {x.shape}'
    return f'{type(x).__name__}'


def _fills(padding, keys, kind, name):
    """The padding of every entry of an example."""
    keys = list(keys)
    if not isinstance(padding, (tuple, list, dict)):
        return dict.fromkeys(keys, padding)
    fits = len(padding) == len(keys) if not isinstance(padding, dict) else (
        kind is dict and set(keys) <= set(padding))
    if isinstance(padding, dict) != (kind is dict) or not fits:
        raise InvalidArgument(
            f'concat_examples: padding is {_describe(padding)}, but an example is a {name} with '
            f'the entries {keys}. Give one number for all, or a {name} with one for each (None '
            'for no padding)')
    return padding if isinstance(padding, dict) else dict(zip(keys, padding))


def _stack(values, fill, entry):
    if not is_array(values[0]):
        try:
            values = [np.asarray(value) for value in values]
        except ValueError:
            raise InvalidType(f'concat_examples: entry{entry} of an example is a list with rows '
                              'of different lengths. Make arrays of the rows') from None
        if values[0].dtype.kind not in 'biufc':
            raise InvalidType(
                f'concat_examples: arrays or numbers expected, entry{entry} of an example is '
                f'{_describe(values[0])}. Drop it with TransformDataset, or pass a converter of '
                'your own: a function of (batch, device)')
    for position, value in enumerate(values):
        if not is_array(value) and not np.isscalar(value):
            raise InvalidType(f'concat_examples: entry{entry} is an array in example 0 and '
                              f'{_describe(value)} in example {position}')
    xp = get_array_module(values[0])
    shapes = [np.shape(value) for value in values]
    if len(set(shapes)) == 1 and (fill is None or not shapes[0]):
        return xp.stack([xp.asarray(value) for value in values])
    if len({len(shape) for shape in shapes}) > 1:
        raise InvalidType(f'concat_examples: entry{entry} has a different number of axes in '
                          f'examples of one batch, got the shapes {_some(shapes)}')
    if fill is None:
        raise InvalidType(
            f'concat_examples: one shape expected for entry{entry} of all examples, got '
            f'{_some(shapes)}. Give padding=0 (or another number) to fill them up, or use batches '
            'of one shape')
    largest = tuple(max(sizes) for sizes in zip(*shapes))
    result = xp.full((len(values), *largest), fill, dtype=values[0].dtype)
    for row, value in zip(result, values):
        row[tuple(slice(size) for size in value.shape)] = value
    return result


def _some(shapes):
    different = list(dict.fromkeys(shapes))
    return ', '.join(map(str, different[:4])) + (', ...' if len(different) > 4 else '')


class Converter:
    """A function of (batch, device) that always gets a Device (or None) as its `device`.

    Made by the decorator :func:`converter`.
    """

    def __init__(self, function):
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, batch, device=None):
        return self._function(batch, None if device is None else get_device(device))


def converter():
    """Decorate a function of (batch, device): any spelling of the device reaches it as a Device.

    ::

        @minichain.dataset.converter()
        def images_only(batch, device):
            return device.send(numpy.stack([image for image, label in batch]))
    """
    return Converter


class ConcatWithAsyncTransfer:
    """`concat_examples` that copies to a GPU beside the computation, from pinned memory.

    Anywhere else it is `concat_examples`. See :class:`minichain.gpu.transfer.Transfer`.

    Args:
        stream: the CUDA stream that copies; default: one of its own.
        compute_stream: the stream that waits for the copy; default: the current one.
    """

    def __init__(self, stream=None, compute_stream=None):
        self._stream = stream
        self._compute_stream = compute_stream
        self._transfers = {}    # by device

    def __call__(self, batch, device=None, padding=None):
        arrays = concat_examples(batch, padding=padding)
        if device is None or not isinstance(get_device(device), GpuDevice):
            return to_device(device, arrays)
        with using_device(device) as place:
            if place not in self._transfers:
                self._transfers[place] = Transfer(self._stream)
            return self._transfers[place].send(arrays, self._compute_stream)

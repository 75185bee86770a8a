"""SerialIterator: batches read one after the other by the thread that asks for them."""
import numbers

import numpy as np

from minichain.dataset.iterator import Iterator
from minichain.errors import DataError, InvalidArgument
from minichain.iterators.order import Place, ShuffleOrderSampler, first_place


class SerialIterator(Iterator):
    """Batches of a data set, in order or shuffled anew for each epoch.

    With `repeat` every batch is full: the last of an epoch is filled up with the first examples
    of the next. Without, the last may be smaller, and StopIteration follows.

    Args:
        dataset: has `len` and indices; at least one example.
        batch_size: number of examples of a batch, at least 1.
        repeat: go on for ever.
        shuffle: True or None: a new random order for each epoch, from NumPy's global random
            state; False: 0, 1, 2, ...
        order_sampler: an :class:`OrderSampler` that decides the orders; `shuffle` stays None.
    Attributes:
        current_position: number of examples of this epoch that were handed out.
        epoch: number of completed epochs.
        is_new_epoch: the last batch completed an epoch.
        epoch_detail, previous_epoch_detail: epochs with their fraction, now and one batch ago
            (None before the first batch).
    Raises:
        DataError: the data set is empty.
        InvalidArgument: batch_size is less than 1, or both `shuffle` and `order_sampler` given.
    """

    def __init__(self, dataset, batch_size, repeat=True, shuffle=None, order_sampler=None):
        name = type(self).__name__
        if len(dataset) == 0:
            raise DataError(f'{name}: the data set is empty; at least one example expected. '
                            'Check the folder or file that it was made from')
        check_count(batch_size, name, 'batch_size')
        if order_sampler is not None and shuffle is not None:
            raise InvalidArgument(f'{name}: shuffle={shuffle} and an order_sampler given, only '
                                  'one of them can decide the order; leave shuffle=None')
        self.dataset = dataset
        self.batch_size = batch_size
        self._repeat = repeat
        self._shuffle = shuffle
        if order_sampler is None and shuffle is not False:
            order_sampler = ShuffleOrderSampler()
        self.order_sampler = order_sampler
        self.reset()

    current_position = property(lambda self: self._place.position)
    epoch = property(lambda self: self._place.epoch)
    is_new_epoch = property(lambda self: self._place.is_new_epoch)
    epoch_detail = property(
        lambda self: self._place.epoch + self._place.position / self._place.size)
    previous_epoch_detail = property(lambda self: self._previous_epoch_detail)
    repeat = property(lambda self: self._repeat)

    def reset(self):
        """Start again at epoch 0, with a new order if shuffled."""
        self._place = first_place(len(self.dataset), self.order_sampler)
        self._previous_epoch_detail = None

    def next(self):
        """Return the next batch, a list of `batch_size` examples."""
        before = self.epoch_detail
        if not self._repeat and self.epoch > 0:
            self._previous_epoch_detail = before
            raise StopIteration
        place, tasks = self._place.take(self.batch_size, self.order_sampler, self._repeat)
        batch = self._read(tasks, place)
        self._place, self._previous_epoch_detail = place, before
        return batch

    def _read(self, tasks, place):
        """The examples of `tasks`; `place` knows what comes after them."""
        return [self.dataset[index] for _, index in tasks]

    def serialize(self, serializer):
        """Write or read place and permutation, under Chainer's keys.

        The state is that of the batches that `next` returned, whatever was read ahead.
        """
        place = self._place
        position = int(serializer('current_position', place.position))
        epoch = int(serializer('epoch', place.epoch))
        is_new_epoch = bool(serializer('is_new_epoch', place.is_new_epoch))
        order = None if place.order is None else _serialize_order(serializer, place.order.copy())
        if not (0 <= position < place.size and epoch >= 0 and _fits(order, place.order,
                                                                    len(self.dataset))):
            raise DataError(
                f'{type(self).__name__}: the stored state does not belong to this data set of '
                f'{len(self.dataset)} examples (position {position}, epoch {epoch}). Resume with '
                'the data that the training began with')
        self._place = Place(position, epoch, is_new_epoch, order, place.size)
        before = self._previous_epoch_detail
        try:
            before = float(serializer('previous_epoch_detail', -1. if before is None else before))
        except (KeyError, DataError):   # written by a Chainer that did not know it yet
            before = max(self.epoch_detail - self.batch_size / place.size, 0.)
        self._previous_epoch_detail = None if before < 0 else before


def _serialize_order(serializer, order):
    try:
        return serializer('order', order)
    except (KeyError, DataError) as error:
        try:
            return serializer('_order', order)      # as Chainer's MultithreadIterator calls it
        except (KeyError, DataError):
            raise error from None


def _fits(order, previous, size):
    return order is previous or (
        np.shape(order) == previous.shape and order.dtype.kind in 'iu'
        and 0 <= order.min() and order.max() < size)


def check_count(value, name, argument):
    """Raise InvalidArgument unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise InvalidArgument(f'{name}: {argument} of at least 1 expected, got {value!r}')

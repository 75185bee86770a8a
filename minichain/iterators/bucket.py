"""BucketIterator: shuffled batches of examples of about the same length."""
import numpy as np

from minichain.dataset.iterator import Iterator
from minichain.errors import DataError, InvalidArgument
from minichain.iterators.serial import check_count


class BucketIterator(Iterator):
    """Batches of similar lengths, so that no step of a batch runs for one sequence alone.

    For each epoch the examples are shuffled, sorted by length inside windows of ``window``
    batches, cut into batches, and the batches shuffled again; the last window's end may give one
    smaller batch. An epoch holds every example once.

    Args:
        dataset: has ``len`` and indices.
        lengths: the length of every example, (len(dataset),).
        batch_size: number of examples of a batch.
        repeat: go on for ever; otherwise StopIteration follows the first epoch.
        shuffle: False gives the batches of the sorted data set, in the same order every epoch.
        window: batches that are sorted together; larger means more equal lengths, less shuffled.
        seed: of the random state that draws the orders.
        weights: None, or a positive number for every example: an epoch then draws as many
            examples as there are, with replacement, in proportion to these.
    Attributes:
        epoch, is_new_epoch, epoch_detail, current_position: as of SerialIterator.
        n_batches: number of batches of an epoch.
    Raises:
        DataError: the data set is empty. InvalidArgument: a number is out of range.
    """

    def __init__(self, dataset, lengths, batch_size, repeat=True, shuffle=True, window=20, seed=0,
                 weights=None):
        if len(dataset) == 0:
            raise DataError('BucketIterator: the data set is empty; at least one example expected')
        if len(lengths) != len(dataset):
            raise InvalidArgument(f'BucketIterator: {len(dataset)} lengths expected, one for each '
                                  f'example, got {len(lengths)}')
        if weights is not None:
            weights = np.asarray(weights, float)
            if weights.shape != (len(dataset),) or not (weights >= 0).all() or not weights.any():
                raise InvalidArgument('BucketIterator: a weight of 0 or more for each of '
                                      f'{len(dataset)} examples expected, and not all 0')
            weights = weights / weights.sum()
        check_count(batch_size, 'BucketIterator', 'batch_size')
        check_count(window, 'BucketIterator', 'window')
        self.dataset, self.batch_size, self.repeat = dataset, batch_size, repeat
        self.n_batches = -(-len(dataset) // batch_size)
        self._lengths, self._shuffle, self._window = np.asarray(lengths), shuffle, window
        self._seed, self._weights = seed, weights
        self.reset()

    epoch_detail = property(lambda self: self.epoch + self.current_position / self.n_batches)

    def reset(self):
        """Start again at epoch 0, with the first order."""
        self._random = np.random.RandomState(self._seed)
        self.epoch, self.current_position, self.is_new_epoch = 0, 0, False
        self._order, self._batch_order = self._draw()

    def _draw(self):
        """Return the order of the examples and of the batches of the next epoch."""
        n, size = len(self.dataset), self.batch_size
        if not self._shuffle:
            return np.argsort(self._lengths, kind='stable'), np.arange(self.n_batches)
        order = (self._random.permutation(n) if self._weights is None else
                 self._random.choice(n, n, p=self._weights))
        step = self._window * size
        for start in range(0, n, step):
            part = order[start:start + step]
            order[start:start + step] = part[np.argsort(self._lengths[part], kind='stable')]
        return order, self._random.permutation(self.n_batches)

    def next(self):
        """Return the next batch, a list of examples."""
        if self.epoch and not self.repeat:
            raise StopIteration
        start = int(self._batch_order[self.current_position]) * self.batch_size
        batch = [self.dataset[int(i)] for i in self._order[start:start + self.batch_size]]
        self.current_position += 1
        self.is_new_epoch = self.current_position == self.n_batches
        if self.is_new_epoch:
            self.epoch += 1
            self.current_position = 0
            self._order, self._batch_order = self._draw()
        return batch

    def serialize(self, serializer):
        """Write or read the place, the orders of this epoch and the random state."""
        _, keys, position, _, _ = self._random.get_state()
        self.current_position = int(serializer('current_position', self.current_position))
        self.epoch = int(serializer('epoch', self.epoch))
        self.is_new_epoch = bool(serializer('is_new_epoch', self.is_new_epoch))
        self._order = serializer('order', self._order)
        self._batch_order = serializer('batch_order', self._batch_order)
        keys = serializer('random_keys', keys)
        self._random.set_state(('MT19937', keys, int(serializer('random_position', position))))
        order = np.asarray(self._order)
        if not (0 <= self.current_position < self.n_batches and len(order) == len(self.dataset)
                and order.min() >= 0 and order.max() < len(self.dataset)):
            raise DataError('BucketIterator: the stored state does not belong to this data set of '
                            f'{len(self.dataset)} examples. Resume with the data that the '
                            'training began with')

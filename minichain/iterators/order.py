"""Which example comes next: permutations, and the place of an iterator within one."""
import dataclasses

import numpy as np

from minichain.errors import DataError


class OrderSampler:
    """Base of the functions that give an iterator the order of each epoch."""

    def __call__(self, current_order, current_position):
        """Return the order of the next epoch, an int array of indices, or None for 0, 1, 2, ...

        Args:
            current_order: order of the epoch that ends; 0, 1, 2, ... before the first.
            current_position: place in `current_order` where the batch that ends it began.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define __call__(self, current_order, current_position)')


class ShuffleOrderSampler(OrderSampler):
    """Every epoch is a random permutation.

    Args:
        random_state: the `numpy.random.RandomState` that draws; default: NumPy's global one,
            which `numpy.random.seed` sets.
    """

    def __init__(self, random_state=None):
        self._random = np.random if random_state is None else random_state

    def __call__(self, current_order, current_position):
        return self._random.permutation(len(current_order))


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an iterator stands; never changed, always replaced.

    Attributes:
        position: number of examples of this epoch that were handed out.
        epoch: number of completed epochs.
        is_new_epoch: the last batch completed one.
        order: indices of the examples of this epoch, or None for 0, 1, 2, ...
        size: number of examples of an epoch.
    """

    position: int
    epoch: int
    is_new_epoch: bool
    order: np.ndarray | None
    size: int

    def take(self, count, sampler, repeat):
        """Return the Place after a batch of `count` examples, and the batch as tasks.

        A task is (ordinal, index): the how-manieth example ever, and which one.
        Without `repeat` the batch ends with the epoch. `sampler` is asked for each new epoch.
        """
        place, tasks = self, []
        while True:
            taken = place._next_tasks(count - len(tasks))
            tasks += taken
            position = place.position + len(taken)
            if position < place.size:
                return dataclasses.replace(
                    place, position=position, is_new_epoch=place.epoch > self.epoch), tasks
            # the next epoch begins with the last example of this one, as in Chainer's states
            place = place._next_epoch(sampler, self.position)
            if len(tasks) == count or not repeat:
                return place, tasks

    def peek(self, count, repeat):
        """Return up to `count` tasks that follow for certain: those that need no new order."""
        if self.epoch and not repeat:
            return []
        tasks = self._next_tasks(count)
        place = self
        while repeat and self.order is None and len(tasks) < count:
            place = place._next_epoch(None, 0)
            tasks += place._next_tasks(count - len(tasks))
        return tasks

    def _next_tasks(self, count):
        end = min(self.position + count, self.size)
        indices = (range(self.position, end) if self.order is None
                   else self.order[self.position:end].tolist())
        first = self.epoch * self.size + self.position
        return list(zip(range(first, first + len(indices)), indices))

    def _next_epoch(self, sampler, position):
        order = None if self.order is None else sampled(sampler, self.order, position)
        size = self.size if order is None else len(order)
        return Place(0, self.epoch + 1, True, order, size)


def sampled(sampler, current_order, current_position):
    """Return the order that a sampler gives, checked, or None where it has none."""
    order = sampler(current_order, current_position)
    if order is None:
        return None
    order = np.asarray(order)
    if order.ndim != 1 or order.dtype.kind not in 'iu' or not order.size:
        raise DataError('order sampler: a non-empty flat array of integer indices expected, got '
                        f'{order.dtype} {order.shape}')
    return order


def first_place(size, sampler):
    """Return the Place before the first example of a data set of `size` examples."""
    order = None if sampler is None else sampled(sampler, np.arange(size), 0)
    return Place(0, 0, False, order, size if order is None else len(order))

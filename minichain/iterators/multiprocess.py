"""MultiprocessIterator: batches read ahead by processes, for data sets that compute in Python."""
import concurrent.futures
import multiprocessing
import numbers

import numpy as np

from minichain.errors import InvalidArgument
from minichain.iterators.prefetch import Prefetcher
from minichain.iterators.process_crew import ProcessCrew, WorkerError
from minichain.iterators.serial import SerialIterator, check_count


class MultiprocessIterator(SerialIterator):
    """Batches as from :class:`SerialIterator`, read by processes some batches ahead.

    Batches, states and the use of NumPy's global random state are those of SerialIterator: an
    order is drawn when the epoch begins, not when it is read ahead. Before an example is read,
    `numpy.random` and `random` of the worker are seeded with NumPy's random state at the making of
    the iterator and the number of examples handed out before, so that augmentation differs
    from example to example and epoch to epoch, and does not depend on which worker reads.

    An exception of the data set comes out of `next` with the worker's traceback as its cause; a
    worker that dies raises WorkerError at once. In both cases `next` can be called again.

    Args:
        dataset: as in SerialIterator. Processes are made as `multiprocessing` makes them here;
            where it spawns, the data set is pickled and the script needs its
            ``if __name__ == '__main__':``.
        batch_size, repeat, shuffle, order_sampler: as in SerialIterator.
        n_processes: number of processes; default: one per core.
        n_prefetch: number of batches read ahead, at least 1.
        shared_mem: Chainer's size of an example in shared memory; accepted and not needed,
            examples of any size come through pipes.
        dataset_timeout: WorkerError if no example at all arrives for so many seconds; None: wait.
        maxtasksperchild: a process is replaced by a new one after so many examples, for data
            sets that leak memory; default: never.
    Raises:
        WorkerError: from `next`; see above.
    """

    def __init__(self, dataset, batch_size, repeat=True, shuffle=None, n_processes=None,
                 n_prefetch=1, shared_mem=None, order_sampler=None, dataset_timeout=30.0,
                 maxtasksperchild=None):
        name = type(self).__name__
        for argument, value in [('n_processes', n_processes), ('shared_mem', shared_mem),
                                ('maxtasksperchild', maxtasksperchild)]:
            if value is not None:
                check_count(value, name, argument)
        check_count(n_prefetch, name, 'n_prefetch')
        if dataset_timeout is not None and not (
                isinstance(dataset_timeout, numbers.Real) and dataset_timeout > 0):
            raise InvalidArgument(f'{name}: dataset_timeout in seconds, more than 0, or None '
                                  f'expected, got {dataset_timeout!r}')
        self.n_processes = n_processes or multiprocessing.cpu_count()
        self.n_prefetch = n_prefetch
        self.dataset_timeout = dataset_timeout
        self.maxtasksperchild = maxtasksperchild
        self._seed = _seed_without_drawing()
        self._prefetcher = None
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)

    def _read(self, tasks, place):
        if self._prefetcher is None:
            self._prefetcher = Prefetcher(ProcessCrew(
                self.dataset, self.n_processes, self.maxtasksperchild, self._seed,
                multiprocessing.get_context()))
        ahead = place.peek(self.n_prefetch * self.batch_size, self._repeat)
        try:
            return self._prefetcher.read(tasks, ahead, self._wait)
        except BaseException:
            self.finalize()     # what the workers are at is of no use; they may be stuck
            raise

    def _wait(self, future):
        crew = self._prefetcher.crew
        while True:
            completed = crew.completed
            try:
                return future.result(self.dataset_timeout)
            except concurrent.futures.TimeoutError:
                if future.done():       # it is the data set's own
                    raise
                if crew.completed == completed:
                    raise WorkerError(
                        f'{type(self).__name__}: no example arrived for {self.dataset_timeout} '
                        f'seconds: {crew.describe()}. Raise dataset_timeout, or give None, if '
                        'examples take that long') from None

    def finalize(self):
        """End the processes; `next` would start new ones."""
        prefetcher = getattr(self, '_prefetcher', None)
        self._prefetcher = None
        if prefetcher is not None:
            prefetcher.close()


def _seed_without_drawing():
    copy = np.random.RandomState()
    copy.set_state(np.random.get_state())
    return copy.randint(2 ** 32, size=4, dtype=np.uint32).tolist()

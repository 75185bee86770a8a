"""MultithreadIterator: batches read ahead by threads, for examples that wait or decode."""
from minichain.iterators.prefetch import Prefetcher, ThreadCrew
from minichain.iterators.serial import SerialIterator, check_count


class MultithreadIterator(SerialIterator):
    """Batches as from :class:`SerialIterator`, read by threads one batch ahead.

    Batches, states and the use of NumPy's global random state are those of SerialIterator: an
    order is drawn when the epoch begins, not when it is read ahead. An exception of the data set
    comes out of `next`, which can be called again.

    Args:
        dataset: as in SerialIterator; several threads use it at once.
        batch_size, repeat, shuffle, order_sampler: as in SerialIterator.
        n_threads: number of threads, at least 1.
    """

    def __init__(self, dataset, batch_size, repeat=True, shuffle=None, n_threads=1,
                 order_sampler=None):
        check_count(n_threads, type(self).__name__, 'n_threads')
        self.n_threads = n_threads
        self._prefetcher = None
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)

    def _read(self, tasks, place):
        if self._prefetcher is None:
            self._prefetcher = Prefetcher(ThreadCrew(self.dataset, self.n_threads))
        return self._prefetcher.read(tasks, place.peek(self.batch_size, self._repeat))

    def finalize(self):
        """Stop the threads; `next` would start new ones."""
        prefetcher = getattr(self, '_prefetcher', None)
        self._prefetcher = None
        if prefetcher is not None:
            prefetcher.close()

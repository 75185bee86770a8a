"""Reading ahead: which examples are under way, and the threads that fetch them.

A crew has `submit(ordinal, index) -> Future` and `close()`.
"""
import queue
import threading
from concurrent.futures import Future


class Prefetcher:
    """Keeps a crew busy with the tasks that come next, and collects results in their order.

    Args:
        crew: reads the examples.
    """

    def __init__(self, crew):
        self.crew = crew
        self._under_way = []    # pairs (task, Future)

    def read(self, wanted, ahead, wait=Future.result):
        """Return the examples of the tasks `wanted`, with `ahead` begun before waiting for them.

        What is under way and not asked for (after a reset, or a loaded state) is dropped. After
        an error everything is.

        Args:
            wanted, ahead: lists of (ordinal, index).
            wait: function of a Future that returns its result.
        """
        tasks = wanted + ahead
        same = 0
        for (task, _), expected in zip(self._under_way, tasks):
            if task != expected:
                break
            same += 1
        self._drop(same)
        self._under_way += [(task, self.crew.submit(*task)) for task in tasks[same:]]
        try:
            examples = [wait(future) for _, future in self._under_way[:len(wanted)]]
        except BaseException:
            self._drop(0)
            raise
        del self._under_way[:len(wanted)]
        return examples

    def _drop(self, first):
        for _, future in self._under_way[first:]:
            future.cancel()
        del self._under_way[first:]

    def close(self):
        """Drop what is under way and dismiss the crew."""
        self._drop(0)
        self.crew.close()


class ThreadCrew:
    """Threads that read examples of one data set.

    They are daemons and do not know the crew, so that neither the end of the program nor that
    of the crew waits for a slow example.

    Args:
        dataset: has indices; used by all threads at once.
        n_threads: at least 1.
    """

    def __init__(self, dataset, n_threads):
        self._tasks = queue.SimpleQueue()
        self._n_threads = n_threads
        for number in range(n_threads):
            threading.Thread(target=_read_tasks, args=(dataset, self._tasks), daemon=True,
                             name=f'MultithreadIterator-{number}').start()

    def submit(self, ordinal, index):
        future = Future()
        self._tasks.put((index, future))
        return future

    def close(self):
        for _ in range(self._n_threads):
            self._tasks.put(None)


def _read_tasks(dataset, tasks):
    while (task := tasks.get()) is not None:
        index, future = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(dataset[index])
            except BaseException as error:
                future.set_exception(error)
        del task, future    # else the last example lives until the next task

"""Processes that read examples of one data set, and notice when one of them dies.

Each worker has a pipe of its own and, on this side, a thread that listens to it: a killed worker
closes its pipe, so the loss is known at once and nobody waits for it.
"""
import collections
import contextlib
import pickle
import random
import signal
import sys
import threading
import traceback
from concurrent.futures import Future

import numpy as np

from minichain.errors import MinichainError

# Enough that a worker never waits for its next task, few enough that none waits for a worker.
TASKS_PER_WORKER = 2


class WorkerError(MinichainError, RuntimeError):
    """A worker process that died, does not answer, or cannot send what it read."""


class RemoteTraceback(Exception):
    """The cause of an exception from a worker: its traceback, as text."""


class ProcessCrew:
    """Worker processes, started at once; see the module `prefetch` for the protocol.

    Args:
        dataset: has indices; where processes are spawned and not forked, it is pickled.
        n_processes: at least 1.
        max_tasks: a worker is replaced by a new one after so many examples; None: never.
        seed: list of uint32. With it and the ordinal of an example, `numpy.random` and `random`
            are seeded before the example is read.
        context: of `multiprocessing`.
    Attributes:
        completed: number of examples that came back.
    """

    def __init__(self, dataset, n_processes, max_tasks, seed, context):
        self.completed = 0
        self._arguments = dataset, max_tasks, seed
        self._context = context
        # Reentrant: the garbage collector may close the crew of a lost iterator anywhere.
        self._lock = threading.RLock()
        self._waiting = collections.deque()     # (ordinal, index, Future), not yet sent
        self._closed = False
        self._failure = None        # the WorkerError after which no more is read
        self._workers = []
        try:
            for _ in range(n_processes):
                self._workers.append(_Worker(self))
        except BaseException:
            self.close()
            raise

    def submit(self, ordinal, index):
        future = Future()
        with self._lock:
            self._waiting.append((ordinal, index, future))
            if self._failure is not None:
                self._give_up([])
            self._dispatch()
        return future

    def _dispatch(self):
        while self._waiting and not self._closed:
            worker = min((w for w in self._workers if w.has_room()), default=None,
                         key=lambda w: len(w.tasks))
            if worker is None:
                return
            task = self._waiting.popleft()
            if task[-1].set_running_or_notify_cancel():
                worker.send(task)

    def _listen(self, worker):
        """Body of the thread of one worker."""
        while True:
            try:
                succeeded, result = worker.connection.recv()
            except (EOFError, OSError):
                break
            except Exception as error:      # sent well, but does not unpickle here
                succeeded, result = False, (error, traceback.format_exc())
            with self._lock:
                _, index, future = worker.tasks.popleft()
                self.completed += 1
                self._dispatch()
            if succeeded:
                future.set_result(result)
            else:
                error, text = result
                error.__cause__ = RemoteTraceback(
                    f'\nexample {index} in worker process {worker.process.pid}:\n{text}')
                future.set_exception(error)
            del result, future      # else the last example lives until the next one
        worker.process.join()
        with self._lock:
            self._bury(worker)

    def _bury(self, worker):
        if self._closed or sys.is_finalizing():
            return
        self._workers.remove(worker)
        worker.connection.close()
        if worker.has_finished():
            try:
                self._workers.append(_Worker(self))
                self._dispatch()
                return
            except Exception as error:
                self._failure = WorkerError(f'a worker process could not be replaced ({error})')
        else:
            self._failure = WorkerError(_obituary(worker))
        self._give_up([future for _, _, future in worker.tasks])

    def _give_up(self, lost):
        waiting = [future for _, _, future in self._waiting
                   if future.set_running_or_notify_cancel()]
        self._waiting.clear()
        for future in lost + waiting:
            future.set_exception(self._failure)

    def describe(self):
        """Which process reads which example, for messages."""
        with self._lock:
            return ', '.join(f'process {w.process.pid} reads example {w.tasks[0][1]}'
                             for w in self._workers if w.tasks) or 'no process is at work'

    def close(self):
        """End the processes, at work or not; what was submitted is given up."""
        with self._lock:
            # at the end of the program multiprocessing ends the processes itself
            if self._closed or sys.is_finalizing():
                return
            self._closed = True
            workers = list(self._workers)
            for worker in workers:
                worker.process.terminate()
        for worker in workers:
            worker.end()
        for _, _, future in self._waiting:
            future.cancel()


class _Worker:
    def __init__(self, crew):
        dataset, max_tasks, seed = crew._arguments
        context = crew._context
        self.tasks = collections.deque()    # sent and not answered; answers keep the order
        self._left = max_tasks
        self.connection, far_end = context.Pipe()
        # A forked worker inherits our end, and would never see it closed if it kept it.
        near_end = self.connection if context.get_start_method() == 'fork' else None
        self.process = context.Process(
            target=_work, args=(far_end, near_end, dataset, max_tasks, seed), daemon=True)
        self.process.start()
        far_end.close()
        self.thread = threading.Thread(target=crew._listen, args=(self,), daemon=True,
                                       name=f'MultiprocessIterator-{self.process.pid}')
        self.thread.start()

    def has_room(self):
        return self._left != 0 and len(self.tasks) < TASKS_PER_WORKER

    def has_finished(self):
        return self._left == 0 and not self.tasks

    def send(self, task):
        if self._left is not None:
            self._left -= 1
        self.tasks.append(task)
        with contextlib.suppress(OSError):      # it just died: the listener finds the task
            self.connection.send(task[:2])

    def end(self):
        if self.thread is threading.current_thread():
            return
        self.thread.join(1)     # it sees the pipe closed, and reaps the process
        if self.thread.is_alive():
            self.process.kill()
            self.thread.join(1)
        self.connection.close()


def _obituary(worker):
    code = worker.process.exitcode
    if code is not None and code < 0:
        end = f'was killed by {signal.Signals(-code).name}'
    else:
        end = f'ended with exit code {code}'
    where = f' while it read example {worker.tasks[0][1]}' if worker.tasks else ''
    return (f'MultiprocessIterator: worker process {worker.process.pid} {end}{where}. The system '
            'may be out of memory (try fewer n_processes), or that example makes the reader crash '
            '(try SerialIterator)')


def _work(connection, near_end, dataset, max_tasks, seed):
    """Body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # Ctrl-C is for the main process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)   # whose handlers a forked worker inherits
    if near_end is not None:
        near_end.close()
    done = 0
    while done != max_tasks:
        try:
            ordinal, index = connection.recv()
        except (EOFError, OSError):
            return
        words = [*seed, ordinal % 2 ** 32, ordinal >> 32]
        np.random.seed(words)
        random.seed(repr(words))
        try:
            answer = pickle.dumps((True, dataset[index]), protocol=5)
        except Exception as error:
            answer = pickle.dumps((False, (_portable(error), traceback.format_exc())))
        try:
            connection.send_bytes(answer)
        except OSError:
            return
        done += 1


def _portable(error):
    """The exception, or a WorkerError in its place if it would not survive the journey."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return WorkerError(f'{type(error).__name__}: {error}')

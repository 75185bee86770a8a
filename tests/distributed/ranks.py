"""Ranks without MPI: threads of this process that talk through shared lists."""
import threading

import numpy as np

from minichain.backend import is_array
from minichain.distributed.communicator import Communicator


class Meeting:
    """Where the threads meet: what each brings to a step is seen by all."""

    def __init__(self, size):
        self.size, self.barrier = size, threading.Barrier(size, timeout=20)
        self.brought = [None] * size

    def meet(self, rank, value):
        self.brought[rank] = value
        self.barrier.wait()
        found = list(self.brought)
        self.barrier.wait()
        return found


class LateSum:
    """A sum that is made when somebody waits for it: until then the array must not be read."""

    def __init__(self, communicator, array):
        self.communicator, self.array, self.polls = communicator, array, 0
        self.sent = array.copy()
        array[...] = np.nan if array.dtype.kind == 'f' else -1

    def poll(self):
        self.polls += 1

    def wait(self):
        parts = self.communicator.meeting.meet(self.communicator.rank, self.sent)
        assert len({(part.shape, str(part.dtype)) for part in parts}) == 1
        self.array[...] = sum(parts[1:], start=parts[0])


class ThreadCommunicator(Communicator):
    """A rank that is a thread."""

    def __init__(self, meeting, rank):
        self.meeting, self.rank, self.size = meeting, rank, meeting.size
        self.intra_rank, self.intra_size = rank, meeting.size
        self.started = []

    def start_sum(self, array):
        assert is_array(array) and array.flags.c_contiguous
        self.started.append(LateSum(self, array))
        return self.started[-1]

    def exchange(self, data):
        return self.meeting.meet(self.rank, bytes(data))

    def barrier(self):
        self.meeting.meet(self.rank, None)

    def all_failed(self, seconds):
        try:
            self.meeting.barrier.wait(seconds)
        except threading.BrokenBarrierError:
            return False
        return True

    def abort(self, code):
        self.aborted = code
        self.meeting.barrier.abort()


def on_ranks(size, work):
    """Return what ``work(communicator)`` returns on each rank; raise what the first raised."""
    meeting, results, errors = Meeting(size), [None] * size, []

    def run(rank):
        try:
            results[rank] = work(ThreadCommunicator(meeting, rank))
        except BaseException as error:
            errors.append(error)
            meeting.barrier.abort()
    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((error for error in errors
                    if not isinstance(error, threading.BrokenBarrierError)), errors[0])
    return results

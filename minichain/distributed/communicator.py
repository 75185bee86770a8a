"""Communicator: the ranks of a job as one of them sees them.

A job is one program started several times; each copy has a rank, 0 to size - 1. This class is a
job of one rank, and what all communicators share; ``mpi.py`` has the one with others to talk to.
A method that is called *by all ranks* waits for the others: all must call it, in the same order.
"""
import contextlib

import numpy as np

from minichain.backend import copyto, is_array, to_cpu
from minichain.distributed.messages import decode, encode
from minichain.errors import InvalidArgument


class Done:
    """A sum that needs no waiting for."""

    def wait(self):
        """Return when the sum is there, or whatever is computed next on the device has it."""

    def poll(self):
        """Let a sum that is under way make progress, without waiting."""


class Communicator:
    """A job of one rank.

    Attributes:
        rank, size: number of this rank, and of ranks.
        intra_rank, intra_size: the same, among the ranks of this machine.
    """

    rank, size, intra_rank, intra_size = 0, 1, 0, 1

    # What the ways of communication do in their own manner.

    def start_sum(self, array):
        """Begin to replace an array by its sum over the ranks; called by all ranks.

        Args:
            array: contiguous, of the same shape and dtype (float32, float64, int32, int64) on
                all ranks; not to be touched before the end.
        Returns:
            object whose ``wait()`` ends it, and whose ``poll()`` helps it on.
        """
        return Done()

    def exchange(self, data):
        """Return the bytes of every rank, a list; called by all ranks."""
        return [bytes(data)]

    def barrier(self):
        """Wait for all ranks, without taking a processor from them; called by all ranks."""

    def all_failed(self, seconds):
        """Return whether every rank calls this within so many seconds."""
        return True

    def abort(self, code):
        """End all ranks with this exit code, whatever they do; the last resort."""
        raise SystemExit(code)

    # What follows from these.

    def any(self, flag):
        """Return whether the flag is true on any rank; called by all ranks."""
        return b'1' in self.exchange(b'1' if flag else b'0')

    def allreduce(self, data):
        """Return the sum of an array over the ranks, a new array; called by all ranks.

        Sums of float16 are made in float32.
        """
        half = data.dtype.kind == 'f' and data.dtype.itemsize < 4
        total = data.astype(np.float32 if half else data.dtype, order='C')
        self.start_sum(total).wait()
        return total.astype(data.dtype) if half else total

    def bcast(self, data, root=0):
        """Return the array of rank ``root``, on the CPU; called by all ranks."""
        return self.bcast_obj(to_cpu(data) if self.rank == root else None, root=root)

    def bcast_obj(self, obj, max_buf_len=None, root=0):
        """Return the object of rank ``root``; called by all ranks.

        Args:
            obj: see :func:`minichain.distributed.messages.encode`; of other ranks it is ignored.
            max_buf_len: of Chainer; messages here have no limit.
        """
        self._check_root(root)
        return decode(self.exchange(encode(obj) if self.rank == root else b'')[root])

    def gather_obj(self, obj, root=0):
        """Return the objects of all ranks in a list, None on ranks other than ``root``.

        Called by all ranks.
        """
        self._check_root(root)
        found = self.exchange(encode(obj))
        return list(map(decode, found)) if self.rank == root else None

    def allgather_obj(self, obj):
        """Return the objects of all ranks in a list; called by all ranks."""
        return list(map(decode, self.exchange(encode(obj))))

    def allreduce_obj(self, obj):
        """Return the sum (``+``) of the objects of all ranks; called by all ranks."""
        first, *others = self.allgather_obj(obj)
        for other in others:
            first = first + other
        return first

    def bcast_data(self, model):
        """Give all ranks the parameters and persistent values of rank 0; called by all ranks.

        A parameter that only rank 0 has initialized gets its shape there, too.
        """
        paths = [(path, param) for path, param in model.namedparams()]
        values = self.bcast_obj([to_cpu(param.array) for _, param in paths])
        for (_, param), value in zip(paths, values):
            if value is not None and self.rank:
                if param.array is None:
                    param.initialize(value.shape)
                copyto(param.array, value)
        for link in model.links():
            names = sorted(link._persistent)
            values = self.bcast_obj([to_cpu(value) if is_array(value) else value for value in
                                     (getattr(link, name) for name in names)])
            for name, value in zip(names, values):
                if self.rank:
                    setattr(link, name, link.device.send(value) if is_array(value) else value)

    def multi_node_mean_grad(self, model, zero_fill=False):
        """Replace all gradients by their means over the ranks; called by all ranks.

        Args:
            zero_fill: count gradients that are not there as zeros; otherwise a parameter that has
                none here must have none on any rank.
        """
        for param in model.params(include_uninit=False):
            if param.grad is None and zero_fill:
                param.zerograd()
            if param.grad is not None:
                param.grad = self.allreduce(param.grad) / self.size

    @contextlib.contextmanager
    def rank_0_first(self):
        """In a ``with`` block: rank 0 runs it first, then all others; called by all ranks.

        So what the others want is already there: files in a cache.
        """
        if self.rank:
            self.barrier()
        yield
        if not self.rank:
            self.barrier()

    def _check_root(self, root):
        if not 0 <= root < self.size:
            raise InvalidArgument(f'root: a rank of 0 to {self.size - 1} expected, got {root}')

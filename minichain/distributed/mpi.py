"""Ranks that talk over MPI: ``mpiexec -n 4 python train.py``. Arrays on GPUs go over NCCL."""
import os
import time

import numpy as np

from minichain.backend import copyto
from minichain.distributed.communicator import Communicator, Done
from minichain.distributed.nccl import NcclSums
from minichain.errors import DeviceError

PAUSE = .002    # seconds between two looks at what is not done yet


def import_mpi():
    """Return the module ``mpi4py.MPI``; the first import starts MPI.

    Raises:
        DeviceError: it does not import, or finds no MPI library.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise DeviceError(
            f'several ranks were asked for, but mpi4py does not import '
            f"({' '.join(str(error).split())}). Install it with pip install 'minichain[mpi]' and "
            'use the mpiexec that comes with it') from None
    return MPI


class HostSum:
    """A sum that MPI makes in the memory of the CPU; for an array elsewhere, in a copy."""

    def __init__(self, request, host, array):
        self.request, self.host, self.array = request, host, array

    def wait(self):
        self.request.Wait()
        if self.host is not self.array:
            copyto(self.array, self.host)

    def poll(self):
        self.request.Test()


class MPICommunicator(Communicator):
    """The ranks of an MPI communicator.

    Args:
        mpi_comm: of mpi4py; duplicated, so that messages of others do not mix with ours.
        use_nccl: sum arrays on GPUs with NCCL, which wants a GPU for each rank; otherwise by way
            of the CPU.
    """

    def __init__(self, mpi_comm, use_nccl=True):
        mpi = import_mpi()
        self.mpi_comm, self._failures = mpi_comm.Dup(), mpi_comm.Dup()
        self.rank, self.size = mpi_comm.rank, mpi_comm.size
        here = mpi_comm.Split_type(mpi.COMM_TYPE_SHARED)
        self.intra_rank, self.intra_size = here.rank, here.size
        here.Free()
        self._in_place, self._use_nccl, self._nccl = mpi.IN_PLACE, use_nccl, None

    def start_sum(self, array):
        if self.size == 1:
            return Done()
        if isinstance(array, np.ndarray):
            host = array
        elif self._use_nccl:
            if self._nccl is None:
                self._nccl = NcclSums(self)
            return self._nccl.start(array)
        else:
            host = array.get()
        return HostSum(self.mpi_comm.Iallreduce(self._in_place, host), host, array)

    def exchange(self, data):
        sizes = np.empty(self.size, np.int64)
        self.mpi_comm.Allgather(np.array([len(data)], np.int64), sizes)
        found = np.empty(int(sizes.sum()), np.uint8)
        ends = np.cumsum(sizes)
        self.mpi_comm.Allgatherv(np.frombuffer(data, np.uint8), [found, (sizes, ends - sizes)])
        return [found[end - size:end].tobytes() for size, end in zip(sizes, ends)]

    def barrier(self):
        request = self.mpi_comm.Ibarrier()
        while not request.Test():
            time.sleep(PAUSE)

    def all_failed(self, seconds):
        request, end = self._failures.Ibarrier(), time.monotonic() + seconds
        while not request.Test():
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE)
        return True

    def abort(self, code):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)    # the program has said why, MPI need not
        self.mpi_comm.Abort(code)

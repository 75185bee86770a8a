"""Sums over GPUs with NCCL, on a stream of their own beside the computation."""
import warnings

import numpy as np

from minichain.backend import import_cupy
from minichain.errors import DeviceError, InvalidType

TYPES = {'float16': 'NCCL_FLOAT16', 'float32': 'NCCL_FLOAT32', 'float64': 'NCCL_FLOAT64',
         'bfloat16': 'NCCL_BFLOAT16', 'int8': 'NCCL_INT8', 'uint8': 'NCCL_UINT8',
         'int32': 'NCCL_INT32', 'int64': 'NCCL_INT64'}


def import_nccl():
    """Return the module ``cupy.cuda.nccl``.

    Raises:
        DeviceError: CuPy has none, or does not find the library: then the module is empty.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')     # the error says it
            from cupy.cuda import nccl
        if nccl.available:
            return nccl
        reason = 'the library does not load'
    except ImportError as error:
        reason = error
    raise DeviceError(
        f'CuPy finds no NCCL ({reason}). Install it (pip install nvidia-nccl-cu13, or -cu12), or '
        "sum by way of the CPU with create_communicator('naive')")


class NcclSum:
    """A sum under way. Only the GPU waits for it; the program goes on."""

    def __init__(self, cupy, done):
        self._cupy, self._done = cupy, done

    def wait(self):
        self._cupy.cuda.get_current_stream().wait_event(self._done)

    def poll(self):
        """A GPU needs no help."""


class NcclSums:
    """The GPUs of all ranks; made by all ranks, each with its GPU as the current one.

    Args:
        communicator: by which rank 0 tells the others where to meet.
    Raises:
        DeviceError: CuPy has no NCCL, or NCCL refuses, as it does where two ranks have one GPU.
    """

    def __init__(self, communicator):
        self._cupy = cupy = import_cupy()
        self._nccl = nccl = import_nccl()
        place = np.frombuffer(nccl.get_unique_id(), np.uint8) if communicator.rank == 0 else None
        place = communicator.bcast(place).tobytes()
        try:
            self._communicator = nccl.NcclCommunicator(communicator.size, place,
                                                       communicator.rank)
        except RuntimeError as error:   # NcclError is one
            raise DeviceError(
                f'NCCL brings {communicator.size} ranks not together ({error}). Give each rank a '
                "GPU of its own, or sum by way of the CPU with create_communicator('naive')"
                ) from None
        self._stream = cupy.cuda.Stream(non_blocking=True)

    def start(self, array):
        """Begin to replace a contiguous CuPy array by its sum; called by all ranks."""
        name = TYPES.get(array.dtype.name)
        if name is None or not array.flags.c_contiguous:
            raise InvalidType(f'NCCL: a contiguous array of {", ".join(TYPES)} expected, got '
                              f'{array.dtype} of shape {array.shape}')
        cuda = self._cupy.cuda
        ready = cuda.Event(disable_timing=True)
        ready.record(cuda.get_current_stream())
        self._stream.wait_event(ready)      # until the array has been computed
        self._communicator.allReduce(
            array.data.ptr, array.data.ptr, array.size, getattr(self._nccl, name),
            self._nccl.NCCL_SUM, self._stream.ptr)
        done = cuda.Event(disable_timing=True)
        done.record(self._stream)
        return NcclSum(self._cupy, done)

"""A stand-in for ``cupy.cuda.nccl`` and CuPy's streams, for threads as ranks.

A sum lies on its stream until somebody waits for an event behind it; before that the buffer holds
NaN. Pointers are read as memory, so a wrong count or type shows.
"""
import contextlib
import ctypes
import sys
import threading
import types

import numpy as np

from tests import strict_cupy

DTYPES = {'NCCL_FLOAT16': (6, 'e'), 'NCCL_FLOAT32': (7, 'f'), 'NCCL_FLOAT64': (8, 'd'),
          'NCCL_INT64': (4, 'q')}
SUM = 0


class Stream:
    current = threading.local()

    def __init__(self, non_blocking=False):
        assert non_blocking      # or it would wait for the default stream
        self.waiting, self.log, self.ptr = [], [], id(self)
        Stream.by_pointer[self.ptr] = self

    by_pointer = {}

    def wait_event(self, event):
        self.log.append(('wait', event.stream))
        event.stream.run(event.position)

    def run(self, position):
        """Run what was put on the stream before ``position``."""
        for k in range(position):
            operation, self.waiting[k] = self.waiting[k], None
            if operation:
                operation()


class Event:
    def __init__(self, block=False, disable_timing=False):
        assert disable_timing    # timing makes events slower
        self.stream = None

    def record(self, stream):
        self.stream, self.position = stream, len(stream.waiting)
        stream.log.append(('record', stream))


def get_current_stream():
    if not hasattr(Stream.current, 'stream'):
        Stream.current.stream = Stream(non_blocking=True)
    return Stream.current.stream


def array_at(pointer, count, dtype):
    kind = np.dtype(dtype)
    buffer = (ctypes.c_byte * (count * kind.itemsize)).from_address(pointer)
    return np.frombuffer(buffer, kind)


class NcclError(RuntimeError):
    pass


class NcclCommunicator:
    meetings = {}

    def __init__(self, size, place, rank):
        assert type(place) is bytes and len(place) == 128
        if place[0] == 255:
            raise NcclError('NCCL_ERROR_INVALID_USAGE: invalid usage')
        self.size, self.rank, self.meeting = size, rank, self.meetings[place]

    def allReduce(self, send, receive, count, kind, operation, stream):
        assert operation == SUM and type(send) is int
        stream = Stream.by_pointer[stream]
        # what it reads was computed on the current stream, for which it waits
        assert stream.log[-1] == ('wait', get_current_stream())
        dtype = dict(DTYPES.values())[kind]
        sent = array_at(send, count, dtype).copy()
        array_at(receive, count, dtype)[...] = -1 if dtype == 'q' else np.nan

        def finish():
            parts = self.meeting.meet(self.rank, sent)
            assert len({(part.size, part.dtype) for part in parts}) == 1
            array_at(receive, count, dtype)[...] = sum(parts[1:], start=parts[0])
        stream.waiting.append(finish)


@contextlib.contextmanager
def installed(meeting, place=b'\x07' * 128):
    """Make ``import cupy`` give the strict stand-in, with streams and NCCL."""
    with strict_cupy.installed() as cupy:
        cuda = types.ModuleType('cupy.cuda')
        vars(cuda).update(vars(cupy.cuda), Stream=Stream, Event=Event,
                          get_current_stream=get_current_stream)
        cuda.nccl = types.ModuleType('cupy.cuda.nccl')
        vars(cuda.nccl).update(
            {name: number for name, (number, _) in DTYPES.items()}, NCCL_SUM=SUM,
            available=True, NcclCommunicator=NcclCommunicator, get_unique_id=lambda: place)
        cupy.__dict__['cuda'] = cuda
        sys.modules['cupy.cuda'] = cuda
        NcclCommunicator.meetings[place] = meeting
        strict_cupy.ndarray.data = property(
            lambda array: types.SimpleNamespace(ptr=array._values.ctypes.data))
        try:
            yield cupy
        finally:
            del sys.modules['cupy.cuda'], strict_cupy.ndarray.data

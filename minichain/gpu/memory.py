"""Memory of a GPU: what lives, what CuPy's pools keep, what the driver has; and when it runs out.

CuPy keeps what arrays give back, one heap for each stream, so the driver's number is not what
arrays need.
"""
import contextlib
import gc
import weakref
from typing import NamedTuple

from minichain.backend import import_cupy
from minichain.errors import DeviceError

MIB = 1 << 20
OUT_OF_MEMORY = 2   # cudaErrorMemoryAllocation, for which CuPy has no name

_private_pools = weakref.WeakSet()


class PrivatePool:
    """Memory for what runs inside of ``using()`` alone, also once it is free.

    A captured graph writes where its arrays lay when it was captured, at every replay. So nobody
    else may be given that memory, not even once the arrays are gone, while the graph lives.

    Args:
        name: whose it is, for :func:`report`.
    Attributes:
        pool: the ``cupy.cuda.MemoryPool``.
    """

    def __init__(self, name):
        self.name = name
        self.pool = import_cupy().cuda.MemoryPool()
        _private_pools.add(self)

    @contextlib.contextmanager
    def using(self):
        """Give this thread's new CuPy arrays memory of this pool inside a ``with`` block."""
        with import_cupy().cuda.using_allocator(self.pool.malloc):
            yield self


@contextlib.contextmanager
def outside_of_private_pools():
    """Give this thread's new CuPy arrays memory of the default pool, within ``using()`` too.

    That is where arrays lie that the host fills before a graph is launched: in a private pool they
    could be given what an array of the step had, earlier in the same step, and the graph would
    write there again before it reads them.
    """
    cupy = import_cupy()
    with cupy.cuda.using_allocator(cupy.get_default_memory_pool().malloc):
        yield


class Usage(NamedTuple):
    """Bytes on the current GPU.

    Attributes:
        live: held by CuPy arrays, of the default pool and of private ones.
        pooled: got from the driver by these pools; ``pooled - live`` is free for later arrays.
        private: of ``pooled``, what private pools got.
        driver: in use on the GPU by whomever, as the driver counts: contexts, libraries and
            other processes included.
        total: of the GPU.
    """

    live: int
    pooled: int
    private: int
    driver: int
    total: int


def usage():
    """Return the :class:`Usage` of the current GPU; it does not wait for the GPU.

    Raises:
        DeviceError: there is no CuPy.
    """
    cupy = import_cupy()
    default, private = cupy.get_default_memory_pool(), [each.pool for each in _private_pools]
    free, total = cupy.cuda.runtime.memGetInfo()
    kept = sum(pool.total_bytes() for pool in private)
    return Usage(sum(pool.used_bytes() for pool in (default, *private)),
                 default.total_bytes() + kept, kept, total - free, total)


def report():
    """Return one line about the current GPU's memory for a log, in MiB."""
    now = usage()
    names = ', '.join(f'{each.name} {_mib(each.pool.total_bytes())}'
                      for each in sorted(_private_pools, key=lambda each: each.name))
    return (f'GPU memory in MiB: arrays {_mib(now.live)}, pools {_mib(now.pooled)} '
            f'(private {_mib(now.private)}{": " if names else ""}{names}), '
            f'driver {_mib(now.driver)} of {_mib(now.total)}')


def free_unused():
    """Let go of arrays that only cycles of references keep, and give free memory to the driver.

    This waits for the GPU. Private pools keep theirs.
    """
    gc.collect()
    import_cupy().get_default_memory_pool().free_all_blocks()


def with_one_retry(function, *arguments):
    """Return ``function(*arguments)``; out of memory, make room and call it once more.

    Args:
        function: callable that may be called twice: what it did before memory ran out is done
            again.
    Raises:
        DeviceError: memory ran out again; with the numbers.
    """
    try:
        return function(*arguments)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
    # The handler has ended before room is made: an error holds its frames, and they hold arrays.
    free_unused()
    try:
        return function(*arguments)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        words = str(error)
    raise DeviceError(f'the GPU has too little memory, also after what is unused was freed. '
                      f'CuPy: {words.rstrip(".")}. {report()}. Use smaller batches, shorter '
                      'captions, or bf16')


def _is_out_of_memory(error):
    cuda = import_cupy().cuda
    if isinstance(error, cuda.runtime.CUDARuntimeError):   # of memory that is of no pool
        return error.status == OUT_OF_MEMORY
    return isinstance(error, cuda.memory.OutOfMemoryError)


def _mib(size):
    return f'{size / MIB:,.1f}'

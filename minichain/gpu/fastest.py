"""Of several ways to compute the same the fastest: tried once, then remembered for this GPU."""
import functools

from minichain.backend import import_cupy
from minichain.errors import DeviceError
from minichain.gpu.libraries import is_capturing
from minichain.gpu.recorders import CudaRecorder
from minichain.gpu.remembered import Remembered
from minichain.gpu.sources import cache_folder

TRIALS = 3   # that are timed, after one that is not


def run(key, ways, clock=None):
    """Run the way that was the fastest when this kind of work was first met.

    While a graph is captured nothing can be timed: what is not yet known runs the first way.

    Args:
        key: text, everything on which it may depend which way is the fastest, but for the GPU.
        ways: functions without arguments, each of which does the whole work, and may do it again.
            The first must be able to; the others may raise DeviceError.
        clock: says how long a way takes; None: :func:`milliseconds`.
    """
    key = f'{name_of(import_cupy().cuda.runtime.getDevice())} {key}'
    choice = remembered().get(key)
    known = choice is not None and len(choice) == 1 and 0 <= choice[0] < len(ways)
    if not known and not is_capturing():
        times = [(clock or milliseconds)(way) for way in ways]
        choice, known = [times.index(min(times))], True
        remembered().put(key, choice)
    ways[choice[0] if known else 0]()


@functools.cache
def name_of(number):
    """Return the name of a GPU; CUDA is asked once, as its answer takes longer than some work."""
    return import_cupy().cuda.runtime.getDeviceProperties(number)['name'].decode()


def milliseconds(way):
    """Return how long a way takes on the GPU; infinity if it cannot."""
    cuda = import_cupy().cuda
    start, end, stream = cuda.Event(), cuda.Event(), cuda.get_current_stream()
    try:
        way()
        start.record(stream)
        for _ in range(TRIALS):
            way()
        end.record(stream)
    except DeviceError:
        return float('inf')
    end.synchronize()
    return cuda.get_elapsed_time(start, end) / TRIALS


def milliseconds_of_replay(way):
    """Return how long a way takes on the GPU when it is a captured graph; infinity if it cannot.

    So the time is not that of the host, which may need longer to launch many kernels than they
    take. If the way with fewer launches is the faster one here, then as written all the more.
    """
    recorder = _recorder(import_cupy().cuda.runtime.getDevice())
    pool = recorder.pool('a trial')   # which has to live as long as replays write there
    with recorder.using_stream():
        try:
            way()   # kernels are compiled, algorithms are chosen, the stream gets its workspace
            graph, _ = recorder.record(pool, lambda: None, way)
            return milliseconds(lambda: recorder.replay(graph))
        except Exception:   # whatever a library says to it
            return float('inf')


@functools.cache
def _recorder(number):
    return CudaRecorder(import_cupy().cuda.Device(number))


@functools.cache
def remembered():
    """Return the :class:`~minichain.gpu.remembered.Remembered` choices of this machine."""
    return Remembered(cache_folder('algorithms') / 'fastest.json')

"""Time on a device: by CUDA events on a GPU, by the host's clock where kernels are simulated."""
import contextlib
import time
import tracemalloc

from benchmarks.frame import find_peer
from minichain.backend import get_device
from minichain.gpu.launcher import MACHINES
from minichain.gpu.memory import PrivatePool


class Timed:
    """A function that tells ``time_in_turns`` how long it takes, instead of being timed.

    Args:
        function: without arguments.
        clock: CudaClock or HostClock.
    """

    def __init__(self, function, clock):
        self._function, self._clock = function, clock

    def __call__(self):
        return self._function()

    def time(self, n_calls):
        """Return (seconds on the device, 0) of some calls, one after another."""
        return self._clock.seconds(self._function, n_calls), 0.


class CudaClock:
    """Reads the clock of a GPU.

    Events are put on CuPy's current stream, the legacy default one. That of PyTorch is the same,
    and streams of captured steps are waited for by it; so both libraries are timed alike.

    Args:
        device: GpuDevice.
        cupy: the module; None: the one that the device works with.
    """

    name = 'CUDA events'

    def __init__(self, device, cupy=None):
        self.device, self._cuda = device, (cupy or device.xp).cuda

    def seconds(self, function, n_calls):
        """Return the seconds on the GPU from the first of some calls to the end of the last."""
        start, end = self._cuda.Event(), self._cuda.Event()
        start.record()
        for _ in range(n_calls):
            function()
        end.record()
        end.synchronize()
        return self._cuda.get_elapsed_time(start, end) / 1e3    # which is in milliseconds

    def finish(self):
        """Wait for all that was started."""
        self._cuda.runtime.deviceSynchronize()

    def launches(self, function):
        """Return how many kernels, copies and fills a call makes the GPU run.

        PyTorch's profiler sees them all, whoever starts them, replayed graphs included.

        Returns:
            int, or None: there is no PyTorch that sees GPUs, or its profiler sees nothing.
        """
        torch = find_peer('torch')
        if torch is None or not torch.cuda.is_available():
            return None
        self.finish()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
            function()
            self.finish()
        on_gpu = torch.autograd.DeviceType.CUDA
        return sum(event.device_type == on_gpu for event in found.events()) or None

    def memory(self, function):
        """Return the bytes that CuPy's pool had to take from the device for a call."""
        pool = PrivatePool('benchmark')
        with pool.using():
            function()
        self.finish()
        return pool.pool.total_bytes()

    def free(self):
        """Give memory that nobody uses back, so that the next row finds it."""
        cupy, torch = self.device.xp, find_peer('torch')
        cupy.get_default_memory_pool().free_all_blocks()
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


class HostClock:
    """Reads the host's clock: for the device 'sim', whose kernels run on the CPU."""

    name = "the host's clock"

    def __init__(self, device):
        self.device = device

    def seconds(self, function, n_calls):
        """Return the seconds of some calls."""
        start = time.perf_counter()
        for _ in range(n_calls):
            function()
        return time.perf_counter() - start

    def finish(self):
        """Do nothing: kernels have run when a call returns."""

    def launches(self, function):
        """Return how many kernels of our own a call starts."""
        machine = MACHINES[self.device.xp.ndarray]
        with _counted(machine) as names:
            function()
        return len(names)

    def memory(self, function):
        """Return the bytes that the host's arrays took at most during a call."""
        tracemalloc.start()
        try:
            function()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def free(self):
        """Do nothing: NumPy gives memory back."""


@contextlib.contextmanager
def _counted(machine):
    """Give out a list that gets the names of the kernels that a machine starts meanwhile."""
    names, launch = [], machine.launch

    def noted(kernel, *arguments):
        names.append(kernel.name)
        return launch(kernel, *arguments)
    machine.launch = noted
    try:
        yield names
    finally:
        del machine.launch


def clock_of(name):
    """Return the clock of a device.

    Args:
        name: 'cuda', 'cuda:1' and the like, or 'sim'.
    Raises:
        DeviceError: there is no such device, with the reason.
    """
    device = get_device(name)
    if name == 'sim':
        return HostClock(device)
    device.use()
    return CudaClock(device)

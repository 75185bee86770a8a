"""How many blocks of a kernel a GPU has room for at once: no more may wait for each other."""
import functools

from minichain.backend import import_cupy
from minichain.gpu.launcher import kernel, machine_of
from minichain.gpu.simulator import Simulator

# What the simulator is taken for, which has room for any: few, so that blocks have several units.
SIMULATED_MULTIPROCESSORS = 3
SIMULATED_SHARED = 227 << 10   # bytes, as Hopper


def multiprocessors(like):
    """Return how many multiprocessors the GPU of an array has."""
    if isinstance(machine_of(like), Simulator):
        return SIMULATED_MULTIPROCESSORS
    return attributes(like.device.id)['MultiProcessorCount']


def blocks_at_once(name, block, shared, like):
    """Return how many blocks of a cooperative launch find room.

    Args:
        name: of the kernel.
        block: threads of a block.
        shared: bytes of dynamic shared memory of a block.
        like: array; its GPU is meant.
    Returns:
        int, 0 if not a single one does, or if the GPU has no such launches. CUDA says how many
        fit beside each other, which depends on their threads, registers and shared memory.
    """
    if isinstance(machine_of(like), Simulator):
        return SIMULATED_MULTIPROCESSORS if shared <= SIMULATED_SHARED else 0
    return _on_gpu(machine_of(like), like.device.id, kernel(name), block, shared)


@functools.cache
def attributes(number):
    """Return what CUDA says of a GPU, a dict; to ask takes long."""
    return import_cupy().cuda.Device(number).attributes


@functools.cache
def _on_gpu(machine, number, entry, block, shared):
    cuda = import_cupy().cuda
    device, limits = cuda.Device(number), attributes(number)
    with device:
        function = machine.function(entry, device, cooperative=True)
        if (not limits['CooperativeLaunch']
                or shared + function.shared_size_bytes > limits['MaxSharedMemoryPerBlockOptin']):
            return 0
        if shared > function.max_dynamic_shared_size_bytes:   # CUDA counts no blocks beyond it
            function.max_dynamic_shared_size_bytes = shared
        beside = cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(
            function.kernel.ptr, block, shared)
    return beside * limits['MultiProcessorCount']

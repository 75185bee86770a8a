"""Which functions on arrays run by kernels of our own, and when.

A function that is decorated with :func:`fused` is the specification of what the kernels compute.
It runs itself on the CPU, on a GPU where the kernels cannot run, and under ``config.kernels =
'generic'``.
"""
import functools

import numpy as np

from minichain.backend import cuda_available, get_device
from minichain.configuration import config
from minichain.gpu.launcher import MACHINES
from minichain.gpu.libraries import available
from minichain.gpu.simulator import Simulator, builder

FUSED = {}   # name -> Fused


class Fused:
    """A function on arrays that can run by kernels.

    Args:
        body: the function; its first argument is an array, its module and name make its name here.
        by: function with the same arguments and results, that launches kernels.
        libraries: names of libraries of :mod:`minichain.gpu.libraries` that ``by`` needs.
        accepts: called with the arguments, returns whether ``by`` takes them; None: it takes all.
    """

    def __init__(self, body, by, libraries, accepts):
        functools.update_wrapper(self, body)
        self.name = f'{body.__module__.rpartition(".")[2]}.{body.__name__}'
        self.body, self.by, self.libraries, self.accepts = body, by, libraries, accepts

    def __call__(self, array, *arguments):
        if type(array) is np.ndarray:   # soonest: it is short functions that wait here
            return self.body(array, *arguments)
        fuses = self.fuses(array) and (self.accepts is None or self.accepts(array, *arguments))
        return (self.by if fuses else self.body)(array, *arguments)

    def fuses(self, array):
        """Return whether the kernels will run, given what the first argument is or is like."""
        return (type(array) is not np.ndarray and array.size > 0 and (
                    array.dtype == np.float32 or array.dtype == np.uint16)   # holds bfloat16
                and self.why_not(isinstance(MACHINES.get(type(array)), Simulator)) is None)

    def why_not(self, simulated):
        """Return why the kernels do not run, on a GPU or simulated; None: they do."""
        if config.kernels == 'generic':
            return "config.kernels is 'generic'"
        return _lacking(simulated, self.libraries)


@functools.cache
def _lacking(simulated, libraries):
    if simulated:
        return builder.missing()
    missing = [name for name in libraries if not available(name)]
    return f'not installed: {", ".join(missing)}' if missing else None


def fused(by, libraries=(), accepts=None):
    """Let the decorated function run by kernels where they can: on float32 arrays of a GPU.

    Args:
        by, libraries, accepts: as of :class:`Fused`.
    """
    def decorate(body):
        function = Fused(body, by, libraries, accepts)
        FUSED[function.name] = function
        return function
    return decorate


def kernels(device=None):
    """Return what will run on a device: dict, name of a function -> 'kernels', or 'generic: why'.

    Args:
        device: as of :func:`minichain.get_device`; None: a GPU if there is one, else 'sim'.
    Raises:
        DeviceError: there is no such device.
    """
    device = get_device(('cuda' if cuda_available() else 'sim') if device is None else device)
    found = {}
    for name, function in sorted(FUSED.items()):
        why = ('the CPU needs none' if device.xp is np
               else function.why_not(simulated=device.name == '@sim'))
        found[name] = 'kernels' if why is None else f'generic: {why}'
    return found

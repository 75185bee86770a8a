"""oneDNN 3 through its C interface: the library where it is installed, layouts, primitives.

``pip install 'minichain[onednn]'`` brings the library (Linux, x86-64); nothing needs it. It runs
one primitive at a time, on OMP_NUM_THREADS cores. All arrays are float32. What is computed with
it stands in onednn_functions.py.
"""
import ctypes
import functools
import math
import os
import site
import sys
import threading

import numpy as np

from minichain.configuration import config
from minichain.cpu import results
from minichain.cpu.workspaces import workspace

# Numbers of the C interface, as in dnnl_types.h of version 3. A role says what an array is to a
# primitive; the gradient of a role is 128 above it.
SOURCE, RESULT, WEIGHTS, BIAS, WORKSPACE, _SCRATCH, SOURCES = 1, 17, 33, 41, 64, 80, 1024
GRADIENT = 128
TRAINING, INFERENCE = 64, 96
_CPU, _FLOAT32, _ANY, _IN_ORDER, _SCRATCH_FROM_CALLER, _RELU = 1, 3, 1, 1, 1, 0x20
_IMPLEMENTATION, _LAYOUT_OF_ROLE = 8, 255   # queries
_FILE = 'libdnnl.so.3'
_LINE = 64   # bytes of a line of the cache, to which memory is aligned

_lock = threading.RLock()
_forked = False


class Refused(Exception):
    """The library has no primitive for these arguments; the plain path has to serve."""


class _Argument(ctypes.Structure):
    _fields_ = [('role', ctypes.c_int), ('memory', ctypes.c_void_p)]


@functools.cache
def _load():
    """Return (library, engine, stream), or None where there is no library that loads."""
    for folder in (sys.prefix, site.getuserbase()):
        path = os.path.join(folder, 'lib', _FILE)
        if os.path.exists(path):
            try:
                library = ctypes.CDLL(path)
            except OSError:   # of another kind of machine, or something that it needs is missing
                continue
            library.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
            library.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
            engine, stream = ctypes.c_void_p(), ctypes.c_void_p()
            failed = (library.dnnl_engine_create(ctypes.byref(engine), _CPU, ctypes.c_size_t(0))
                      or library.dnnl_stream_create(ctypes.byref(stream), engine, _IN_ORDER))
            if not failed:
                return library, engine, stream
    return None


def installed():
    """Return whether the library is there and loads."""
    return _load() is not None


def serves(*arrays):
    """Return whether operands may go to oneDNN: wanted, there, float32, on the CPU, not empty."""
    for x in arrays:
        if type(x) is not np.ndarray or x.dtype != np.float32 or not x.size:
            return False
    return config.use_onednn == 'auto' and not _forked and _load() is not None


def _stop_serving():
    global _forked
    _forked = True


# A forked process has no threads but one, and libgomp would wait for the others.
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_stop_serving)


def _call(name, *arguments):
    status = getattr(_load()[0], f'dnnl_{name}')(*arguments)
    if status:
        raise Refused(f'{name}: status {status}')


class _Handle:
    """Something that the library made and that it destroys when this object dies."""

    def __init__(self, kind, make, *arguments):
        self._as_parameter_, self._destroy = ctypes.c_void_p(), None
        _call(make, ctypes.byref(self._as_parameter_), *arguments)
        self._destroy = getattr(_load()[0], f'dnnl_{kind}_destroy')

    def __del__(self):
        if self._destroy is not None:
            self._destroy(self._as_parameter_)


class Layout(_Handle):
    """How the elements of an array lie in memory."""

    def __init__(self, make, *arguments):
        super().__init__('memory_desc', f'memory_desc_{make}', *arguments)
        self._size = _load()[0].dnnl_memory_desc_get_size(self) // 4

    def __eq__(self, other):
        return bool(_load()[0].dnnl_memory_desc_equal(self, other))

    __hash__ = None

    def empty(self, name=None):
        """Return a flat array that holds the elements in this order, and what pads them.

        Args:
            name: of the workspace to take it from; None: new memory.
        """
        shape = self._size + _LINE // 4,
        room = np.empty(shape, np.float32) if name is None else workspace(name, shape)
        start = -_address(room) % _LINE // 4
        return room[start:start + self._size]


def _address(array):
    return array.__array_interface__['data'][0]


def sizes(values):
    """Return ints in the form in which the library takes them."""
    return (ctypes.c_int64 * 12)(*values)


def pointers(layouts):
    """Return layouts in the form in which the library takes a list of them."""
    return (ctypes.c_void_p * len(layouts))(*[layout._as_parameter_ for layout in layouts])


@functools.lru_cache(1024)
def free_layout(shape):
    """Return the layout of a shape that leaves the order to the library."""
    return Layout('create_with_tag', len(shape), sizes(shape), _FLOAT32, _ANY)


@functools.lru_cache(1024)
def plain_layout(shape):
    """Return the layout of a C-contiguous array."""
    strides = [math.prod(shape[i + 1:]) for i in range(len(shape))]
    return Layout('create_with_strides', len(shape), sizes(shape), _FLOAT32, sizes(strides))


@functools.lru_cache(1024)
def channels_last_layout(shape):
    """Return the layout of images (N, C, *size) whose channels lie side by side."""
    strides = [shape[1] * math.prod(shape[i + 1:]) for i in range(len(shape))]
    strides[:2] = math.prod(shape[1:]), 1
    return Layout('create_with_strides', len(shape), sizes(shape), _FLOAT32, sizes(strides))


def empty_channels_last(shape):
    """Return an array (N, C, *size), not initialized, whose channels lie side by side."""
    return np.moveaxis(results.empty((shape[0], *shape[2:], shape[1])), -1, 1)


@functools.lru_cache(256)
def _gather_channels(shape):
    return reorder(plain_layout(shape), channels_last_layout(shape))


def channels_last(x, name='images'):
    """Return images x (N, C, *size) with channels side by side; if need be, in a workspace.

    Args:
        name: of the workspace; two that live together need two.
    """
    if np.moveaxis(x, 1, -1).flags.c_contiguous:
        return x
    y = np.moveaxis(workspace(name, (len(x), *x.shape[2:], x.shape[1])), -1, 1)
    if x.flags.c_contiguous:
        _gather_channels(x.shape)({SOURCE: x, RESULT: y})
    else:
        y[...] = x
    return y


def attributes(relu=False, add=False):
    """Return the attributes of a primitive.

    Args:
        relu: whether ReLU is applied to the result.
        add: whether the result, before ReLU, is added to what is in its memory.
    """
    steps = _Handle('post_ops', 'post_ops_create')
    if add:
        _call('post_ops_append_sum', steps, ctypes.c_float(1), 0, _FLOAT32)
    if relu:
        _call('post_ops_append_eltwise', steps, _RELU, ctypes.c_float(0), ctypes.c_float(0))
    result = _Handle('primitive_attr', 'primitive_attr_create')
    _call('primitive_attr_set_scratchpad_mode', result, _SCRATCH_FROM_CALLER)
    _call('primitive_attr_set_post_ops', result, steps)
    return result


class Primitive:
    """One operation on arrays of given layouts, which the library compiles.

    Args:
        name: of the operation in the C interface, as 'convolution_forward'.
        roles: of the arrays that a call gives.
        arguments: of the C function that describes the operation.
    Attributes:
        layouts: dict from role to the Layout in which the array is expected.
        description: what the library calls a primitive descriptor; a backward operation takes
            that of its forward operation.
    Raises:
        Refused: the library does not have it.
    """

    def __init__(self, name, roles, *arguments):
        library, engine, _ = _load()
        self.description = _Handle('primitive_desc', f'{name}_primitive_desc_create', *arguments)
        implementation = ctypes.c_char_p()
        _call('primitive_desc_query', self.description, _IMPLEMENTATION, 0,
              ctypes.byref(implementation))
        if implementation.value.startswith(b'ref'):   # a thousand times slower
            raise Refused(f'{name}: no fast implementation')
        self._primitive = _Handle('primitive', 'primitive_create', self.description)
        self.layouts = {role: Layout('clone', ctypes.c_void_p(
            library.dnnl_primitive_desc_query_md(self.description, _LAYOUT_OF_ROLE, role)))
            for role in (*roles, _SCRATCH)}
        self._memories = {role: _Handle('memory', 'memory_create', layout, engine, None)
                          for role, layout in self.layouts.items()}
        self._arguments = (_Argument * len(self._memories))(*[
            (role, memory._as_parameter_) for role, memory in self._memories.items()])

    def __call__(self, arrays):
        """Run it.

        Args:
            arrays: dict from role to array; of results too, which are written into.
        """
        library, _, stream = _load()
        scratch = self.layouts[_SCRATCH].empty('scratch')
        with _lock:
            for role, array in ((_SCRATCH, scratch), *arrays.items()):
                library.dnnl_memory_set_data_handle(self._memories[role],
                                                    ctypes.c_void_p(_address(array)))
            _call('primitive_execute', self._primitive, stream, len(self._arguments),
                  self._arguments)


def reorder(source, result):
    """Return the primitive that copies from a layout into another."""
    return Primitive('reorder', (SOURCE, RESULT), source, engine(), result, engine(),
                     attributes())


def engine():
    """Return the engine, the first argument of most descriptions."""
    return _load()[1]


def attempt(function, arrays, *others):
    """Return ``function(*arrays, *others)``, or None if the plain path has to serve.

    Args:
        function: one that computes with oneDNN.
        arrays: operands that decide whether it may.
        others: further arguments.
    """
    if serves(*arrays):
        try:
            return function(*arrays, *others)
        except Refused:
            pass
    return None

"""The device 'sim': arrays that behave as CuPy's towards NumPy's, and whose kernels are simulated.

So whatever a program does on a GPU runs where there is none, but for speed and the last digits of
a sum. What CuPy refuses is refused: NumPy arrays among the operands, implicit conversion to NumPy,
names that CuPy 14 does not have. Results of reductions stay arrays without axes, as in CuPy.
"""
import contextlib
import operator
import threading
import types

import numpy as np

from minichain.backend import Device, is_array
from minichain.errors import DeviceError
from minichain.gpu.launcher import MACHINES
from minichain.gpu.simulator import tape
from minichain.gpu.simulator.machine import Simulator
from minichain.gpu.simulator.tape import perform

# Functions of NumPy 2.4 that CuPy 14.2.0 lacks (from dir() of both), by module.
ABSENT = {
    '': frozenset("""
        asmatrix block bmat busday_count busday_offset datetime_as_string datetime_data einsum_path
        frompyfunc fromregex geomspace get_include getbufsize geterr geterrcall
        histogram_bin_edges info insert is_busday isnat matvec nanpercentile nanquantile
        nested_iters polyder polydiv polyint setbufsize seterr seterrcall show_runtime spacing test
        unstack vecdot vecmat""".split()),
    'linalg': frozenset("""
        diagonal matrix_norm multi_dot outer svdvals tensordot test trace vecdot
        vector_norm""".split()),
}
ABSENT_METHODS = frozenset('ctypes getfield resize setfield setflags to_device'.split())
# Functions whose result's shape depends on values: CuPy waits for them.
WAITING = frozenset('nonzero flatnonzero argwhere unique extract compress array_equal allclose'
                    .split())
JOINING = frozenset('concatenate stack vstack hstack dstack column_stack'.split())
# Dtypes of arrays to which ``at`` may write in any order, by ufunc.
SCATTERED = {'add': 'iILQefdFD', 'subtract': 'iI', 'maximum': 'iIfdLQ', 'minimum': 'iIfdLQ'}
JOINED = 8   # arrays; of more, CuPy sends a list of addresses


class _State(threading.local):
    refused = False


_state = _State()


@contextlib.contextmanager
def no_waiting():
    """Refuse, within a ``with`` block, whatever would make the host wait for the device.

    A step of training that runs here lets the host run ahead, and can be captured as a graph. For
    the sake of the latter arrays of the host are not sent to the device either: a graph would read
    the host's memory again, whatever is there by then.

    Raises:
        DeviceError: by ``get``, ``item``, ``float``, ``bool`` and the like, by a mask as an index,
            by functions the shape of whose result depends on values, by arrays that are sent.
    """
    before, _state.refused = _state.refused, True
    try:
        yield
    finally:
        _state.refused = before


@contextlib.contextmanager
def sending():
    """Allow, within :func:`no_waiting`, that arrays of the host are sent, by code that takes care
    that no captured step does it."""
    before, _state.refused = _state.refused, _state.refused and tape.is_recorded()
    try:
        yield
    finally:
        _state.refused = before


def waits(what):
    """Raise within :func:`no_waiting`: the host needs a value that the device computes."""
    if _state.refused:
        raise DeviceError(f'{what} makes the host wait for the device. Keep the value there, or '
                          'read it after the step')


def sends(x):
    """Raise within :func:`no_waiting` if ``x`` is an array of the host, or is to become one."""
    if _state.refused and isinstance(x, (np.ndarray, list, tuple)):
        raise DeviceError('an array of the host is sent to the device in the middle of a step; '
                          'send it before')


class ndarray:
    """An array that behaves as ``cupy.ndarray`` does towards NumPy.

    Args:
        values: NumPy array that holds it.
    """

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, values):
        self._values = np.asarray(values)

    def __array__(self, *args, **kwargs):
        raise TypeError('Implicit conversion to a NumPy array is not allowed.')

    device = property(lambda self: SimulatedDevice())
    base = property(lambda self: None if self._values.base is None
                    else type(self)(self._values.base))
    T = property(lambda self: type(self)(self._values.T))
    real = property(lambda self: type(self)(self._values.real))
    imag = property(lambda self: type(self)(self._values.imag))

    def get(self):
        waits('array.get()')
        return self._values.copy()

    def item(self):
        waits('array.item()')
        return self._values.item()

    def tolist(self):
        waits('array.tolist()')
        return self._values.tolist()

    def __getattr__(self, name):
        if name.startswith('__') or name in ABSENT_METHODS:
            raise AttributeError(f'cupy.ndarray has no attribute {name!r}')
        value = getattr(self._values, name)
        if name in WAITING:
            waits(f'array.{name}')
        return wrap_call(value, type(self)) if callable(value) else value

    def __getitem__(self, index):
        return wrap(perform(operator.getitem, self._values, self._index(index)), type(self))

    def __setitem__(self, index, value):
        perform(operator.setitem, self._values, self._index(index), unwrap(value, type(self)))

    def _index(self, index):
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, ndarray) and part.dtype == bool:
                waits('a mask as an index')
            sends(part)
        return unwrap(index, type(self))

    def __len__(self):
        return len(self._values)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        waits('bool(array)')
        return bool(self._values)

    def __int__(self):
        waits('int(array)')
        return int(self._values)

    def __float__(self):
        waits('float(array)')
        return float(self._values)

    def __index__(self):
        waits('an array as an index')
        return operator.index(self._values.item())

    def __repr__(self):
        return f'{type(self).__module__}.{self._values!r}'

    def __deepcopy__(self, memo):
        return self.copy()


def _install_operators():
    names = ('add sub mul truediv floordiv mod pow matmul and or xor lshift rshift').split()
    for name in names:
        for form in (f'__{name}__', f'__r{name}__', f'__i{name}__'):
            def method(self, other, form=form):
                if isinstance(other, np.ndarray):
                    raise TypeError(f'Unsupported type {type(other)}')
                if isinstance(other, (type(self), int, float, bool, complex, np.generic)):
                    result = perform(getattr(self._values, form), unwrap(other, type(self)))
                    if form.startswith('__i') and result is self._values:
                        return self
                    return wrap(result, type(self))
                return NotImplemented
            setattr(ndarray, form, method)
    for name in 'lt le gt ge eq ne'.split():
        def compare(self, other, form=f'__{name}__'):
            return wrap(perform(getattr(self._values, form), unwrap(other, type(self))),
                        type(self))
        setattr(ndarray, f'__{name}__', compare)
    for name in 'neg pos abs invert'.split():
        def unary(self, form=f'__{name}__'):
            return wrap(perform(getattr(self._values, form)), type(self))
        setattr(ndarray, f'__{name}__', unary)


_install_operators()


def wrap(value, array_type):
    """Turn NumPy results into arrays of a class, at any depth."""
    if isinstance(value, (np.ndarray, np.generic)):
        return array_type(value)
    if isinstance(value, (tuple, list)):
        parts = [wrap(part, array_type) for part in value]
        return type(value)(*parts) if hasattr(value, '_fields') else type(value)(parts)
    return value


def unwrap(value, array_type):
    """Turn arrays of a class into the NumPy arrays that hold them, refusing NumPy's own."""
    if type(value) is array_type:
        return value._values
    if isinstance(value, (np.ndarray, ndarray)):
        raise TypeError(f'Unsupported type {type(value)}: an array of the host met arrays of a '
                        'device')
    if isinstance(value, (tuple, list)):
        return type(value)(unwrap(part, array_type) for part in value)
    if isinstance(value, slice):
        return slice(*unwrap((value.start, value.stop, value.step), array_type))
    if isinstance(value, dict):
        return {key: unwrap(part, array_type) for key, part in value.items()}
    return value


def wrap_call(function, array_type):
    """Return a function of NumPy as a function on arrays of a class."""
    def call(*args, **kwargs):
        if 'initial' in kwargs:
            raise TypeError("CuPy's reductions have no argument 'initial'")
        return wrap(perform(function, *unwrap(args, array_type), **unwrap(kwargs, array_type)),
                    array_type)
    return call


class _Ufunc:
    def __init__(self, ufunc, array_type):
        self._ufunc, self._array_type = ufunc, array_type

    def __call__(self, *args, **kwargs):
        return wrap_call(self._ufunc, self._array_type)(*args, **kwargs)

    def __getattr__(self, name):
        if name not in ('at', 'reduce', 'accumulate', 'reduceat', 'outer', 'nin', 'nout'):
            raise AttributeError(name)
        if name in ('reduce', 'accumulate') and self._ufunc not in (np.add, np.multiply):
            raise NotImplementedError(f'CuPy has no {self._ufunc.__name__}.{name}')
        value = getattr(self._ufunc, name)
        if name == 'at':
            return self._at
        return wrap_call(value, self._array_type) if callable(value) else value

    def _at(self, array, *arguments):
        if array.dtype.char not in SCATTERED.get(self._ufunc.__name__, ''):
            raise TypeError(f'CuPy has no {self._ufunc.__name__}.at for {array.dtype}')
        wrap_call(self._ufunc.at, self._array_type)(array, *arguments)


def _joins(function):
    def call(arrays, *args, **kwargs):
        if len(arrays) > JOINED:
            sends(list(arrays))
        return function(arrays, *args, **kwargs)
    return call


class Module(types.ModuleType):
    """NumPy, or a module of it, as it looks to one who has CuPy's: an array module.

    Args:
        name: of the module.
        array_type: class of its arrays, :class:`ndarray` or derived from that.
        path: name of the part of NumPy, as 'linalg'. source: that part.
    """

    def __init__(self, name, array_type, path='', source=np):
        super().__init__(name)
        vars(self).update(_type=array_type, _path=path, _source=source)
        if not path:
            def asarray(x, dtype=None):
                sends(x)
                return array_type(perform(np.array, getattr(x, '_values', x), dtype))
            vars(self).update(ndarray=array_type, asnumpy=lambda x: x.get(), array=asarray,
                              asarray=lambda x, dtype=None: x if isinstance(x, array_type) and
                              dtype in (None, x.dtype) else asarray(x, dtype))

    def __getattr__(self, name):
        if name.startswith('__') or name in ABSENT.get(self._path, ()):
            raise AttributeError(f'{self.__name__} has no attribute {name!r}')
        value = getattr(self._source, name)
        if name in WAITING:
            waits(name)
        if name in JOINING:
            return _joins(wrap_call(value, self._type))
        if self._path == 'random' and tape.is_recorded():
            raise DeviceError(f"CuPy's random.{name} in a step that is captured: a replay would "
                              'draw the same numbers again')
        if isinstance(value, np.ufunc):
            return _Ufunc(value, self._type)
        if isinstance(value, types.ModuleType):
            return Module(f'{self.__name__}.{name}', self._type, name, value)
        if isinstance(value, type) or not callable(value):
            return value
        return wrap_call(value, self._type)


class SimulatedDevice(Device):
    """A GPU that is not there: ``minichain.get_device('sim')``."""

    name = '@sim'
    supported_array_types = (ndarray,)
    xp = property(lambda self: xp)

    def send_array(self, array):
        """Return ``array`` here, copied only if it was elsewhere."""
        if isinstance(array, ndarray):
            return array
        sends(array)
        on_gpu = is_array(array) and not isinstance(array, np.ndarray)
        return ndarray(perform(np.array, array.get() if on_gpu else array))


xp = Module(__name__, ndarray)
MACHINES[ndarray] = Simulator(memory=lambda array: array._values)

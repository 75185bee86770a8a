"""A strict stand-in for CuPy on NumPy, so that every function's GPU path runs without a GPU.

It refuses what CuPy refuses: NumPy arrays among the operands, implicit conversion to NumPy, and
names that CuPy 14 does not have. Results of reductions stay 0-d arrays, as in CuPy.
"""
import contextlib
import operator
import sys
import types

import numpy as np

from minichain import backend

# Functions of NumPy 2.4 that CuPy 14.2.0 lacks (from dir() of both), by module.
ABSENT = {
    'cupy': frozenset("""
        asmatrix block bmat busday_count busday_offset datetime_as_string datetime_data einsum_path
        frompyfunc fromregex geomspace get_include getbufsize geterr geterrcall
        histogram_bin_edges info insert is_busday isnat matvec nanpercentile nanquantile
        nested_iters polyder polydiv polyint setbufsize seterr seterrcall show_runtime spacing test
        unstack vecdot vecmat""".split()),
    'cupy.linalg': frozenset("""
        diagonal matrix_norm multi_dot outer svdvals tensordot test trace vecdot
        vector_norm""".split()),
}
ABSENT_METHODS = frozenset('ctypes getfield resize setfield setflags to_device'.split())


class ndarray:
    """An array that behaves as ``cupy.ndarray`` does towards NumPy."""

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, values):
        self._values = np.asarray(values)

    def __array__(self, *args, **kwargs):
        raise TypeError('Implicit conversion to a NumPy array is not allowed.')

    device = property(lambda self: Device(0))
    base = property(lambda self: None if self._values.base is None else ndarray(self._values.base))
    T = property(lambda self: ndarray(self._values.T))
    real = property(lambda self: ndarray(self._values.real))
    imag = property(lambda self: ndarray(self._values.imag))

    def get(self):
        return self._values.copy()

    def item(self):
        return self._values.item()

    def tolist(self):
        return self._values.tolist()

    def __getattr__(self, name):
        if name.startswith('__') or name in ABSENT_METHODS:
            raise AttributeError(f'cupy.ndarray has no attribute {name!r}')
        value = getattr(self._values, name)
        return wrap_call(value) if callable(value) else value

    def __getitem__(self, index):
        return wrap(self._values[unwrap(index)])

    def __setitem__(self, index, value):
        self._values[unwrap(index)] = unwrap(value)

    def __len__(self):
        return len(self._values)

    def __iter__(self):
        return (wrap(value) for value in self._values)

    def __bool__(self):
        return bool(self._values)

    def __int__(self):
        return int(self._values)

    def __float__(self):
        return float(self._values)

    def __index__(self):
        return operator.index(self._values.item())

    def __repr__(self):
        return f'strict_cupy.{self._values!r}'

    def __deepcopy__(self, memo):
        return ndarray(self._values.copy())


def _install_operators():
    names = ('add sub mul truediv floordiv mod pow matmul and or xor lshift rshift').split()
    for name in names:
        for form in (f'__{name}__', f'__r{name}__', f'__i{name}__'):
            def method(self, other, form=form):
                if isinstance(other, np.ndarray):
                    raise TypeError(f'Unsupported type {type(other)}')
                if isinstance(other, (ndarray, int, float, bool, complex, np.generic)):
                    result = getattr(self._values, form)(unwrap(other))
                    if form.startswith('__i') and result is self._values:
                        return self
                    return wrap(result)
                return NotImplemented
            setattr(ndarray, form, method)
    for name in 'lt le gt ge eq ne'.split():
        def compare(self, other, form=f'__{name}__'):
            return wrap(getattr(self._values, form)(unwrap(other)))
        setattr(ndarray, f'__{name}__', compare)
    for name in 'neg pos abs invert'.split():
        def unary(self, form=f'__{name}__'):
            return wrap(getattr(self._values, form)())
        setattr(ndarray, f'__{name}__', unary)


_install_operators()


def wrap(value):
    """Turn NumPy results into stand-in arrays, at any depth."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(value)
    if isinstance(value, (tuple, list)):
        return type(value)(*map(wrap, value)) if hasattr(value, '_fields') else type(value)(
            map(wrap, value))
    return value


def unwrap(value):
    """Turn stand-in arrays into NumPy's, refusing NumPy's own."""
    if isinstance(value, ndarray):
        return value._values
    if isinstance(value, np.ndarray):
        raise TypeError(f'Unsupported type {type(value)}: a NumPy array met CuPy arrays')
    if isinstance(value, (tuple, list)):
        return type(value)(map(unwrap, value))
    if isinstance(value, slice):
        return slice(*map(unwrap, (value.start, value.stop, value.step)))
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    return value


def wrap_call(function):
    def call(*args, **kwargs):
        return wrap(function(*unwrap(args), **unwrap(kwargs)))
    return call


class _Ufunc:
    def __init__(self, ufunc):
        self._ufunc = ufunc

    def __call__(self, *args, **kwargs):
        return wrap(self._ufunc(*unwrap(args), **unwrap(kwargs)))

    def __getattr__(self, name):
        if name not in ('at', 'reduce', 'accumulate', 'reduceat', 'outer', 'nin', 'nout'):
            raise AttributeError(name)
        value = getattr(self._ufunc, name)
        return wrap_call(value) if callable(value) else value


class _Module(types.ModuleType):
    def __init__(self, name, source):
        super().__init__(name)
        self.__dict__['_source'] = source

    def __getattr__(self, name):
        if name.startswith('__') or name in ABSENT.get(self.__name__, ()):
            raise AttributeError(f'{self.__name__} has no attribute {name!r}')
        value = getattr(self._source, name)
        if isinstance(value, np.ufunc):
            return _Ufunc(value)
        if isinstance(value, types.ModuleType):
            return _Module(f'{self.__name__}.{name}', value)
        if isinstance(value, type) or not callable(value):
            return value
        return wrap_call(value)


class Device:
    """GPU number 0, the only one."""

    def __init__(self, device=0):
        self.id = int(device or 0)

    def use(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass

    def __eq__(self, other):
        return self.id == other.id

    def __hash__(self):
        return self.id


def _module(available=True):
    module = _Module('cupy', np)
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 0)
    module.__dict__.update(
        __version__='14.0 (strict stand-in)', ndarray=ndarray, asnumpy=lambda x: x.get(),
        asarray=lambda x, dtype=None: ndarray(np.array(getattr(x, '_values', x), dtype)),
        array=lambda x, dtype=None: ndarray(np.array(getattr(x, '_values', x), dtype)),
        cuda=types.SimpleNamespace(is_available=lambda: available, runtime=runtime, Device=Device))
    return module


@contextlib.contextmanager
def installed(available=True):
    """Make ``import cupy`` give the stand-in; with ``available`` False it finds no driver."""
    before = sys.modules.get('cupy')
    sys.modules['cupy'] = module = _module(available)
    backend.import_cupy.cache_clear()
    backend.cuda_available.cache_clear()
    try:
        yield module
    finally:
        del sys.modules['cupy']
        if before is not None:
            sys.modules['cupy'] = before
        backend.import_cupy.cache_clear()
        backend.cuda_available.cache_clear()

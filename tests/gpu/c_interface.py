"""C prototypes as ctypes, and libraries of Python functions that are called through C."""
import ctypes
import re

TYPES = {'int': ctypes.c_int, 'unsigned': ctypes.c_uint, 'int32_t': ctypes.c_int32,
         'uint32_t': ctypes.c_uint32, 'int64_t': ctypes.c_int64, 'uint64_t': ctypes.c_uint64,
         'size_t': ctypes.c_size_t, 'float': ctypes.c_float, 'double': ctypes.c_double}
HANDLES = re.compile(r'(Handle|Desc|Descriptor|Layout|Preference|Stream)_t$', re.IGNORECASE)


def parameter_type(text):
    """Return the ctypes type of a parameter such as ``const void *x`` or ``size_t bytes``."""
    words = re.findall(r'\w+', text.replace('const', ''))
    if '*' in text or '[' in text:
        return ctypes.c_void_p
    if words[0] in TYPES:
        return TYPES[words[0]]
    if HANDLES.search(words[0]):
        return ctypes.c_void_p
    assert words[0].endswith('_t') or words[0] == 'cudaDataType', text
    return ctypes.c_int   # an enumeration


def prototypes(text, functions):
    """Return dict from names to tuples of ctypes, read from the text of a header."""
    text = re.sub(r'//[^\n]*|/\*.*?\*/', '', text, flags=re.DOTALL)
    found = {}
    for name in functions:
        match = re.search(rf'\b{name}\s*\(([^)]*)\)\s*;', text)
        if match:
            found[name] = tuple(map(parameter_type, match[1].split(',')))
    return found


class FakeLibrary:
    """What looks like a ``ctypes.CDLL`` of C functions, and calls methods of a Python object.

    Calls go through C: the caller's types put values into registers and the stack, the types of
    the header read them from there.

    Args:
        header: text with the prototypes.
        behaviour: object with a method for every function of the header; returns the status.
    Attributes:
        calls: list of (name, arguments as C saw them).
        failures: what methods raised; a test looks at it, since no exception passes through C.
    """

    def __init__(self, header, behaviour):
        self.calls, self.failures, self._callbacks = [], [], []
        names = re.findall(r'(\w+)\s*\(', header)
        for name, types in prototypes(header, names).items():
            callback = ctypes.CFUNCTYPE(ctypes.c_int, *types)(
                self._recorded(name, getattr(behaviour, name)))
            self._callbacks.append(callback)
            address = ctypes.cast(callback, ctypes.c_void_p).value
            setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int)(address))

    def _recorded(self, name, method):
        def call(*arguments):
            self.calls.append((name, arguments))
            try:
                return method(*arguments) or 0
            except BaseException as error:   # noqa: B902 - reported by the test
                self.failures.append((name, error))
                return 14
        return call

    def called(self, name):
        """Return the arguments of every call of a function."""
        return [arguments for other, arguments in self.calls if other == name]


class Objects:
    """What a fake library made: opaque addresses, each with a dict of what it was told."""

    def __init__(self):
        self.alive, self._next = {}, 0x1000

    def create(self, where, **facts):
        """Write a new handle to an address."""
        self._next += 16
        self.alive[self._next] = facts
        ctypes.c_void_p.from_address(where).value = self._next

    def destroy(self, handle):
        """Forget a handle; it must exist."""
        del self.alive[handle]

    def __getitem__(self, handle):
        return self.alive[handle]

"""What kernels want to be given, read from their source text.

CUDA does not check arguments: a number that is too wide shifts all that follow. So the launcher,
the simulator and the tests all look at the same list, made from the text that is compiled.
"""
import re
from typing import NamedTuple

import numpy as np

from minichain.errors import InvalidType

# The C types of numbers and of what pointers point to, and the dtypes that have their layout.
# bfloat16 is the dtype of ml_dtypes; uint16 holds the same bits where that is not installed. What
# an address points to is not said here: the launch is told which arrays are reached by addresses.
DTYPES = {
    'float': ('float32',), 'double': ('float64',), 'bfloat16': ('bfloat16', 'uint16'),
    'int': ('int32',), 'unsigned': ('uint32',), 'long long': ('int64',),
    'unsigned long long': ('uint64',), 'address': ('uint64',), 'unsigned short': ('uint16',),
    'signed char': ('int8',), 'unsigned char': ('uint8', 'bool'), 'bool': ('bool',),
}
SCALARS = {'float': np.float32, 'double': np.float64, 'int': np.int32, 'unsigned': np.uint32,
           'long long': np.int64, 'unsigned long long': np.uint64}
ENTRY = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?'
                   r'(\w+)\s*\(([^)]*)\)')


class Parameter(NamedTuple):
    """One parameter of a kernel.

    Attributes:
        name, c_type: as in the source; the type without const and ``*``.
        pointer: whether it is the address of an array.
        constant: whether the kernel only reads that array.
    """

    name: str
    c_type: str
    pointer: bool
    constant: bool

    @property
    def size(self):
        """Bytes that the argument takes."""
        return 8 if self.pointer else np.dtype(SCALARS[self.c_type]).itemsize

    def __str__(self):
        const = 'const ' * self.constant
        return f'{const}{self.c_type} {"*" * self.pointer}{self.name}'


def without_comments(text):
    """Return C++ source with comments blanked; lines keep their numbers."""
    return re.sub(r'//[^\n]*|/\*.*?\*/', lambda match: re.sub(r'[^\n]', ' ', match[0]), text,
                  flags=re.DOTALL)


def parse_parameter(text, where):
    """Return the :class:`Parameter` that one declaration as ``const float *x`` declares.

    Raises:
        InvalidType: a type that cannot be passed to a kernel from here.
    """
    words = re.findall(r'\w+|\*|&', re.sub(r'\b__restrict__\b', ' ', text))
    constant, stars = 'const' in words, words.count('*')
    *c_type, name = [word for word in words if word not in ('const', '*')] or ['', '']
    c_type = ' '.join(c_type)
    if stars > 1 or c_type not in (DTYPES if stars else SCALARS):
        raise InvalidType(f'{where}: parameter {text.strip()!r} is none that can be passed. '
                          f'Numbers of type {", ".join(SCALARS)}; pointers to '
                          f'{", ".join(DTYPES)}')
    return Parameter(name, c_type, stars == 1, constant and stars == 1)


def entry_points(text, where='kernel'):
    """Return the kernels that a source file offers.

    Args:
        text: source with functions declared ``extern "C" __global__ void name(...)``.
        where: name of the file, for messages.
    Returns:
        dict from name to a tuple of :class:`Parameter`.
    Raises:
        InvalidType: a parameter cannot be passed, or a kernel has C++ linkage.
    """
    text = without_comments(text)
    found = {name: tuple(parse_parameter(part, f'{where}: {name}')
                         for part in parameters.split(',') if part.strip())
             for name, parameters in ENTRY.findall(text)}
    if len(re.findall(r'\b__global__\b', text)) != len(ENTRY.findall(text)):
        raise InvalidType(f'{where}: every kernel begins with extern "C" __global__ void name(')
    return found

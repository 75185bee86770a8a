"""Checks of operands, raised at the door as InvalidType.

The library's functions call the ``expect_*`` helpers on arrays. A FunctionNode of a user may
write Chainer's expressions, ``expect(in_types[0].ndim == 2)``, whose failures show both sides.
"""
import math
from collections.abc import Iterable

import numpy as np

from minichain import backend
from minichain.configuration import config
from minichain.errors import DeviceError, InvalidArgument, InvalidType, NotFinite


def check_operands(function, arrays):
    """Raise unless ``arrays`` are all on one device and of types that ``function`` accepts."""
    if config.type_check:
        for array in arrays:
            if type(array) is not np.ndarray:
                expect_same_module(function.label, arrays)
                break
        function.check_type_forward(arrays if function.on_arrays else get_types(arrays))


def check_results(function, results):
    """Raise unless ``results`` of ``function.forward`` is a tuple, in debug mode free of NaN."""
    if type(results) is not tuple:
        raise InvalidType(f'{function.label}.forward: tuple expected, got {type(results)}')
    if config.debug:
        expect_no_nan(f'{function.label}: forward', results)


def expect_array(label, x):
    """Raise unless ``x`` is a NumPy or CuPy array."""
    if not backend.is_array(x):
        raise InvalidType(f'{label}: NumPy or CuPy array expected, got {type(x).__name__}. '
                          'Wrap numbers and lists: numpy.asarray(value)')


def expect_same_module(label, arrays):
    """Raise unless all ``arrays`` are there and of one library."""
    for array in arrays:
        if array is not None:
            expect_array(label, array)
            continue
        raise InvalidType(f'{label}: an operand has no array yet. A parameter of unknown shape '
                          'gets one when data first passes through its link')
    if len({isinstance(array, np.ndarray) for array in arrays}) > 1:
        places = ', '.join('NumPy' if isinstance(a, np.ndarray) else 'CuPy' for a in arrays)
        raise DeviceError(f'{label}: all operands on one device expected, got {places}. Move the '
                          'data with device.send(array) or the model with link.to_device(device)')


def expect_gradient(name, array, gradient):
    """Raise unless ``gradient`` is an array of the same shape and dtype as ``array``."""
    expect_array(f'grad of {name or "a variable"}', gradient)
    if gradient.shape != array.shape or gradient.dtype != array.dtype:
        raise InvalidType(f'grad of {name or "a variable"}: {array.shape}, {array.dtype} expected '
                          f'as of its array, got {gradient.shape}, {gradient.dtype}')


def place_gradients(function, targets, results):
    """Return what ``function.backward`` returned so that operand numbers index it.

    Raises:
        InvalidType: it is no sequence of a gradient for each of ``targets``, or each operand.
    """
    try:
        got = len(results)
    except TypeError:
        raise InvalidType(f'{function.label}.backward: a tuple of {len(targets)} gradients '
                          f'expected, got {type(results).__name__}') from None
    if got == len(function.inputs):
        return results
    if got == len(targets):
        return dict(zip(targets, results))
    raise InvalidType(f'{function.label}.backward: a tuple of {len(targets)} gradients expected, '
                      f'got {got} results')


def check_gradient(function, i, gradient):
    """Return what a backward gave for operand ``i``, in the dtype of the operand.

    Raises:
        InvalidType: it has another shape. NotFinite: it has NaN, in debug mode.
    """
    node, array = function.inputs[i], getattr(gradient, 'array', gradient)
    if getattr(array, 'shape', None) != node.shape:
        expect_gradient(f'{function.label} operand {i}', node, array)
    if config.debug:
        expect_no_nan(f'{function.label}: backward', [array])
    return gradient if array.dtype == node.dtype else gradient.astype(node.dtype)


def expect_unused(function):
    """Raise if ``function`` has been recorded before: its gradients would be lost."""
    if function.outputs is not None:
        raise InvalidArgument(f'{function.label}: a node of the graph is applied once; make a new '
                              f'{type(function).__name__} for each application')


def expect_one_element(label, variable):
    """Raise unless ``variable`` has one element, so that its gradient may start from 1."""
    if variable.size != 1:
        raise InvalidArgument(f'{label} from shape {variable.shape} needs .grad; only a '
                              'one-element variable starts from 1 by itself. Sum it, or set .grad')


def expect_same_length(label, **sequences):
    """Raise unless all sequences have one length."""
    lengths = {name: len(sequence) for name, sequence in sequences.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidArgument(f'{label}: sequences of one length expected, got ' + ', '.join(
            f'{length} {name}' for name, length in lengths.items()))


def match_gradients(name, variables, gradients):
    """Return ``gradients``, which go with the ``variables`` of ``grad``; None for each if None.

    Raises:
        InvalidType: ``variables`` is no list. InvalidArgument: the lengths differ.
    """
    if not isinstance(variables, (list, tuple)):
        raise InvalidType(f'grad: {name}: a list of Variables expected, got '
                          f'{type(variables).__name__}. Write [{name[:-1]}]')
    gradients = gradients or [None] * len(variables)
    expect_same_length('grad', **{name: variables, f'grad_{name}': gradients})
    return gradients


_FORMER = {   # keyword arguments of Chainer 1 -> what stands in their place
    **dict.fromkeys(('train', 'test'), "with using_config('train', ...) around the call"),
    'volatile': 'with no_backprop_mode() around the calls',
    'deterministic': "with using_config('cudnn_deterministic', ...) around the call",
    'use_cudnn': "with using_config('use_cudnn', ...) around the call",
}


def refuse_former(label, arguments):
    """Raise for keyword arguments that a function had in Chainer 1, or never.

    Raises:
        InvalidArgument: one that it had; the message says what to write.
        TypeError: any other.
    """
    for name in arguments:
        if name in _FORMER:
            raise InvalidArgument(f'{label}: {name} was an argument in Chainer 1. Write: '
                                  f'{_FORMER[name]}')
        raise TypeError(f'{label}() got an unexpected keyword argument {name!r}')


def expect_no_nan(label, arrays):
    """Raise NotFinite if NaN is in any of ``arrays``."""
    for array in arrays:
        if array is not None and array.dtype.kind == 'f' and bool((array != array).any()):
            raise NotFinite(f'{label} gave NaN in an array of shape {array.shape}. Look at the '
                            'operands: a division by 0, a log of 0, an overflow, a bad input')


def expect_count(label, arrays, count):
    """Raise unless ``count`` operands came."""
    if len(arrays) != count:
        raise InvalidType(f'{label}: {count} operands expected, got {len(arrays)}')


def is_text(value):
    """Whether a value is a str that a file can hold: no half of a surrogate pair is in it."""
    return isinstance(value, str) and value == value.encode('utf-8', 'ignore').decode()


def as_names(label, what, value):
    """Return a list of names as a tuple of str.

    Args:
        label: of the network, for the message.
        what: name of the argument, for the message.
        value: what should be the list.
    Raises:
        InvalidArgument: it is no list, or it holds something else than str.
    """
    names = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
    if not all(isinstance(name, str) for name in names):
        raise InvalidArgument(f'{label}: {what}: a list of names expected, got {value!r:.200}')
    return names


def expect_float(label, **arrays):
    """Raise unless every array has a floating dtype."""
    for name, array in arrays.items():
        if array.dtype.kind != 'f':
            raise InvalidType(f'{label}: {name} of a floating dtype expected, got {array.dtype}. '
                              f"Convert it, for example with {name}.astype('float32')")


def expect_integer(label, **arrays):
    """Raise unless every array has an integer dtype."""
    for name, array in arrays.items():
        if array.dtype.kind not in 'iu':
            raise InvalidType(f'{label}: {name} of an integer dtype expected, got {array.dtype}. '
                              f"Convert it, for example with {name}.astype('int32')")


def expect_ndim(label, ndim, **arrays):
    """Raise unless every array has ``ndim`` axes."""
    for name, array in arrays.items():
        if array.ndim != ndim:
            raise InvalidType(f'{label}: {name} with {ndim} axes expected, got shape '
                              f'{array.shape}')


def expect_shape(label, shape, **arrays):
    """Raise unless every array has the given shape; None in ``shape`` fits any length."""
    for name, array in arrays.items():
        fits = len(shape) == array.ndim and all(
            want is None or want == got for want, got in zip(shape, array.shape))
        if not fits:
            wanted = '(' + ', '.join('any' if n is None else str(n) for n in shape) + ')'
            raise InvalidType(f'{label}: {name}.shape {wanted} expected, got {array.shape}')


def expect_same_dtype(label, **arrays):
    """Raise unless all arrays have one dtype."""
    if len({array.dtype for array in arrays.values()}) > 1:
        found = ', '.join(f'{name} {array.dtype}' for name, array in arrays.items())
        raise InvalidType(f'{label}: operands of one dtype expected, got {found}')


def expect_broadcast(label, *arrays):
    """Raise unless the shapes broadcast together; return the common shape."""
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = ', '.join(str(array.shape) for array in arrays)
        raise InvalidType(f'{label}: shapes that broadcast together expected, got {shapes}. '
                          'Axes are aligned from the right; each pair equal or 1') from None


class Expression:
    """A value together with the text of how it was reached, for messages."""

    def __init__(self, value, text):
        self.value = value
        self.text = text

    def __repr__(self):
        return self.text

    def __bool__(self):
        return bool(self.value)

    def __index__(self):
        return int(self.value)

    __hash__ = None


def _value(x):
    return x.value if isinstance(x, Expression) else x


def _install(name, symbol, apply, reflected=False):
    def operator(self, other):
        left, right = (other, self) if reflected else (self, other)
        return _Pair(apply(_value(left), _value(right)), f'{left!r} {symbol} {right!r}',
                     left, right)
    setattr(Expression, name, operator)


class _Pair(Expression):
    """The result of a binary operator, which remembers both sides."""

    def __init__(self, value, text, left, right):
        super().__init__(value, text)
        self.sides = _value(left), _value(right)


for _name, _symbol, _apply in (
        ('eq', '==', lambda a, b: a == b), ('ne', '!=', lambda a, b: a != b),
        ('lt', '<', lambda a, b: a < b), ('le', '<=', lambda a, b: a <= b),
        ('gt', '>', lambda a, b: a > b), ('ge', '>=', lambda a, b: a >= b),
        ('add', '+', lambda a, b: a + b), ('sub', '-', lambda a, b: a - b),
        ('mul', '*', lambda a, b: a * b), ('floordiv', '//', lambda a, b: a // b),
        ('mod', '%', lambda a, b: a % b), ('pow', '**', lambda a, b: a ** b)):
    _install(f'__{_name}__', _symbol, _apply)
    if _name in ('add', 'sub', 'mul', 'floordiv', 'mod', 'pow'):
        _install(f'__r{_name}__', _symbol, _apply, reflected=True)


class _Sequence(Expression):
    def __getitem__(self, i):
        if isinstance(i, slice):
            return _Sequence(self.value[i], f'{self.text}[{i.start}:{i.stop}]')
        return Expression(self.value[i], f'{self.text}[{i!r}]')

    def __len__(self):
        return len(self.value)


class TypeInfo:
    """Shape and dtype of one operand, as expressions."""

    def __init__(self, array, text):
        self.shape = _Sequence(array.shape, f'{text}.shape')
        self.ndim = Expression(array.ndim, f'{text}.ndim')
        self.size = Expression(array.size, f'{text}.size')
        self.dtype = _Dtype(array.dtype, f'{text}.dtype')

    def rename(self, name):
        """Let the expressions speak of the operand by this name."""
        for attribute, expression in vars(self).items():
            expression.text = f'{name}.{attribute}'


class _Dtype(Expression):
    kind = property(lambda self: Expression(self.value.kind, f'{self.text}.kind'))
    char = property(lambda self: Expression(self.value.char, f'{self.text}.char'))
    itemsize = property(lambda self: Expression(self.value.itemsize, f'{self.text}.itemsize'))


class TypeInfoTuple(tuple):
    """The operands of one call: TypeInfo objects, and their number as ``size()``."""

    def size(self):
        """Return the number of operands as an expression."""
        return Expression(len(self), 'in_types.size')


def get_types(arrays, name='in_types'):
    """Return the TypeInfoTuple of ``arrays``."""
    return TypeInfoTuple(TypeInfo(a, f'{name}[{i}]') for i, a in enumerate(arrays))


def expect(*conditions):
    """Raise InvalidType for the first condition that does not hold, with both of its sides."""
    for condition in conditions:
        if not condition:
            text = repr(condition) if isinstance(condition, Expression) else 'a condition'
            sides = getattr(condition, 'sides', None)
            actual = '' if sides is None else f', got {sides[0]!r} and {sides[1]!r}'
            raise InvalidType(f'{text} expected{actual}')


def argname(in_types, names):
    """Expect one operand for each of ``names``, and call them so in messages."""
    expect(in_types.size() == len(names))
    for operand, name in zip(in_types, names):
        operand.rename(name)


_argname = argname   # Chainer 7 calls it so


def make_variable(value, name):
    """Return ``value`` as an expression that messages call by ``name``."""
    return Expression(value, name)


def expect_broadcast_shapes(*shapes):
    """Raise InvalidType unless the shapes, tuples or expressions, broadcast together."""
    expect_broadcast('shapes', *(np.broadcast_to(0, _value(shape)) for shape in shapes))


def eval(expression):  # noqa: A001  Chainer's name
    """Return the plain value of an expression."""
    return _value(expression)


def prod(shape):
    """Return the product of the lengths in ``shape`` as an expression."""
    return Expression(math.prod(_value(shape)), f'prod({shape!r})')


def same_types(*arrays):
    """Return whether all arrays are of one library."""
    return len({isinstance(array, np.ndarray) for array in arrays}) == 1

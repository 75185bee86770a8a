"""Tracing: run define-by-run code once and write down which functions it applied to what.

Values are told apart by their arrays: two Variables with one array are one value. What was
computed outside of functions, by NumPy on ``.array``, leaves no trace: it appears as a constant,
unless it is a view of a whole traced array, which counts as a reshape of it.
"""
import sys
from typing import NamedTuple

import numpy as np

from minichain.autograd import FunctionNode, Variable, as_array
from minichain.backend import is_array
from minichain.configuration import no_backprop_mode, using_config
from minichain.function_hook import FunctionHook
from minichain.functions.reshape import Reshape
from minichain.link import Link
from minichain.link_hook import LinkHook


class Application(NamedTuple):
    """One function that was applied.

    Attributes:
        function: the FunctionNode, with its attributes.
        operands, results: numbers of values, tuples of ints.
        path: of the link that was running, without the leading slash; '' outside of links.
        caller: name of the function of ``minichain.functions`` that applied it; '' if none did.
        given: dict, the attributes that the function had before it ran.
    """

    function: FunctionNode
    operands: tuple
    results: tuple
    path: str
    caller: str = ''
    given: dict = {}


class Trace:
    """What a run of some code did.

    Attributes:
        arrays: list of all values met; a value's number is its place here.
        inputs, outputs: lists of (name, number) of what went into the code and came out of it.
        applications: list of :class:`Application`, in the order in which they ran.
        names: dict from number to path, of parameters and persistent arrays, such as 'conv1/W'.
    """

    def __init__(self, inputs):
        self.arrays, self.applications = [], []
        self._numbers, self._memories = {}, {}
        self.inputs = [(name, self.add(array)) for name, array in inputs]
        self.outputs, self.names = [], {}

    def find(self, array):
        """Return the number of a value of which `array` is all the memory, else None."""
        number = self._numbers.get(id(array))
        return self._memories.get(_memory(array)) if number is None else number

    def add(self, array):
        """Return the number of an array, which becomes a new value if it is unknown."""
        number = self._numbers.setdefault(id(array), len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(array)
            memory = _memory(array)
            if memory is not None:
                self._memories.setdefault(memory, number)
        return number

    def operand(self, array, path):
        """Return the number of an operand; views of known arrays become reshapes of them."""
        source = self.find(array)
        if id(array) not in self._numbers and source is not None:
            self.applications.append(
                Application(Reshape(array.shape), (source,), (self.add(array),), path))
        return self.add(array)


def _memory(array):
    """Return what arrays have in common that are all of the same memory in the same order."""
    kind = '__array_interface__' if isinstance(array, np.ndarray) else '__cuda_array_interface__'
    interface = getattr(array, kind, None)
    if interface is None or not array.size or not array.flags.c_contiguous:
        return None
    return interface['data'][0], array.size, array.dtype.str


class _FunctionRecorder(FunctionHook):
    """Sees operands in the hook, and results by standing in for ``forward`` of each function."""

    name = 'minichain.tracing'

    def __init__(self, trace, links):
        self.trace, self.links, self.results, self.given = trace, links, {}, {}

    def forward_preprocess(self, function, in_data):
        forward, self.given[id(function)] = function.forward, dict(vars(function))

        def keep(arrays):
            results = forward(arrays)
            if type(results) is tuple:
                results = tuple(np.asarray(y) if isinstance(y, np.generic) else y
                                for y in results)
            self.results[id(function)] = results
            return results
        function.forward = keep

    def forward_postprocess(self, function, in_data):
        del function.forward
        results, given = self.results.pop(id(function)), self.given.pop(id(function))
        if not isinstance(results, tuple) or all(
                any(y is known for known in in_data) for y in results):
            return   # an identity, or an error that apply will report
        path = self.links.path
        operands = tuple(self.trace.operand(x, path) for x in in_data)
        self.trace.applications.append(
            Application(function, operands, tuple(map(self.trace.add, results)), path,
                        _caller(), given))


def _caller():
    """Return the name of the outermost of the functions of minichain that now call each other."""
    frame, name = sys._getframe(1), ''
    while frame is not None:
        code, names = frame.f_code, frame.f_globals
        if names.get('__name__', '').startswith('minichain.functions.'):
            if getattr(names.get(code.co_name), '__code__', None) is code:
                name = code.co_name
        elif name:
            break
        frame = frame.f_back
    return name


class _LinkRecorder(LinkHook):
    name = 'minichain.tracing'

    def __init__(self, model):
        self.known = {} if model is None else {
            id(link): path.strip('/') for path, link in model.namedlinks()}
        self.running = ['']

    path = property(lambda self: self.running[-1])

    def forward_preprocess(self, args):
        self.running.append(self.known.get(id(args.link), self.path))

    def forward_postprocess(self, args):
        self.running.pop()


def named_arrays(model):
    """Yield (path without the leading slash, array) of parameters and persistent arrays."""
    for path, parameter in model.namedparams(include_uninit=False):
        yield path[1:], parameter.array
    for path, link in model.namedlinks():
        for name in sorted(link._persistent):
            if is_array(getattr(link, name)):
                yield f'{path}/{name}'.lstrip('/'), getattr(link, name)


def named_leaves(nest, name, joint='_'):
    """Yield (name, array) of a nest of tuples, lists and dicts of arrays and Variables.

    Names are those of dict keys and places, behind `name`. What is no array is left out.
    """
    if isinstance(nest, dict):
        children = nest.items()
    elif isinstance(nest, (tuple, list)):
        children = enumerate(nest)
    else:
        array = as_array(nest)
        if is_array(array):
            yield name, array
        return
    for key, child in children:
        yield from named_leaves(child, f'{name}{joint}{key}' if name else str(key), joint)


def owner(code):
    """Return the link whose parameters code may use: itself, or that whose method it is."""
    link = getattr(code, '__self__', code)
    return link if isinstance(link, Link) else None


def trace(code, arguments, names=None, model=None):
    """Run code once, as in test mode and without recording a graph, and return its Trace.

    Args:
        code: callable; a Link, a method, a function.
        arguments: sequence of what it is called with: arrays, Variables, nests of them, others.
        names: of the arguments, None: '0', '1', ...; arrays in nests are named behind them.
        model: Link that names parameters; None: see :func:`owner`.
    Raises:
        whatever the code raises.
    """
    model = owner(code) if model is None else model
    names = [str(i) for i in range(len(arguments))] if names is None else names
    inputs = [leaf for name, argument in zip(names, arguments)
              for leaf in named_leaves(argument, name)]
    result = Trace(inputs)
    links = _LinkRecorder(model)
    # Before and after: the first call makes some parameters, and may move others in memory.
    named = [] if model is None else list(named_arrays(model))
    with using_config('train', False), no_backprop_mode(), links, _FunctionRecorder(
            result, links):
        outputs = code(*arguments)
    named += [] if model is None else named_arrays(model)
    for path, array in named:
        number = result.find(array)
        if number is not None:
            result.names.setdefault(number, path)
    single = isinstance(outputs, (Variable, np.ndarray)) or is_array(outputs)
    result.outputs = [(name, result.operand(array, ''))
                      for name, array in named_leaves(outputs, 'output' if single else '')]
    if not single and not isinstance(outputs, dict):
        result.outputs = [(f'output_{name}', number) for name, number in result.outputs]
    return result

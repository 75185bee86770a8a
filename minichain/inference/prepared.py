"""``prepare``: run a network once, and keep what it did as steps that are quick to repeat.

Read graph.py before, which makes them few, and steps.py, which finds the way to run each; on a
GPU device_steps.py does.
"""
import contextlib
import os
import threading

import numpy as np

from minichain.autograd import Variable, as_array
from minichain.backend import get_array_module, is_array
from minichain.configuration import config, no_backprop_mode, using_config
from minichain.errors import DeviceError, InvalidArgument, InvalidType, NotFinite
from minichain.inference import device_steps
from minichain.inference.graph import Graph
from minichain.inference.steps import plain_plan, plan
from minichain.inference.twice import expect_alike, fixed_numbers, other_values
from minichain.tracing import owner, trace

SWITCHES = 'use_onednn', 'winograd', 'kernels', 'precision'


def prepare(code, *arguments, model=None):
    """Return a copy of a network that computes the same for arguments of the same shapes, faster.

        fast = prepare(net, x)
        y = fast(another_x)

    Factors, terms and ReLU are computed within the convolutions before them, and memory is used
    again. The copy computes as in test mode and records nothing. What ``code`` did for the example
    it does always. ``code`` runs twice, the first time on other values: what is then different and
    cannot be followed, an ``if`` that looks at values, numbers that NumPy computed or that were
    drawn, states, is refused.
    The network is not changed, and what changes in it later does not reach the copy. The switches
    ``use_onednn``, ``winograd``, ``kernels`` and ``precision`` stay as they are now.

    Of arrays on a GPU, or on the device 'sim', images lie with channels last in between, stored in
    bfloat16 under ``precision = 'bf16'``; arguments and results are float32 as everywhere. There
    calls do not look into arguments for NaN, nor wait for the device in any other way, so that
    :func:`minichain.gpu.compile_step` can capture them.

    Args:
        code: callable: a Link, a method, a function of Variables.
        arguments: an example of what it is called with: arrays, Variables, nests of them, others.
        model: the Link whose parameters it uses; None: itself, or that whose method it is.
    Returns:
        :class:`PreparedNetwork`.
    Raises:
        NotFinite: a parameter or an argument of the example holds NaN, which fused steps would
            hide.
        InvalidArgument: an array of the arguments, or what was computed of it, is taken for fixed
            numbers, as ids of embed_id and labels are: they would stay those of the example. Or
            the code does something else when it runs again.
    """
    results = []

    def recorded(*arguments):
        results[:] = [code(*arguments)]
        return results[0]

    model = owner(code) if model is None else model

    def run(change):
        # As Variables, so that x * 2 is seen, which NumPy would do unseen. As copies, so that two
        # arguments are two, and neither is a parameter, though one array may be all examples.
        copies = _nested(arguments, lambda x: Variable(change(as_array(x)).copy(),
                                                       requires_grad=False))
        return trace(recorded, copies, model=model)

    before = fixed_numbers(run(other_values))
    found = run(lambda array: array)
    _expect_followed(found)
    expect_alike(fixed_numbers(found), before)
    graph = Graph(found)
    for array in (*graph.constants.values(), *graph.arguments):
        _expect_numbers('prepare', array)
    return PreparedNetwork(graph, _form(arguments), _form(results[0]))


class PreparedNetwork:
    """A network as steps on arrays of given shapes; :func:`prepare` makes it.

    Threads may call it; it computes for one after another.

    Attributes:
        expected: list of (shape, dtype) of the arrays in its arguments.
        generic: of a network on a device: labels of the functions that have no way of their own
            there for images with channels last, in their order; on the CPU empty.
    """

    def __init__(self, graph, arguments, results):
        self._graph, self._lock = graph, threading.Lock()
        self._arguments, self._results = arguments, results
        self._switches = {name: getattr(config, name) for name in SWITCHES}
        self._xp = get_array_module(*graph.arguments, *graph.constants.values())
        self._process, self.generic = os.getpid(), []
        if self._xp is not np:
            self._steps, self.generic = device_steps.plan(graph)
        else:
            self._steps = plan(graph)
        self.expected = [(array.shape, array.dtype) for array in graph.arguments]
        graph.forget_examples()

    def __call__(self, *arguments):
        """Compute; arguments and results are nested as in the call that it was made of.

        Raises:
            InvalidType: there are other arrays than then, or of other shapes or dtypes.
            InvalidArgument: what is no array differs, which the steps do not read.
            DeviceError: an array is elsewhere than those were.
            NotFinite: an array of the CPU holds NaN.
        """
        form = _form(arguments)
        arrays = _arrays(arguments, self._arguments if form == self._arguments else form)
        found = [(array.shape, array.dtype) for array in arrays]
        if found != self.expected:
            raise InvalidType(f'prepared network: arrays {_listed(self.expected)} expected, as '
                              f'when it was prepared, got {_listed(found)}. Prepare another one')
        if form != self._arguments:
            raise InvalidArgument('prepared network: names and what is no array expected as when '
                                  f'it was prepared, {self._arguments}, got {form}. Prepare '
                                  'another one')
        for array in arrays:
            if get_array_module(array) is not self._xp:
                raise DeviceError(f'prepared network: arrays of {self._xp.__name__} expected, as '
                                  f'when it was prepared, got {type(array).__module__}. Move '
                                  'them with device.send(array), or prepare another one')
            if self._xp is np:
                _expect_numbers('prepared network', array)
        if self._process != os.getpid():   # forked: with another process's threads gone, without
            self._process, self._lock = os.getpid(), threading.Lock()   # what needs them
            if self._xp is np:
                self._steps = plain_plan(self._graph)
        with contextlib.ExitStack() as stack:
            for context in (self._lock, no_backprop_mode(), using_config('train', False), *(
                    using_config(name, value) for name, value in self._switches.items())):
                stack.enter_context(context)
            values = {**self._graph.constants, **dict(zip(self._graph.inputs, arrays))}
            for run, operands, results, dead in self._steps:
                values.update(zip(results, run(*[values[number] for number in operands])))
                for number in dead:
                    del values[number]
            outputs = iter([values[number].copy() for number in self._graph.outputs])
        return _nested(self._results, lambda _: Variable(next(outputs), requires_grad=False))


class _Leaf:
    """Where an array was in a nest."""

    def __repr__(self):
        return 'array'


_LEAF = _Leaf()


def _nested(nest, make):
    """Return a nest with ``make(array)`` in place of arrays and Variables."""
    if isinstance(nest, dict):
        return {key: _nested(child, make) for key, child in nest.items()}
    if isinstance(nest, (tuple, list)):
        build = getattr(type(nest), '_make', type(nest))   # a named tuple has its own
        return build([_nested(child, make) for child in nest])
    return make(nest) if nest is _LEAF or is_array(as_array(nest)) else nest


def _form(nest):
    """Return a nest without its arrays."""
    return _nested(nest, lambda _: _LEAF)


def _arrays(nest, form):
    """Return the list of arrays of a nest, in the order of a form: dicts may have another."""
    if form is _LEAF:
        return [as_array(nest)]
    if isinstance(form, dict):
        return [array for key in form for array in _arrays(nest[key], form[key])]
    if isinstance(form, (tuple, list)):
        return [array for child, inner in zip(nest, form) for array in _arrays(child, inner)]
    return []


def _expect_followed(found):
    """Raise unless all that is computed of the inputs of a Trace is seen."""
    read = {number for _, number in found.outputs}.union(
        *(application.operands for application in found.applications))
    computed = {number for _, number in found.inputs}
    for function, operands, results, *_ in found.applications:
        for value in vars(function).values():
            number = found.find(value) if is_array(value) else None
            if number in computed and number not in (*operands, *results):
                raise InvalidArgument(f'prepare: {function.label} takes an array as fixed numbers '
                                      'that was computed of the arguments: they would stay those '
                                      'of the example')
        computed.update(results)
    for name, number in found.inputs:
        if number not in read:
            raise InvalidArgument(f'prepare: nothing that was recorded reads argument {name}: a '
                                  'change of it would not be noticed')


def _listed(kinds):
    return ', '.join(f'{dtype} {shape}' for shape, dtype in kinds) or 'none'


def _expect_numbers(label, array):
    if array.dtype.kind == 'f' and array.size and get_array_module(array).isnan(array.max()):
        raise NotFinite(f'{label}: an array of shape {array.shape} holds NaN')

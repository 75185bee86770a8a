"""What a network computes, as a list of steps, and the rewriting that makes it shorter.

Batch normalization with fixed statistics and other factors and terms per channel go into the
filters before them, ReLU into the step whose result it changes. What depends on parameters alone
is computed here, once.
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.functions.concat import Concat
from minichain.functions.convolution import Convolution
from minichain.functions.linear import Linear
from minichain.functions.operators import Add, AddConstant, Div, Mul, MulConstant, Sub
from minichain.functions.relu import ReLU


class Turned(Linear):
    """Linear with the transpose of W, (I, O), which is read faster for few rows x."""

    def forward(self, arrays):
        x, W, *b = arrays
        y = x @ W
        if b:
            y += b[0]
        return y,


class Step:
    """One function to apply.

    Attributes:
        function: FunctionNode.
        operands, results: lists of numbers of values.
        relu: whether ReLU follows.
    """

    def __init__(self, function, operands, results):
        self.function, self.relu = function, False
        self.operands, self.results = list(operands), list(results)

    kind = property(lambda self: type(self.function))


class Graph:
    """Steps on numbered values.

    Args:
        trace: minichain.tracing.Trace, whose arrays are taken over as examples.
    Attributes:
        examples: list of arrays, a number is a place in it.
        constants: dict from number to array, private copies.
        steps: list of :class:`Step`, in an order in which they can run.
        inputs, outputs: numbers.
    """

    def __init__(self, trace):
        self.examples, self._traced = trace.arrays, len(trace.arrays)
        self.inputs = [number for _, number in trace.inputs]
        self.outputs = [number for _, number in trace.outputs]
        self.steps = [Step(application.function, application.operands, application.results)
                      for application in trace.applications]
        computed = {number for step in self.steps for number in step.results}
        self.constants = {number: self.examples[number] for number in range(len(self.examples))
                          if number not in computed and number not in self.inputs}
        self._fold_constants()
        self._absorb_factors_and_terms()
        self._absorb_relu()
        self._turn_matrices()
        needed = self.uses()
        self.constants = {number: array if number >= self._traced else array.copy()
                          for number, array in self.constants.items() if number in needed}

    arguments = property(lambda self: [self.examples[number] for number in self.inputs])

    def forget_examples(self):
        """Give up the memory of what was computed for the example."""
        self.examples = None

    def uses(self):
        """Return a dict from number to how often the value is read; outputs count once more."""
        counts = {}
        for number in [n for step in self.steps for n in step.operands] + self.outputs:
            counts[number] = counts.get(number, 0) + 1
        return counts

    def _fold_constants(self):
        kept = []
        for step in self.steps:
            if all(number in self.constants for number in step.operands):
                self.constants.update((n, self.examples[n]) for n in step.results)
            else:
                kept.append(step)
        self.steps = kept

    def _absorb_factors_and_terms(self):
        makers, uses, kept = {}, self.uses(), []
        for step in self.steps:
            maker = makers.get(next((n for n in step.operands if n in makers), None))
            change = maker and uses[maker.results[0]] == 1 and self.change(
                step, maker.results[0], len(self.constants[maker.operands[1]]))
            if change:
                self._absorb(maker, *change)
                maker.results = step.results
            else:
                kept.append(step)
            if change or self._has_filters(step):
                makers[step.results[0]] = maker if change else step
        self.steps = kept

    def _has_filters(self, step):
        return step.kind in (Convolution, Linear) and all(
            number in self.constants for number in step.operands[1:])

    def change(self, step, y, channels):
        """Return (factor, term) of one channel each if this is what a step applies, else None.

        Args:
            y: number of the value that it applies them to.
            channels: how many there are.
        """
        one, zero = np.ones(channels), np.zeros(channels)
        if step.kind is MulConstant:
            return step.function.value * one, zero
        if step.kind is AddConstant:
            return one, step.function.value * one
        others = [number for number in step.operands if number != y]
        if (step.kind not in (Add, Sub, Mul, Div) or len(others) != 1
                or others[0] not in self.constants
                or step.kind in (Sub, Div) and step.operands[0] != y):
            return None
        values = _per_channel(self.constants[others[0]], self.examples[y].ndim, channels)
        if values is None:
            return None
        return ((one, values) if step.kind is Add else (one, -values) if step.kind is Sub else
                (values, zero) if step.kind is Mul else (1 / values, zero))

    def _absorb(self, maker, factor, term):
        W = self.constants[maker.operands[1]]
        xp = get_array_module(W)
        factor, term = xp.asarray(factor), xp.asarray(term)
        b = self.constants[maker.operands[2]] if len(maker.operands) > 2 else 0
        new = (W * factor.reshape(-1, *[1] * (W.ndim - 1)), b * factor + term)
        maker.operands[1:] = [self.new_constant(array.astype(W.dtype)) for array in new]

    def new_constant(self, array):
        """Return the number of a further constant."""
        self.examples.append(array)
        self.constants[len(self.examples) - 1] = array
        return len(self.examples) - 1

    def new_value(self, shape, like):
        """Return the number of a further value, whose example tells shape and kind alone."""
        example = self.examples[like]
        self.examples.append(get_array_module(example).empty(shape, example.dtype))
        return len(self.examples) - 1

    def _turn_matrices(self):
        for step in self.steps:
            if step.kind is Linear and self._has_filters(step):
                W = self.constants[step.operands[1]]
                step.function = Turned()
                step.operands[1] = self.new_constant(get_array_module(W).ascontiguousarray(W.T))

    def _absorb_relu(self):
        makers, uses, kept = {}, self.uses(), []
        for step in self.steps:
            maker = makers.get(step.operands[0]) if step.kind is ReLU else None
            if maker is not None and uses[maker.results[0]] == 1:
                parts = [makers.get(number) for number in maker.operands]
                if maker.kind is Concat and all(
                        part is not None and self._has_filters(part)
                        and uses[part.results[0]] == 1 for part in parts):
                    for part in parts:
                        part.relu = True
                else:
                    maker.relu = True
                maker.results = step.results
                makers[step.results[0]] = maker
            else:
                kept.append(step)
                if len(step.results) == 1 and not step.relu:
                    makers[step.results[0]] = step
        self.steps = kept


def _per_channel(values, ndim, channels):
    """Return values that are broadcast to (N, C, ...) as a vector (C,), or None if they vary."""
    shape = (1,) * (ndim - values.ndim) + values.shape
    if values.ndim > ndim or any(n != 1 for axis, n in enumerate(shape) if axis != 1) or (
            shape[1] not in (1, channels)):
        return None
    return values.reshape(-1) * get_array_module(values).ones(channels)

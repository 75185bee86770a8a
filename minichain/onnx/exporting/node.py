"""Node: one traced function as a converter sees it."""
import dataclasses

import numpy as np

from minichain.backend import is_array, to_cpu
from minichain.onnx.exporting.batch import fitted_shape
from minichain.onnx.exporting.refusal import CannotExport


class Node:
    """One function that was applied, in all traces.

    Args:
        graph: the Graph under construction.
        applications: of this function, one of each trace.
        producers: dict from the number of a value to the Node that computes it.
    Attributes:
        function: as the first trace has it; read its arguments with :meth:`attribute`.
        operands, results: numbers of values.
    """

    def __init__(self, graph, applications, producers):
        self.graph, self.producers = graph, producers
        self.functions = [application.function for application in applications]
        self.function = self.functions[0]
        _, self.operands, self.results, self.path, self.caller, _ = applications[0]

    @property
    def inputs(self):
        """Names of the tensors of the operands."""
        return [self.graph.tensor(number) for number in self.operands]

    def _arrays(self, number):
        return [trace.arrays[number] for trace in self.graph.traces]

    def _shape(self, number):
        return fitted_shape([array.shape for array in self._arrays(number)], self.graph.rows)

    @property
    def input_shapes(self):
        """Shapes of the operands, tuples of ints and :class:`~.batch.Rows`."""
        return [self._shape(number) for number in self.operands]

    @property
    def output_shapes(self):
        """Shapes of the results."""
        return [self._shape(number) for number in self.results]

    @property
    def dtype(self):
        """Dtype of the first operand."""
        return self._arrays(self.operands[0])[0].dtype

    @property
    def output_dtype(self):
        """Dtype of the first result."""
        return self._arrays(self.results[0])[0].dtype

    def producer(self, place):
        """Return the Node that computes an operand; None for inputs and constants."""
        return self.producers.get(self.operands[place])

    def is_constant(self, place):
        """Return whether an operand depends on no input."""
        number = self.operands[place]
        return number not in self.producers and number not in self.graph.input_numbers

    def array(self, place):
        """Return the NumPy array of an operand that :meth:`is_constant`."""
        return to_cpu(self._arrays(self.operands[place])[0])

    def attribute(self, name):
        """Return an attribute of the function.

        Raises:
            CannotExport: it is not the same in all traces.
        """
        values = [getattr(function, name) for function in self.functions]
        if not all(_alike(value, values[0]) for value in values):
            raise CannotExport(f'its {name} depends on the batch size or on the values of the '
                               f'inputs: {" and ".join(map(_brief, values))}')
        return values[0]

    def attribute_number(self, name, place=None):
        """Return the number of the traced value that an attribute holds, or None.

        Args:
            name: of the attribute.
            place: of the array in it, if the attribute is a tuple.
        """
        arrays = self._attribute_arrays(name, place)
        numbers = {trace.find(array) for trace, array in zip(self.graph.traces, arrays)}
        if len(numbers) > 1:
            raise CannotExport(f'its {name} comes from another value in every run')
        return numbers.pop()

    def _attribute_arrays(self, name, place):
        values = [getattr(function, name) for function in self.functions]
        return values if place is None else [value[place] for value in values]

    def tensor(self, name, place=None):
        """Return the name of the tensor of an array that the function keeps as an attribute."""
        graph, arrays = self.graph, self._attribute_arrays(name, place)
        number = self.attribute_number(name, place)
        if number is None:
            for trace, array in zip(graph.traces, arrays):
                number = trace.add(array)
            return graph.tensor(number)
        tensor = graph.tensor(number)
        if arrays[0].shape == graph.traces[0].arrays[number].shape:
            return tensor
        return graph.reshape(tensor, fitted_shape([a.shape for a in arrays], graph.rows))


def kept_arrays(function):
    """Yield the arrays among the attributes of a function, those in tuples and lists too."""
    for value in vars(function).values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if is_array(each):
                yield each


def _alike(a, b):
    if is_array(a) or is_array(b):
        return is_array(a) and is_array(b) and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(_alike, a, b))
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(map(_alike, vars(a).values(), vars(b).values()))
    return a is b or a == b or (a != a and b != b)


def _brief(value):
    return f'array of shape {np.shape(value)}' if is_array(value) else repr(value)[:60]

"""Control flow: operators that run bodies, which are graphs of their own.

They take ``run(body, *inputs) -> tuple of outputs`` after the node.
"""
import itertools

import numpy as np

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.budget import current
from minichain.onnx.operators.sequences import expect_sequence
from minichain.onnx.operators.values import (
    INTEGER,
    check_size,
    is_float,
    normalize_axis,
    to_ints,
    to_scalar,
)


def branch(node, run, condition):
    return run(node.require('then_branch' if to_scalar(condition) else 'else_branch'))


def loop(node, run, count, condition, *states):
    """Runs the body until it says stop, at most `count` times; the net bounds the number."""
    body = node.require('body')
    going_on = True if condition is None else bool(to_scalar(condition))
    condition = np.array(going_on) if condition is None else condition
    turns = itertools.count() if count is None else range(int(to_scalar(count)))
    collected = Collected(len(body.outputs) - 1 - len(states))
    for turn in turns:
        if not going_on:
            break
        condition, *results = run(body, np.array(turn, np.int64), condition, *states)
        going_on = bool(to_scalar(condition))
        states = results[:len(states)]
        collected.add(results[len(states):])
    names = body.outputs[1 + len(states):]
    return (*states, *(collected.stacked(place, body.output_types.get(name), 0)
                       for place, name in enumerate(names)))


class Collected:
    """What the turns of a loop hand out one by one, to be stacked."""

    def __init__(self, count):
        if count < 0:
            raise DataError('as many states as the body has outputs expected, got more')
        self.values = [[] for _ in range(count)]

    def add(self, values):
        for place, value in enumerate(values):
            self.values[place].append(value)
            current().hold(value)

    def stacked(self, place, value_type, axis, backwards=False):
        """The values of one output along a new axis; without any its type says what is empty."""
        values = self.values[place]
        if not values:
            dtype, shape = value_type or (None, None)
            shape = [n if isinstance(n, int) else 0 for n in shape or ()]
            shape.insert(normalize_axis(axis, len(shape) + 1), 0)
            return np.zeros(check_size(shape), dtype or np.float32)
        axis = normalize_axis(axis, values[0].ndim + 1)
        values = values[::-1] if backwards else values
        if any(value.shape != values[0].shape for value in values):
            raise DataError('results of one shape in all turns expected, got '
                            f'{sorted({value.shape for value in values})!s:.200}')
        check_size((len(values), *values[0].shape), values[0].dtype.itemsize)
        for value in values:
            current().release(value)
        return F.stack(values, axis) if is_float(values[0]) else (
            get_array_module(values[0]).stack(values, axis))


def scan(node, run, *inputs):
    """Runs the body on the slices of its last inputs; operator set 8 has a batch around it."""
    if node.opset >= 9:
        return scan_one(node, run, inputs, node.get('scan_input_axes'),
                        node.get('scan_input_directions'))
    lengths, *inputs = inputs
    if not inputs or any(not x.ndim or x.shape[0] != inputs[0].shape[0] for x in inputs):
        raise DataError('inputs with one batch axis in front expected, got '
                        f'{[x.shape for x in inputs]}')
    whole = inputs[-1].shape[1]
    current().work(INTEGER * len(inputs[0]))
    lengths = [whole] * len(inputs[0]) if lengths is None else to_ints(lengths)
    states = len(inputs) - node.require('num_scan_inputs')
    results = []
    for row, length in zip(range(len(inputs[0])), lengths, strict=True):
        if not 0 <= length <= whole:
            raise DataError(f'lengths from 0 to {whole} expected, got {length}')
        rows = [x[row] if place < states else x[row, :length] for place, x in enumerate(inputs)]
        outputs = scan_one(node, run, rows, None, node.get('directions'))
        results.append(outputs[:states] + tuple(
            fill_up(output, whole - length) for output in outputs[states:]))
    return tuple(F.stack(rows, 0) if is_float(rows[0]) else
                 get_array_module(rows[0]).stack(rows) for rows in zip(*results))


def fill_up(x, count):
    """Zeros behind the end of the first axis."""
    if not count:
        return x
    widths = [(0, count)] + [(0, 0)] * (x.ndim - 1)
    return F.pad(x, widths, 'constant') if is_float(x) else get_array_module(x).pad(x, widths)


def scan_one(node, run, inputs, axes, backwards):
    body, count = node.require('body'), node.require('num_scan_inputs')
    if not 0 < count <= len(inputs):
        raise DataError(f'num_scan_inputs from 1 to {len(inputs)} expected, got {count}')
    states, scanned = inputs[:len(inputs) - count], inputs[len(inputs) - count:]
    axes = [normalize_axis(axis, x.ndim) for axis, x in zip(axes or [0] * count, scanned,
                                                            strict=True)]
    backwards = backwards or [0] * count
    lengths = {x.shape[axis] for x, axis in zip(scanned, axes)}
    if len(lengths) != 1:
        raise DataError(f'inputs of one length expected, got {sorted(lengths)}')
    length = lengths.pop()
    collected = Collected(len(body.outputs) - len(states))
    for turn in range(length):
        slices = [x[(*(slice(None),) * axis, length - 1 - turn if back else turn)]
                  for x, axis, back in zip(scanned, axes, backwards, strict=True)]
        slices = [x if hasattr(x, 'ndim') and not isinstance(x, np.generic) else np.asarray(x)
                  for x in slices]
        results = run(body, *states, *slices)
        states = results[:len(states)]
        collected.add(results[len(states):])
    names = body.outputs[len(states):]
    axes = node.get('scan_output_axes') or [0] * len(names)
    backwards = node.get('scan_output_directions') or [0] * len(names)
    return (*states, *(
        collected.stacked(place, body.output_types.get(name), axis, back)
        for place, (name, axis, back) in enumerate(zip(names, axes, backwards, strict=True))))


def sequence_map(node, run, sequence, *others):
    """Runs the body on each element; what else is a sequence goes along with it."""
    body, results = node.require('body'), []
    for place, value in enumerate(expect_sequence(sequence)):
        extra = [other[place] if isinstance(other, list) else other for other in others]
        results.append(run(body, value, *extra))
        current().hold(list(results[-1]))
    for result in results:
        current().release(list(result))
    return tuple([result[place] for result in results] for place in range(len(body.outputs)))


OPERATORS = {
    'If': branch,
    'Loop': loop,
    'Scan': scan,
    'SequenceMap': sequence_map,
}

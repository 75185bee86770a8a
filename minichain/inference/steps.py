"""How to run the steps of a graph: by oneDNN into memory planned before, or by their functions.

A value lives from the step that makes it to the last one that reads it, or reads a view of it.
Then its room is free for another.
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.cpu import onednn, onednn_functions, rectifier
from minichain.cpu.onednn import BIAS, RESULT, SOURCE, WEIGHTS, Refused
from minichain.functions.average_pooling import AveragePooling
from minichain.functions.concat import Concat
from minichain.functions.convolution import Convolution
from minichain.functions.local_response_normalization import LocalResponseNormalization
from minichain.functions.max_pooling import MaxPooling


def plan(graph):
    """Return a list of (run, operands, results, dead) for a graph that has its examples.

    ``run`` takes the arrays ``operands`` and returns a sequence, the ``results``; the values
    ``dead`` are no longer needed then. All but ``run`` are lists of numbers.
    """
    runs = [_by_onednn(step, graph) for step in graph.steps]
    rooms = _rooms(graph, [run is not None for run in runs])
    return [(by_function(step) if run is None else _into(run, rooms[step.results[0]], step),
             step.operands, step.results, dead)
            for step, run, dead in zip(graph.steps, runs, _last_uses(graph))]


def plain_plan(graph):
    """Return the same for a process in which oneDNN does not run; examples are not needed."""
    return [(by_function(step), step.operands, step.results, dead)
            for step, dead in zip(graph.steps, _last_uses(graph))]


def by_function(step):
    """Return what runs a step by its function, on arrays of any device."""
    function = step.function

    def run(*arrays):
        results = [np.asarray(y) if isinstance(y, np.generic) else y
                   for y in function.forward(arrays)]
        if step.relu:
            y, = results
            xp = get_array_module(y)
            viewed = any(xp.may_share_memory(y, x) for x in arrays)
            return rectifier.rectify(y, None if viewed else y),
        return results
    return run


def _into(run, y, step):
    """Return what runs a step into y, or by its function if oneDNN refuses these values."""
    otherwise, relu = by_function(step), step.relu and step.kind is not Convolution

    def into(*arrays):
        try:
            run(y, *arrays)
        except Refused:
            return otherwise(*arrays)
        if relu:
            rectifier.rectify(y, y)
        return y,
    return into


def _by_onednn(step, graph):
    """Return a function (y, *operands) that computes a step into y, or None."""
    arrays = [graph.examples[number] for number in step.operands]
    way = _WAYS.get(step.kind)
    if way is None or not onednn.serves(*arrays):
        return None
    try:
        run = way(step, graph, arrays)
        if run is not None:
            run(onednn.empty_channels_last(graph.examples[step.results[0]].shape), *arrays)
        return run
    except Refused:
        return None


def _convolution(step, graph, arrays):
    if not all(number in graph.constants for number in step.operands[1:]):
        return None
    x, W, *b = arrays
    function = step.function
    primitive, rearrange = onednn_functions.convolution(
        x.shape, len(W), function.windows, function.groups, bool(b), step.relu)
    constant = {WEIGHTS: onednn_functions.arranged(primitive, rearrange, W, None)}
    if b:
        constant[BIAS] = b[0].copy()
    return lambda y, x, *_: primitive({SOURCE: onednn.channels_last(x), RESULT: y, **constant})


def _maximum(step, graph, arrays):
    windows = step.function.windows
    return lambda y, x: onednn_functions.max_windows(x, windows, y)


def _mean(step, graph, arrays):
    windows = step.function.windows
    return (lambda y, x: onednn_functions.mean_windows(x, windows, y)
            ) if step.function.is_mean else None


def _normalization(step, graph, arrays):
    function = step.function
    numbers = function.n, function.k, function.alpha, function.beta
    return lambda y, x: onednn_functions.normalize(x, *numbers, y)


def _concatenation(step, graph, arrays):
    if step.function.axis != 1 or arrays[0].ndim < 3:
        return None
    return lambda y, *xs: onednn_functions.concatenate(xs, y)


_WAYS = {Convolution: _convolution, MaxPooling: _maximum, AveragePooling: _mean,
         LocalResponseNormalization: _normalization, Concat: _concatenation}


def _last_uses(graph):
    return last_uses(graph.steps, {*graph.outputs, *graph.constants})


def last_uses(steps, kept):
    """Return, for every step, the list of values that no later step reads.

    Args:
        steps: of attributes ``operands`` and ``results``.
        kept: set of values that are read afterwards.
    """
    seen, dead = set(kept), []
    for step in reversed(steps):
        dead.append([n for n in dict.fromkeys([*step.operands, *step.results]) if n not in seen])
        seen.update(step.operands)
    return dead[::-1]


def _rooms(graph, planned):
    """Return a dict from number to an array, channels last, for the results of planned steps.

    Args:
        planned: list of bools, one a step.
    """
    owners = _owners(graph, planned)
    ends = {owners.get(n, n): len(graph.steps) for n in graph.outputs}
    for place, step in enumerate(graph.steps):
        for number in step.operands + step.results:
            owner = owners.get(number, number)
            ends[owner] = max(place, ends.get(owner, 0))
    sizes, places, free = [], {}, []
    for place, (step, own) in enumerate(zip(graph.steps, planned)):
        if own:
            size = graph.examples[step.results[0]].size
            fitting = [room for room in free if sizes[room] >= size]
            if fitting:
                room = min(fitting, key=sizes.__getitem__)
            elif free:
                room = max(free, key=sizes.__getitem__)
                sizes[room] = size
            else:
                room = len(sizes)
                sizes.append(size)
            if room in free:
                free.remove(room)
            places[step.results[0]] = room
        free += [room for number, room in places.items() if ends[number] == place]
    rooms = [onednn.plain_layout((size,)).empty() for size in sizes]
    result = {}
    for number, room in places.items():
        n, c, *size = graph.examples[number].shape
        flat = rooms[room][:n * c * int(np.prod(size))]
        result[number] = np.moveaxis(flat.reshape(n, *size, c), -1, 1)
    return result


def _owners(graph, planned):
    """Return a dict from number to that of the value in whose memory it may lie."""
    owners = {}
    for step, own in zip(graph.steps, planned):
        for number in step.results if not own else ():
            for operand in step.operands:
                y, x = graph.examples[number], graph.examples[operand]
                if operand not in graph.constants and get_array_module(y).may_share_memory(y, x):
                    owners[number] = owners.get(operand, operand)
    return owners

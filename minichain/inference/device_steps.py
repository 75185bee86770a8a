"""How a device runs the steps of a graph: by kernels and products, on images with channels last.

A value has one of two forms. *Plain*, as functions have it: (N, C, H, W) or (N, C), float32. Or
with channels *last*: (N, H, W, C), of vectors (N, 1, 1, C), as it is stored: in bfloat16 under
``config.precision = 'bf16'``. Functions that device_ways.py has a way for stay in the second form,
others run as they are, in the first; where the form changes stands a step that casts and
transposes. What is to be joined is computed where it will lie, if all that reads it besides can do
with some channels of an array.
"""
import functools
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from minichain.backend import get_array_module
from minichain.functions.concat import Concat
from minichain.functions.get_item import GetItem
from minichain.functions.linear import affine
from minichain.functions.reshape import Reshape
from minichain.gpu.casts import as_float32, as_stored, storage_dtype
from minichain.gpu.channelwise import scale_channels
from minichain.gpu.layouts import to_channels_first, to_channels_last
from minichain.inference.device_rewriting import (
    readers_of,
    with_joint_products,
    with_sums,
    with_swish,
)
from minichain.inference.device_ways import OF_PARTS, PRODUCTS, WAYS
from minichain.inference.steps import by_function, last_uses


class Planned(NamedTuple):
    """A step: ``run`` takes the arrays ``operands`` and returns a sequence, the ``results``.

    The names of values are their numbers in the plain form, ('last', number) in the other.
    """

    run: Callable
    operands: Sequence[Hashable]
    results: Sequence[Hashable]


def plan(graph):
    """Return how to run a graph of arrays on a device, which has its examples.

    Constants that no step reads any more are taken out of the graph.

    Returns:
        (steps, generic): steps as of :func:`minichain.inference.steps.plan`, but with names of
        values; generic: labels of the functions that run in the plain form.
    """
    for rewrite in (with_swish, with_joint_products, with_sums):
        graph.steps = rewrite(graph)
    planner = _Planner(graph)
    for step in graph.steps:
        planner.add(step)
    for number in graph.outputs:
        planner.plain(number)
    read = {name for step in planner.steps for name in step.operands}.union(graph.outputs)
    graph.constants = {number: x for number, x in graph.constants.items() if number in read}
    dead = last_uses(planner.steps, {*graph.outputs, *graph.constants})
    return [(*step, names) for step, names in zip(planner.steps, dead)], planner.generic


class _Planner:
    """Plans steps, one after another.

    Attributes:
        steps: list of :class:`Planned`.
        generic: list of str.
    """

    def __init__(self, graph):
        self.steps, self.generic, self._graph = [], [], graph
        self._dtype = storage_dtype()
        self._is_plain = {*graph.inputs, *graph.constants}      # numbers that have this form
        self._places = {}   # number -> (name of an array of the other form, first channel)
        self._parts = self._find_parts()                        # number -> (joined, first channel)
        self._placed, self._whole, self._rooms = set(), set(), set()    # numbers

    def add(self, step):
        """Plan a step of the graph."""
        images = [number for number in step.operands if number not in self._graph.constants]
        fill = None
        if self._is_served(step, images) and (step.kind in PRODUCTS or any(
                number in self._places for number in images)):
            if step.kind in (Reshape, GetItem):
                name, first = self._places[images[0]]
                self._places[step.results[0]] = name, first + (self._first_taken(step) or 0)
                return
            if step.kind is Concat:
                self._join(step)
                return
            fill = WAYS[step.kind](step, self._graph, images, self._dtype)
        if fill is None:
            self._run_plainly(step)
        elif step.kind in OF_PARTS:
            name, begin = self._last(images[0])
            self._compute(step, functools.partial(fill, begin=begin), [
                name, *(self._last(number, whole=True) for number in images[1:])])
        else:
            self._compute(step, fill, [self._last(number, whole=True) for number in images])

    def plain(self, number):
        """Return the name of a value in the plain form, once a step is planned that makes it."""
        if number not in self._is_plain:
            self._is_plain.add(number)
            self._plan(_as_plain(self._graph.examples[number].shape),
                       [self._last(number, whole=True)], [number])
        return number

    def _last(self, number, whole=False):
        """Return (name, first channel) of a value with channels last, once there is one.

        Args:
            whole: return the name of an array that has no other channels.
        """
        if number not in self._places:
            self._places[number] = ('last', number), 0
            self._plan(_as_last(self._shape(number), self._dtype), [number], [('last', number)])
        name, first = self._places[number]
        if not whole:
            return name, first
        channels = self._shape(number)[3]
        if channels < self._shape(name[1])[3]:
            name = 'whole', number
            if number not in self._whole:
                self._whole.add(number)
                self._plan(_part(first, channels), [self._places[number][0]], [name])
        return name

    def _run_plainly(self, step):
        self.generic.append(step.function.label)
        self._plan(by_function(step), [self.plain(number) for number in step.operands],
                   step.results)
        self._is_plain.update(step.results)

    def _compute(self, step, fill, names):
        number = step.results[0]
        if number in self._parts and step.kind in OF_PARTS:
            room, first = self._places[number] = self._place(number)
            self._placed.add(number)
            self._plan(_into(fill, first), [*names, room], [])
        else:
            self._places[number] = ('last', number), 0
            self._plan(_new(fill, self._shape(number), self._dtype), names, [('last', number)])

    def _join(self, step):
        """Plan to copy the parts that are not yet there."""
        number, channel = step.results[0], 0
        room, first = self._places[number] = self._place(number)
        for part in step.operands:
            if part not in self._placed:
                name, begin = self._last(part)
                self._plan(_copy(begin, first + channel, self._shape(part)[3]), [name, room], [])
            channel += self._shape(part)[3]
        if number in self._parts:
            self._placed.add(number)
        elif step.relu:
            self._plan(_rectify(self._graph.examples[number]), [room], [])

    def _place(self, number):
        """Return (name of the array, first channel) where a joined value or a part of one lies."""
        if number in self._parts:
            joined, first = self._parts[number]
            room, start = self._place(joined)
            return room, start + first
        if number not in self._rooms:
            self._rooms.add(number)
            xp = get_array_module(self._graph.examples[number])
            self._plan(_room(xp, self._shape(number), self._dtype), [], [('last', number)])
        return ('last', number), 0

    def _find_parts(self):
        """Return where values can be computed that are joined once: what else reads them must do
        with some channels, and ReLU must not come over them later.
        """
        parts, rectified, readers = {}, set(), readers_of(self._graph.steps)
        for join in reversed(self._graph.steps):
            if join.kind is not Concat or not self._is_served(join, join.operands):
                continue
            joined, channel = join.results[0], 0
            if join.relu:       # which is applied to a whole array
                parts.pop(joined, None)
            if join.relu or parts.get(joined, (None,))[0] in rectified:
                rectified.add(joined)
            for number in join.operands:
                others = [step for step in readers[number] if step is not join]
                if (number not in self._graph.outputs and join.operands.count(number) == 1
                        and all(self._reads_parts(step, number) for step in others)
                        and not (others and joined in rectified)):
                    parts[number] = joined, channel
                channel += self._shape(number)[3]
        return parts

    def _reads_parts(self, step, number):
        return number not in step.operands[1:] and (
            step.kind in OF_PARTS or self._first_taken(step) is not None)

    def _is_served(self, step, images):
        """Return whether the form with channels last may do for a step."""
        arrays = [self._graph.examples[number] for number in [*images, *step.results]]
        if not images or not all(x.ndim in (2, 4) and x.dtype == np.float32 and affine.fuses(x)
                                 for x in arrays):
            return False
        if step.kind is Concat:
            return step.function.axis == 1 and not any(
                number in self._graph.constants for number in step.operands)
        if step.kind is GetItem:
            return not step.relu and self._first_taken(step) is not None
        if step.kind is Reshape:
            return not step.relu and self._shape(images[0]) == self._shape(step.results[0])
        return step.kind in WAYS

    def _first_taken(self, step):
        """Return the first of the channels that are all that GetItem takes; else None."""
        shape = self._graph.examples[step.operands[0]].shape
        index = step.function.index if step.kind is GetItem else ()
        if len(index) < 2 or not all(isinstance(part, slice) for part in index) or any(
                part != slice(None) for axis, part in enumerate(index) if axis != 1):
            return None
        start, stop, stride = index[1].indices(shape[1])
        return start if stride == 1 and start < stop else None

    def _shape(self, number):
        """Return the shape of a value with channels last."""
        N, C, *size = self._graph.examples[number].shape
        return N, *(size or (1, 1)), C

    def _plan(self, *planned):
        self.steps.append(Planned(*planned))


def _as_plain(shape):
    def run(x):
        if x.shape[1] == x.shape[2] == 1:
            return as_float32(x).reshape(shape),
        y = get_array_module(x).empty(shape, 'float32')
        to_channels_first(x, y)
        return y,
    return run


def _as_last(shape, dtype):
    def run(x):
        if shape[1] == shape[2] == 1:
            return as_stored(x, dtype).reshape(shape),
        xp = get_array_module(x)
        y = xp.empty(shape, dtype)
        to_channels_last(xp.ascontiguousarray(x), y)
        return y,
    return run


def _new(fill, shape, dtype):
    def run(*images):
        y = get_array_module(images[0]).empty(shape, dtype)
        fill(y, 0, *images)
        return y,
    return run


def _into(fill, first):
    def run(*images):
        fill(images[-1], first, *images[:-1])
        return ()
    return run


def _room(xp, shape, dtype):
    return lambda: (xp.empty(shape, dtype),)


def _copy(begin, first, channels):
    def run(x, room):
        room[..., first:first + channels] = x[..., begin:begin + channels]
        return ()
    return run


def _part(first, channels):
    return lambda x: (x[..., first:first + channels].copy(),)


def _rectify(like):
    xp, channels = get_array_module(like), like.shape[1]
    one, zero = xp.ones(channels, 'float32'), xp.zeros(channels, 'float32')

    def run(y):
        scale_channels(y, one, zero, y, 'clip')
        return ()
    return run

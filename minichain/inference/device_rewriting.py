"""Rewriting of a graph for a device, where a few large steps are quicker than many small ones."""
import numpy as np

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.functions.average_pooling import AveragePooling
from minichain.functions.concat import Concat
from minichain.functions.convolution import Convolution
from minichain.functions.get_item import GetItem
from minichain.functions.max_pooling import MaxPooling
from minichain.functions.mean import Mean
from minichain.functions.operators import Add, Mul
from minichain.functions.sigmoid import Sigmoid
from minichain.inference.graph import Step

READERS = Convolution, MaxPooling, AveragePooling, Mean     # to which some channels will do
ALIGNED = 8     # channels of bfloat16 that are moved at once


class Swish(Primitive):
    """x times its sigmoid, which define-by-run code writes as two functions."""

    label = 'swish'

    def forward(self, arrays):
        x, = arrays
        y, = Sigmoid().forward(arrays)
        return x * y,


def with_swish(graph):
    """Return the steps of a graph, with one for each x * sigmoid(x) of which nothing else reads
    the sigmoid.
    """
    steps, makers, uses = [], {}, graph.uses()
    for step in graph.steps:
        makers[step.results[0]] = step
        pairs = (step.operands, step.operands[::-1]) if step.kind is Mul and not step.relu else ()
        for x, y in pairs:
            maker = makers.get(y)
            if maker in steps and maker.kind is Sigmoid and not maker.relu and (
                    maker.operands == [x] and uses[y] == 1):
                steps.remove(maker)
                step = Step(Swish(), [x], step.results)
                break
        steps.append(step)
    return steps


def with_joint_products(graph):
    """Return the steps of a graph, with one convolution for all 1 x 1 that read the same image.

    What becomes of its results are slices of one array. If one of them is the first of what is
    joined later, the others are joined before it: so all can be computed where they will lie.
    """
    readers, groups = readers_of(graph.steps), {}
    for step in graph.steps:
        if _is_pointwise(step, graph):
            groups.setdefault((step.operands[0], step.relu), []).append(step)
    before, instead = {}, {}    # id of a step -> what stands before it, or for it
    for members in groups.values():
        plain = [step for step in members if _in_parts(step.results[0], readers, graph)]
        joined = [step for step in members if _is_first(step, readers, graph)]
        extra = sum(graph.examples[step.results[0]].shape[1] for step in plain)
        joined = joined[:1] if extra % ALIGNED == 0 else []
        group = plain + joined
        if len(group) < 2:
            continue
        product, slices = _joint(group, graph)
        instead.update((id(step), []) for step in group)
        before[id(min(group, key=graph.steps.index))] = [product, *slices[:len(plain)]]
        if joined:
            join, = readers[joined[0].results[0]]
            instead[id(join)] = _join_behind(product, extra, join, graph)
    return [new for step in graph.steps
            for new in [*before.get(id(step), []), *instead.get(id(step), [step])]]


def readers_of(steps):
    """Return a dict from number to the steps that read it, as often as they do."""
    readers = {}
    for step in steps:
        for number in step.operands:
            readers.setdefault(number, []).append(step)
    return readers


def _is_pointwise(step, graph):
    if step.kind is not Convolution or len(step.function.windows.size) != 2:
        return False
    windows, x = step.function.windows, graph.examples[step.operands[0]]
    return (windows.pointwise and step.function.groups == 1
            and step.operands[0] not in graph.constants
            and x.dtype == np.float32
            and all(n in graph.constants and graph.constants[n].dtype == np.float32
                    for n in step.operands[1:]))


def _in_parts(number, readers, graph):
    """Return whether all that reads a value can read it as some channels of another."""
    found = readers.get(number, [])
    return found and number not in graph.outputs and all(
        step.kind in READERS and step.operands[0] == number for step in found)


def _is_first(step, readers, graph):
    """Return whether nothing reads a result but what joins it, as the first, to others."""
    number = step.results[0]
    found = readers.get(number, [])
    return (len(found) == 1 and found[0].kind is Concat and found[0].function.axis == 1
            and not found[0].relu and found[0].operands[0] == number
            and number not in graph.outputs and _in_parts(found[0].results[0], readers, graph))


def _joint(group, graph):
    """Return one convolution, and steps that take the results of those of a group out of it."""
    first = group[0]
    xp = get_array_module(graph.examples[first.operands[0]])
    Ws = [graph.constants[step.operands[1]] for step in group]
    bs = [graph.constants[step.operands[2]] if len(step.operands) > 2 else xp.zeros(
        len(W), W.dtype) for step, W in zip(group, Ws)]
    operands = [graph.new_constant(xp.concatenate(arrays)) for arrays in (Ws, bs)]
    N, _, H, W = graph.examples[first.results[0]].shape
    result = graph.new_value((N, sum(map(len, Ws)), H, W), like=first.results[0])
    product = Step(first.function, [first.operands[0], *operands], [result])
    product.relu, slices, start = first.relu, [], 0
    for step, W in zip(group, Ws):
        slices.append(_slice(result, start, start + len(W), step.results[0]))
        start += len(W)
    return product, slices


def _join_behind(product, extra, join, graph):
    """Return what joins all of a product in place of its last part, and takes the rest out."""
    N, C, *size = graph.examples[join.results[0]].shape
    wide = graph.new_value((N, extra + C, *size), like=join.results[0])
    return [Step(join.function, [product.results[0], *join.operands[1:]], [wide]),
            _slice(wide, extra, extra + C, join.results[0])]


def _slice(number, start, stop, result):
    return Step(GetItem((slice(None), slice(start, stop))), [number], [result])


class SumWithConvolution(Primitive):
    """Convolution of x with W and b, of which b may be missing, plus a further operand."""

    label = 'Convolution'

    def __init__(self, convolution):
        self.convolution = convolution

    def forward(self, arrays):
        y, = self.convolution.forward(arrays[:-1])
        return y + arrays[-1],


def with_sums(graph):
    """Return the steps of a graph, with one for each convolution and sum that alone reads it."""
    steps, makers, readers = [], {}, readers_of(graph.steps)
    for step in graph.steps:
        makers[step.results[0]] = step
        pairs = (step.operands, step.operands[::-1]) if step.kind is Add else ()
        for other, number in pairs:
            maker = makers.get(number)
            if maker in steps and _may_add(maker, graph) and len(readers[number]) == 1 and (
                    number not in graph.outputs and other not in graph.constants
                    and graph.examples[other].shape == graph.examples[number].shape):
                steps.remove(maker)
                relu, step = step.relu, Step(SumWithConvolution(maker.function),
                                             [*maker.operands, other], step.results)
                step.relu = relu
                break
        steps.append(step)
    return steps


def _may_add(step, graph):
    """Return whether a step is a convolution by products."""
    return (step.kind is Convolution and not step.relu
            and all(number in graph.constants for number in step.operands[1:])
            and (step.function.groups == 1 or graph.constants[step.operands[1]].shape[1] > 1))

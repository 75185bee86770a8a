"""What widens, turns round, moves and adds to arrays: pad, pad_sequence, flip, shift, scatter."""
import numpy as np

from minichain.backend import is_array, to_cpu
from minichain.functions.flip import Flip
from minichain.functions.pad import Pad, PadSequence
from minichain.functions.scatter_add import ScatterAdd
from minichain.functions.shift import Shift
from minichain.functions.windows import taps
from minichain.onnx.exporting.batch import Rows, fitted
from minichain.onnx.exporting.converters.linear_algebra import fixed
from minichain.onnx.exporting.refusal import CannotExport

FIRST = -2**63   # the end of a slice that goes back to the beginning


def _padded(graph, x, width, value, dtype):
    """Add a Pad; ``width`` holds (before, behind) for each axis."""
    before, behind = zip(*width)
    return graph.add('Pad', [x, graph.ints([*before, *behind]),
                             graph.constant(value, dtype=dtype)])


def pad(graph, node):
    width, values = node.attribute('width'), node.attribute('values')
    x, = node.inputs
    if not width:
        return graph.add('Identity', [x])
    if not np.ndim(values):
        return _padded(graph, x, width, values, node.dtype)
    for axis, pair in enumerate(np.broadcast_to(values, (len(width), 2))):
        for side, value in enumerate(pair):   # of later axes they fill the corners
            one = np.zeros((len(width), 2), int)
            one[axis, side] = width[axis][side]
            x = _padded(graph, x, one.tolist(), value, node.dtype)
    return x


def pad_sequence(graph, node):
    longest, padding, parts = node.attribute('length'), node.attribute('padding'), []
    for x, shape in zip(node.inputs, node.input_shapes):
        width = [(0, longest - fixed(shape[0], 'sequences')), *[(0, 0)] * (len(shape) - 1)]
        parts.append(graph.add('Unsqueeze', [
            _padded(graph, x, width, padding, node.dtype), graph.ints([0])]))
    return graph.add('Concat', parts, axis=0)


def flip(graph, node):
    return graph.slice(node.inputs[0], node.attribute('axis'), -1, FIRST, -1)


def shift(graph, node):
    """A convolution of each channel with a window that is 1 at one tap."""
    windows, channels = node.attribute('windows'), node.input_shapes[0][1]
    places = [tap for tap, _, _ in taps(windows)][::-1]
    middle, width = len(places) // 2, channels // len(places)
    places[middle], places[-1] = places[-1], places[middle]
    W = np.zeros((channels, 1, *windows.ksize), node.dtype)
    for channel in range(channels):
        tap = places[min(channel // width, len(places) - 1) if width else -1]
        W[(channel, 0, *tap)] = 1
    if node.attribute('back'):
        W = W[..., ::-1, ::-1]
    return graph.add('Conv', [*node.inputs, graph.constant(W)], kernel_shape=windows.ksize,
                     dilations=windows.dilate, pads=[*windows.pad, *windows.pad], group=channels)


def scatter_add(graph, node):
    graph.expect_opset(16, 'adding at indexes')
    if node.function.index and all(map(is_array, node.function.index)):
        return _added_at_arrays(graph, node)
    (a, b), shape = node.inputs, node.input_shapes[0]
    index, lead = node.attribute('index'), 0
    if any(isinstance(length, Rows) for length in shape):
        if index and index[0] is Ellipsis:
            used = sum(i is not None for i in index[1:])
            index = (slice(None),) * (len(shape) - used) + index[1:]
        if not (index and isinstance(index[0], slice) and index[0] == slice(None)):
            raise CannotExport('an index that picks among the rows of the batch')
        index, lead = index[1:], 1
    rest = [fixed(length, 'an axis') for length in shape[lead:]]
    index = tuple(to_cpu(i) if is_array(i) else i for i in index)
    places = np.arange(np.prod(rest, dtype=int)).reshape(rest)[index]
    if node.input_shapes[1] != shape[:lead] + places.shape:
        raise CannotExport('arrays on both sides of a slice in an index; use two')
    a = graph.reshape(a, (*shape[:lead], int(np.prod(rest, dtype=int))))
    b = graph.reshape(b, (*shape[:lead], places.size))
    places = graph.constant(places.ravel(), dtype='int64')
    if lead:
        places = graph.add('Expand', [places, graph.add('Shape', [b])])
    y = graph.add('ScatterElements', [a, places, b], axis=lead, reduction='add')
    return graph.reshape(y, shape)


def _added_at_arrays(graph, node):
    """With an array for each of the first axes, which may be an input."""
    a, b = node.inputs
    shapes = [np.broadcast_shapes(*(i.shape for i in function.index))
              for function in node.functions]
    common = node.input_shapes[1][:len(shapes[0])]
    parts = []
    for place in range(len(node.function.index)):
        indexes = [function.index[place] for function in node.functions]
        if indexes[0].dtype.kind == 'b':
            raise CannotExport('a mask picks as many elements as it has True, which only the '
                               'values tell')
        part = graph.add('Cast', [_rows(graph, indexes) or node.tensor('index', place)],
                         to=7)   # int64
        if any(each.shape != shape for each, shape in zip(indexes, shapes)):
            part = graph.add('Expand', [part, graph.shape(common)])
        parts.append(graph.add('Unsqueeze', [part, graph.ints([-1])]))
    places = parts[0] if len(parts) == 1 else graph.add('Concat', parts, axis=-1)
    return graph.add('ScatterND', [a, places, b], reduction='add')


def _rows(graph, indexes):
    """Return the numbers of the rows of the batch, if that is what an index is, else None."""
    if any(each.ndim != 1 or not np.array_equal(to_cpu(each), np.arange(len(each)))
           for each in indexes) or len({len(each) for each in indexes}) == 1:
        return None
    count = graph.shape((fitted([len(each) for each in indexes], graph.rows),))
    zero, one = (graph.constant(number, dtype='int64') for number in (0, 1))
    return graph.add('Range', [zero, graph.add('Squeeze', [count, graph.ints([0])]), one])


CONVERTERS = {
    Pad: pad, PadSequence: pad_sequence, Flip: flip, Shift: shift, ScatterAdd: scatter_add,
}

"""Draw the graph behind Variables as SVG, without any other program.

Variables are boxes, functions are ovals, time runs downwards. A leaf, such as a parameter, is
drawn beside each function that uses it. A red dashed box is a place where ``unchain_backward``
cut the graph: its value came from there, no gradient goes back.
"""
import heapq
import html
import unicodedata

from minichain import _layered_layout
from minichain._atomic import write_atomically
from minichain.autograd import Variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.variable import Parameter

MAX_FUNCTIONS = 1500

_CHARACTER, _LINE, _PADDING, _ROW_GAP, _MARGIN = 6.7, 14, 8, 22, 20
_STYLE = """
text { font: 11px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
  text-anchor: middle; fill: #1d2733 }
rect, ellipse { fill: #fff; stroke: #8090a0 }
.function { fill: #fff3d6; stroke: #c79a3a } .parameter { fill: #dcebfb; stroke: #4b86c2 }
.input { fill: #eef1f4 } .output { fill: #dff3e1; stroke: #3f9150; stroke-width: 2 }
.cut { fill: #fdeaea; stroke: #c9453f; stroke-dasharray: 5 3 }
.omitted { fill: #fff; stroke: #8090a0; stroke-dasharray: 2 3 }
path { fill: none; stroke: #8090a0 } .name { font-weight: bold } .note { fill: #5b6876 }
.title { font-size: 14px; font-weight: bold; text-anchor: start }
"""


class _Box:
    """What is drawn for one node: kind, lines of text, row and size."""

    def __init__(self, kind, lines, layer, detail, named=False):
        self.kind, self.lines, self.layer, self.detail = kind, lines, layer, detail
        self.named = named
        longest = max(map(_columns, lines))
        self.width = longest * _CHARACTER + 2 * _PADDING * (1.6 if kind == 'function' else 1)
        self.height = len(lines) * _LINE + _PADDING


def draw(outputs, path=None, *, link=None, title=None, max_functions=MAX_FUNCTIONS):
    """Draw everything that `outputs` were computed from.

    Args:
        outputs: Variable, or sequence of Variables.
        path: SVG file to write, whole or not at all; None only returns the text.
        link: a Link; its parameters are shown by their paths, '/lstm/upward/W'.
        title: a line on top.
        max_functions: the number of functions drawn, those nearest to the outputs; what lies
            behind them is shown as a dotted box.
    Returns:
        The SVG document, a str.
    Raises:
        InvalidType: `outputs` are no Variables. FileError: the file cannot be written.
    """
    outputs = [outputs] if isinstance(outputs, Variable) else list(outputs)
    if not outputs or not all(isinstance(y, Variable) for y in outputs):
        raise InvalidType('graph_drawing.draw: a Variable or a list of Variables expected, got '
                          f'{[type(y).__name__ for y in outputs][:3]}. Give the result of a '
                          'computation, not its array')
    if max_functions < 1:
        raise InvalidArgument(f'max_functions of at least 1 expected, got {max_functions}')
    names = {} if link is None else {id(parameter): name for name, parameter in link.namedparams()}
    functions = _functions_behind([y.node for y in outputs], max_functions)
    boxes, edges = _boxes(functions, [y.node for y in outputs], names)
    svg = _svg(boxes, edges, title)
    if path is not None:
        write_atomically(path, svg.encode())
    return svg


def _functions_behind(nodes, limit):
    """Return the functions nearest to `nodes`, at most `limit`, from early to late."""
    pending, seen, found = [], set(), []

    def add(node):
        function = node.creator_node
        if function is not None and function not in seen and function.inputs is not None:
            seen.add(function)
            heapq.heappush(pending, (-function.rank, len(seen), function))

    for node in nodes:
        add(node)
    while pending and len(found) < limit:
        function = heapq.heappop(pending)[-1]
        found.append(function)
        for node in function.inputs:
            add(node)
    return found[::-1]


def _boxes(functions, outputs, names):
    """Return the boxes and the edges between their indices."""
    inner = {node for function in functions for node in _results(function)}
    layers = _layers(functions, inner)
    boxes, edges, index = [], [], {}

    def box_of(node, layer):
        boxes.append(_variable_box(node, layer, node in inner, node in outputs, names))
        return len(boxes) - 1

    for function in reversed(functions):
        layer = layers[function]
        boxes.append(_Box('function', [_shortened(function.label)], layer, function.label))
        index[function] = len(boxes) - 1
        for node in _results(function):
            index[node] = box_of(node, layer + 1)
        for node in dict.fromkeys(function.inputs):
            if node not in inner:
                edges.append((box_of(node, layer - 1), index[function]))
    for function in functions:
        edges += [(index[function], index[node]) for node in _results(function)]
        edges += [(index[node], index[function])
                  for node in dict.fromkeys(function.inputs) if node in inner]
    for node in outputs:
        if node not in inner:
            box_of(node, 0)
    return boxes, edges


def _results(function):
    return [node for node in (reference() for reference in function.outputs) if node is not None]


def _layers(functions, inner):
    """Return a row for each function: below its operands, what only feeds on leaves late."""
    maker = {node: function for function in functions for node in _results(function)}
    layers, users = {}, {}
    for function in functions:
        operands = [maker[node] for node in function.inputs if node in inner]
        layers[function] = max((layers[operand] + 2 for operand in operands), default=1)
        for operand in operands:
            users.setdefault(operand, set()).add(function)
    feeds = set()   # functions that are the root of a tree over leaves
    for function in functions:
        operands = {maker[node] for node in function.inputs if node in inner}
        if all(operand in feeds and len(users[operand]) == 1 for operand in operands):
            feeds.add(function)
    for function in reversed(functions):
        if function in feeds and function in users:
            layers[function] = min(layers[user] for user in users[function]) - 2
    return layers


def _variable_box(node, layer, computed, is_output, names):
    variable = node.get_variable_or_none()
    name = names.get(id(variable)) or node.name
    text = f'{_shape_text(node.shape)} {node.dtype}' if node.shape is not None else 'no array yet'
    lines = [_shortened(text)]
    if name:
        lines.insert(0, _shortened(str(name)))
    if computed or is_output:
        kind = 'output' if is_output else 'result'
    elif node.creator_node is not None:
        kind = 'omitted'
        lines.append('earlier part not drawn')
    elif node.rank > 0:
        kind = 'cut'
        lines.append('cut: no gradient goes back')
    else:
        kind = 'parameter' if isinstance(variable, Parameter) else 'input'
    return _Box(kind, lines, layer, f'{name or "variable"}: {text}, {kind}'
                + ('' if node.requires_grad else ', no gradient'), bool(name))


def _shape_text(shape):
    return ' x '.join(map(str, shape)) or 'scalar'


def _columns(text):
    return sum(2 if unicodedata.east_asian_width(character) in 'WF' else 1 for character in text)


def _shortened(text, limit=36):
    text = ''.join(character if character.isprintable() else ' ' for character in text)
    return text if len(text) <= limit else f'{text[:limit - 1]}\u2026'


def _svg(boxes, edges, title):
    layers = _without_empty_rows([box.layer for box in boxes])
    x, bends = _layered_layout.layout([box.width for box in boxes], layers, edges)
    heights = [0] * (max(layers) + 1)
    for box, layer in zip(boxes, layers):
        heights[layer] = max(heights[layer], box.height)
    top, y = _MARGIN + (26 if title else 0), []
    for height in heights:
        y.append(top + height / 2)
        top += height + _ROW_GAP
    width = max(place + box.width / 2 for place, box in zip(x, boxes)) + 2 * _MARGIN
    if title:
        width = max(width, _columns(title) * 8.6 + 2 * _MARGIN)
    height = top - _ROW_GAP + _MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
             f'viewBox="0 0 {width:.0f} {height:.0f}">\n<style>{_STYLE}</style>\n'
             '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
             'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#8090a0;'
             'stroke:none"/></marker></defs>\n<rect width="100%" height="100%" '
             'style="fill:#fff;stroke:none"/>']
    if title:
        parts.append(f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 8}">{_escape(title)}'
                     '</text>')
    for (start, end), route in zip(edges, bends):
        points = [(x[start], y[layers[start]] + boxes[start].height / 2)]
        for place, layer in route:   # straight down beside the boxes of the row
            points += [(place, y[layer] - heights[layer] / 2),
                       (place, y[layer] + heights[layer] / 2)]
        points.append((x[end], y[layers[end]] - boxes[end].height / 2))
        parts.append(_curve([(a + _MARGIN, b) for a, b in points]))
    for box, place, layer in zip(boxes, x, layers):
        parts.append(_shape(box, place + _MARGIN, y[layer]))
    return '\n'.join([*parts, '</svg>\n'])


def _without_empty_rows(layers):
    number = {layer: i for i, layer in enumerate(sorted(set(layers)))}
    return [number[layer] for layer in layers]


def _curve(points):
    text = f'M{points[0][0]:.1f} {points[0][1]:.1f}'
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        middle = (y0 + y1) / 2
        text += f'V{y1:.1f}' if x0 == x1 else (
            f'C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}')
    return f'<path d="{text}" marker-end="url(#tip)"/>'


def _shape(box, x, y):
    width, height = box.width, box.height
    if box.kind == 'function':
        shape = (f'<ellipse class="function" cx="{x:.1f}" cy="{y:.1f}" rx="{width / 2:.1f}" '
                 f'ry="{height / 2:.1f}"/>')
    else:
        shape = (f'<rect class="{box.kind}" x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" '
                 f'width="{width:.1f}" height="{height:.1f}" rx="3"/>')
    baseline = y - (len(box.lines) - 1) * _LINE / 2 + 4
    texts = ''.join(
        f'<text class="{_line_class(box, i)}" x="{x:.1f}" y="{baseline + i * _LINE:.1f}">'
        f'{_escape(line)}</text>' for i, line in enumerate(box.lines))
    return f'<g><title>{_escape(box.detail)}</title>{shape}{texts}</g>'


def _line_class(box, i):
    named = box.kind == 'function' or box.named
    return 'name' if named and i == 0 else 'note' if i > int(named) else 'type'


def _escape(text):
    text = ''.join(character if character.isprintable() else ' ' for character in text)
    return html.escape(text)

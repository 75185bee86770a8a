"""The graph behind Variables as text in the DOT language of Graphviz."""
import json

from minichain.autograd import Variable
from minichain.errors import InvalidArgument

_STYLES = {'variable': {'shape': 'octagon', 'fillcolor': '#E0E0E0', 'style': 'filled'},
           'function': {'shape': 'record', 'fillcolor': '#6495ED', 'style': 'filled'}}


class ComputationalGraph:
    """Nodes and edges of a graph.

    Attributes:
        nodes: list of VariableNodes and FunctionNodes.
        edges: list of pairs of nodes, from operand to function and from function to result.
    """

    def __init__(self, nodes, edges, variable_style='default', function_style='default',
                 rankdir='TB', show_name=True):
        if rankdir not in ('TB', 'BT', 'LR', 'RL'):
            raise InvalidArgument(f'rankdir: TB, BT, LR or RL expected, got {rankdir!r}')
        self.nodes, self.edges = nodes, edges
        self._variable_style, self._function_style = variable_style, function_style
        self._rankdir, self._show_name = rankdir, show_name

    def dump(self, format='dot'):
        """Return the text; `format` is 'dot'."""
        if format != 'dot':
            raise InvalidArgument(f"dump: format 'dot' expected, got {format!r}")
        lines = [f'digraph graphname{{rankdir={self._rankdir};']
        for node in self.nodes:
            attributes = ','.join(f'{name}={json.dumps(str(value), ensure_ascii=False)}'
                                  for name, value in self._attributes(node).items())
            lines.append(f'{id(node)} [{attributes}];')
        lines += [f'{id(start)} -> {id(end)};' for start, end in self.edges]
        return ''.join([*lines, '}'])

    def _attributes(self, node):
        if hasattr(node, 'creator_node'):
            kind, style, label = 'variable', self._variable_style, _label(node, self._show_name)
        else:
            kind, style, label = 'function', self._function_style, node.label
        style = style(node) if callable(style) else style
        return {'label': label, **(_STYLES[kind] if style == 'default' else style)}


def _label(node, show_name):
    type_text = f'{node.dtype}' if node.shape == () else f'{node.shape}, {node.dtype}'
    return f'{node.name}: {type_text}' if node.name and show_name else type_text


def build_computational_graph(outputs, remove_split=True, variable_style='default',
                              function_style='default', rankdir='TB', remove_variable=False,
                              show_name=True):
    """Return the graph of everything that `outputs` were computed from.

    Args:
        outputs: Variable, or list of Variables and nodes.
        remove_split: must be True, as in Chainer.
        variable_style, function_style: dict of Graphviz's attributes, or function from node to
            such a dict.
        rankdir: direction: TB, BT, LR, RL.
        remove_variable: leave out variables; edges run from function to function.
        show_name: whether labels begin with the name of a variable.
    Returns:
        :class:`ComputationalGraph`; write its ``dump()`` to a file for Graphviz.
    """
    if not remove_split:
        raise InvalidArgument('build_computational_graph: remove_split=True expected')
    stack = [y.node if isinstance(y, Variable) else y
             for y in ([outputs] if isinstance(outputs, Variable) else outputs)]
    nodes, edges = dict.fromkeys(stack), {}
    while stack:
        node = stack.pop()
        before = node.inputs or () if hasattr(node, 'inputs') else (
            () if node.creator_node is None else (node.creator_node,))
        for earlier in before:
            edges[earlier, node] = None
            if earlier not in nodes:
                nodes[earlier] = None
                stack.append(earlier)
    if remove_variable:
        edges = {(start.creator_node, end): None for start, end in edges
                 if hasattr(start, 'creator_node') and start.creator_node is not None}
        nodes = {node: None for node in nodes if not hasattr(node, 'creator_node')}
    return ComputationalGraph(list(nodes), list(edges), variable_style, function_style, rankdir,
                              show_name)

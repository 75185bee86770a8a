"""Signs and whole numbers."""
from minichain.functions.rounding import Rounding


def rounding(graph, node):
    method, x = node.attribute('method'), node.inputs[0]
    if method != 'trunc':
        return graph.add({'sign': 'Sign', 'floor': 'Floor', 'ceil': 'Ceil'}[method], [x])
    return graph.add('Mul', [graph.add('Sign', [x]), graph.add('Floor', [graph.add('Abs', [x])])])


CONVERTERS = {Rounding: rounding}

"""Angles and hyperbolic functions; ONNX has all but the angle of a point."""
import math

from minichain.functions.hyperbolic import Arctanh, Cosh, Sinh
from minichain.functions.trigonometric import Arccos, Arcsin, Arctan, Arctan2, Cos, Sin, Tan
from minichain.onnx.exporting.converters.activation import same


def arctan2(graph, node):
    """arctan(x1 / x2), turned by half a circle where x2 < 0; sign(x1) pi / 2 where x2 = 0."""
    x1, x2 = node.inputs
    zero, one, half, right = (graph.constant(number, dtype=node.dtype)
                              for number in (0, 1, math.pi, math.pi / 2))
    upright = graph.add('Equal', [x2, zero])
    divisor = graph.add('Where', [upright, one, x2])   # so that nothing is divided by 0
    angle = graph.add('Atan', [graph.add('Div', [x1, divisor])])
    turn = graph.add('Where', [graph.add('Less', [x1, zero]), graph.add('Neg', [half]), half])
    turn = graph.add('Where', [graph.add('Less', [x2, zero]), turn, zero])
    return graph.add('Where', [upright, graph.add('Mul', [graph.add('Sign', [x1]), right]),
                               graph.add('Add', [angle, turn])])


CONVERTERS = {
    Sin: same('Sin'), Cos: same('Cos'), Tan: same('Tan'), Arcsin: same('Asin'),
    Arccos: same('Acos'), Arctan: same('Atan'), Arctan2: arctan2, Sinh: same('Sinh'),
    Cosh: same('Cosh'), Arctanh: same('Atanh'),
}

"""Special functions: the error function and what follows from it; ONNX has no other.

erfc and ndtr are written as 1 - erf, and so are exact to a rounding error of 1, not of the tail.
"""
import math

from minichain.functions.special import (
    Digamma,
    Erf,
    Erfc,
    Erfcinv,
    Erfcx,
    Erfinv,
    Lgamma,
    LogNdtr,
    Ndtr,
    Ndtri,
    Polygamma,
    Zeta,
)
from minichain.onnx.exporting.converters.activation import same


def erfc(graph, node):
    one = graph.constant(1, dtype=node.dtype)
    return graph.add('Sub', [one, graph.add('Erf', node.inputs)])


def ndtr(graph, node):
    one, half, factor = (graph.constant(number, dtype=node.dtype)
                         for number in (1, .5, math.sqrt(.5)))
    both = graph.add('Erf', [graph.add('Mul', [*node.inputs, factor])])
    return graph.add('Mul', [graph.add('Add', [both, one]), half])


CONVERTERS = {Erf: same('Erf'), Erfc: erfc, Ndtr: ndtr}
REFUSALS = dict.fromkeys(
    (Digamma, Erfcinv, Erfcx, Erfinv, Lgamma, LogNdtr, Ndtri, Polygamma, Zeta),
    'of the special functions ONNX has an operator for erf alone')

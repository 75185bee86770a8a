"""Elementwise mixtures, and scores of predictions: Huber's loss, R squared, precision, recall."""
import numpy as np

from minichain.functions.classification_summary import ClassificationSummary
from minichain.functions.huber_loss import HuberLoss
from minichain.functions.linear_interpolate import LinearInterpolate
from minichain.functions.r2_score import R2Score
from minichain.functions.rounding import Fmod
from minichain.onnx.exporting.converters.arithmetic import onnx_dtype
from minichain.onnx.exporting.refusal import CannotExport


def fmod(graph, node):
    return graph.add('Mod', node.inputs, fmod=1)


def linear_interpolate(graph, node):
    p, x, y = node.inputs
    rest = graph.add('Sub', [graph.constant(1, dtype=node.dtype), p])
    return graph.add('Add', [graph.add('Mul', [p, x]), graph.add('Mul', [rest, y])])


def huber_loss(graph, node):
    size = graph.add('Abs', [graph.add('Sub', node.inputs)])
    delta, half = (graph.constant(number, dtype=node.dtype)
                   for number in (node.attribute('delta'), .5))
    quadratic = graph.add('Min', [size, delta])
    linear = graph.add('Sub', [size, graph.add('Mul', [quadratic, half])])
    return graph.add('Mul', [quadratic, linear])


def r2_score(graph, node):
    pred, true = node.inputs
    zero, one = (graph.constant(number, dtype=node.dtype) for number in (0, 1))
    mean = graph.reduce('ReduceMean', true, (0,), keepdims=True)

    def squares(x, y):
        difference = graph.add('Sub', [x, y])
        return graph.reduce('ReduceSum', graph.add('Mul', [difference, difference]), (0,))
    residual, total = squares(pred, true), squares(true, mean)
    constant = graph.add('Equal', [total, zero])
    share = graph.add('Div', [residual, graph.add('Where', [constant, one, total])])
    scores = graph.add('Where', [constant, zero, graph.add('Sub', [one, share])])
    if node.attribute('multioutput') == 'raw_values':
        return scores
    return graph.reduce('ReduceMean', scores, range(len(node.input_shapes[0]) - 1))


def classification_summary(graph, node):
    classes, beta = node.attribute('label_num'), node.attribute('beta')
    if classes is None:
        raise CannotExport('the number of classes follows from the labels; give label_num')
    y, t = node.inputs
    t = graph.reshape(graph.add('Cast', [t], to=onnx_dtype('int64')), (-1, 1))
    said = graph.reshape(graph.add('ArgMax', [y], axis=1, keepdims=0), (-1, 1))
    ignored = graph.constant(node.attribute('ignore_label'), dtype='int64')
    counted = graph.add('Not', [graph.add('Equal', [t, ignored])])
    each = graph.constant(np.arange(classes), dtype='int64')

    def among(labels):
        return graph.add('And', [graph.add('Equal', [labels, each]), counted])

    def count(flags):
        return graph.reduce('ReduceSum', graph.add('Cast', [flags], to=onnx_dtype('int64')), (0,))

    def real(number):
        return graph.add('Cast', [number], to=onnx_dtype('float64'))
    labels, predicted = among(t), among(said)
    support, right = count(labels), real(count(graph.add('And', [labels, predicted])))
    precision = graph.add('Div', [right, real(count(predicted))])   # 0 / 0 is NaN
    recall = graph.add('Div', [right, real(support)])
    weight, more = (graph.constant(number, dtype='float64') for number in (
        beta * beta, 1 + beta * beta))
    total = graph.add('Add', [graph.add('Mul', [weight, precision]), recall])
    both = graph.add('Mul', [graph.add('Mul', [more, precision]), recall])
    return [precision, recall, graph.add('Div', [both, total]), support]


CONVERTERS = {
    Fmod: fmod, LinearInterpolate: linear_interpolate, HuberLoss: huber_loss, R2Score: r2_score,
    ClassificationSummary: classification_summary,
}

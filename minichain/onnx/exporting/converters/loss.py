"""Losses and shares of right answers, whose labels are inputs of the exported model."""
import numpy as np

from minichain.backend import to_cpu
from minichain.functions.accuracy import Accuracy, BinaryAccuracy
from minichain.functions.softmax_cross_entropy import SoftmaxCrossEntropy
from minichain.onnx.exporting.converters.arithmetic import onnx_dtype
from minichain.onnx.exporting.refusal import CannotExport


def softmax_cross_entropy(graph, node):
    """Labels outside of the classes count as ignored, and one that the examples ignore."""
    classes, dtype = node.input_shapes[0][1], node.dtype
    normalize, ignored = _settings(node.functions)
    labels = graph.add('Cast', [node.tensor('t')], to=onnx_dtype('int64'))
    kept = graph.add('And', [
        graph.add('GreaterOrEqual', [labels, graph.constant(0, dtype='int64')]),
        graph.add('Less', [labels, graph.constant(classes, dtype='int64')])])
    for label in ignored:
        other = graph.add('Equal', [labels, graph.constant(label, dtype='int64')])
        kept = graph.add('And', [kept, graph.add('Not', [other])])
    labels = graph.add('Where', [kept, labels, graph.constant(0, dtype='int64')])
    log_p = graph.add('LogSoftmax', node.inputs, axis=1)
    labels = graph.add('Unsqueeze', [labels, graph.ints([1])])
    picked = graph.add('GatherElements', [log_p, labels], axis=1)
    losses = graph.add('Neg', [graph.add('Squeeze', [picked, graph.ints([1])])])
    losses = graph.add('Where', [kept, losses, graph.constant(0, dtype=dtype)])
    if not node.attribute('add_up'):
        return losses
    if not normalize:
        return graph.reduce('ReduceMean', losses, (0,))
    count = graph.reduce('ReduceSum', graph.add('Cast', [kept], to=onnx_dtype('int64')), (0,))
    count = graph.add('Max', [count, graph.constant(1, dtype='int64')])
    count = graph.add('Cast', [count], to=onnx_dtype(dtype))
    return graph.add('Div', [graph.reduce('ReduceSum', losses, (0,)), count])


def _settings(functions):
    """Return whether the mean is over the labels that are kept, and the labels ignored."""
    normalize, ignored = True, set()
    for function in functions:
        t, kept, weights = (to_cpu(each) for each in (
            function.t, function.kept, function.weights))
        ignored.update(int(label) for label in t[~kept])
        used = np.unique(weights[kept])
        if len(used) > 1:
            raise CannotExport('class weights')
        if function.add_up and len(used) and not kept.all():
            normalize = bool(np.isclose(used[0], 1 / kept.sum()))
        elif len(used) and not np.isclose(used[0], 1 / len(t) if function.add_up else 1):
            raise CannotExport('class weights')
    return normalize, sorted(ignored)


def share(graph, right, counted, dtype):
    """Return the share of True in ``right`` among ``counted``, tensors of bools; 0 of none."""
    def count(flags):
        flags = graph.reshape(graph.add('Cast', [flags], to=onnx_dtype(dtype)), (-1,))
        return graph.reduce('ReduceSum', flags, (0,))
    total = graph.add('Max', [count(counted), graph.constant(1, dtype=dtype)])
    return graph.add('Div', [count(graph.add('And', [right, counted])), total])


def accuracy(graph, node):
    y, t = node.inputs
    ignored = node.attribute('ignore_label')
    t = graph.add('Cast', [t], to=onnx_dtype('int64'))
    said = graph.add('ArgMax', [y], axis=1, keepdims=0)
    if node.input_shapes[1] != node.input_shapes[0][:1] + node.input_shapes[0][2:]:
        said = graph.reshape(said, node.input_shapes[1])
    right = graph.add('Equal', [said, t])
    counted = graph.add('Equal', [t, t]) if ignored is None else graph.add('Not', [
        graph.add('Equal', [t, graph.constant(ignored, dtype='int64')])])
    return share(graph, right, counted, node.dtype)


def binary_accuracy(graph, node):
    y, t = node.inputs
    t = graph.add('Cast', [t], to=onnx_dtype('int64'))
    positive = graph.add('GreaterOrEqual', [y, graph.constant(0, dtype=node.dtype)])
    is_one, ignored = (graph.add('Equal', [t, graph.constant(label, dtype='int64')])
                       for label in (1, -1))
    return share(graph, graph.add('Equal', [positive, is_one]), graph.add('Not', [ignored]),
                 node.dtype)


CONVERTERS = {
    SoftmaxCrossEntropy: softmax_cross_entropy, Accuracy: accuracy,
    BinaryAccuracy: binary_accuracy,
}

"""Runs exported models: the onnx package's reference evaluator, onnxruntime, minichain itself."""
import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import minichain
from minichain.autograd import as_array
from minichain.onnx import load
from minichain.onnx.exporting import export
from minichain.onnx.exporting.batch import resized
from minichain.tracing import named_leaves

RUNNERS = 'reference', 'onnxruntime', 'minichain'


def run(proto, feeds, runner='reference'):
    """Return the list of output arrays of a ModelProto for a dict of input arrays."""
    if runner == 'reference':
        return ReferenceEvaluator(proto).run(None, feeds)
    if runner == 'minichain':
        with minichain.using_config('train', False), minichain.no_backprop_mode():
            return [y.array for y in load(proto)(**feeds)]
    ort = pytest.importorskip('onnxruntime', reason='onnxruntime, which is compared with, '
                                                    'is not installed')
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, feeds)


def call(model, arguments):
    """Return the list of arrays that a model computes in test mode."""
    with minichain.using_config('train', False), minichain.no_backprop_mode():
        result = model(*arguments)
    return [array for _, array in named_leaves(result, '')]


def expect_same(model, arguments, runner='reference', rows=(1, 4), tolerance=1e-5, **options):
    """Export a model and compare it with itself, on the examples' and other batch sizes.

    Args:
        model: callable; what it is called with are Variables, as in the export.
        arguments: arrays, or one.
        rows: other batch sizes to try; unused with ``batch_axis=None``.
        options: of the export.
    Returns:
        the ModelProto.
    """
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    proto = export(model, arguments, **options)
    axis = options.get('batch_axis', 0)
    cases = [arguments] + [
        tuple(resized(x, axis, n, 'scaled') for x in arguments)
        for n in (rows if axis is not None else ())]
    for case in cases:
        expected = call(model, [minichain.Variable(x) for x in case])
        feeds = {given.name: as_array(x) for given, x in zip(proto.graph.input, case)}
        got = run(proto, feeds, runner)
        assert len(got) == len(expected)
        for y, z in zip(expected, got):
            assert (z.shape, z.dtype) == (y.shape, y.dtype)
            largest = np.abs(y).max(initial=0)
            np.testing.assert_allclose(z, y, rtol=0, atol=tolerance * max(largest, 1e-30))
    return proto


def operators(proto):
    """Return the operator types of a model, in order."""
    return [node.op_type for node in proto.graph.node]

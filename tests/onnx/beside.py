"""Single nodes beside onnxruntime."""
import numpy as np
import pytest

from tests.onnx.building import NEWEST, load, model


def check_beside_onnxruntime(op_type, *inputs, n_outputs=1, opset=NEWEST, initializers=(),
                             tolerance=1e-5, **attributes):
    """Asserts that the outputs of a node are those of onnxruntime: types, shapes and values.

    Args:
        inputs: arrays; None for one that is left out.
        initializers: places of the inputs that are kept in the model.
        tolerance: of the largest output.
    """
    onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is the reference here')
    proto = model(op_type, inputs, n_outputs, opset, initializers, **attributes)
    proto.ir_version = 8
    for output in proto.graph.output:   # onnxruntime finds their types itself
        output.ClearField('type')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    given = {f'x{place}': np.asarray(x) for place, x in enumerate(inputs)
             if x is not None and place not in initializers}
    expected = session.run(None, given)
    outputs = load(op_type, inputs, n_outputs, opset, initializers, **attributes)(given)
    for y, value in zip(outputs, expected, strict=True):
        assert (y.dtype, y.shape) == (value.dtype, value.shape)
        scale = max(1, np.abs(value.astype('float64')).max(initial=0))
        np.testing.assert_allclose(y.array.astype('float64'), value, rtol=0,
                                   atol=tolerance * scale)

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from tests.onnx.exporting.running import RUNNERS, expect_same

RANDOM = np.random.default_rng(1)
ACTIVATIONS = {
    'relu': F.relu, 'relu6': F.relu6, 'leaky_relu': F.leaky_relu, 'elu': F.elu, 'selu': F.selu,
    'sigmoid': F.sigmoid, 'hard_sigmoid': F.hard_sigmoid, 'tanh': F.tanh,
    'softplus': F.softplus, 'sharp softplus': lambda x: F.softplus(x, 3), 'crelu': F.crelu,
    'softmax': F.softmax, 'softmax of rows': lambda x: F.softmax(x, axis=2),
    'log_softmax': F.log_softmax, 'logsumexp': lambda x: F.logsumexp(x, axis=1),
    'swish': lambda x: F.swish(x, np.array([1, 2, .5], 'f')), 'rrelu': F.rrelu,
    'dropout': F.dropout,
}


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('name', ACTIVATIONS)
def test_activations(name, runner):
    expect_same(ACTIVATIONS[name], RANDOM.standard_normal((3, 3, 4), 'f') * 3, runner)


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('shape', [(), (4,)])
def test_prelu_keeps_the_name_of_its_slopes(shape, runner):
    proto = expect_same(L.PReLU(shape), RANDOM.standard_normal((2, 4, 3), 'f'), runner)
    assert [weight.name for weight in proto.graph.initializer] == ['W']

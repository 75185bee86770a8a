import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from tests.onnx.exporting.running import RUNNERS, expect_same, operators

RANDOM = np.random.default_rng(4)
X = RANDOM.standard_normal((3, 4, 5, 6), 'f')


def trained(link):
    for array in (link.avg_mean, *(p.array for p in link.params())):
        array[...] = RANDOM.standard_normal(array.shape)
    link.avg_var[...] = RANDOM.random(link.avg_var.shape) + .1
    return link


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('options', [{}, {'use_gamma': False}, {'use_beta': False}, {'eps': .1}])
def test_batch_normalization_is_one_operator_with_named_weights(options, runner):
    link = trained(L.BatchNormalization(4, **options))
    for x in (X, X[..., 0, 0].copy()):
        proto = expect_same(link, x, runner)
        assert operators(proto) == ['BatchNormalization']
        names = {weight.name for weight in proto.graph.initializer}
        assert names - {'constant'} == {'avg_mean', 'avg_var', *(
            path[1:] for path, _ in link.namedparams())}


@pytest.mark.parametrize('runner', RUNNERS)
def test_batch_normalization_over_other_axes(runner):
    expect_same(trained(L.BatchNormalization((4, 5))), X, runner)
    expect_same(trained(L.BatchNormalization(axis=(0, 1), size=(5, 6))), X, runner)
    expect_same(trained(L.BatchRenormalization(4)), X, runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_the_statistics_of_the_batch_itself(runner):
    expect_same(lambda x: F.batch_normalization(x, np.ones(4, 'f'), np.zeros(4, 'f')), X, runner)


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('opset', [13, 17])
def test_layer_and_group_normalization(opset, runner):
    layer = L.LayerNormalization(6)
    layer.gamma.array[...] = RANDOM.standard_normal(6)
    proto = expect_same(layer, X[:, 0, 0].copy(), runner, opset=opset)
    assert ('LayerNormalization' in operators(proto)) == (opset == 17)
    expect_same(L.GroupNormalization(2, 4), X, runner, opset=opset)


def test_local_response_normalization():   # the reference evaluator leaves out the last channel
    for n in (3, 4, 5):
        expect_same(lambda x, n=n: F.local_response_normalization(x, n, 1.5, .2), X,
                    'onnxruntime')
    proto = expect_same(F.local_response_normalization, X[..., 0].copy(), 'onnxruntime')
    assert operators(proto) == ['Reshape', 'LRN', 'Reshape']

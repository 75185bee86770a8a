"""Whole networks: the zoo with random weights, and public Caffe networks where they are."""
import numpy as np
import pytest

import minichain
import models
from minichain.caffe import load
from minichain.onnx.exporting import export
from tests.caffe.test_public_networks import NETWORKS, SHARED, shared_reference
from tests.onnx.exporting.running import call, expect_same, run

LARGE = {'alexnet', 'caffenet', 'vgg16', 'vgg19', 'resnet101', 'resnet152', 'inception_v3',
         *(f'efficientnet_b{number}' for number in range(2, 8))}
SIZES = {'alexnet': 227, 'caffenet': 227, 'vgg16': 224, 'vgg19': 224, 'inception_v3': 96,
         'googlenet': 224}


@pytest.mark.parametrize('name', [pytest.param(name, marks=pytest.mark.slow) if name in LARGE
                                  else name for name in models.NAMES])
def test_networks_of_the_zoo_are_the_same_in_onnxruntime(name):
    pytest.importorskip('onnxruntime', reason='onnxruntime, which runs the files, is missing')
    net = getattr(models, name)()
    side = SIZES.get(name, 64)
    x = np.random.default_rng(0).standard_normal((2, 3, side, side), 'f')
    call(net, [minichain.Variable(x[:1])])   # parameters of unknown size are made now
    proto = expect_same(net, x, 'onnxruntime', rows=(), tolerance=1e-4)
    paths = {path[1:] for path, _ in net.namedparams()}
    assert {weight.name for weight in proto.graph.initializer} & paths


@pytest.mark.parametrize('name', NETWORKS)
def test_public_networks_keep_their_recorded_outputs(name):
    reference = shared_reference(name)
    net = load(*(SHARED / path for path in NETWORKS[name]))
    names = [key[4:] for key in reference if key.startswith('out:')]
    proto = export(lambda data: dict(zip(names, net({net.input_names[0]: data}, names))),
                   reference['input'], chain=net)
    for runner in ('onnxruntime', 'minichain'):
        ys = run(proto, {'data': reference['input']}, runner)
        for key, y in zip(names, ys):
            expected = reference[f'out:{key}']
            assert np.abs(y.reshape(expected.shape) - expected).max() < 1e-4 * expected.max()

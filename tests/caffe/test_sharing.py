"""Weights that several layers share by name: one Parameter, trained once."""

import numpy as np
import pytest

from minichain.caffe import load, save
from minichain.errors import DataError

W = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
X, Y = np.random.default_rng(1).standard_normal((2, 5, 4)).astype(np.float32)


def siamese(tmp_path, second=None, names=('w',)):
    def dense(name, bottom, weights):
        return {'name': name, 'type': 'InnerProduct', 'bottom': [bottom], 'top': [name],
                'param': [{'name': label} for label in names], 'blobs': [weights],
                'inner_product_param': {'num_output': len(weights), 'bias_term': False}}
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [dense('fc', 'x', W), dense('fc_p', 'y', W if second is None else second)],
         X.shape, input_name='x')
    return load(*paths)


def test_a_shared_weight_is_one_parameter_under_the_first_layers_name(tmp_path):
    net = siamese(tmp_path)
    assert [name for name, _ in net.namedparams()] == ['/fc/W']
    a, b = net({'x': X, 'y': Y}, ['fc', 'fc_p'])
    np.testing.assert_allclose(b.array, Y @ W.T, rtol=1e-4, atol=1e-6)
    ones = np.ones_like(a.array)
    a.grad, b.grad = ones, ones
    a.backward()
    b.backward()
    np.testing.assert_allclose(net['fc'].W.grad, ones.T @ X + ones.T @ Y, rtol=1e-4, atol=1e-5)
    net['fc'].W.array = 0 * W
    assert not net({'y': Y}, ['fc_p'])[0].array.any()


def test_weights_without_a_name_are_each_layers_own(tmp_path):
    net = siamese(tmp_path, names=('',))
    assert [name for name, _ in net.namedparams()] == ['/fc/W', '/fc_p/W']


def test_shared_weights_of_two_shapes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"'fc_p' \(InnerProduct\): W \(2, 4\) is shared as 'w'"):
        siamese(tmp_path, W[:2])


def test_a_parameter_layer_is_a_weight_of_its_own(tmp_path):
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [{'name': 'free', 'type': 'Parameter', 'top': ['w'],
                   'parameter_param': {'shape': {'dim': [2, 6]}}, 'blobs': [W.reshape(2, 6)]},
                  {'name': 'abs', 'type': 'AbsVal', 'bottom': ['w'], 'top': ['y']}], (1, 1))
    net = load(*paths)
    y, = net({}, ['y'])
    np.testing.assert_array_equal(y.array, abs(W.reshape(2, 6)))
    y.grad = np.ones_like(y.array)
    y.backward()
    np.testing.assert_array_equal(net['free'].W.grad, np.sign(W.reshape(2, 6)))

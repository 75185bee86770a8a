"""Weights from ONNX models that the onnx package writes, by name and by order."""
import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain.image import Preprocessing
from minichain.vision import ImageNetwork
from models.squeezenet import SqueezeNet
from tests.models.network_checks import values
from tests.vision.seeded import fill
from tests.vision.test_weight_files import expect_same_values

onnx = pytest.importorskip('onnx', reason='the onnx package writes the models')


class Graph:
    """An ONNX model in the making."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def add(self, operator, inputs, output, *arrays, **attributes):
        """One node; its weights are (name, array)."""
        for name, array in arrays:
            self.initializers.append(onnx.numpy_helper.from_array(np.array(array), name))
        names = [*inputs, *(name for name, _ in arrays)]
        self.nodes.append(onnx.helper.make_node(operator, names, [output], **attributes))

    def save(self, path):
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(self.nodes, 'net', [value('x', 1, None)],
                                       [value('y', 1, None)], self.initializers)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 13)])
        onnx.save(model, path)
        return path


def torchvision_names(path):
    number = {'conv1': 0, 'fire2': 3, 'fire3': 4, 'fire4': 6, 'fire5': 7, 'fire6': 9, 'fire7': 10,
              'fire8': 11, 'fire9': 12}
    link, _, part = path.partition('/')
    part = part.replace('squeeze1x1', 'squeeze')
    name = 'classifier.1' if link == 'conv10' else '.'.join(
        ['features', str(number[link]), *[part] * bool(part)])
    return f'{name}.weight', f'{name}.bias'


NAMES = {
    'ours': lambda path: (f'{path}/W', f'{path}/b'),
    'caffe2': lambda path: (f'{path}_w_0', f'{path}_b_0'),
    'torchvision': torchvision_names,
    'nameless': lambda path: (f'onnx::Conv_{hash(path)}', f'onnx::Conv_{hash(path) + 1}')}


def save_squeezenet(path, net, names, stride=2):
    """Write the convolutions of SqueezeNet 1.1, with the weights of a network."""
    graph = Graph()

    def convolution(place, source, target, step=1):
        link = net
        for part in place.split('/'):
            link = link[part]
        graph.add('Conv', [source], target, *zip(names(place), (link.W.array, link.b.array)),
                  strides=[step, step])

    convolution('conv1', 'x', 't1', stride)
    for number in range(2, 10):
        squeezed = f's{number}'
        convolution(f'fire{number}/squeeze1x1', f't{number - 1}', squeezed)
        convolution(f'fire{number}/expand1x1', squeezed, f'a{number}')
        convolution(f'fire{number}/expand3x3', squeezed, f'b{number}')
        graph.add('Concat', [f'a{number}', f'b{number}'], f't{number}', axis=1)
    convolution('conv10', 't9', 'y')
    return graph.save(path)


@pytest.mark.parametrize('names', NAMES)
def test_weights_are_found_by_their_names_or_else_by_their_order(tmp_path, names):
    net, other = fill(SqueezeNet('1.1')), SqueezeNet('1.1')
    report = other.load(save_squeezenet(tmp_path / 'net.onnx', net, NAMES[names]))
    assert len(report.matched) == 52 and not report.unused + report.missing
    expect_same_values(net, other)


@pytest.mark.parametrize('names', ['ours', 'nameless'])
def test_a_variant_with_another_stride_is_refused(tmp_path, names):
    path = save_squeezenet(tmp_path / 'net.onnx', fill(SqueezeNet('1.1')), NAMES[names], stride=4)
    with pytest.raises(ValueError, match='another layer than conv1' if names == 'ours'
                       else 'same shapes in the same order'):
        SqueezeNet('1.1').load(path)


class Tower(ImageNetwork):
    """Two convolutions side by side, equal but for their values, and a linear layer."""

    head, preprocessing = ('fc',), Preprocessing((4, 4))

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.left = L.Convolution2D(3, 5, 3, nobias=True)
            self.left_bn = L.BatchNormalization(5)
            self.right = L.Convolution2D(3, 5, 3, nobias=True)
            self.right_bn = L.BatchNormalization(5)
            self.fc = L.Linear(20, 6)

    @property
    def functions(self):
        return {'sum': [self.both], 'prob': [self.fc, F.softmax]}

    def both(self, x):
        """The sum of both sides."""
        return self.left_bn(self.left(x)) + self.right_bn(self.right(x))


class Chimney(Tower):
    """The same, one convolution after the other."""

    def __init__(self):
        super().__init__()
        self.right.W.array = np.zeros((5, 5, 1, 1), 'float32')

    def both(self, x):
        """The second of the first."""
        return self.right_bn(self.right(self.left_bn(self.left(x))))


def save_tower(path, net, order=('left', 'right'), merged=False, dense='Gemm'):
    graph, source = Graph(), 'x'
    for name in order:
        link, norm = net[name], net[f'{name}_bn']
        scale = norm.gamma.array / np.sqrt(norm.avg_var + np.float32(1e-3))
        if merged:
            graph.add('Conv', [source], name, (f'{name}1', link.W.array * scale[:, None, None,
                                                                               None]),
                      (f'{name}2', norm.beta.array - norm.avg_mean * scale))
        else:
            graph.add('Conv', [source], f'{name}0', (f'{name}1', link.W.array))
            graph.add('BatchNormalization', [f'{name}0'], name,
                      *((f'{name}{number}', array) for number, array in enumerate((
                          norm.gamma.array, norm.beta.array, norm.avg_mean, norm.avg_var), 2)),
                      epsilon=1e-3)
        source = name if isinstance(net, Chimney) else 'x'
    W, b = net.fc.W.array, net.fc.b.array
    if dense == 'Gemm':
        graph.add('Gemm', [source], 'y', ('w', W), ('v', b), transB=1)
    elif dense == 'transposed':
        graph.add('Gemm', [source], 'y', ('w', W.T), ('v', b / 2), beta=2.)
    else:
        graph.add('MatMul', [source], 'z', ('w', W.T))
        graph.add('Add', ['z'], 'y', ('v', b))
    return graph.save(path)


@pytest.mark.parametrize('dense', ['Gemm', 'transposed', 'MatMul'])
def test_norms_and_products_of_every_form_are_read(tmp_path, dense):
    net, other = fill(Chimney()), Chimney()
    other.load(save_tower(tmp_path / 'net.onnx', net, dense=dense))
    expect_same_values(net, other)
    assert other.left_bn.eps == np.float32(1e-3)


def test_normalization_that_was_merged_into_convolutions_is_given_back(tmp_path):
    net, other = fill(Chimney()), Chimney()
    net.left_bn.eps = net.right_bn.eps = 1e-3
    report = other.load(save_tower(tmp_path / 'net.onnx', net, merged=True))
    assert not report.missing + report.unused
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype('float32')
    np.testing.assert_allclose(other.features('sum', x).array, net.features('sum', x).array,
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('order', [('left', 'right'), ('right', 'left')])
def test_equal_layers_side_by_side_are_refused_because_their_order_means_nothing(tmp_path, order):
    net = fill(Tower())
    path = save_tower(tmp_path / 'net.onnx', net, order)
    other = Tower()
    before = values(other)
    with pytest.raises(ValueError, match='could be taken for another'):
        other.load(path)
    assert all(np.array_equal(value, before[name]) for name, value in values(other).items())


@pytest.mark.parametrize('attributes', [{'strides': 2}, {'dilations': 1.}, {'group': 'x'}])
def test_nodes_that_make_no_sense_are_refused(tmp_path, attributes):
    graph, net = Graph(), Chimney()
    graph.add('Conv', ['x'], 'y', ('left1', net.left.W.array), **attributes)
    with pytest.raises(ValueError, match='net.onnx'):
        net.load(graph.save(tmp_path / 'net.onnx'))
    graph = Graph()
    graph.add('Identity', [], 'y')
    with pytest.raises(ValueError, match='net.onnx'):
        net.load(graph.save(tmp_path / 'net.onnx'))


@pytest.mark.parametrize('epsilon', [-1., 2., float('nan'), 'x'])
def test_a_divisor_that_could_be_zero_is_refused(tmp_path, epsilon):
    graph, net = Graph(), Chimney()
    graph.add('BatchNormalization', ['x'], 'y', *((f'left_bn/{name}', np.ones(5, 'float32'))
              for name in ('gamma', 'beta', 'avg_mean', 'avg_var')), epsilon=epsilon)
    with pytest.raises(ValueError, match='eps between 0 and 1'):
        net.load(graph.save(tmp_path / 'net.onnx'), partial=True)

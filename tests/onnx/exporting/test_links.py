"""Every link of the library on its own; those of sequences are in test_recurrent."""
import inspect

import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain.errors import InvalidArgument
from minichain.onnx.exporting import export
from tests.onnx.exporting.running import call, expect_same

RANDOM = np.random.default_rng(9)


def floats(*shape):
    return RANDOM.standard_normal(shape, 'f')


def ints(*shape):
    return RANDOM.integers(0, 4, shape)


ROWS, IMAGES = floats(3, 4), floats(2, 4, 6, 7)
LINKS = {
    'BatchNormalization': (lambda: L.BatchNormalization(4), IMAGES),
    'BatchRenormalization': (lambda: L.BatchRenormalization(4), IMAGES),
    'Bias': (lambda: L.Bias(1, (4,)), IMAGES),
    'Bilinear': (lambda: L.Bilinear(4, 5, 3), (ROWS, floats(3, 5))),
    'ChildSumTreeLSTM': (lambda: L.ChildSumTreeLSTM(4, 3),
                         (floats(2, 3), floats(2, 3), floats(2, 3), floats(2, 3), floats(2, 4))),
    'Classifier': (lambda: L.Classifier(L.Linear(4, 5)), (ROWS, np.array([0, 3, 2]))),
    'Convolution1D': (lambda: L.Convolution1D(4, 3, 3), IMAGES[..., 0].copy()),
    'Convolution2D': (lambda: L.Convolution2D(None, 3, 3, pad=1), IMAGES),
    'Convolution3D': (lambda: L.Convolution3D(4, 3, 2), floats(2, 4, 3, 4, 5)),
    'ConvolutionND': (lambda: L.ConvolutionND(2, 4, 3, 3, nobias=True), IMAGES),
    'Deconvolution1D': (lambda: L.Deconvolution1D(4, 3, 3), IMAGES[..., 0].copy()),
    'Deconvolution2D': (lambda: L.Deconvolution2D(4, 3, 3, stride=2), IMAGES),
    'Deconvolution3D': (lambda: L.Deconvolution3D(4, 3, 2), floats(2, 4, 3, 4, 5)),
    'DeconvolutionND': (lambda: L.DeconvolutionND(2, 4, 3, 3), IMAGES),
    'DecorrelatedBatchNormalization': (lambda: L.DecorrelatedBatchNormalization(4, 2), IMAGES),
    'DepthwiseConvolution2D': (lambda: L.DepthwiseConvolution2D(4, 2, 3), IMAGES),
    'DilatedConvolution2D': (lambda: L.DilatedConvolution2D(4, 3, 3, dilate=2), IMAGES),
    'EmbedID': (lambda: L.EmbedID(5, 3), ints(3, 2)),
    'GRU': (lambda: L.GRU(4, 3), ROWS),
    'GroupNormalization': (lambda: L.GroupNormalization(2), IMAGES),
    'Highway': (lambda: L.Highway(4), ROWS),
    'Inception': (lambda: L.Inception(4, 2, 3, 2, 3, 2, 2), IMAGES),
    'InceptionBN': (lambda: L.InceptionBN(4, 2, 3, 2, 3, 2, 'avg', 2), IMAGES),
    'LSTM': (lambda: L.LSTM(4, 3), ROWS),
    'LayerNormalization': (lambda: L.LayerNormalization(), ROWS),
    'Linear': (lambda: L.Linear(3), ROWS),
    'LocalConvolution2D': (lambda: L.LocalConvolution2D(4, 3, (6, 7), 3), IMAGES),
    'MLPConvolution2D': (lambda: L.MLPConvolution2D(4, (3, 2), 3), IMAGES),
    'Maxout': (lambda: L.Maxout(4, 3, 2), ROWS),
    'NaryTreeLSTM': (lambda: L.NaryTreeLSTM(4, 3),
                     (floats(2, 3), floats(2, 3), floats(2, 3), floats(2, 3), floats(2, 4))),
    'PReLU': (lambda: L.PReLU((4,)), IMAGES),
    'Scale': (lambda: L.Scale(1, (4,), bias_term=True), IMAGES),
    'SimplifiedDropconnect': (lambda: L.SimplifiedDropconnect(4, 3), ROWS),
    'StatefulGRU': (lambda: L.StatefulGRU(4, 3), ROWS),
    'StatefulMGU': (lambda: L.StatefulMGU(4, 3), ROWS),
    'StatefulPeepholeLSTM': (lambda: L.StatefulPeepholeLSTM(4, 3), ROWS),
    'StatefulZoneoutLSTM': (lambda: L.StatefulZoneoutLSTM(4, 3), ROWS),
    'StatelessGRU': (lambda: L.StatelessGRU(4, 3), (floats(3, 3), ROWS)),
    'StatelessLSTM': (lambda: L.StatelessLSTM(4, 3), (floats(3, 3), floats(3, 3), ROWS)),
    'StatelessMGU': (lambda: L.StatelessMGU(4, 3), (floats(3, 3), ROWS)),
    'Swish': (lambda: L.Swish((4,)), IMAGES),
}
REFUSED = {
    'BlackOut': 'it draws samples at random',
    'DeformableConvolution2D': 'where it looks is computed by NumPy, by the values',
}
ELSEWHERE = {'NStepLSTM', 'NStepBiLSTM', 'NStepGRU', 'NStepBiGRU', 'NStepRNNTanh',
             'NStepBiRNNTanh', 'NStepRNNReLU', 'NStepBiRNNReLU', 'Parameter'}


def test_every_link_is_in_one_of_the_lists():
    known = {name for name, value in vars(L).items() if inspect.isclass(value)}
    assert known == {*LINKS, *REFUSED, *ELSEWHERE}


@pytest.mark.parametrize('runner', ['onnxruntime', 'minichain'])
@pytest.mark.parametrize('name', LINKS)
def test_links(name, runner):
    make, arguments = LINKS[name]
    link = make()
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    if not hasattr(link, 'reset_state'):
        call(link, [minichain.Variable(x) for x in arguments])
        for parameter in link.params():
            parameter.array += RANDOM.standard_normal(parameter.shape, 'f') / 10
        expect_same(link, arguments, runner)
        return

    def two_steps(x):
        link.reset_state()
        return link(x), link(-x)
    expect_same(two_steps, arguments, runner, chain=link)


def test_links_that_draw_or_look_at_values_are_refused():
    with pytest.raises(InvalidArgument, match='random'):
        export(L.BlackOut(4, [1] * 5, 2), (ROWS, np.array([0, 1, 2])))
    with pytest.raises(InvalidArgument, match='deformable_convolution_2d_sampler.*NumPy inside'):
        export(L.DeformableConvolution2D(4, 3, 3), IMAGES)


def test_a_parameter_alone_is_a_constant_output():
    link = L.Parameter(floats(2, 3))
    proto = export(lambda x: F.matmul(x, link()), floats(2, 2), chain=link)
    assert [weight.name for weight in proto.graph.initializer] == ['W']

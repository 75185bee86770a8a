"""Links with parameters under Chainer's names: ``import minichain.links as L``."""
import importlib

from minichain.links.batch_normalization import BatchNormalization, BatchRenormalization
from minichain.links.bilinear import Bilinear
from minichain.links.black_out import BlackOut
from minichain.links.classifier import Classifier
from minichain.links.convolution import (
    Convolution1D, Convolution2D, Convolution3D, ConvolutionND, DilatedConvolution2D)
from minichain.links.deconvolution import (
    Deconvolution1D, Deconvolution2D, Deconvolution3D, DeconvolutionND)
from minichain.links.decorrelated_batch_normalization import DecorrelatedBatchNormalization
from minichain.links.deformable_convolution_2d import DeformableConvolution2D
from minichain.links.depthwise_convolution_2d import DepthwiseConvolution2D
from minichain.links.embed_id import EmbedID
from minichain.links.gru import GRU, StatefulGRU, StatelessGRU
from minichain.links.highway import Highway
from minichain.links.inception import Inception, InceptionBN
from minichain.links.layer_normalization import GroupNormalization, LayerNormalization
from minichain.links.linear import Linear
from minichain.links.local_convolution_2d import LocalConvolution2D
from minichain.links.lstm import LSTM, StatelessLSTM
from minichain.links.lstm_variants import StatefulPeepholeLSTM, StatefulZoneoutLSTM
from minichain.links.maxout import Maxout
from minichain.links.mgu import StatefulMGU, StatelessMGU
from minichain.links.mlp_convolution_2d import MLPConvolution2D
from minichain.links.n_step import (
    NStepBiGRU, NStepBiLSTM, NStepBiRNNReLU, NStepBiRNNTanh, NStepGRU, NStepLSTM, NStepRNNReLU,
    NStepRNNTanh)
from minichain.links.parameter import Parameter
from minichain.links.prelu import PReLU, Swish
from minichain.links.scale import Bias, Scale
from minichain.links.simplified_dropconnect import SimplifiedDropconnect
from minichain.links.tree_lstm import ChildSumTreeLSTM, NaryTreeLSTM

# In Chainer these are links. They read images and files of weights, from floors above this one,
# so they have a room of their own there, which opens when one of them is asked for.
_NETWORKS = frozenset("""
    GoogLeNet ResNet101Layers ResNet152Layers ResNet50Layers ResNetLayers VGG16Layers VGG19Layers
    VGGLayers""".split())


def __getattr__(name):
    if name in _NETWORKS:
        return getattr(importlib.import_module('minichain.vision'), name)
    raise AttributeError(f"minichain.links has no '{name}'. docs/from_chainer.md lists what is "
                         'not here; names are those of Chainer 7')


def __dir__():
    return sorted({*globals(), *_NETWORKS})

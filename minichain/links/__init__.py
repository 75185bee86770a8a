"""Links with parameters under Chainer's names: ``import minichain.links as L``."""
from minichain.links.classifier import Classifier
from minichain.links.convolution import (
    Convolution1D, Convolution2D, Convolution3D, ConvolutionND, DilatedConvolution2D)
from minichain.links.deconvolution import (
    Deconvolution1D, Deconvolution2D, Deconvolution3D, DeconvolutionND)
from minichain.links.embed_id import EmbedID
from minichain.links.linear import Linear
from minichain.links.lstm import LSTM, StatelessLSTM

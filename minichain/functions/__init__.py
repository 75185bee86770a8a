"""Differentiable functions under Chainer's names: ``import minichain.functions as F``."""
from minichain.functions.absolute_error import absolute_error, mean_absolute_error
from minichain.functions.accuracy import accuracy, binary_accuracy
from minichain.functions.as_strided import as_strided
from minichain.functions.average_pooling import (
    average_pooling_1d, average_pooling_2d, average_pooling_3d, average_pooling_nd)
from minichain.functions.axes import expand_dims, flatten, moveaxis, rollaxis, squeeze, swapaxes
from minichain.functions.batch_l2_norm_squared import batch_l2_norm_squared
from minichain.functions.batch_normalization import batch_normalization, fixed_batch_normalization
from minichain.functions.batch_renormalization import (
    batch_renormalization, fixed_batch_renormalization)
from minichain.functions.bilinear import bilinear
from minichain.functions.black_out import black_out
from minichain.functions.broadcast import broadcast, broadcast_to, sum_to
from minichain.functions.cast import cast
from minichain.functions.classification_summary import (
    classification_summary, f1_score, precision, recall)
from minichain.functions.clip import clip, maximum, minimum
from minichain.functions.concat import concat, dstack, hstack, stack, vstack
from minichain.functions.connectionist_temporal_classification import (
    connectionist_temporal_classification)
from minichain.functions.contrastive import contrastive, triplet
from minichain.functions.convolution import (
    convolution_1d, convolution_2d, convolution_3d, convolution_nd, dilated_convolution_2d)
from minichain.functions.covariance import cross_covariance, decov
from minichain.functions.deconvolution import (
    deconvolution_1d, deconvolution_2d, deconvolution_3d, deconvolution_nd)
from minichain.functions.decorrelated_batch_normalization import (
    decorrelated_batch_normalization, fixed_decorrelated_batch_normalization)
from minichain.functions.deformable_convolution_2d_sampler import deformable_convolution_2d_sampler
from minichain.functions.depthwise_convolution_2d import depthwise_convolution_2d
from minichain.functions.diagonal import diagonal
from minichain.functions.dropout import dropout
from minichain.functions.einsum import einsum
from minichain.functions.elu import elu, selu
from minichain.functions.embed_id import embed_id
from minichain.functions.exponential import exp, expm1, log, log1p, log2, log10
from minichain.functions.extremum import argmax, argmin, max, min
from minichain.functions.fft import fft, ifft
from minichain.functions.flip import flip, fliplr, flipud
from minichain.functions.forget import forget
from minichain.functions.gaussian import gaussian
from minichain.functions.get_item import get_item
from minichain.functions.gumbel_softmax import gumbel_softmax
from minichain.functions.hinge import hinge
from minichain.functions.huber_loss import huber_loss
from minichain.functions.hyperbolic import arctanh, cosh, sinh, tanh
from minichain.functions.identity import copy, identity
from minichain.functions.im2col import im2col
from minichain.functions.layer_normalization import group_normalization, layer_normalization
from minichain.functions.likelihood import bernoulli_nll, gaussian_kl_divergence, gaussian_nll
from minichain.functions.linear import linear
from minichain.functions.linear_algebra import batch_det, batch_inv, cholesky, det, inv
from minichain.functions.linear_interpolate import linear_interpolate
from minichain.functions.linear_softmax_cross_entropy import linear_softmax_cross_entropy
from minichain.functions.local_convolution_2d import local_convolution_2d
from minichain.functions.local_response_normalization import local_response_normalization
from minichain.functions.lstm import lstm
from minichain.functions.lstm_sequence import lstm_sequence
from minichain.functions.matmul import batch_matmul, matmul
from minichain.functions.max_pooling import (
    max_pooling_1d, max_pooling_2d, max_pooling_3d, max_pooling_nd)
from minichain.functions.maxout import maxout
from minichain.functions.mean import average, mean
from minichain.functions.n_step import (
    n_step_bigru, n_step_bilstm, n_step_birnn, n_step_gru, n_step_lstm, n_step_rnn)
from minichain.functions.normalize import normalize
from minichain.functions.operators import absolute, add
from minichain.functions.pad import pad, pad_sequence
from minichain.functions.permutate import permutate, select_item
from minichain.functions.power import rsqrt, sqrt, square
from minichain.functions.prod import cumprod, cumsum, prod
from minichain.functions.r2_score import r2_score
from minichain.functions.relu import clipped_relu, crelu, leaky_relu, prelu, relu, relu6, rrelu
from minichain.functions.repeat import repeat, tile
from minichain.functions.reshape import reshape, transpose
from minichain.functions.resize_images import resize_images
from minichain.functions.roi_pooling_2d import (
    roi_average_align_2d, roi_average_pooling_2d, roi_max_align_2d, roi_max_pooling_2d,
    roi_pooling_2d)
from minichain.functions.rounding import ceil, fix, floor, fmod, sign
from minichain.functions.scale import bias, scale
from minichain.functions.scatter_add import scatter_add
from minichain.functions.shift import shift
from minichain.functions.sigmoid import hard_sigmoid, sigmoid, swish
from minichain.functions.sigmoid_cross_entropy import sigmoid_cross_entropy
from minichain.functions.simplified_dropconnect import simplified_dropconnect
from minichain.functions.slstm import slstm
from minichain.functions.softmax import log_softmax, logsumexp, softmax
from minichain.functions.softmax_cross_entropy import softmax_cross_entropy
from minichain.functions.softplus import softplus
from minichain.functions.space2depth import depth2space, space2depth
from minichain.functions.spatial_pyramid_pooling_2d import spatial_pyramid_pooling_2d
from minichain.functions.spatial_transformer import (
    spatial_transformer_grid, spatial_transformer_sampler)
from minichain.functions.special import (
    digamma, erf, erfc, erfcinv, erfcx, erfinv, lgamma, log_ndtr, ndtr, ndtri, polygamma, zeta)
from minichain.functions.split import separate, split_axis
from minichain.functions.squared_difference import squared_difference
from minichain.functions.squared_error import mean_squared_error, squared_error
from minichain.functions.sum import sum
from minichain.functions.tensordot import tensordot
from minichain.functions.transpose_sequence import transpose_sequence
from minichain.functions.tree_lstm import tree_lstm
from minichain.functions.trigonometric import arccos, arcsin, arctan, arctan2, cos, sin, tan
from minichain.functions.unpooling import (
    unpooling_1d, unpooling_2d, unpooling_3d, unpooling_nd, upsampling_2d, upsampling_nd)
from minichain.functions.where import where
from minichain.functions.zoneout import zoneout

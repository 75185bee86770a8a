"""What each type of Caffe layer computes, in functions of minichain.

A builder gets the layer's description and its blobs, checks both, and returns the function of the
bottoms (Variables); or, where there are weights, that function and a dict of them, which it takes
as keywords. To add a layer type, write its builder and enter it here; if it has other than one
bottom and one top, say so below. A result that may be larger than the bottoms needs a plan, see
``geometry.planned``.
"""

import minichain.functions as F
from minichain.caffe.layers import (
    blobs, detection, losses, recurrent, regions, resizing, summaries, values, weights, windows)

LAYERS = {
    'AbsVal': lambda layer, blobs: abs,
    'Accuracy': losses.accuracy,
    'ArgMax': summaries.argmax,
    'Axpy': values.axpy,
    'BN': weights.merged_batch_norm,
    'BNLL': lambda layer, blobs: F.softplus,
    'BatchNorm': weights.batch_norm,
    'BatchReindex': blobs.batch_reindex,
    'Bias': weights.bias,
    'Clip': values.clip,
    'Concat': blobs.concat,
    'ContrastiveLoss': losses.contrastive_loss,
    'Convolution': weights.convolution,
    'ConvolutionDepthwise': weights.convolution,
    'Crop': resizing.crop,
    'Deconvolution': weights.convolution,
    'DepthwiseConvolution': weights.convolution,
    'DetectionOutput': detection.detection_output,
    'Dropout': values.dropout,
    'ELU': values.elu,
    'Eltwise': blobs.eltwise,
    'Embed': weights.embed,
    'EuclideanLoss': losses.euclidean_loss,
    'Exp': values.exp,
    'Filter': blobs.filter_,
    'Flatten': blobs.flatten,
    'HardSwish': lambda layer, blobs: values.hard_swish,
    'HingeLoss': losses.hinge_loss,
    'Im2col': windows.im2col,
    'InfogainLoss': losses.infogain_loss,
    'InnerProduct': weights.inner_product,
    'Interp': resizing.interp,
    'LRN': windows.lrn,
    'LSTM': recurrent.lstm,
    'Log': values.log,
    'MVN': summaries.mvn,
    'Mish': lambda layer, blobs: values.mish,
    'MultinomialLogisticLoss': losses.multinomial_logistic_loss,
    'Normalize': summaries.normalize,
    'PReLU': weights.prelu,
    'PSROIPooling': regions.psroi_pooling,
    'Parameter': weights.parameter,
    'Permute': blobs.permute,
    'Pooling': windows.pooling,
    'Power': values.power,
    'PriorBox': detection.prior_box,
    'Proposal': detection.proposal,
    'Python': detection.python,
    'RNN': recurrent.rnn,
    'ROIPooling': regions.roi_pooling,
    'ReLU': values.relu,
    'ReLU6': lambda layer, blobs: F.relu6,
    'Reduction': summaries.reduction,
    'Reorg': blobs.reorg,
    'Reshape': blobs.reshape,
    'SPP': windows.spp,
    'Scale': weights.scale,
    'ShuffleChannel': blobs.shuffle_channel,
    'Sigmoid': lambda layer, blobs: F.sigmoid,
    'SigmoidCrossEntropyLoss': losses.sigmoid_cross_entropy_loss,
    'Slice': blobs.slice_,
    'Softmax': values.softmax,
    'SoftmaxWithLoss': losses.softmax_with_loss,
    'Split': blobs.split,
    'Swish': values.swish,
    'TanH': lambda layer, blobs: F.tanh,
    'Threshold': values.threshold,
    'Tile': blobs.tile,
    'Upsample': resizing.upsample,
}

# How many blobs a layer may take and make, (least, most), where that is not one.
MANY = 1, 1 << 16
BOTTOMS = {
    'Accuracy': (2, 2), 'Axpy': (3, 3), 'BatchReindex': (2, 2), 'Bias': (1, 2), 'Concat': MANY,
    'ContrastiveLoss': (3, 3), 'Crop': (2, 2), 'DetectionOutput': (3, 3), 'Eltwise': MANY,
    'EuclideanLoss': (2, 2), 'Filter': (2, 1 << 16), 'HingeLoss': (2, 2), 'InfogainLoss': (2, 3),
    'Interp': (1, 2), 'LSTM': (2, 5), 'MultinomialLogisticLoss': (2, 2), 'PSROIPooling': (2, 2),
    'Parameter': (0, 0), 'PriorBox': (2, 2), 'Proposal': (3, 3), 'Python': (0, 1 << 16),
    'RNN': (2, 4), 'ROIPooling': (2, 2), 'Scale': (1, 2), 'SigmoidCrossEntropyLoss': (2, 2),
    'SoftmaxWithLoss': (2, 2), 'Upsample': (1, 2),
}
TOPS = {
    'Accuracy': (1, 2), 'Filter': MANY, 'LSTM': (1, 3), 'Pooling': (1, 2), 'Proposal': (1, 2),
    'Python': (0, 1 << 16), 'RNN': (1, 2), 'Slice': MANY, 'SoftmaxWithLoss': (1, 2),
    'Split': MANY,
}

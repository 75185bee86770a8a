"""What each type of Caffe layer computes, in functions of minichain.

A builder gets the layer's description and its blobs, checks both, and returns the function of the
bottoms (Variables); or, where there are weights, that function and a dict of them, which it takes
as keywords. To add a layer type, write its builder and enter it here; if it has other than one
bottom and one top, say so below.
"""

import minichain.functions as F
from minichain.caffe.layers import blobs, losses, values, weights, windows

LAYERS = {
    'AbsVal': lambda layer, blobs: abs,
    'Accuracy': losses.accuracy,
    'BNLL': lambda layer, blobs: F.softplus,
    'BatchNorm': weights.batch_norm,
    'Bias': weights.bias,
    'Concat': blobs.concat,
    'Convolution': weights.convolution,
    'Deconvolution': weights.convolution,
    'Dropout': values.dropout,
    'ELU': values.elu,
    'Eltwise': blobs.eltwise,
    'Embed': weights.embed,
    'EuclideanLoss': losses.euclidean_loss,
    'Exp': values.exp,
    'Flatten': blobs.flatten,
    'InnerProduct': weights.inner_product,
    'LRN': windows.lrn,
    'Log': values.log,
    'PReLU': weights.prelu,
    'Permute': blobs.permute,
    'Pooling': windows.pooling,
    'Power': values.power,
    'ReLU': values.relu,
    'Reshape': blobs.reshape,
    'Scale': weights.scale,
    'Sigmoid': lambda layer, blobs: F.sigmoid,
    'SigmoidCrossEntropyLoss': losses.sigmoid_cross_entropy_loss,
    'Slice': blobs.slice_,
    'Softmax': values.softmax,
    'SoftmaxWithLoss': losses.softmax_with_loss,
    'Split': blobs.split,
    'TanH': lambda layer, blobs: F.tanh,
}

# How many blobs a layer may take and make, (least, most), where that is not one.
MANY = 1, 1 << 16
BOTTOMS = {
    'Accuracy': (2, 2), 'Bias': (1, 2), 'Concat': MANY, 'Eltwise': MANY, 'EuclideanLoss': (2, 2),
    'Scale': (1, 2), 'SigmoidCrossEntropyLoss': (2, 2), 'SoftmaxWithLoss': (2, 2),
}
TOPS = {'Slice': MANY, 'Split': MANY}

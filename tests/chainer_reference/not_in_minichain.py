"""What minichain leaves out of Chainer on purpose, each with the reason in one line.

A case that is not named here and does not agree with Chainer is a failure. No case covers
Chainer's pretrained networks (GoogLeNet, ResNet50Layers, VGG16Layers and their like: they fetch
files that are gone, ``minichain.caffe`` reads the originals) and TheanoFunction (Theano is gone).
"""

CRF = 'labels sequences, which no part of captioning does'
SAMPLED = 'replaces the softmax of vocabularies far beyond those of captions; black_out is there'

FUNCTIONS = {
    'argmax_crf1d': CRF,
    'crf1d': CRF,
    'discriminative_margin_based_clustering_loss': 'a loss of instance segmentation alone',
    'negative_sampling': SAMPLED,
    'sparse_matmul': 'needs CooMatrix; parameters and batches are dense here',
}
LINKS = {
    'BinaryHierarchicalSoftmax': SAMPLED,
    'CRF1d': CRF,
    'NegativeSampling': SAMPLED,
}
OPTIMIZERS = {}
INITIALIZERS = {}

# Single cases, by id: where minichain has the name but differs on purpose.
INTEGERS = 'integers are multiplied, divided and raised here; Chainer refuses them'
CASES = {
    'operator-multiply-integers': INTEGERS,
    'operator-power-integers': INTEGERS,
    'operator-power-int32-int_right': INTEGERS,
    'operator-floor_divide-integers': INTEGERS,
    'operator-floor_divide-int32-int_right':
        'Chainer multiplies by the inverse in integers, 1 // 2 = 0, and gives zeros',
    'softmax_cross_entropy-ignore_label':
        'the label -1, which is not the one to ignore, is refused; Chainer takes it for class 0',
    'SimplifiedDropconnect': 'Chainer drops weights in tests too, unless told at every call',
    'SimplifiedDropconnect-mask-nobias': 'Chainer saves the last mask as a value of the link',
}

# Cases whose results agree and whose gradients do not: Chainer's are not the derivative (finite
# differences say so), minichain's are.
NORMALIZED = 'Chainer takes soft targets to sum to 1, whatever they sum to'
GRADIENTS = {
    'fixed_decorrelated_batch_normalization': "Chainer's gradient of the mean",
    'softmax_cross_entropy-soft_target': NORMALIZED,
    'softmax_cross_entropy-soft_target-no': NORMALIZED,
    'softmax_cross_entropy-soft_target-kl': NORMALIZED,
}

# The same for gradients of second order alone.
ONCE = 'Chainer differentiates it once, or some operands only; minichain to any order'
PADDING = 'the gradient of padding is 0; Chainer gathers the -inf with which it pads'
SECOND = {
    'batch_normalization-float16_x': 'Chainer rounds to float16 on the way',
    **dict.fromkeys((
        'batch_renormalization', 'batch_renormalization-clipped', 'decov', 'decov-no', 'hinge',
        'hinge-L2', 'hinge-L2-no', 'hinge-no', 'local_convolution_2d',
        'local_convolution_2d-stride', 'roi_average_align_2d',
        'roi_average_align_2d-outsize_int', 'roi_average_align_2d-sampling_ratio',
        'roi_average_pooling_2d', 'roi_average_pooling_2d-outsize_int', 'roi_max_align_2d',
        'roi_max_align_2d-outsize_int', 'roi_max_align_2d-sampling_ratio', 'roi_max_pooling_2d',
        'roi_max_pooling_2d-outsize_int', 'spatial_transformer_grid',
        'spatial_transformer_sampler', 'spatial_transformer_sampler-outside', 'tree_lstm-three',
        'tree_lstm-two'), ONCE),
    **dict.fromkeys((
        'max_pooling_1d-tuples', 'max_pooling_3d-tuples', 'max_pooling_nd-1d-tuples',
        'max_pooling_nd-2d-tuples', 'max_pooling_nd-3d-tuples',
        'spatial_pyramid_pooling_2d-three-uneven'), PADDING),
}

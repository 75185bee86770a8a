"""Cases: losses and measures."""

import numpy as np

from .table import case, given, integers, positive, real

LABELS = given([1, -1, 3, 0], 'int32')
WEIGHTS = np.array([.5, 2., 1., 3.])
FOUR_D = [real(2, 3, 2, 2), given([[[0, 1], [-1, 2]], [[2, 2], [1, -1]]], 'int32')]
BINARY = given([[1, 0, -1], [0, 1, 1]], 'int32')


def cross_entropy(variant, inputs=None, **options):
    """One case of softmax_cross_entropy that can be differentiated twice."""
    refused = options.pop('refused', False)
    options.setdefault('enable_double_backprop', True)
    return case('softmax_cross_entropy', variant, inputs or [real(4, 4, low=-3, high=3), LABELS],
                refused=refused,
                **options)


CASES = [
    cross_entropy(''),
    cross_entropy('once_differentiable', enable_double_backprop=False),
    cross_entropy('once_differentiable-class_weight-no', enable_double_backprop=False,
                  class_weight=WEIGHTS,
                  reduce='no'),
    cross_entropy('once_differentiable-normalize_false', enable_double_backprop=False,
                  normalize=False),
    cross_entropy('once_differentiable-4d', FOUR_D, enable_double_backprop=False),
    cross_entropy('once_differentiable-cache_score_false', enable_double_backprop=False,
                  cache_score=False),
    cross_entropy('once_differentiable-all_ignored', [real(2, 3), given([-1, -1], 'int32')],
                  enable_double_backprop=False),
    cross_entropy('normalize_false', normalize=False),
    cross_entropy('class_weight', class_weight=WEIGHTS),
    cross_entropy('class_weight-normalize_false', class_weight=WEIGHTS, normalize=False),
    cross_entropy('class_weight-no', class_weight=WEIGHTS, reduce='no'),
    cross_entropy('ignore_label', ignore_label=3),
    cross_entropy('ignore_label-outside', [real(3, 4), given([1, 255, 0], 'int32')],
                  ignore_label=255),
    cross_entropy('no', reduce='no'),
    cross_entropy('no-4d', FOUR_D, reduce='no'),
    cross_entropy('4d', FOUR_D),
    cross_entropy('4d-normalize_false', FOUR_D, normalize=False),
    cross_entropy('4d-class_weight', FOUR_D, class_weight=WEIGHTS[:3]),
    cross_entropy('all_ignored', [real(2, 3), given([-1, -1], 'int32')]),
    cross_entropy('float32', [real(4, 4, low=-3, high=3, dtype='float32'), LABELS]),
    cross_entropy('int64_labels', [real(4, 4), given([1, -1, 3, 0], 'int64')]),
    cross_entropy('label_variable', [real(4, 4), LABELS.boxed()]),
    cross_entropy('cache_score_false', cache_score=False),
    cross_entropy('soft_target', [real(3, 4), positive(3, 4, low=.1, high=.4).raw()],
                  enable_double_backprop=False),
    cross_entropy('soft_target-no', [real(3, 4), positive(3, 4, low=.1, high=.4).raw()],
                  reduce='no',
                  enable_double_backprop=False),
    cross_entropy('soft_target-kl', [real(3, 4), positive(3, 4, low=.1, high=.4).raw()],
                  soft_target_loss='kl-divergence', enable_double_backprop=False),
    cross_entropy('extremes',
                  [given([[1000., 0., -1000.], [-1000., 1000., 0.]]), given([0, 0], 'int32')]),
    cross_entropy('labels_of_another_shape', [real(4, 4), given([1, 2], 'int32')], refused=True),
    cross_entropy('unknown_reduce', reduce='sum', refused=True),
    case('sigmoid_cross_entropy', '', [real(2, 3, low=-3, high=3), BINARY]),
    case('sigmoid_cross_entropy', 'normalize_false', [real(2, 3, low=-3, high=3), BINARY],
         normalize=False),
    case('sigmoid_cross_entropy', 'no', [real(2, 3, low=-3, high=3), BINARY], reduce='no'),
    case('sigmoid_cross_entropy', 'all_ignored', [real(2, 3), given(-np.ones((2, 3)), 'int32')]),
    case('sigmoid_cross_entropy', 'extremes',
         [given([[100., -100., 1000.]]), given([[0, 0, 1]], 'int32')],
         double=False),
    case('sigmoid_cross_entropy', 'float32', [real(2, 3, dtype='float32'), BINARY]),
    case('absolute_error', '', [real(2, 3), real(2, 3)]),
    case('squared_error', '', [real(2, 3), real(2, 3)]),
    case('mean_absolute_error', '', [real(2, 3), real(2, 3)]),
    case('mean_absolute_error', 'equal', [given([1., 2.]), given([1., 3.])]),
    case('mean_squared_error', '', [real(2, 3), real(2, 3)]),
    case('mean_squared_error', 'float32',
         [real(2, 3, dtype='float32'), real(2, 3, dtype='float32')]),
    case('mean_squared_error', 'shapes_that_do_not_meet', [real(2, 3), real(3)], refused=True),
    case('huber_loss', '', [real(3, 4, low=-2, high=2), real(3, 4)], delta=1.),
    case('huber_loss', 'no', [real(3, 4, low=-2, high=2), real(3, 4)], delta=.5, reduce='no'),
    case('huber_loss', '3d', [real(2, 3, 2), real(2, 3, 2)], delta=.5),
    case('contrastive', '', [real(4, 3), real(4, 3), given([0, 1, 1, 0], 'int32')]),
    case('contrastive', 'margin', [real(4, 3), real(4, 3), given([0, 1, 1, 0], 'int32')],
         margin=3.),
    case('contrastive', 'no', [real(4, 3), real(4, 3), given([0, 1, 1, 0], 'int32')], reduce='no'),
    case('triplet', '', [real(4, 3), real(4, 3), real(4, 3)]),
    case('triplet', 'margin', [real(4, 3), real(4, 3), real(4, 3)], margin=2.),
    case('triplet', 'no', [real(4, 3), real(4, 3), real(4, 3)], reduce='no'),
    case('hinge', '', [real(4, 3), given([0, 2, 1, 0], 'int32')]),
    case('hinge', 'L2', [real(4, 3), given([0, 2, 1, 0], 'int32')], norm='L2'),
    case('hinge', 'no', [real(4, 3), given([0, 2, 1, 0], 'int32')], reduce='no'),
    case('hinge', 'L2-no', [real(4, 3), given([0, 2, 1, 0], 'int32')], norm='L2', reduce='no'),
    case('hinge', 'unknown_norm', [real(4, 3), given([0, 2, 1, 0], 'int32')], norm='L3',
         refused=True),
    case('bernoulli_nll', '', [real(2, 3, low=0), real(2, 3)]),
    case('bernoulli_nll', 'mean', [real(2, 3, low=0), real(2, 3)], reduce='mean'),
    case('bernoulli_nll', 'no', [real(2, 3, low=0), real(2, 3)], reduce='no'),
    case('gaussian_nll', '', [real(2, 3), real(2, 3), real(2, 3)]),
    case('gaussian_nll', 'mean', [real(2, 3), real(2, 3), real(2, 3)], reduce='mean'),
    case('gaussian_nll', 'no', [real(2, 3), real(2, 3), real(2, 3)], reduce='no'),
    case('gaussian_kl_divergence', '', [real(2, 3), real(2, 3)]),
    case('gaussian_kl_divergence', 'mean', [real(2, 3), real(2, 3)], reduce='mean'),
    case('gaussian_kl_divergence', 'no', [real(2, 3), real(2, 3)], reduce='no'),
    case('cross_covariance', '', [real(4, 2), real(4, 3)]),
    case('cross_covariance', 'no', [real(4, 2), real(4, 3)], reduce='no'),
    case('decov', '', [real(4, 3)]),
    case('decov', 'no', [real(4, 3)], reduce='no'),
    case('discriminative_margin_based_clustering_loss', '',
         [real(3, 3, 3, 4), integers(3, 3, 4, high=3)], delta_v=.5, delta_d=1.5,
         max_embedding_dim=3, double=False),
    case('black_out', '',
         [real(2, 3), given([1, 4], 'int32'), real(5, 3), given([[0, 2], [3, 0]], 'int32')]),
    case('black_out', 'no',
         [real(2, 3), given([1, 4], 'int32'), real(5, 3), given([[0, 2], [3, 0]], 'int32')],
         reduce='no'),
    case('crf1d', '', [real(3, 3), real(2, 3), real(2, 3), real(1, 3)],
         lambda F, cost,
         *xs: F.crf1d(cost, xs, [np.array(y, 'i') for y in ([0, 2], [1, 1], [2])])),
    case('crf1d', 'no', [real(3, 3), real(2, 3), real(2, 3), real(1, 3)],
         lambda F, cost,
         *xs: F.crf1d(cost, xs, [np.array(y, 'i') for y in ([0, 2], [1, 1], [2])], reduce='no')),
    case('argmax_crf1d', '', [real(3, 3), real(2, 3), real(2, 3), real(1, 3)],
         lambda F, cost, *xs: F.argmax_crf1d(cost, xs)),
    case('negative_sampling', 'fixed_sampler', [real(3, 2), given([1, 0, 4], 'int32'), real(5, 2)],
         lambda F, x, t, W: F.negative_sampling(x, t, W, _fixed_sampler, 2)),
    case('negative_sampling', 'ignored', [real(3, 2), given([1, -1, 4], 'int32'), real(5, 2)],
         lambda F, x, t, W: F.negative_sampling(x, t, W, _fixed_sampler, 2)),
    case('negative_sampling', 'no-return_samples',
         [real(3, 2), given([1, 0, 4], 'int32'), real(5, 2)],
         lambda F, x, t,
         W: F.negative_sampling(x, t, W, _fixed_sampler, 2, reduce='no', return_samples=True)),
]

# Connectionist temporal classification.


def _ctc(variant, inputs, labels, **options):
    refused = options.pop('refused', False)
    return case('connectionist_temporal_classification', variant, inputs,
                lambda F,
                *xs: F.connectionist_temporal_classification(list(xs), labels, 0, **options),
                refused=refused)


STEPS = [real(2, 4) for _ in range(5)]
TARGETS = np.array([[1, 2], [3, 3]], 'i')
CASES += [
    _ctc('', STEPS, TARGETS),
    _ctc('no', STEPS, TARGETS, reduce='no'),
    _ctc('input_length', STEPS, TARGETS, input_length=np.array([5, 4], 'i')),
    _ctc('label_length', STEPS, TARGETS, label_length=np.array([2, 1], 'i')),
    _ctc('input_length-label_length', STEPS, TARGETS, input_length=np.array([3, 5], 'i'),
         label_length=np.array([1, 2], 'i')),
    _ctc('blank_label_zero_length', STEPS, TARGETS, label_length=np.array([0, 2], 'i')),
    _ctc('float32', [real(2, 4, dtype='float32') for _ in range(4)], TARGETS),
    case('connectionist_temporal_classification', 'last_is_blank', STEPS,
         lambda F,
         *xs: F.connectionist_temporal_classification(xs, np.array([[0, 1], [2, 1]], 'i'), 3)),
]

# Measures.
SCORES = [real(6, 3), given([0, 2, 1, -1, 1, 2], 'int32')]
CASES += [
    case('accuracy', '', [real(6, 3), integers(6, high=3)]),
    case('accuracy', 'ignore_label', SCORES, ignore_label=-1),
    case('accuracy', 'all_ignored', [real(2, 3), given([-1, -1], 'int32')], ignore_label=-1),
    case('accuracy', '4d', [real(2, 3, 2, 2), integers(2, 2, 2, high=3)]),
    case('accuracy', 'float32', [real(6, 3, dtype='float32'), integers(6, high=3)]),
    case('accuracy', 'labels_of_another_shape', [real(6, 3), integers(5, high=3)], refused=True),
    case('binary_accuracy', '', [real(2, 3), BINARY]),
    case('binary_accuracy', 'at_zero', [given([0., 0.]), given([0, 1], 'int32')]),
    case('classification_summary', '', [real(6, 3), integers(6, high=3)]),
    case('classification_summary', 'label_num-beta-ignored', SCORES, label_num=4, beta=2.,
         ignore_label=-1),
    case('precision', '', SCORES),
    case('recall', '', SCORES),
    case('f1_score', '', SCORES, label_num=3),
    case('r2_score', '', [real(5), real(5)]),
    case('r2_score', 'raw_values', [real(5, 2), real(5, 2)], multioutput='raw_values'),
]


def _fixed_sampler(shape):
    return (np.arange(int(np.prod(shape))) * 2 % 5).reshape(shape).astype('i')

"""Cases: activations, dropout and the other functions that draw, normalizations."""

import numpy as np

from .table import case, given, integers, positive, real, spread

CASES = []
for word in ('relu', 'relu6', 'leaky_relu', 'sigmoid', 'hard_sigmoid', 'softplus', 'elu', 'selu',
             'clipped_relu',
             'softmax', 'log_softmax', 'crelu'):
    CASES += [
        case(word, '', [real(2, 4, low=-4, high=8)]),
        case(word, 'float32', [real(2, 4, low=-4, high=8, dtype='float32')]),
    ]
EXTREMES = given([[-1000., -100., -30., 0., 30., 100., 1000.]])
CASES += [case(word, 'extremes', [EXTREMES], double=False)
          for word in ('sigmoid', 'softplus', 'elu', 'selu', 'softmax', 'log_softmax', 'tanh')]
KINKS = given([-3., -2.5, 0., 2.5, 6., 20.])
CASES += [case(word, 'kinks', [KINKS])
          for word in ('relu', 'relu6', 'leaky_relu', 'hard_sigmoid', 'elu', 'selu',
                       'clipped_relu')]

CASES += [
    case('relu', '4d', [real(2, 3, 2, 2)]),
    case('relu', 'integers', [integers(2, 3, low=-2, high=3)], refused=True),
    case('leaky_relu', 'slope', [real(2, 4)], slope=.01),
    case('leaky_relu', 'negative_slope', [real(2, 4)], slope=-.5),
    case('leaky_relu', 'slope_zero', [real(2, 4)], slope=0),
    case('softplus', 'beta', [real(2, 4)], beta=2.5),
    case('elu', 'alpha', [real(2, 4)], alpha=.5),
    case('selu', 'alpha-scale', [real(2, 4)], alpha=1.5, scale=.9),
    case('clipped_relu', 'z', [real(2, 4)], z=.5),
    case('crelu', 'axis', [real(2, 3, 2)], axis=2),
    case('crelu', 'negative_axis', [real(2, 3, 2)], axis=-1),
    case('maxout', '', [spread(2, 6)], pool_size=3),
    case('maxout', 'axis', [spread(2, 3, 4)], pool_size=2, axis=2),
    case('maxout', 'does_not_divide', [spread(2, 5)], pool_size=2, refused=True),
    case('prelu', '', [real(2, 3), real()]),
    case('prelu', 'channels', [real(2, 3, 4), real(3)]),
    case('prelu', 'all', [real(2, 3, 4), real(3, 4)]),
    case('rrelu', 'test', [real(2, 4)], config={'train': False}),
    case('rrelu', 'r', [real(2, 4), positive(2, 4, low=.1, high=.4).raw()],
         lambda F, x, r: F.rrelu(x, r=r, return_r=True)),
    case('rrelu', 'seeded', [real(2, 4)], seed=0),
    case('softmax', 'axis_zero', [real(3, 2)], axis=0),
    case('softmax', '4d', [real(2, 3, 2, 2)]),
    case('softmax', 'negative_axis', [real(2, 3, 4)], axis=-1),
    case('softmax', '1d', [real(4)], axis=0),
    case('softmax', 'axis_out_of_range', [real(4)], refused=True),
    case('softmax', 'float16', [real(2, 4, dtype='float16')]),
    case('log_softmax', 'axis_zero', [real(3, 2)], axis=0),
    case('log_softmax', '4d', [real(2, 3, 2, 2)]),
    case('log_softmax', 'negative_axis', [real(2, 3, 4)], axis=-1),
    case('swish', '', [real(2, 3), real(3)]),
    case('swish', '0d_beta', [real(2, 3), real()]),
    case('lstm', '', [real(3, 4), real(3, 16)]),
    case('lstm', 'shorter', [real(3, 4), real(2, 16)]),
    case('lstm', 'float32', [real(3, 4, dtype='float32'), real(3, 16, dtype='float32')]),
    case('lstm', 'only_h', [real(3, 2), real(3, 8)], lambda F, c, x: F.lstm(c, x)[1]),
    case('lstm', 'only_c', [real(3, 2), real(3, 8)], lambda F, c, x: F.lstm(c, x)[0]),
    case('lstm', 'three_steps', [real(2, 2), real(2, 8), real(2, 8), real(1, 8)],
         lambda F, c, *xs: _three_steps(F, c, xs)),
    case('lstm', '4d', [real(2, 2, 2, 1), real(2, 8, 2, 1)]),
    case('lstm', 'wrong_width', [real(3, 4), real(3, 12)], refused=True),
    case('slstm', '', [real(3, 2), real(3, 2), real(3, 8), real(3, 8)]),
    case('tree_lstm', 'two', [real(3, 2), real(3, 2), real(3, 10)]),
    case('tree_lstm', 'three', [real(2, 2), real(2, 2), real(2, 2), real(2, 12)]),
]

# Dropout and the other functions that draw.
CASES += [
    case('dropout', 'test', [real(2, 4)], config={'train': False}),
    case('dropout', 'mask', [real(2, 4), given([[0, 2, 2, 0], [2, 0, 2, 2]]).raw()],
         lambda F, x, mask: F.dropout(x, mask=mask)),
    case('dropout', 'mask-return_mask', [real(2, 4), given([[0, 2, 2, 0], [2, 0, 2, 2]]).raw()],
         lambda F, x, mask: F.dropout(x, mask=mask, return_mask=True)),
    case('dropout', 'ratio_zero', [real(2, 4)], ratio=0.),
    case('dropout', 'test-return_mask', [real(2, 4)], ratio=.5, return_mask=True,
         config={'train': False}),
    case('dropout', 'ratio_one', [real(2, 4)], ratio=1., refused=True),
    case('dropout', 'seeded', [real(3, 4)], ratio=.3, return_mask=True, seed=0),
    case('dropout', 'seeded-float32', [real(3, 4, dtype='float32')], ratio=.3, return_mask=True,
         seed=0),
    case('gaussian', 'eps', [real(2, 3), real(2, 3), real(2, 3).raw()],
         lambda F, mean, ln_var, eps: F.gaussian(mean, ln_var, eps=eps)),
    case('gaussian', 'eps-return_eps', [real(2, 3), real(2, 3), real(2, 3).raw()],
         lambda F, mean, ln_var, eps: F.gaussian(mean, ln_var, eps=eps, return_eps=True)),
    case('gaussian', 'seeded', [real(2, 3), real(2, 3)], seed=0, return_eps=True),
    case('gumbel_softmax', 'seeded', [real(2, 3)], seed=0, tau=.5),
    case('zoneout', 'test', [real(2, 3), real(2, 3)], config={'train': False}),
    case('zoneout', 'seeded', [real(2, 3), real(2, 3)], ratio=.3, seed=0),
    case('simplified_dropconnect', 'mask',
         [real(2, 3), real(4, 3), real(4), given(np.arange(24) % 3 > 0, 'bool')],
         lambda F, x, W, b, mask: F.simplified_dropconnect(x, W, b, mask=mask.reshape(2, 4, 3))),
    case('simplified_dropconnect', 'test', [real(2, 3), real(4, 3), real(4)], train=False),
]

# Normalizations.
BATCH = [real(4, 3), positive(3), real(3)]
IMAGES = [real(2, 3, 2, 2), positive(3), real(3)]
STATISTICS = [real(3).raw(), positive(3).raw()]


def _with_averages(F, x, gamma, beta, mean, var, **options):
    return F.batch_normalization(x, gamma, beta, running_mean=mean, running_var=var,
                                 **options), mean, var


CASES += [
    case('batch_normalization', '', BATCH),
    case('batch_normalization', '4d', IMAGES),
    case('batch_normalization', 'eps', BATCH, eps=.1),
    case('batch_normalization', 'float32',
         [real(4, 3, dtype='float32'), positive(3, dtype='float32'),
                                            real(3, dtype='float32')]),
    case('batch_normalization', 'float16_x',
         [real(4, 3, dtype='float16'), positive(3, dtype='float32'),
                                              real(3, dtype='float32')]),
    case('batch_normalization', 'axis', [real(4, 3, 2), positive(3, 2), real(3, 2)], axis=0),
    case('batch_normalization', 'axis_last', [real(2, 2, 2, 3), positive(3), real(3)],
         axis=(0, 1, 2)),
    case('batch_normalization', 'test_mode_is_the_same', BATCH, config={'train': False}),
    case('batch_normalization', 'averages', BATCH + STATISTICS, _with_averages),
    case('batch_normalization', 'averages-decay-4d', IMAGES + STATISTICS,
         lambda F, *xs: _with_averages(F, *xs, decay=.5, eps=1e-3)),
    case('batch_normalization', 'batch_of_one', [real(1, 3), positive(3), real(3)], double=False),
    case('batch_normalization', 'eps_too_small', BATCH, eps=1e-6),
    case('batch_normalization', 'wrong_gamma', [real(4, 3), positive(4), real(3)], refused=True),
    case('fixed_batch_normalization', '', BATCH + [real(3), positive(3)]),
    case('fixed_batch_normalization', 'eps-4d', IMAGES + [real(3), positive(3)], eps=.1),
    case('fixed_batch_normalization', 'axis',
         [real(4, 3, 2), positive(3, 2), real(3, 2), real(3, 2), positive(3, 2)],
         axis=0),
    case('fixed_batch_normalization', 'arrays', BATCH + STATISTICS),
    case('batch_renormalization', '', BATCH + STATISTICS,
         lambda F, x, gamma, beta, mean, var: (F.batch_renormalization(
             x, gamma, beta, 3., 5., running_mean=mean, running_var=var, update_statistics=True),
                                               mean, var)),
    case('batch_renormalization', 'clipped', BATCH + STATISTICS,
         lambda F, x, gamma, beta, mean, var: F.batch_renormalization(
             x, gamma, beta, 1.1, .1, running_mean=mean, running_var=var)),
    case('fixed_batch_renormalization', '', BATCH + [real(3), positive(3)]),
    case('decorrelated_batch_normalization', '', [real(6, 4)], groups=2),
    case('decorrelated_batch_normalization', '4d', [real(3, 4, 2, 2)], groups=2),
    case('fixed_decorrelated_batch_normalization', '', [real(6, 4), real(2, 2), real(2, 2, 2)],
         groups=2),
    case('layer_normalization', '', [real(3, 4), positive(4), real(4)]),
    case('layer_normalization', 'eps', [real(3, 4), positive(4), real(4)], eps=.1),
    case('layer_normalization', 'float32',
         [real(3, 4, dtype='float32'), positive(4, dtype='float32'),
                                            real(4, dtype='float32')]),
    case('group_normalization', '', [real(2, 4, 3), positive(4), real(4)],
         lambda F, x, gamma, beta: F.group_normalization(x, 2, gamma, beta)),
    case('group_normalization', '4d-eps', [real(2, 4, 2, 2), positive(4), real(4)],
         lambda F, x, gamma, beta: F.group_normalization(x, 2, gamma, beta, eps=.1)),
    case('group_normalization', 'one_group', [real(2, 3, 2), positive(3), real(3)],
         lambda F, x, gamma, beta: F.group_normalization(x, 1, gamma, beta)),
    case('group_normalization', 'does_not_divide', [real(2, 3, 2), positive(3), real(3)],
         lambda F, x, gamma, beta: F.group_normalization(x, 2, gamma, beta), refused=True),
    case('local_response_normalization', '', [real(2, 7, 2, 2, low=-3, high=3)]),
    case('local_response_normalization', 'n', [real(2, 5, 2, low=-3, high=3)], n=3, k=1, alpha=.1,
         beta=.5),
    case('local_response_normalization', 'even_n', [real(2, 5, 2, low=-3, high=3)], n=4, alpha=.1),
    case('normalize', '', [real(2, 3)]),
    case('normalize', 'eps', [real(2, 3)], eps=.1),
    case('normalize', 'axis', [real(2, 3, 4)], axis=2),
    case('normalize', 'axes', [real(2, 3, 4)], axis=(1, 2)),
    case('normalize', 'zero', [given([[0., 0.], [3., 4.]])], double=False),
]


def _three_steps(F, c, xs):
    hs = []
    for x in xs:
        c, h = F.lstm(c, x)
        hs.append(h)
    return [c, *hs]

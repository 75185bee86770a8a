"""Cases: pooling in one, two and three dimensions, its inverses, and regions of interest."""

import numpy as np

from .table import case, given, real, spread

CASES = [
    case('max_pooling_2d', '', [spread(2, 2, 4, 5)], ksize=2),
    case('max_pooling_2d', 'cover_all_false', [spread(2, 2, 5, 5)], ksize=2, cover_all=False),
    case('max_pooling_2d', 'stride', [spread(1, 2, 6, 7)], ksize=3, stride=2),
    case('max_pooling_2d', 'pairs', [spread(1, 2, 6, 5)], ksize=(3, 2), stride=(2, 1), pad=(1, 0)),
    case('max_pooling_2d', 'pad', [spread(1, 2, 4, 4)], ksize=3, stride=2, pad=1),
    case('max_pooling_2d', 'pad-cover_all_false', [spread(1, 2, 5, 6)], ksize=3, stride=2, pad=1,
         cover_all=False),
    case('max_pooling_2d', 'negative_inputs-pad', [spread(1, 1, 4, 4, low=-3, high=-1)], ksize=3,
         stride=2, pad=1),
    case('max_pooling_2d', 'ties', [given([[[[1., 1., 2.], [1., 1., 2.], [0., 0., 2.]]]])],
         ksize=2, stride=1),
    case('max_pooling_2d', 'float32', [spread(2, 2, 4, 4, dtype='float32')], ksize=2),
    case('max_pooling_2d', 'return_indices', [spread(2, 2, 4, 5)], ksize=2, return_indices=True),
    case('max_pooling_2d', 'return_indices-pad', [spread(1, 2, 5, 4)], ksize=3, stride=2, pad=1,
         return_indices=True),
    case('max_pooling_2d', 'stride_beyond_ksize', [spread(1, 1, 7, 7)], ksize=2, stride=3),
    case('max_pooling_2d', 'whole', [spread(2, 3, 3, 4)], ksize=(3, 4)),
    case('average_pooling_2d', '', [real(2, 2, 4, 5)], ksize=2),
    case('average_pooling_2d', 'stride', [real(1, 2, 6, 7)], ksize=3, stride=2),
    case('average_pooling_2d', 'pairs', [real(1, 2, 6, 5)], ksize=(3, 2), stride=(2, 1),
         pad=(1, 0)),
    case('average_pooling_2d', 'pad', [real(1, 2, 4, 4)], ksize=3, stride=2, pad=1),
    case('average_pooling_2d', 'float32', [real(2, 2, 4, 4, dtype='float32')], ksize=2),
    case('average_pooling_2d', 'whole', [real(2, 3, 3, 4)], ksize=(3, 4)),
    case('unpooling_2d', '', [real(2, 2, 2, 3)], ksize=2),
    case('unpooling_2d', 'cover_all_false', [real(1, 2, 2, 3)], ksize=2, cover_all=False),
    case('unpooling_2d', 'stride-pad', [real(1, 2, 3, 2)], ksize=3, stride=2, pad=1),
    case('unpooling_2d', 'outsize', [real(1, 2, 2, 2)], ksize=2, outsize=(3, 4)),
    case('unpooling_2d', 'pairs-outsize', [real(1, 1, 3, 3)], ksize=(2, 3), stride=(2, 1),
         outsize=(6, 5),
         cover_all=False),
    case('upsampling_2d', '', [spread(1, 2, 4, 4)],
         lambda F, x: _pool_and_upsample(F, x, 2)),
    case('upsampling_2d', 'outsize', [spread(1, 2, 5, 4)],
         lambda F, x: _pool_and_upsample(F, x, 2, outsize=(5, 4))),
    case('spatial_pyramid_pooling_2d', '', [spread(2, 2, 4, 4)], pyramid_height=2, pooling='max'),
    case('spatial_pyramid_pooling_2d', 'three-uneven', [spread(1, 2, 5, 7)], pyramid_height=3,
         pooling='max'),
    case('spatial_pyramid_pooling_2d', 'unknown_pooling', [spread(1, 2, 4, 6)], pyramid_height=2,
         refused=True),
]

for dimensions, x in ((1, (7,)), (2, (5, 4)), (3, (3, 4, 3))):
    pairs = {'ksize': (2, 3, 2)[:dimensions], 'stride': (2, 1, 1)[:dimensions],
             'pad': (1, 1, 0)[:dimensions]}
    for suffix in (f'{dimensions}d', 'nd'):
        prefix = f'{dimensions}d-' if suffix == 'nd' else ''
        largest, average = f'max_pooling_{suffix}', f'average_pooling_{suffix}'
        un = f'unpooling_{suffix}'
        if suffix != '2d':
            CASES += [
                case(largest, f'{prefix}plain', [spread(2, 2, *x)], ksize=2),
                case(largest, f'{prefix}cover_all_false', [spread(1, 2, *x)], ksize=2,
                     cover_all=False),
                case(largest, f'{prefix}tuples', [spread(1, 2, *x)], **pairs),
                case(largest, f'{prefix}return_indices', [spread(1, 1, *x)], ksize=2,
                     return_indices=True),
                case(average, f'{prefix}plain', [real(2, 2, *x)], ksize=2),
                case(average, f'{prefix}tuples', [real(1, 2, *x)], **pairs),
                case(average, f'{prefix}pad_value_none', [real(1, 2, *x)], pad_value=None,
                     **pairs),
                case(un, f'{prefix}plain', [real(1, 2, *(2,) * dimensions)], ksize=2),
                case(un, f'{prefix}cover_all_false-stride', [real(1, 1, *(2,) * dimensions)],
                     ksize=3, stride=2,
                     cover_all=False),
                case(un, f'{prefix}outsize', [real(1, 1, *(2,) * dimensions)], ksize=2,
                     outsize=(4,) * dimensions, cover_all=False),
            ]

# Regions of interest on features of 8 x 9, in image coordinates of twice their resolution.
CORNERS = np.array([[0, 0, 8, 6], [2, 4, 13, 15], [5, 5, 6, 6]], 'float64')  # y0 x0 y1 x1
INDICES = np.array([0, 1, 1], 'int32')
OLD = np.concatenate([INDICES[:, None], CORNERS[:, [1, 0, 3, 2]]], axis=1)  # index x0 y0 x1 y1
FEATURES = spread(2, 2, 8, 9)
CASES += [
    case('roi_pooling_2d', '', [FEATURES, given(OLD).raw()], outh=3, outw=2, spatial_scale=.5),
    case('roi_pooling_2d', 'full_scale', [FEATURES, given(OLD * [1, .5, .5, .5, .5]).raw()],
         outh=2, outw=2,
         spatial_scale=1.),
]
for word in ('roi_max_pooling_2d', 'roi_average_pooling_2d', 'roi_max_align_2d',
             'roi_average_align_2d'):
    dtype = 'float32' if 'align' in word else 'float64'
    regions = [spread(2, 2, 8, 9, dtype=dtype), given(CORNERS, dtype).raw(),
               given(INDICES, 'int32')]
    CASES += [
        case(word, '', regions, outsize=(3, 2), spatial_scale=.5),
        case(word, 'outsize_int', regions, outsize=2, spatial_scale=.5),
    ]
    if 'align' in word:
        CASES.append(case(word, 'sampling_ratio', regions, outsize=(2, 3), spatial_scale=.5,
                          sampling_ratio=(2, 1)))


def _pool_and_upsample(F, x, ksize, **options):
    y, indices = F.max_pooling_2d(x, ksize, return_indices=True)
    return F.upsampling_2d(y, indices, ksize, **options)

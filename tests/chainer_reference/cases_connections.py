"""Cases: linear maps, convolutions, embeddings and whole recurrent networks."""

from .table import case, given, integers, real


def single(*shape):
    """Floats of single precision."""
    return real(*shape, dtype='float32')


CASES = [
    case('linear', '', [real(2, 3), real(4, 3)]),
    case('linear', 'b', [real(2, 3), real(4, 3), real(4)]),
    case('linear', 'float32',
         [real(2, 3, dtype='float32'), real(4, 3, dtype='float32'), real(4, dtype='float32')]),
    case('linear', 'flattened', [real(2, 2, 3), real(4, 6), real(4)]),
    case('linear', 'n_batch_axes', [real(2, 5, 3), real(4, 3), real(4)], n_batch_axes=2),
    case('linear', 'n_batch_axes-flattened', [real(2, 2, 3, 2), real(4, 6)], n_batch_axes=2),
    case('linear', 'mixed_dtypes', [real(2, 3, dtype='float32'), real(4, 3)]),
    case('linear', 'wrong_width', [real(2, 3), real(4, 5)], refused=True),
    case('linear', 'zero_rows', [real(0, 3), real(4, 3), real(4)]),
    case('bilinear', '', [single(2, 3), single(2, 4), single(3, 4, 2)]),
    case('bilinear', 'b',
         [single(2, 3), single(2, 4), single(3, 4, 2), single(3, 2), single(4, 2), single(2)]),
    case('embed_id', '', [integers(2, 3, high=5), real(5, 2)]),
    case('embed_id', 'repeated', [given([1, 1, 4, 1], 'int32'), real(5, 2)]),
    case('embed_id', 'ignore_label', [given([[1, -1], [4, 1]], 'int32'), real(5, 2)],
         ignore_label=-1),
    case('embed_id', 'ignore_label_inside', [given([1, 3, 4, 1], 'int32'), real(5, 2)],
         ignore_label=3),
    case('embed_id', 'int64', [given([1, 3], 'int64'), real(5, 2, dtype='float32')]),
    case('embed_id', 'variable', [integers(3, high=5).boxed(), real(5, 2)]),
    case('embed_id', 'floats_are_refused', [real(3), real(5, 2)], refused=True),
    case('local_convolution_2d', '', [real(2, 2, 4, 4), real(3, 3, 3, 2, 2, 2), real(3, 3, 3)]),
    case('local_convolution_2d', 'stride', [real(2, 2, 4, 5), real(2, 2, 2, 2, 2, 2)], stride=2),
    case('depthwise_convolution_2d', '', [real(2, 2, 4, 4), real(3, 2, 3, 2)]),
    case('depthwise_convolution_2d', 'b-stride-pad', [real(2, 2, 4, 4), real(2, 2, 2, 2), real(4)],
         stride=2, pad=1),
    case('dilated_convolution_2d', '', [real(2, 2, 5, 5), real(3, 2, 2, 2), real(3)], dilate=2),
    case('dilated_convolution_2d', 'pair-stride-pad', [real(1, 2, 6, 5), real(2, 2, 2, 2)],
         stride=(2, 1), pad=1,
         dilate=(2, 1)),
    case('dilated_convolution_2d', 'cover_all', [real(1, 2, 6, 6), real(2, 2, 2, 2)], stride=2,
         dilate=2,
         cover_all=True),
    case('deformable_convolution_2d_sampler', '',
         [real(1, 2, 4, 4), real(1, 8, 3, 3, low=-.4, high=.4), real(2, 2, 2, 2), real(2)],
         stride=1, pad=0),
]


def convolution(variant, x, W, bias=None, **options):
    """One case of convolution_2d."""
    return case('convolution_2d', variant, [real(*x), real(*W)] + ([real(bias)] if bias else []),
                **options)


def deconvolution(variant, x, W, bias=None, **options):
    """One case of deconvolution_2d."""
    return case('deconvolution_2d', variant, [real(*x), real(*W)] + ([real(bias)] if bias else []),
                **options)


CASES += [
    convolution('', (2, 2, 4, 5), (3, 2, 3, 2)),
    convolution('b', (2, 2, 4, 4), (3, 2, 3, 3), 3),
    convolution('1x1', (2, 3, 3, 2), (2, 3, 1, 1), 2),
    convolution('stride', (1, 2, 6, 7), (2, 2, 3, 3), stride=2),
    convolution('stride_pair', (1, 2, 5, 7), (2, 2, 2, 3), 2, stride=(1, 3)),
    convolution('pad', (1, 2, 3, 4), (2, 2, 3, 3), pad=1),
    convolution('pad_pair', (1, 2, 3, 4), (2, 2, 3, 2), pad=(2, 0)),
    convolution('cover_all', (1, 2, 5, 6), (2, 2, 2, 3), stride=2, cover_all=True),
    convolution('cover_all-pad', (1, 2, 6, 6), (2, 2, 3, 3), 2, stride=2, pad=1, cover_all=True),
    convolution('dilate', (1, 2, 6, 5), (2, 2, 3, 2), 2, dilate=2),
    convolution('dilate_pair-stride-pad', (1, 2, 6, 6), (2, 2, 2, 2), stride=2, pad=1,
                dilate=(1, 2)),
    convolution('groups', (2, 4, 3, 4), (6, 2, 2, 2), 6, groups=2),
    convolution('groups-depthwise-stride', (1, 4, 5, 4), (4, 1, 3, 2), stride=2, pad=1, groups=4),
    convolution('groups-dilate', (1, 4, 5, 5), (2, 2, 2, 2), groups=2, dilate=2),
    convolution('window_larger_than_image', (1, 1, 2, 2), (1, 1, 3, 3), refused=True),
    convolution('channels_that_do_not_meet', (1, 2, 4, 4), (2, 3, 2, 2), refused=True),
    convolution('groups_that_do_not_divide', (1, 3, 4, 4), (2, 1, 2, 2), groups=2, refused=True),
    case('convolution_2d', 'float32',
         [real(2, 3, 5, 5, dtype='float32'), real(4, 3, 3, 3, dtype='float32'),
          real(4, dtype='float32')], pad=1),
    case('convolution_2d', 'mixed_dtypes', [real(1, 2, 3, 3, dtype='float32'), real(2, 2, 2, 2)]),
    case('convolution_2d', 'zero_rows', [real(0, 2, 4, 4), real(3, 2, 3, 3)]),
    deconvolution('', (2, 2, 2, 3), (2, 3, 3, 2)),
    deconvolution('b', (1, 2, 3, 3), (2, 3, 2, 2), 3),
    deconvolution('stride', (1, 2, 3, 2), (2, 2, 3, 3), 2, stride=2),
    deconvolution('stride_pair-pad_pair', (1, 2, 3, 3), (2, 2, 3, 2), stride=(2, 3), pad=(1, 0)),
    deconvolution('pad', (1, 2, 3, 4), (2, 2, 3, 3), pad=1),
    deconvolution('outsize', (1, 2, 3, 3), (2, 2, 3, 3), stride=2, pad=1, outsize=(6, 5)),
    deconvolution('outsize-cover_all', (1, 2, 3, 3), (2, 2, 3, 3), stride=2, outsize=(6, 7)),
    deconvolution('dilate', (1, 2, 3, 3), (2, 2, 2, 2), dilate=2),
    deconvolution('groups', (1, 4, 2, 3), (4, 3, 2, 2), 6, groups=2),
    deconvolution('groups-stride-dilate', (1, 4, 2, 2), (4, 1, 2, 2), stride=2, groups=4,
                  dilate=2),
    case('deconvolution_2d', 'float32',
         [real(1, 2, 3, 3, dtype='float32'), real(2, 3, 3, 3, dtype='float32')]),
    deconvolution('channels_that_do_not_meet', (1, 2, 4, 4), (3, 2, 2, 2), refused=True),
]

for dimensions, x, k in ((1, (6,), (3,)), (2, (5, 4), (3, 2)), (3, (3, 4, 3), (2, 2, 2))):
    for convolve in (f'convolution_{dimensions}d', 'convolution_nd'):
        if convolve == 'convolution_2d':
            continue
        prefix = f'{dimensions}d-' if convolve == 'convolution_nd' else ''
        CASES += [
            case(convolve, f'{prefix}plain', [real(2, 2, *x), real(3, 2, *k), real(3)]),
            case(convolve, f'{prefix}stride-pad', [real(1, 2, *x), real(2, 2, *k)], stride=2,
                 pad=1),
            case(convolve, f'{prefix}tuples', [real(1, 2, *x), real(2, 2, *k)],
                 stride=(2, 1, 2)[:dimensions],
                 pad=(1, 0, 1)[:dimensions]),
            case(convolve, f'{prefix}cover_all', [real(1, 1, *x), real(2, 1, *k)], stride=2,
                 cover_all=True),
            case(convolve, f'{prefix}dilate', [real(1, 1, *x), real(2, 1, *k)], dilate=2, pad=1),
            case(convolve, f'{prefix}groups', [real(1, 4, *x), real(2, 2, *k), real(2)], groups=2),
        ]
    for deconvolve in (f'deconvolution_{dimensions}d', 'deconvolution_nd'):
        if deconvolve == 'deconvolution_2d':
            continue
        prefix = f'{dimensions}d-' if deconvolve == 'deconvolution_nd' else ''
        small = tuple(size - 1 for size in x)
        CASES += [
            case(deconvolve, f'{prefix}plain', [real(1, 2, *small), real(2, 3, *k), real(3)]),
            case(deconvolve, f'{prefix}stride-pad', [real(1, 2, *small), real(2, 2, *k)], stride=2,
                 pad=1),
            case(deconvolve, f'{prefix}outsize', [real(1, 1, *small), real(1, 2, *k)], stride=2,
                 outsize=tuple(2 * (size - 1) + window + 1 for size, window in zip(small, k))),
            case(deconvolve, f'{prefix}dilate', [real(1, 1, *small), real(1, 2, *k)], dilate=2),
            case(deconvolve, f'{prefix}groups', [real(1, 4, *small), real(4, 1, *k), real(2)],
                 groups=2),
        ]

# Whole recurrent networks: three steps with batches of 3, 2, 1, of I inputs and H units.
BATCHES, I, H = (3, 2, 1), 2, 3


def _weights(gates, layers, directions):
    inputs = []
    for layer in range(layers):
        for _ in range(directions):
            width = I if layer == 0 else H * directions
            inputs += [real(H, width) for _ in range(gates // 2)]
            inputs += [real(H, H) for _ in range(gates // 2)]
            inputs += [real(H) for _ in range(gates)]
    return inputs


def _recurrent(name, variant, gates, layers=1, directions=1, states=1, batches=BATCHES,
               config=None, dropout=0.,
               seed=None, **options):
    """One case of an n_step function; inputs: states, per layer ws and bs, a batch a step."""
    stacks = layers * directions
    inputs = [real(stacks, batches[0], H) for _ in range(states)]

    def call(F, *operands):
        rest, ws, bs = list(operands[states:]), [], []
        for _ in range(stacks):
            ws.append([rest.pop(0) for _ in range(gates)])
            bs.append([rest.pop(0) for _ in range(gates)])
        return getattr(F, name)(layers, dropout, *operands[:states], ws, bs, rest, **options)

    return case(name, variant,
                inputs + _weights(gates, layers, directions) + [real(n, I) for n in batches], call,
                config=config, seed=seed, double=layers * directions < 4)


for name, gates, states in (('lstm', 8, 2), ('gru', 6, 1), ('rnn', 2, 1)):
    for prefix, directions in (('n_step_', 1), ('n_step_bi', 2)):
        whole = prefix + name
        CASES += [
            _recurrent(whole, '', gates, directions=directions, states=states),
            _recurrent(whole, 'two_layers', gates, layers=2, directions=directions, states=states,
                       batches=(2, 1)),
            _recurrent(whole, 'test-dropout', gates, layers=2, directions=directions,
                       states=states, batches=(2, 1),
                       dropout=.5, config={'train': False}),
        ]
    CASES.append(_recurrent(f'n_step_{name}', 'seeded-dropout', gates, layers=2, states=states,
                            batches=(2, 1),
                            dropout=.5, seed=0))
CASES += [
    _recurrent('n_step_rnn', 'relu', 2, activation='relu'),
    _recurrent('n_step_birnn', 'relu', 2, directions=2, activation='relu'),
]

"""Cases: links, alone and in chains."""

import numpy as np

from .table import given, integers, link_case, real

TREE = ((0, 1), (2, (3, 4)))
COUNTS = {0: 3, 1: 5, 2: 1, 3: 7, 4: 2}


def single(*shape, low=-1., high=1.):
    """Floats of single precision, which links have by default."""
    return real(*shape, low=low, high=high, dtype='float32')


ROWS, IMAGES = [single(4, 3)], [single(2, 2, 5, 4)]

CASES = [
    link_case('Linear', '', ROWS, 3, 4),
    link_case('Linear', 'nobias', ROWS, 3, 4, nobias=True),
    link_case('Linear', 'lazy', ROWS, None, 4),
    link_case('Linear', 'out_size_alone', ROWS, 4),
    link_case('Linear', 'flattened', [single(2, 2, 3)], 6, 4),
    link_case('Linear', 'lazy-flattened', [single(2, 2, 3)], None, 4),
    link_case('Linear', 'n_batch_axes', [single(2, 5, 3)], 3, 4,
              call=lambda library, link, x: link(x, n_batch_axes=2)),
    link_case('Linear', 'initial_scalars', ROWS, 3, 4, initialW=.5, initial_bias=-1, keep=True),
    link_case('Linear', 'initial_arrays', ROWS, 3, 2, initialW=np.ones((2, 3), 'f') * 2,
              initial_bias=np.arange(2, dtype='f'), keep=True),
    link_case('Linear', 'initializer', ROWS, keep=True, build=lambda library: library.links.Linear(
        3, 2, initialW=library.initializers.Normal(.2))),
    link_case('Linear', 'float64', [real(4, 3)], 3, 4, config={'dtype': np.float64}),
    link_case('Linear', 'float16', [real(4, 3, dtype='float16')], 3, 4,
              config={'dtype': np.float16}),
    link_case('Bias', '', [single(2, 3, 4)], 1, (3,)),
    link_case('Bias', 'two_inputs', [single(2, 3, 4), single(3)], 1),
    link_case('Scale', '', [single(2, 3, 4)], 1, (3,)),
    link_case('Scale', 'bias_term', [single(2, 3, 4)], 1, (3,), bias_term=True),
    link_case('Scale', 'bias_shape-axis_zero', [single(2, 3, 4), single(2)], axis=0,
              bias_term=True, bias_shape=(2,)),
    link_case('PReLU', '', ROWS),
    link_case('PReLU', 'shape', ROWS, (3,), init=.1),
    link_case('PReLU', 'initial', ROWS, (3,), init=.1, keep=True),
    link_case('Swish', '', ROWS, (3,)),
    link_case('Swish', 'lazy', ROWS, None, 2.),
    link_case('Parameter', '', [], np.arange(3, dtype='f')),
    link_case('Bilinear', '', [single(4, 3), single(4, 2)], 3, 2, 4),
    link_case('Bilinear', 'nobias', [single(4, 3), single(4, 2)], 3, 2, 4, nobias=True),
    link_case('EmbedID', '', [integers(2, 3, high=5)], 5, 3),
    link_case('EmbedID', 'ignore_label', [given([1, -1, 4], 'int32')], 5, 3, ignore_label=-1),
    link_case('EmbedID', 'initialW', [given([1, 4], 'int32')], 5, 3, initialW=1.5, keep=True),
    link_case('Highway', '', ROWS, 3),
    link_case('Highway', 'nobias', ROWS, 3, nobias=True),
    link_case('Maxout', '', ROWS, 3, 2, 4),
    link_case('Maxout', 'no_bias', ROWS, 3, 2, 2, initial_bias=None),
    link_case('Maxout', 'lazy', ROWS, None, 2, 2),
    link_case('SimplifiedDropconnect', '', ROWS, 3, 4, modes=(False,)),
    link_case('SimplifiedDropconnect', 'mask-nobias', [single(2, 3), given(
        np.arange(24).reshape(2, 4, 3) % 3 > 0, 'bool')], 3, 4, nobias=True,
        call=lambda library, link, x, mask: link(x, mask=mask), modes=(True,)),
]

# Convolutions.
CASES += [
    link_case('Convolution2D', '', IMAGES, 2, 3, 3),
    link_case('Convolution2D', 'ksize_pair-stride-pad', IMAGES, 2, 3, (3, 2), stride=(2, 1),
              pad=(1, 0)),
    link_case('Convolution2D', 'nobias', IMAGES, 2, 3, 3, nobias=True),
    link_case('Convolution2D', 'lazy', IMAGES, None, 3, 3),
    link_case('Convolution2D', 'in_channels_left_out', IMAGES, 3, 3),
    link_case('Convolution2D', 'groups', [single(1, 4, 3, 3)], 4, 6, 2, groups=2),
    link_case('Convolution2D', 'lazy-groups', [single(1, 4, 3, 3)], None, 6, 2, groups=2),
    link_case('Convolution2D', 'dilate', IMAGES, 2, 3, 2, dilate=2),
    link_case('Convolution2D', 'initial_bias', IMAGES, 2, 3, 3, initialW=.1, initial_bias=1,
              keep=True),
    link_case('Convolution1D', '', [single(2, 2, 6)], 2, 3, 3, pad=1),
    link_case('Convolution1D', 'lazy-dilate', [single(2, 2, 6)], None, 3, 2, dilate=2),
    link_case('Convolution3D', '', [single(1, 2, 3, 3, 4)], 2, 2, 2, stride=2, nobias=True),
    link_case('ConvolutionND', '1d', [single(2, 2, 6)], 1, 2, 3, 3),
    link_case('ConvolutionND', '2d-lazy-cover_all', IMAGES, 2, None, 3, 2, stride=2,
              cover_all=True),
    link_case('ConvolutionND', '3d-groups', [single(1, 4, 3, 3, 2)], 3, 4, 2, 2, groups=2),
    link_case('Deconvolution2D', '', [single(1, 2, 3, 2)], 2, 3, 3),
    link_case('Deconvolution2D', 'stride-pad-outsize', [single(1, 2, 3, 3)], 2, 2, 3, stride=2,
              pad=1, outsize=(6, 6)),
    link_case('Deconvolution2D', 'lazy-nobias', [single(1, 2, 3, 2)], None, 3, 2, nobias=True),
    link_case('Deconvolution2D', 'in_channels_left_out', [single(1, 2, 3, 2)], 3, 2),
    link_case('Deconvolution2D', 'groups-dilate', [single(1, 4, 2, 2)], 4, 6, 2, groups=2,
              dilate=2),
    link_case('Deconvolution1D', '', [single(2, 2, 4)], 2, 3, 3, stride=2, pad=1),
    link_case('Deconvolution3D', '', [single(1, 2, 2, 2, 2)], 2, 1, 2, stride=2),
    link_case('DeconvolutionND', '1d-lazy', [single(2, 2, 4)], 1, None, 3, 3),
    link_case('DeconvolutionND', '2d-nobias', [single(1, 2, 3, 2)], 2, 2, 3, 2, nobias=True),
    link_case('DilatedConvolution2D', '', IMAGES, 2, 3, 2, dilate=2),
    link_case('DilatedConvolution2D', 'lazy-nobias', IMAGES, None, 3, 2, dilate=2, nobias=True),
    link_case('DepthwiseConvolution2D', '', IMAGES, 2, 3, 3, pad=1),
    link_case('DepthwiseConvolution2D', 'lazy-nobias', IMAGES, None, 2, 2, stride=2, nobias=True),
    link_case('LocalConvolution2D', '', [single(2, 2, 4, 4)], 2, 3, (4, 4), 3),
    link_case('DeformableConvolution2D', '', [single(1, 2, 4, 4)], 2, 2, 2, tolerance=1e-4),
    link_case('MLPConvolution2D', '', IMAGES, 2, (3, 4), 3),
    link_case('MLPConvolution2D', 'lazy-pad', IMAGES, None, (3, 2), 3, pad=1),
    link_case('Inception', '', [single(1, 2, 4, 4)], 2, 3, 2, 3, 1, 2, 2, tolerance=1e-4),
    link_case('Inception', 'lazy', [single(1, 2, 4, 4)], None, 3, 2, 3, 1, 2, 2, tolerance=1e-4),
    link_case('InceptionBN', 'avg', [single(2, 2, 4, 4)], 2, 3, 2, 3, 1, 2, 'avg', 2,
              tolerance=1e-4),
    link_case('InceptionBN', 'max-stride', [single(2, 2, 4, 4)], 2, 0, 2, 3, 1, 2, 'max',
              stride=2, tolerance=1e-4),
]

# Normalizations.
CASES += [
    link_case('BatchNormalization', '', ROWS, 3),
    link_case('BatchNormalization', '4d', [single(2, 3, 2, 2)], 3),
    link_case('BatchNormalization', 'lazy-axis', [single(4, 2, 3)], axis=0),
    link_case('BatchNormalization', 'axis', [single(2, 2, 2, 3)], axis=(0, 1, 2)),
    link_case('BatchNormalization', 'size_tuple', [single(4, 3, 2)], (3, 2)),
    link_case('BatchNormalization', 'use_gamma_false', ROWS, 3, use_gamma=False),
    link_case('BatchNormalization', 'use_beta_false', ROWS, 3, use_beta=False),
    link_case('BatchNormalization', 'neither', ROWS, 3, use_gamma=False, use_beta=False),
    link_case('BatchNormalization', 'decay-eps', ROWS, 3, decay=.5, eps=.1),
    link_case('BatchNormalization', 'initial', ROWS, 3, initial_gamma=2, initial_beta=-1,
              initial_avg_mean=.5, initial_avg_var=3, keep=True),
    link_case('BatchNormalization', 'float64', [real(4, 3)], 3, config={'dtype': np.float64}),
    link_case('BatchNormalization', 'dtype', [real(4, 3)], 3, dtype=np.float64),
    link_case('BatchNormalization', 'finetune', ROWS, 3,
              call=lambda library, link, x: [link(x, finetune=True), link(x, finetune=True)]),
    link_case('BatchNormalization', 'start_finetuning', ROWS, 3,
              call=lambda library, link, x: _start_finetuning(link, x)),
    link_case('BatchRenormalization', '', ROWS, 3, rmax=3., dmax=5., tolerance=1e-4),
    link_case('BatchRenormalization', 'neither', ROWS, 3, use_gamma=False, use_beta=False,
              tolerance=1e-4),
    link_case('DecorrelatedBatchNormalization', '', [single(6, 4)], 4, groups=2, modes=(True,),
              tolerance=1e-4),
    link_case('LayerNormalization', '', ROWS, 3),
    link_case('LayerNormalization', 'lazy-eps', ROWS, eps=.1),
    link_case('LayerNormalization', 'initial', ROWS, 3, initial_gamma=2., initial_beta=.5,
              keep=True),
    link_case('GroupNormalization', '', [single(2, 4, 3)], 2, 4),
    link_case('GroupNormalization', 'lazy-eps-4d', [single(2, 4, 2, 2)], 2, eps=.1),
]

# Recurrent links.
STEPS = [single(3, 2), single(3, 2)]


def _steps(library, link, *xs):
    link.reset_state()
    return [link(x) for x in xs]


def _steps_and_state(library, link, *xs):
    return [*_steps(library, link, *xs), link.c, link.h]


def _sequences(library, link, *xs, states=1, given_states=False):
    count = states if given_states else 0
    state = list(xs[:count]) or [None] * states
    return link(*state, list(xs[count:]))


def _sequences_with_states(states):
    return lambda library, link, *xs: _sequences(library, link, *xs, states=states,
                                                 given_states=True)


CASES += [
    link_case('LSTM', '', STEPS, 2, 3, call=_steps_and_state),
    link_case('LSTM', 'lazy', STEPS, None, 3, call=_steps),
    link_case('LSTM', 'out_size_alone', STEPS, 3, call=_steps),
    link_case('LSTM', 'shrinking_batch', [single(3, 2), single(2, 2), single(1, 2)], 2, 3,
              call=_steps_and_state),
    link_case('LSTM', 'inits', STEPS, 2, 2, call=_steps, keep=True, lateral_init=.5,
              upward_init=.25, bias_init=1, forget_bias_init=3),
    link_case('LSTM', 'set_state', [single(3, 2), single(3, 3), single(3, 3)], 2, 3,
              call=lambda library, link, x, c, h: _set_state(library, link, x, c, h)),
    link_case('LSTM', 'float64', [real(3, 2), real(3, 2)], 2, 3, call=_steps,
              config={'dtype': np.float64}),
    link_case('StatelessLSTM', '', [single(3, 3), single(3, 3), single(3, 2)], 2, 3),
    link_case('StatelessLSTM', 'no_state', [single(3, 2)], 2, 3,
              call=lambda library, link, x: link(None, None, x)),
    link_case('StatelessLSTM', 'lazy', [single(3, 3), single(3, 3), single(3, 2)], None, 3),
    link_case('StatefulPeepholeLSTM', '', STEPS, 2, 3, call=_steps),
    link_case('StatefulZoneoutLSTM', '', STEPS, 2, 3, call=_steps, c_ratio=0., h_ratio=0.),
    link_case('StatefulGRU', '', STEPS, 2, 3, call=_steps),
    link_case('StatefulGRU', 'bias_init', STEPS, 2, 3, call=_steps, bias_init=1, init=.5,
              inner_init=.25, keep=True),
    link_case('GRU', '', STEPS, 2, 3, call=_steps),
    link_case('StatelessGRU', '', [single(3, 3), single(3, 2)], 2, 3),
    link_case('StatelessGRU', 'lazy', [single(3, 3), single(3, 2)], None, 3),
    link_case('StatefulMGU', '', STEPS, 2, 3, call=_steps),
    link_case('StatelessMGU', '', [single(3, 3), single(3, 2)], 2, 3),
    link_case('ChildSumTreeLSTM', '', [single(3, 3), single(3, 3), single(3, 3), single(3, 3),
                                       single(3, 2)], 2, 3),
    link_case('NaryTreeLSTM', '', [single(3, 3), single(3, 3), single(3, 3), single(3, 3),
                                   single(3, 2)], 2, 3),
]
SEQUENCES = [single(2, 2), single(4, 2), single(3, 2)]
for name in ('LSTM', 'GRU', 'RNNTanh', 'RNNReLU'):
    for prefix, directions in (('NStep', 1), ('NStepBi', 2)):
        states = 2 if name == 'LSTM' else 1
        whole = prefix + name
        CASES += [
            link_case(whole, '', SEQUENCES, 1, 2, 3, 0.,
                      call=lambda library, link, *xs, states=states: _sequences(
                          library, link, *xs, states=states)),
            link_case(whole, 'two_layers-states',
                      [single(2 * directions, 3, 2)] * states + SEQUENCES, 2, 2, 2, 0.,
                      call=_sequences_with_states(states)),
        ]
CASES += [
    link_case('NStepLSTM', 'initial', SEQUENCES, 1, 2, 2, 0., initialW=.5, initial_bias=.25,
              keep=True, call=lambda library, link, *xs: _sequences(library, link, *xs, states=2)),
    link_case('NStepLSTM', 'dropout_in_test', SEQUENCES, 2, 2, 2, .5, modes=(False,),
              call=lambda library, link, *xs: _sequences(library, link, *xs, states=2)),
]

# Losses.
LABELS = given([1, 0, 4, 2], 'int32')
CASES += [
    link_case('Classifier', '', [single(4, 3), LABELS],
              build=lambda library: library.links.Classifier(library.links.Linear(3, 5)),
              call=lambda library, link, x, t: [link(x, t), link.y, link.loss, link.accuracy]),
    link_case('Classifier', 'label_key', [LABELS, single(4, 3)],
              build=lambda library: library.links.Classifier(library.links.Linear(3, 5),
                                                             label_key=0)),
    link_case('Classifier', 'label_key_word', [single(4, 3), LABELS],
              build=lambda library: library.links.Classifier(library.links.Linear(3, 5),
                                                             label_key='t'),
              call=lambda library, link, x, t: link(x, t=t)),
    link_case('Classifier', 'lossfun', [single(4, 3), single(4, 2)],
              build=lambda library: _regressor(library)),
    link_case('CRF1d', '', [single(3, 4), single(3, 4), single(2, 4)], 4,
              call=lambda library, link, *xs: link(
                  xs, [np.array(y, 'i') for y in ([0, 3, 1], [2, 2, 1], [1, 0])])),
    link_case('CRF1d', 'transpose-argmax', [single(2, 4), single(3, 4)], 4,
              call=lambda library, link, *xs: link.argmax(xs, transpose=True)),
    link_case('CRF1d', 'transpose', [single(2, 4), single(3, 4)], 4,
              call=lambda library, link, *xs: link(
                  xs, [np.array(y, 'i') for y in ([0, 3], [2, 2, 1])], transpose=True)),
    link_case('BinaryHierarchicalSoftmax', '', [single(4, 3), LABELS], 3, TREE),
    link_case('BinaryHierarchicalSoftmax', 'huffman', [single(4, 3), LABELS],
              build=lambda library: library.links.BinaryHierarchicalSoftmax(
                  3, library.links.BinaryHierarchicalSoftmax.create_huffman_tree(COUNTS))),
    link_case('NegativeSampling', '', [single(4, 3), LABELS], 3, [3, 5, 1, 7, 2], 2,
              call=lambda library, link, x, t: _fix_sampler(link)(x, t)),
    link_case('NegativeSampling', 'no', [single(4, 3), LABELS], 3, [3, 5, 1, 7, 2], 2,
              call=lambda library, link, x, t: _fix_sampler(link)(x, t, reduce='no')),
    link_case('BlackOut', '', [single(4, 3), LABELS], 3, [3, 5, 1, 7, 2], 2,
              call=lambda library, link, x, t: _fix_sampler(link)(x, t)),
]

# Chains: names and their order.
CASES += [
    link_case('chain', 'nested', ROWS, build=lambda library: _nested(library),
              call=lambda library, link, x: link.second.inner(link.first(x))),
    link_case('chain', 'list', ROWS, build=lambda library: library.ChainList(
        library.links.Linear(3, 4), library.links.Linear(4, 2)),
        call=lambda library, link, x: link[1](link[0](x))),
    link_case('chain', 'sequential', ROWS, build=lambda library: library.Sequential(
        library.links.Linear(3, 4), library.functions.relu, library.links.BatchNormalization(4),
        library.links.Linear(None, 2))),
    link_case('chain', 'sequential_repeated', ROWS, build=lambda library: library.Sequential(
        library.links.Linear(3, 3), library.functions.tanh).repeat(2)),
    link_case('chain', 'link_repeated', ROWS,
              build=lambda library: library.links.Linear(3, 3).repeat(2)),
    link_case('chain', 'persistents', [], build=lambda library: _with_persistents(library),
              call=lambda library, link: [link.W * link.table]),
    link_case('chain', 'of_lists', ROWS, build=lambda library: _chain_of_lists(library),
              call=lambda library, link, x: [each(x) for each in link.heads]),
    link_case('chain', 'shared', ROWS, build=lambda library: _shared(library),
              call=lambda library, link, x: link.b(link.a(x))),
]


def _start_finetuning(link, x):
    link.start_finetuning()
    return [link(x, finetune=True), link(x, finetune=True)]


def _set_state(library, link, x, c, h):
    link.reset_state()
    link.set_state(c, h)
    return [link(x), link.c]


def _regressor(library):
    link = library.links.Classifier(library.links.Linear(3, 2),
                                    lossfun=library.functions.mean_squared_error)
    link.compute_accuracy = False
    return link


def _fix_sampler(link):
    link.sampler.sample = _sample
    if hasattr(link, 'sample_data'):
        link.sample_data = None
    return link


def _sample(shape):
    return (np.arange(int(np.prod(shape))) * 2 % 5).reshape(shape).astype('i')


def _nested(library):
    L = library.links
    inner, chain = library.Chain(inner=L.Linear(4, 2)), library.Chain()
    with chain.init_scope():
        chain.second = inner
        chain.first = L.Linear(3, 4)
        chain.W = library.Parameter(0, (2, 2))
    return chain


def _with_persistents(library):
    chain = library.Chain()
    with chain.init_scope():
        chain.W = library.Parameter(1, (3,))
    chain.add_persistent('table', np.arange(3, dtype='f'))
    chain.add_persistent('count', 7)
    chain.plain = np.zeros(3, 'f')
    chain.registered = np.ones(2, 'f')
    chain.register_persistent('registered')
    return chain


def _chain_of_lists(library):
    chain = library.Chain()
    with chain.init_scope():
        chain.heads = library.ChainList(library.links.Linear(3, 1))
    chain.heads.append(library.links.Linear(None, 2))
    chain.heads.add_link(library.links.Linear(3, 1, nobias=True))
    return chain


def _shared(library):
    chain = library.Chain()
    with chain.init_scope():
        chain.a = library.links.Linear(3, 3)
        chain.b = chain.a
    return chain

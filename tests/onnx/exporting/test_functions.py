"""Every public function, called once; what the families have of options is in their own tests."""
import inspect
from functools import partial

import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from minichain.onnx.exporting import export
from tests.onnx.exporting.running import expect_same

RANDOM = np.random.default_rng(0)


def floats(*shape):
    return RANDOM.standard_normal(shape, 'f')


X, Y, Z = floats(3, 4, 6)
POSITIVE, SIGNED = abs(X) + .1, np.tanh(X)
CUBE, IMAGES, VOLUMES = floats(4, 3, 6), floats(2, 4, 6, 7), floats(2, 4, 3, 4, 5)
SQUARES = CUBE[:, :, :3].copy()
LABELS, FOUR = np.array([0, 5, 2, 2]), floats(4)
SEEN = np.eye(3, dtype='f')[[0, 1, 2, 1, 1, 2]], np.array([0, 1, 2, 0, 1, 2])
GATES, ZEROS = floats(8, 2), np.zeros((3, 2), 'f')
SEQUENCES = tuple(floats(n, 5) for n in (4, 3, 1))
W, SIX, FILTERS = floats(5, 6), floats(6, 6), floats(3, 4, 2, 3)

OF_ONE = {name: (getattr(F, name), POSITIVE) for name in (
    'absolute arctan cos cosh crelu elu exp expm1 flatten fliplr flipud '
    'hard_sigmoid identity leaky_relu log log10 log1p log2 log_softmax logsumexp max mean min '
    'normalize prod relu relu6 rrelu rsqrt selu sigmoid sin sinh softmax softplus sqrt square sum '
    'tan tanh transpose ceil fix floor sign average batch_l2_norm_squared dropout erf erfc '
    'ndtr').split()}
OF_ONE.update((name, (getattr(F, name), SIGNED)) for name in ('arcsin', 'arccos', 'arctanh'))
OF_TWO = {name: (getattr(F, name), (X, Y)) for name in (
    'absolute_error add arctan2 bernoulli_nll fmod gaussian_kl_divergence maximum '
    'mean_squared_error minimum r2_score squared_difference squared_error zoneout').split()}


def recurrent(name, gates, directions=1):
    """Return a call of a function of two layers over sequences, and its sequences."""
    ws, bs, wide = [], [], 5
    for _ in range(2):
        for _ in range(directions):
            ws.append([floats(3, wide if i < gates // 2 else 3) for i in range(gates)])
            bs.append([floats(3) for _ in range(gates)])
        wide = 3 * directions
    state = np.zeros((2 * directions, 4, 3), 'f')
    states = (state, state) if 'lstm' in name else (state,)
    return (lambda *xs: getattr(F, name)(2, .5, *states, ws, bs, list(xs))), SEQUENCES


FIXED = {   # of one size: what is called a batch is a matrix, or has the lengths of its parts
    'cumprod': (F.cumprod, X), 'cumsum': (F.cumsum, X), 'det': (F.det, SQUARES[0]),
    'pad_sequence': (lambda *xs: F.pad_sequence(xs), SEQUENCES),
    'transpose_sequence': (lambda *xs: F.transpose_sequence(xs), SEQUENCES),
    'n_step_lstm': recurrent('n_step_lstm', 8), 'n_step_bilstm': recurrent('n_step_bilstm', 8, 2),
    'n_step_gru': recurrent('n_step_gru', 6), 'n_step_bigru': recurrent('n_step_bigru', 6, 2),
    'n_step_rnn': recurrent('n_step_rnn', 2), 'n_step_birnn': recurrent('n_step_birnn', 2, 2),
    'lstm_sequence': (lambda x: F.lstm_sequence(
        x, GATES, ZEROS, ZEROS, [3, 2, 1]), floats(6, 8)),
    'as_strided': (lambda x: F.as_strided(x, (3, 2), (1, 6), 2), X),
    'classification_summary': (lambda y, t: F.classification_summary(y, t, 3), SEEN),
    'f1_score': (lambda y, t: F.f1_score(y, t, 3), SEEN),
    'precision': (lambda y, t: F.precision(y, t, 3), SEEN),
    'recall': (lambda y, t: F.recall(y, t, 3), SEEN),
    # They multiply by 1 / N.
    'black_out': (lambda x, t, k: F.black_out(x, t, SIX, k), (X, LABELS, LABELS[:, None].copy())),
    'cross_covariance': (F.cross_covariance, (X, Y)), 'decov': (F.decov, X),
    'mean_absolute_error': (F.mean_absolute_error, (X, Y)), 'triplet': (F.triplet, (X, Y, Z)),
}
OTHERS = {
    'accuracy': (F.accuracy, (X, LABELS)),
    'average_pooling_1d': (partial(F.average_pooling_1d, ksize=2), CUBE),
    'average_pooling_2d': (partial(F.average_pooling_2d, ksize=2), IMAGES),
    'average_pooling_3d': (partial(F.average_pooling_3d, ksize=2), VOLUMES),
    'average_pooling_nd': (partial(F.average_pooling_nd, ksize=2), IMAGES),
    'batch_det': (F.batch_det, SQUARES),
    'batch_matmul': (F.batch_matmul, (SQUARES, SQUARES)),
    'batch_normalization': (lambda x: F.batch_normalization(x, FOUR, FOUR), IMAGES),
    'bias': (lambda x: F.bias(x, FOUR), IMAGES),
    'bilinear': (lambda x, y: F.bilinear(x, y, W.reshape(5, 6, 1) * np.ones((1, 1, 2), 'f')),
                 (X[:, :5].copy(), Y)),
    'binary_accuracy': (F.binary_accuracy, (X, (Y > 0).astype(int))),
    'broadcast': (lambda x, y: F.broadcast(x, y), (X, Y[:, :1].copy())),
    'broadcast_to': (lambda x: F.broadcast_to(x, (2, *x.shape)), X),
    'cast': (lambda x: F.cast(x, 'float64'), X),
    'clip': (lambda x: F.clip(x, -.5, .5), X),
    'clipped_relu': (lambda x: F.clipped_relu(x, .5), X),
    'copy': (lambda x: F.copy(x, -1), X),
    'concat': (lambda x, y: F.concat((x, y)), (X, Y)),
    'convolution_1d': (lambda x: F.convolution_1d(x, FILTERS[:2, :3, :, 0].copy()), CUBE),
    'convolution_2d': (lambda x: F.convolution_2d(x, FILTERS), IMAGES),
    'convolution_3d': (lambda x: F.convolution_3d(x, FILTERS[..., None]), VOLUMES),
    'convolution_nd': (lambda x: F.convolution_nd(x, FILTERS), IMAGES),
    'deconvolution_1d': (lambda x: F.deconvolution_1d(x, FILTERS[:, :, 0].copy()), CUBE),
    'deconvolution_2d': (lambda x: F.deconvolution_2d(x, FILTERS.swapaxes(0, 1).copy()), IMAGES),
    'deconvolution_3d': (lambda x: F.deconvolution_3d(x, FILTERS.swapaxes(0, 1)[..., None].copy()),
                         VOLUMES),
    'deconvolution_nd': (lambda x: F.deconvolution_nd(x, FILTERS.swapaxes(0, 1).copy()), IMAGES),
    'depth2space': (lambda x: F.depth2space(x, 2), IMAGES),
    'depthwise_convolution_2d': (lambda x: F.depthwise_convolution_2d(x, FILTERS), IMAGES),
    'diagonal': (lambda x: F.diagonal(x, 0, 1, 2), CUBE),
    'dilated_convolution_2d': (lambda x: F.dilated_convolution_2d(x, FILTERS, dilate=2), IMAGES),
    'dstack': (lambda x, y: F.dstack((x, y)), (X, Y)),
    'einsum': (lambda x, y: F.einsum('ni,ni->n', x, y), (X, Y)),
    'embed_id': (lambda t: F.embed_id(t, W), LABELS % 5),
    'expand_dims': (lambda x: F.expand_dims(x, 1), X),
    'fft': (lambda x, y: F.fft((x, y)), (X, Y)),
    'ifft': (lambda x, y: F.ifft((x, y)), (X, Y)),
    'fixed_batch_normalization': (
        lambda x: F.fixed_batch_normalization(x, FOUR, FOUR, FOUR, FOUR ** 2), IMAGES),
    'fixed_batch_renormalization': (
        lambda x: F.fixed_batch_renormalization(x, FOUR, FOUR, FOUR, FOUR ** 2), IMAGES),
    'fixed_decorrelated_batch_normalization': (
        lambda x: F.fixed_decorrelated_batch_normalization(
            x, FOUR.reshape(2, 2), np.stack([FOUR.reshape(2, 2)] * 2), 2), IMAGES),
    'flip': (lambda x: F.flip(x, 1), X),
    'forget': (lambda x: F.forget(F.tanh, x), X),
    'gaussian': (lambda m, v: F.gaussian(m, v, eps=np.ones(m.shape, 'f')), (X, Y)),
    'gaussian_nll': (F.gaussian_nll, (X, Y, Z)),
    'get_item': (lambda x: F.get_item(x, np.s_[:, 1:3]), X),
    'group_normalization': (lambda x: F.group_normalization(x, 2, FOUR, FOUR), IMAGES),
    'hstack': (lambda x, y: F.hstack((x, y)), (X, Y)),
    'huber_loss': (lambda x, y: F.huber_loss(x, y, .5), (X, Y)),
    'im2col': (partial(F.im2col, ksize=3), IMAGES),
    'layer_normalization': (lambda x: F.layer_normalization(x, W[0], W[1]), X),
    'linear': (lambda x: F.linear(x, W), X),
    'linear_interpolate': (F.linear_interpolate, (X, Y, Z)),
    'local_convolution_2d': (lambda x: F.local_convolution_2d(
        x, np.broadcast_to(FILTERS[:, None, None], (3, 5, 5, 4, 2, 3)).copy()), IMAGES),
    'local_response_normalization': (F.local_response_normalization, IMAGES),
    'lstm': (F.lstm, (X, np.concatenate((X, Y, Z, X), 1))),
    'matmul': (lambda x: F.matmul(x, W, transb=True), X),
    'max_pooling_1d': (partial(F.max_pooling_1d, ksize=2), CUBE),
    'max_pooling_2d': (partial(F.max_pooling_2d, ksize=2), IMAGES),
    'max_pooling_3d': (partial(F.max_pooling_3d, ksize=2), VOLUMES),
    'max_pooling_nd': (partial(F.max_pooling_nd, ksize=2), IMAGES),
    'maxout': (partial(F.maxout, pool_size=2), X),
    'moveaxis': (lambda x: F.moveaxis(x, 1, 2), CUBE),
    'pad': (lambda x: F.pad(x, ((0, 0), (1, 2)), 'constant'), X),
    'permutate': (lambda x: F.permutate(x, np.array([1, 0, 2]), 1), CUBE),
    'prelu': (lambda x: F.prelu(x, W[0]), X),
    'repeat': (lambda x: (F.repeat(x, 2, 1), F.repeat(x, (1, 0, 2, 1, 1, 1), 1)), X),
    'reshape': (lambda x: F.reshape(x, (-1, 2)), X),
    'resize_images': (lambda x: (F.resize_images(x, (4, 9)), F.resize_images(
        x, (12, 14), mode='nearest'), F.resize_images(x, (8, 5), align_corners=False)), IMAGES),
    'rollaxis': (lambda x: F.rollaxis(x, 2, 1), CUBE),
    'scale': (lambda x: F.scale(x, FOUR), IMAGES),
    'scatter_add': (lambda x, y: F.scatter_add(x, np.s_[:, [0, 0]], y[:, :2]), (X, Y)),
    'select_item': (F.select_item, (X, LABELS)),
    'separate': (lambda x: F.separate(x, 1), X),
    'shift': (F.shift, floats(2, 11, 4, 5)),
    'simplified_dropconnect': (lambda x: F.simplified_dropconnect(x, W), X),
    'slstm': (lambda a, b, c, d: F.slstm(a, b, c, d), (X[:, :1].copy(), Y[:, :1].copy(),
                                                        Z[:, :4].copy(), X[:, 2:].copy())),
    'softmax_cross_entropy': (F.softmax_cross_entropy, (X, LABELS)),
    'space2depth': (lambda x: F.space2depth(x, 2), IMAGES[..., :6].copy()),
    'spatial_pyramid_pooling_2d': (lambda x: F.spatial_pyramid_pooling_2d(x, 2, 'max'),
                                   IMAGES),
    'spatial_transformer_grid': (lambda x: F.spatial_transformer_grid(x, (3, 4)),
                                 floats(2, 2, 3)),
    'split_axis': (lambda x: F.split_axis(x, 2, 1), X),
    'squeeze': (lambda x: F.squeeze(x[:, None], 1), X),
    'stack': (lambda x, y: F.stack((x, y), 1), (X, Y)),
    'sum_to': (lambda x: F.sum_to(x, (x.shape[0], 1)), X),
    'swapaxes': (lambda x: F.swapaxes(x, 1, 2), CUBE),
    'swish': (lambda x: F.swish(x, W[0]), X),
    'argmax': (lambda x: F.argmax(x, axis=1), X), 'argmin': (lambda x: F.argmin(x, axis=1), X),
    'tensordot': (lambda x: F.tensordot(x, W, ([1], [1])), X),
    'tile': (lambda x: F.tile(x, (1, 2)), X),
    'tree_lstm': (F.tree_lstm, (X[:, :1].copy(), Y[:, :1].copy(),
                                np.concatenate((X, Y), 1)[:, :5].copy())),
    'unpooling_1d': (partial(F.unpooling_1d, ksize=2), CUBE),
    'unpooling_2d': (partial(F.unpooling_2d, ksize=2), IMAGES),
    'unpooling_3d': (partial(F.unpooling_3d, ksize=2), VOLUMES),
    'unpooling_nd': (partial(F.unpooling_nd, ksize=2), IMAGES),
    'vstack': (lambda x, y: F.vstack((x, y)), (X, Y)),
    'where': (lambda x, y: F.where(np.array([True, False] * 3), x, y), (X, Y)),
}
EXPORTED = {**OF_ONE, **OF_TWO, **OTHERS}
BOXES, IN_IMAGES = np.array([[0, 0, 4, 5], [1, 1, 5, 6]], 'f'), np.array([0, 1])
INSIDE = 'it computes with NumPy inside'
SPECIAL = 'of the special functions ONNX has an operator for erf alone'
REFUSED = {   # with what the report says of it
    **{name: (getattr(F, name), POSITIVE / 4, SPECIAL) for name in (
        'digamma', 'erfcinv', 'erfcx', 'erfinv', 'lgamma', 'log_ndtr', 'ndtri')},
    'polygamma': (lambda x: F.polygamma(np.array(1), x), POSITIVE, SPECIAL),
    'zeta': (lambda x: F.zeta(2., x), POSITIVE, SPECIAL),
    'inv': (lambda x: F.inv(x[0]), SQUARES, 'no inverse'),
    'batch_inv': (F.batch_inv, SQUARES, 'no inverse'),
    'cholesky': (lambda x: F.cholesky(F.matmul(x, x, True) + np.eye(6, dtype='f')), X,
                 'no decomposition'),
    'decorrelated_batch_normalization': (
        lambda x: F.decorrelated_batch_normalization(x, groups=2), IMAGES, 'no eigenvectors'),
    'batch_renormalization': (lambda x: F.batch_renormalization(
        x, FOUR, FOUR, 2, 1, running_mean=FOUR, running_var=FOUR ** 2), IMAGES, INSIDE),
    'connectionist_temporal_classification': (
        lambda x, y, t: F.connectionist_temporal_classification((x, y), t, 0),
        (X, Y, LABELS[:, None].copy()), INSIDE),
    'contrastive': (F.contrastive, (X, Y, LABELS % 2), INSIDE),
    'hinge': (F.hinge, (X, LABELS), INSIDE),
    'linear_softmax_cross_entropy': (
        lambda x, t: F.linear_softmax_cross_entropy(x, SIX, FOUR[[0, 1, 2, 3, 0, 1]], t),
        (floats(4, 6), LABELS), 'for training'),
    'sigmoid_cross_entropy': (F.sigmoid_cross_entropy, (X, (Y > 0).astype(int)),
                              'labels are converted outside of functions'),
    'gumbel_softmax': (F.gumbel_softmax, X, 'at random'),
    'deformable_convolution_2d_sampler': (
        lambda x, o: F.deformable_convolution_2d_sampler(x, o, FILTERS),
        (IMAGES, floats(2, 12, 5, 5)), INSIDE),
    'spatial_transformer_sampler': (F.spatial_transformer_sampler, (IMAGES, floats(2, 2, 3, 4)),
                                    INSIDE),
    'roi_pooling_2d': (lambda x, r, i: F.roi_pooling_2d(
        x, np.concatenate((i.array[:, None], r.array), 1), 2, 2, 1.), (IMAGES, BOXES, IN_IMAGES),
        INSIDE),
    **{name: (lambda x, r, i, name=name: getattr(F, name)(x, r, i, 2, 1.),
              (IMAGES, BOXES, IN_IMAGES), INSIDE)
       for name in ('roi_max_pooling_2d', 'roi_average_pooling_2d', 'roi_max_align_2d',
                    'roi_average_align_2d')},
    **{name: (lambda x, name=name: getattr(F, name)(
        *F.max_pooling_2d(x, 2, return_indices=True), 2), IMAGES, 'winners are looked for outside')
       for name in ('upsampling_2d', 'upsampling_nd')},
}


def test_every_function_is_in_one_of_the_lists():
    names = {name for name, value in vars(F).items() if inspect.isfunction(value)}
    assert {name for name in names if name[0] != '_'} == {*EXPORTED, *FIXED, *REFUSED}
    assert not (EXPORTED.keys() | FIXED) & REFUSED.keys()


@pytest.mark.parametrize('runner', ['onnxruntime', 'minichain'])
@pytest.mark.parametrize('name', sorted(EXPORTED.keys() | FIXED))
def test_functions(name, runner):
    if 'erf' in name or name == 'ndtr':
        pytest.importorskip('scipy', reason='SciPy, which computes it, is not installed')
    fixed = name in FIXED
    code, arguments = (FIXED if fixed else EXPORTED)[name]
    expect_same(code, arguments, runner, **({'batch_axis': None} if fixed else {'rows': (1, 6)}))


@pytest.mark.parametrize('name', REFUSED)
def test_functions_without_a_form(name):
    code, arguments, reason = REFUSED[name]
    if reason is SPECIAL:
        pytest.importorskip('scipy', reason='SciPy, which computes it, is not installed')
    with pytest.raises(InvalidArgument, match=reason) as caught:
        export(code, arguments)
    assert 'cannot be exported to ONNX, nothing was written' in str(caught.value)

"""Prepared networks give what the networks give, and fuse what can be fused."""
import collections
import multiprocessing
import threading

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import Chain, ChainList, Variable, inference, no_backprop_mode, using_config
from minichain.cpu import onednn
from minichain.errors import InvalidArgument, InvalidType, NotFinite
from models.squeezenet import SqueezeNet

USES = ['never', pytest.param('auto', marks=pytest.mark.skipif(
    not onednn.installed(), reason="oneDNN is not installed: pip install 'minichain[onednn]'"))]


def random_array(*shape, seed=0, dtype=np.float32):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(dtype)


@pytest.fixture(params=USES)
def use(request):
    with using_config('use_onednn', request.param):
        yield request.param


def plainly(code, *arguments):
    with using_config('use_onednn', 'never'), using_config('train', False), no_backprop_mode():
        return code(*map(Variable, arguments))


def compare(code, *shapes, steps=None, model=None):
    """Check a prepared copy on the example and on other values; return it."""
    examples, others = ([random_array(*shape, seed=seed + i) for i, shape in enumerate(shapes)]
                        for seed in (0, 10))
    prepared = inference.prepare(code, *examples, model=model)
    for arrays in (examples, others, examples):
        expected, y = plainly(code, *arrays), prepared(*arrays)
        assert isinstance(y, Variable) and y.creator is None and y.dtype == expected.dtype
        scale = abs(expected.array).max()
        np.testing.assert_allclose(y.array, expected.array, rtol=1e-4, atol=1e-5 * scale)
    if steps is not None:
        assert [type(step.function).__name__ for step in prepared._graph.steps] == steps
    return prepared


class Residual(Chain):
    """Convolutions, normalization, a sum and a pool, as in a residual network."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 16, 3, pad=1)
            self.bn1 = L.BatchNormalization(16)
            self.conv2 = L.Convolution2D(16, 16, 3, pad=1, nobias=True)
            self.bn2 = L.BatchNormalization(16)
            self.fc = L.Linear(16, 5)
        for i, bn in enumerate((self.bn1, self.bn2)):
            bn.avg_mean[...] = random_array(16, seed=i)
            bn.avg_var[...] = random_array(16, seed=i + 2) ** 2 + .1
            bn.gamma.array[...] = random_array(16, seed=i + 4)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)) + h)
        return F.relu(self.fc(F.average_pooling_2d(h, 8)))


def test_normalization_and_relu_are_computed_by_the_convolution_before(use):
    compare(Residual(), (2, 3, 8, 8), steps=[
        'Convolution', 'Convolution', 'Add', 'AveragePooling', 'Reshape', 'Turned'])


def test_factors_and_terms_on_either_side_are_absorbed(use):
    conv, c = L.Convolution2D(3, 16, 3), random_array(16, 1, 1, seed=5)
    compare(lambda x: 2 * (c + conv(x)) / (c + 2) - c * 3 + 1, (2, 3, 8, 8),
            steps=['Convolution'], model=conv)


def test_what_only_looks_like_a_factor_or_term_is_left(use):
    conv, row = L.Convolution2D(3, 6, 3), random_array(6, seed=5)
    prepared = compare(lambda x: F.relu(row - conv(x)) + row / (conv(x) + 9), (2, 3, 8, 8),
                       model=conv)
    assert len(prepared._graph.steps) > 2


def test_a_value_with_another_reader_is_left_as_it_is(use):
    conv = L.Convolution2D(3, 16, 3)

    def code(x):
        h = conv(x)
        return F.concat((F.relu(h), h * 2, h))
    compare(code, (2, 3, 8, 8), model=conv)


def test_relu_of_joined_convolutions_is_computed_by_each(use):
    convs = ChainList(L.Convolution2D(3, 16, 1), L.Convolution2D(3, 8, 3, pad=1))
    compare(lambda x: F.relu(F.concat((convs[0](x), convs[1](x)))), (2, 3, 8, 8),
            steps=['Convolution', 'Convolution', 'Concat'], model=convs)


def test_relu_of_a_view_leaves_what_is_viewed(use):

    def twice(x):
        h = x * 2
        return F.relu(h.reshape(6, 64)).reshape(x.shape) + h
    compare(twice, (2, 3, 8, 8))
    conv = L.Convolution2D(3, 16, 1)

    def code(x):
        h = conv(x)
        return F.relu(h.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) * 3 - h
    compare(code, (2, 3, 8, 8), model=conv)


def test_views_of_early_values_outlive_what_comes_between(use):
    convs = ChainList(*[L.Convolution2D(16, 16, 1) for _ in range(5)])

    def code(x):
        h = F.relu(convs[0](x))
        view = h.transpose(0, 1, 3, 2)[:, ::2]
        for conv in convs:
            h = F.max_pooling_2d(conv(h), 3, 1, pad=1)
        return F.concat((h, view))
    compare(code, (2, 16, 6, 6), model=convs)


def test_grouped_dilated_and_transposed_convolutions_and_pools(use):
    links = ChainList(L.Convolution2D(16, 16, 3, pad=2, groups=16, dilate=2),
                      L.Deconvolution2D(16, 8, 2, 2))

    def code(x):
        h = F.relu(links[0](x))
        h = F.local_response_normalization(F.max_pooling_2d(h, 3, 2), alpha=.1)
        return F.average_pooling_2d(F.relu(links[1](h)), 3, 1, 1)
    compare(code, (2, 16, 9, 9), model=links)


def test_a_filter_that_is_computed_from_the_input_is_no_constant(use):
    compare(lambda x: F.relu(F.convolution_2d(x, x[:, :, :3, :3])), (4, 3, 8, 8))


def test_one_matrix_for_two_layers(use):
    fc = L.Linear(6, 6)
    compare(lambda x: F.relu(fc(F.relu(fc(x)))), (3, 6), steps=['Turned', 'Turned'], model=fc)


def test_other_dtypes_keep_their_precision(use):
    x, W = (random_array(*shape, dtype=np.float64) for shape in ((2, 3, 8, 8), (16, 3, 3, 3)))

    def code(x):
        return F.relu(F.convolution_2d(x, W) * 3)
    y = inference.prepare(code, x)(x)
    np.testing.assert_allclose(y.array, plainly(code, x).array, rtol=1e-12, atol=1e-12)


def test_a_whole_network_and_a_layer_of_it(use):
    np.random.seed(0)
    net = SqueezeNet('1.1', n_classes=10)
    x = random_array(2, 3, 65, 65) * 100
    prepared = inference.prepare(net, x)
    expected, y = plainly(net, x)['prob'].array, prepared(x)
    assert list(y) == ['prob']
    np.testing.assert_allclose(y['prob'].array, expected, rtol=1e-4, atol=1e-4)
    assert len(prepared._graph.steps) == 26 + 8 + 3 + 2
    compare(lambda x: net.features('fire5', x), (1, 3, 65, 65), model=net)


def test_results_are_nested_as_those_of_the_network(use):
    conv = L.Convolution2D(3, 4, 3)

    def code(given, factor):
        y = conv(given['image'])
        return [y, (factor, {'twice': y * 2, 'same': y})]
    x = random_array(1, 3, 5, 5)
    first, (factor, others) = inference.prepare(code, {'image': x}, 7, model=conv)({'image': x}, 7)
    assert factor == 7
    np.testing.assert_allclose(others['twice'].array, 2 * first.array, rtol=1e-6)
    np.testing.assert_array_equal(others['same'].array, first.array)


def test_results_do_not_change_with_the_next_call(use):
    conv = L.Convolution2D(3, 16, 3)
    prepared = inference.prepare(conv, random_array(1, 3, 5, 5))
    first = prepared(random_array(1, 3, 5, 5, seed=1)).array
    before = first.copy()
    prepared(random_array(1, 3, 5, 5, seed=2))
    np.testing.assert_array_equal(first, before)


def test_the_network_and_the_copy_do_not_touch_each_other(use):
    net, x = Residual(), random_array(2, 3, 8, 8)
    before = {path: p.array.copy() for path, p in net.namedparams()}
    prepared = inference.prepare(net, x)
    y = prepared(x).array
    for path, p in net.namedparams():
        np.testing.assert_array_equal(p.array, before[path])
        p.array[...] = 0
    np.testing.assert_array_equal(prepared(x).array, y)


def test_arguments_are_not_written_into(use):
    x = random_array(2, 3, 8, 8)
    before = x.copy()
    inference.prepare(F.relu, x)(x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize('x', [random_array(1, 3, 8, 8), random_array(2, 3, 8, 8).astype(float)],
                         ids=['one image', 'float64'])
def test_another_shape_or_dtype_is_refused_with_both(x):
    prepared = inference.prepare(L.Convolution2D(3, 4, 3), random_array(2, 3, 8, 8))
    with pytest.raises(InvalidType, match=r'float32 \(2, 3, 8, 8\) expected.*got .*8, 8\)'):
        prepared(x)


def test_nan_is_refused_in_parameters_and_in_arguments():
    conv, x = L.Convolution2D(3, 4, 3), random_array(2, 3, 8, 8)
    prepared = inference.prepare(conv, x)
    x[1, 2, 3, 4] = np.nan
    with pytest.raises(NotFinite, match=r'prepared network: .*\(2, 3, 8, 8\) holds NaN'):
        prepared(x)
    conv.W.array[0, 0, 0, 0] = np.nan
    with pytest.raises(NotFinite, match=r'prepare: .*\(4, 3, 3, 3\) holds NaN'):
        inference.prepare(conv, random_array(2, 3, 8, 8))


def test_threads_may_call_it(use):
    prepared = inference.prepare(Residual(), random_array(2, 3, 8, 8))
    inputs = [random_array(2, 3, 8, 8, seed=seed) for seed in range(4)]
    expected = [prepared(x).array for x in inputs]
    wrong = []

    def call(i):
        for _ in range(20):
            if (prepared(inputs[i]).array != expected[i]).any():
                wrong.append(i)
    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='needs fork')
@pytest.mark.filterwarnings('ignore:.*fork.*:DeprecationWarning')
def test_a_forked_process_may_call_it(use):
    net, x = Residual(), random_array(2, 3, 8, 8)
    prepared = inference.prepare(net, x)
    expected = prepared(x).array
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(prepared(x).array))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    np.testing.assert_allclose(queue.get(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not onednn.installed(), reason="oneDNN is not installed: pip install "
                    "'minichain[onednn]'")
def test_memory_is_used_again():
    convs = ChainList(*[L.Convolution2D(16, 16, 1) for _ in range(8)])

    def code(x):
        for conv in convs:
            x = conv(x)
        return x
    with using_config('use_onednn', 'auto'):
        prepared = inference.prepare(code, random_array(2, 16, 9, 9), model=convs)
        values = dict(prepared._graph.constants)
        values[prepared._graph.inputs[0]] = random_array(2, 16, 9, 9)
        addresses = set()
        for run, operands, results, _ in prepared._steps:
            values[results[0]], = run(*[values[number] for number in operands])
            addresses.add(values[results[0]].ctypes.data)
    assert len(addresses) == 2


def test_one_array_may_be_the_example_of_two_arguments_or_a_constant_as_well(use):
    x, other = random_array(2, 3, seed=0), random_array(2, 3, seed=1)
    np.testing.assert_array_equal(
        inference.prepare(lambda a, b: a - 2 * b, x, x)(x, other).array, x - 2 * other)
    np.testing.assert_array_equal(
        inference.prepare(lambda a: a - 2 * x, x)(other).array, other - 2 * x)


def test_dicts_are_read_by_their_keys_and_named_tuples_stay_what_they_are(use):
    Pair = collections.namedtuple('Pair', 'first second')
    x, other = random_array(2, 3, seed=0), random_array(2, 3, seed=1)

    def code(given):
        return Pair(given['a'] - 2 * given['b'].first, given['b'].second)
    prepared = inference.prepare(code, {'a': x, 'b': Pair(x, x)})
    y = prepared({'b': Pair(other, x), 'a': x})
    assert type(y) is Pair
    np.testing.assert_array_equal(y.first.array, x - 2 * other)
    with pytest.raises(InvalidArgument, match=r"prepared network: .*'b'.*, got .*'c'"):
        prepared({'a': x, 'c': Pair(x, x)})


def test_another_number_than_then_is_refused():
    x = random_array(2, 3)
    prepared = inference.prepare(lambda x, factor: x * factor, x, 2)
    np.testing.assert_array_equal(prepared(x, 2).array, x * 2)
    with pytest.raises(InvalidArgument, match=r'\(array, 2\), got \(array, 3\)'):
        prepared(x, 3)


def test_ids_and_other_arrays_that_steps_do_not_read_are_refused():
    W, ids = random_array(9, 4), np.array([[1, 2], [3, 4]])
    for code in (lambda ids: F.embed_id(ids, W), lambda ids: F.embed_id(ids[:, 0], W),
                 lambda ids: (ids, F.embed_id(ids, W))):
        with pytest.raises(InvalidArgument, match='EmbedID takes an array as fixed numbers'):
            inference.prepare(code, ids)
    with pytest.raises(InvalidArgument, match='reads argument 1'):
        inference.prepare(lambda x, ignored: x * 2, W, W)
    with pytest.raises(InvalidArgument, match='reads argument 0'):
        inference.prepare(lambda x: F.relu(x.array * 2), W)


def pool_and_back(x):
    y, indexes = F.max_pooling_2d(x, 2, return_indices=True)
    return F.upsampling_2d(y, indexes, 2)


@pytest.mark.parametrize('code, message', [
    (pool_and_back, 'takes fixed numbers'),
    (lambda x: F.where(x.array > 0, x, x * 2), 'takes fixed numbers'),
    (lambda x: x * np.float32(x.array.max()), 'takes fixed numbers'),
    (lambda x: x + np.random.rand(*x.shape).astype('f'),
     r'_ \+ _ takes fixed numbers \(operand 1\)'),
    (lambda x: F.gaussian(x, x), 'takes fixed numbers'),
    (lambda x: x[:, :, np.argsort(x.array[0, 0, 0])], 'takes fixed numbers'),
    (lambda x: x * 2 if x.array[0, 0, 0, 0] > .3 else F.relu(x), 'takes another path'),
    (lambda x: x * 2 if x.array[0, 0, 0, 0] > .3 else x * 2 * 2, 'takes another path|steps'),
])
@pytest.mark.parametrize('example', [random_array(2, 3, 4, 4), np.zeros((2, 3, 4, 4), 'f')],
                         ids=['drawn', 'zeros'])
def test_what_is_computed_unseen_is_refused(code, message, example):
    with pytest.raises(InvalidArgument, match=message):
        inference.prepare(code, example)


def test_a_state_is_refused():
    lstm, x = L.LSTM(3, 4), random_array(2, 3)
    with pytest.raises(InvalidArgument, match='or it has a state|or are a state'):
        inference.prepare(lstm, x)

    def anew(x):
        lstm.reset_state()
        return lstm(lstm(x)[:, :3])
    compare(anew, (2, 3))

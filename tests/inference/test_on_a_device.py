"""Networks prepared for a device: right in every precision, with channels last from end to end."""
import threading

import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
import models
from minichain import Chain, ChainList, Variable, inference, no_backprop_mode, using_config
from minichain.errors import DeviceError, NotFinite
from minichain.gpu import compile_step, convolution_channels_last
from minichain.gpu.simulator import Simulator
from minichain.gpu.simulator.arrays import no_waiting
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
# name: side of an image, layer
NETWORKS = {'squeezenet1_1': (41, 'pool10'), 'googlenet': (224, 'pool5'),
            'inception_v3': (75, 'pool'), 'resnet50': (33, 'pool5'), 'mobilenet_v2': (33, 'pool'),
            'efficientnet_b0': (33, 'pool')}
PRECISIONS = {'float32': 1e-5, 'bf16': 2e-2}    # and how far from float64, of the largest value
SENSITIVE = {'mobilenet_v2': 8}     # rounding its weights alone moves its results by 8 to 11 %
sim = minichain.get_device('sim')


def random_array(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype('float32')


def in_float64(code, model, *arrays):
    """Return the result of code on the CPU with parameters and arguments in float64."""
    if model is not None:
        model.to_cpu()
        for parameter in model.params():
            parameter.array = parameter.array.astype('float64')
        for link in model.links():
            for name in ('avg_mean', 'avg_var'):
                if hasattr(link, name):
                    setattr(link, name, getattr(link, name).astype('float64'))
    with using_config('train', False), no_backprop_mode():
        return code(*(Variable(x.astype('float64')) for x in arrays)).array


def close(y, expected, precision, factor=1):
    y = minichain.to_cpu(y.array)
    assert y.dtype == np.float32 and y.shape == expected.shape
    assert abs(y - expected).max() <= factor * PRECISIONS[precision] * abs(expected).max()


@pytest.fixture(params=PRECISIONS)
def precision(request):
    with using_config('precision', request.param), using_config('use_cudnn', 'never'):
        yield request.param


@pytest.fixture
def launched(monkeypatch):
    names, launch = [], Simulator.launch

    def noted(self, kernel, *arguments):
        names.append(kernel.name.rpartition('_')[0])
        launch(self, kernel, *arguments)
    monkeypatch.setattr(Simulator, 'launch', noted)
    return names


def compare(code, shape, precision, model=None, generic=(), device=sim, factor=1):
    """Check a prepared copy on the example and on another array; return it."""
    model = code if model is None and isinstance(code, Chain) else model
    example, other = random_array(*shape), random_array(*shape, seed=1)
    if model is not None:
        model.to_device(device)
    prepared = inference.prepare(code, device.send(example), model=model)
    found = [prepared(device.send(x)) for x in (example, other, example)]
    for y, x in zip(found, (example, other, example)):
        close(y, in_float64(code, model, x), precision, factor)
    assert prepared.generic == list(generic)
    return prepared


def make(name):
    """Return a network of NETWORKS with random weights, the layer, the shape of an image."""
    np.random.seed(0)
    side, layer = NETWORKS[name]
    return with_statistics(getattr(models, name)()), layer, (1, 3, side, side)


def with_statistics(net):
    source = np.random.RandomState(0)
    for link in net.links():
        if hasattr(link, 'avg_var'):
            link.avg_mean[...] = source.uniform(-.1, .1, link.avg_mean.shape)
            link.avg_var[...] = source.uniform(.5, 1.5, link.avg_var.shape)
    return net


@pytest.mark.parametrize('name', NETWORKS)
def test_networks_of_the_house_need_no_generic_function(name, precision, launched):
    net, layer, shape = make(name)
    prepared = compare(lambda x: net(x, layers=[layer])[layer], shape, precision, net,
                       factor=SENSITIVE.get(name, 1))
    assert not prepared._graph.constants    # filters are there once, as products want them
    launched.clear()
    x = sim.send(random_array(*shape))
    with no_waiting():
        prepared(x)
    assert launched.count('to_channels_last') == 1
    assert not {'to_channels_first', 'im2col', 'bias_relu', 'add'} & set(launched)


class Branches(Chain):
    """Convolutions of all kinds and pools side by side, joined, normalized, averaged."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.stem = L.Convolution2D(3, 16, (3, 5), (1, 2), (1, 2))
            self.dilated = L.Convolution2D(16, 8, 3, pad=2, dilate=2)
            self.groups = L.Convolution2D(16, 24, 3, pad=1, groups=4)
            self.narrow = L.Convolution2D(16, 5, 1, nobias=True)
            self.paired = L.Convolution2D(16, 6, 1, groups=2)
            self.bn = L.BatchNormalization(75)
            self.fc, self.last = L.Linear(75, 7, nobias=True), L.Linear(7, 9)
        with_statistics(self)

    def forward(self, x):
        x = F.relu(self.stem(x))
        inner = F.concat((F.relu(self.dilated(x)), F.max_pooling_2d(x, 3, 1, 1, False)))
        outer = F.relu(F.concat((inner, self.groups(x), F.relu(self.narrow(x)),
                                 F.average_pooling_2d(x, 3, 1, 1), self.paired(x))))
        h = F.local_response_normalization(F.relu(self.bn(outer)) * 2 + outer, alpha=.1)
        h = F.relu(F.max_pooling_2d(F.relu(h), 2) - .5)
        return self.last(F.relu(self.fc(F.mean(h, axis=(2, 3)))))


def test_branches_are_computed_where_they_are_joined(precision, launched):
    prepared = compare(Branches(), (2, 3, 9, 8), precision)
    launched.clear()
    prepared(sim.send(random_array(2, 3, 9, 8)))
    assert [name for name in launched if name != 'im2row'] == [
        'to_channels_last', 'max_pooling_channels_last', 'mean_pooling_channels_last',
        *['scale_channels'] * 5, 'add', 'lrn_channels_last', 'scale_channels',
        'max_pooling_channels_last', 'scale_channels',
        'mean_pooling_channels_last', *['widen'] * (precision == 'bf16')]
    assert launched.count('im2row') == 1 + 1 + 4


def test_parts_with_other_readers_and_parts_that_come_from_elsewhere_are_copied(precision):
    convs = ChainList(L.Convolution2D(4, 4, 3, pad=1), L.Convolution2D(4, 4, 1))

    def code(x):
        h = convs[0](x)
        twice = F.concat((h, x, convs[1](h), F.tanh(x), h))
        return F.concat((F.max_pooling_2d(x, 3, 1, 1, False), twice, h + convs[1](x)))
    compare(code, (2, 4, 5, 6), precision, convs, generic=['tanh'])


def test_sums_of_branches_as_in_residual_networks(precision, launched):
    convs = ChainList(L.Convolution2D(3, 8, 1), L.Convolution2D(8, 8, 3, pad=1))

    def code(x):
        h = convs[0](x)
        h = F.relu(convs[1](h) + h)
        return h + h
    compare(code, (2, 3, 5, 6), precision, convs)
    assert launched.count('add') == 3   # the other sum is taken by the products


def test_responses_are_normalized_over_any_number_of_channels(precision, launched):
    conv = L.Convolution2D(3, 19, 1)

    def code(x):
        h = F.local_response_normalization(conv(x), 3, 1., .2, .5)
        return F.relu(F.local_response_normalization(h, 4, alpha=.1))
    prepared = compare(code, (2, 3, 5, 6), precision, conv)
    launched.clear()
    prepared(sim.send(random_array(2, 3, 5, 6)))
    assert launched.count('lrn_forward') == launched.count('lrn_channels_last') == 1


def test_means_that_leave_padding_out_and_windows_beyond_it(precision):
    conv = L.Convolution2D(3, 8, 1)

    def code(x):
        h = conv(x)
        first = F.average_pooling_nd(h, 3, 2, 1, pad_value=None)
        return F.concat((first, F.max_pooling_2d(h, 3, 2)[:, :, :3, :3]))
    compare(code, (2, 3, 6, 6), precision, conv, generic=['GetItem'])


def test_what_has_no_way_of_its_own_runs_by_its_function(precision):
    links = ChainList(L.Convolution2D(3, 8, 3), L.Deconvolution2D(8, 4, 2, 2),
                      L.Linear(4 * 144, 5))

    def code(x):
        h = F.elu(F.relu(links[0](x)))
        return F.softmax(links[2](F.relu(links[1](h))))
    compare(code, (2, 3, 8, 8), precision, links, generic=[
        'elu', 'Deconvolution', 'Reshape', 'softmax'])


def test_channels_by_themselves_activations_and_factors_of_whole_images(precision, launched):
    links = ChainList(L.Convolution2D(3, 8, 1), L.DepthwiseConvolution2D(8, 2, 3, 1, 1),
                      L.Convolution2D(24, 24, 1))

    def code(x):
        h = F.leaky_relu(F.clipped_relu(links[0](x), .3) - .1, .4)
        h = F.concat((F.relu(links[1](h)), h))
        h = h * F.sigmoid(h) + F.sigmoid(h)
        factors = F.sigmoid(links[2](F.mean(h, axis=(2, 3), keepdims=True)))
        return factors * h * h
    compare(code, (2, 3, 5, 6), precision, links)
    once = ['scale_channels'] * 6 + ['multiply'] * 2
    assert [name for name in launched if name in once] == 3 * once


def test_swish_is_one_step_where_nothing_else_reads_the_sigmoid(precision, launched):
    conv = L.Convolution2D(3, 8, 1)

    def code(x):
        h = conv(x)
        h = h * F.sigmoid(h)
        return F.sigmoid(h) * h
    compare(code, (2, 3, 5, 6), precision, conv)
    assert launched.count('scale_channels') == 3 * 2 and 'multiply' not in launched
    launched.clear()
    compare(lambda x: x * F.sigmoid(x), (2, 3), precision, generic=['swish'])
    compare(lambda x: F.relu(F.sigmoid(x) * x), (2, 3), precision, generic=['sigmoid', '_ * _'])
    compare(lambda x: F.sigmoid(x) * x * 2, (2, 3, 4, 5), precision, generic=['swish', '_ * 2'])
    assert not launched


@pytest.mark.parametrize('most', [1, 700])
def test_however_few_rows_there_are_at_a_time_the_result_is_right(most, precision, monkeypatch):
    monkeypatch.setattr(convolution_channels_last, 'MOST', most)
    compare(Branches(), (2, 3, 9, 8), precision)


def test_factors_that_vary_within_a_channel_and_filters_that_are_computed(precision):
    row, W = sim.send(random_array(6, seed=5)), sim.send(random_array(3, 3, 3, 3))
    x = random_array(4, 3, 8, 6)

    def code(x, W, row):
        h = F.convolution_2d(x, W, pad=1) * row
        return F.convolution_2d(h, h[:, :, :3, :3])
    prepared = inference.prepare(lambda x: code(x, W, row), sim.send(x))
    expected = code(*(Variable(each.astype('float64')) for each in (x, W.get(), row.get())))
    close(prepared(sim.send(x)), expected.array, precision)
    assert prepared.generic == ['_ * _', 'GetItem', 'Convolution']


def test_arrays_that_are_no_images_of_float32_run_by_functions(precision):
    net = ChainList(L.Convolution2D(3, 4, 3))
    net[0].b.array = net[0].b.array.astype('float64')
    compare(net[0], (2, 3, 5, 5), precision, net, generic=['Convolution'])
    line, x = L.Convolution1D(3, 4, 3), random_array(2, 3, 9)
    compare(line, x.shape, precision, line, generic=['Convolution'])
    x = random_array(2, 3, 5, 5).astype('float64')
    W = sim.send(random_array(4, 3, 3, 3).astype('float64'))
    y = inference.prepare(lambda x: F.relu(F.convolution_2d(x, W)), sim.send(x))(sim.send(x))
    expected = np.maximum(F.convolution_2d(x, W.get()).array, 0)
    np.testing.assert_allclose(y.array.get(), expected, rtol=1e-12, atol=1e-12)


def test_with_generic_kernels_everything_runs_by_functions(launched):
    net, x = Branches().to_device(sim), random_array(2, 3, 9, 8)
    with using_config('kernels', 'generic'):
        prepared = inference.prepare(net, sim.send(x))
    y = prepared(sim.send(x))
    assert not launched and len(prepared.generic) == len(prepared._graph.steps)
    close(y, in_float64(net, net, x), 'float32')


def test_a_copy_keeps_the_precision_that_it_was_prepared_in():
    net, x = Branches().to_device(sim), sim.send(random_array(2, 3, 9, 8))
    with using_config('precision', 'bf16'):
        prepared = inference.prepare(net, x)
        expected = prepared(x).array.get()
    np.testing.assert_array_equal(prepared(x).array.get(), expected)


def test_tf32_rounds_operands_of_products_alone():
    with using_config('precision', 'tf32'):
        x = random_array(2, 3, 9, 8)
        net = Branches().to_device(sim)
        y = inference.prepare(net, sim.send(x))(sim.send(x)).array.get()
    expected = in_float64(net, net, x)
    error = abs(y - expected).max() / abs(expected).max()
    assert 1e-6 < error < 2e-3


def test_a_call_can_be_captured_and_replayed(precision):
    net, other = Branches().to_device(sim), sim.send(random_array(2, 3, 9, 8, seed=2))
    prepared = inference.prepare(net, other)
    step = compile_step(prepared, other)
    for seed in range(5):
        x = sim.send(random_array(2, 3, 9, 8, seed=seed))
        np.testing.assert_array_equal(step(x).get(), prepared(x).array.get())
    assert step.captures == 1 and step.reason is None


def test_results_last_and_arguments_stay(precision):
    conv = L.Convolution2D(3, 4, 1).to_device(sim)
    x = sim.send(random_array(2, 3, 4, 4))
    prepared = inference.prepare(lambda x: (F.relu(conv(x)), x), x, model=conv)
    first, same = (y.array for y in prepared(x))
    before = first.get()
    prepared(sim.send(random_array(2, 3, 4, 4, seed=1)))
    np.testing.assert_array_equal(first.get(), before)
    same += 1
    np.testing.assert_array_equal(x.get(), random_array(2, 3, 4, 4))


def test_what_changes_in_the_network_does_not_reach_the_copy(precision):
    net, x = Branches().to_device(sim), sim.send(random_array(2, 3, 9, 8))
    prepared = inference.prepare(net, x)
    expected = prepared(x).array.get()
    for parameter in net.params():
        parameter.array[...] = 0
    np.testing.assert_array_equal(prepared(x).array.get(), expected)


def test_threads_may_call_it(precision):
    prepared = inference.prepare(Branches().to_device(sim), sim.send(random_array(2, 3, 9, 8)))
    inputs = [sim.send(random_array(2, 3, 9, 8, seed=seed)) for seed in range(3)]
    expected = [prepared(x).array.get() for x in inputs]
    right = []

    def call(i):
        for _ in range(3):
            right.append((prepared(inputs[i]).array.get() == expected[i]).all())
    threads = [threading.Thread(target=call, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 9


def test_arrays_of_the_host_and_nan_in_parameters_are_refused():
    conv, x = L.Convolution2D(3, 4, 3).to_device(sim), random_array(2, 3, 8, 8)
    prepared = inference.prepare(conv, sim.send(x))
    with pytest.raises(DeviceError, match=r'arrays of .*simulator.* expected, .* got numpy'):
        prepared(x)
    conv.W.array[0, 0, 0, 0] = np.nan
    with pytest.raises(NotFinite, match=r'prepare: .*\(4, 3, 3, 3\) holds NaN'):
        inference.prepare(conv, sim.send(x))


class Inception(Chain):
    """As in GoogLeNet, with what can be computed by one product and what cannot.

    Args:
        first: which of the branches is joined first.
        narrow: channels before the second branch.
    """

    def __init__(self, first=0, narrow=3):
        super().__init__()
        self.first = first
        with self.init_scope():
            self.stem = L.Convolution2D(3, 8, 1)
            self.one, self.before = L.Convolution2D(8, 6, 1), L.Convolution2D(8, narrow, 1)
            self.further = L.Convolution2D(8, 5, 1, nobias=True)
            self.three = L.Convolution2D(narrow, 7, 3, pad=1)
            self.behind = L.Convolution2D(18, 4, 3, pad=1)

    def forward(self, x):
        x = F.relu(self.stem(x))
        three = F.relu(self.three(F.relu(self.before(x))))
        pooled = F.max_pooling_2d(F.relu(self.further(x)), 3, 1, 1, False)
        parts = [F.relu(self.one(x)), three, pooled]
        return F.average_pooling_2d(F.relu(self.behind(F.concat(
            parts[self.first:] + parts[:self.first]))), 3)


@pytest.mark.parametrize('first, narrow, products', [(0, 3, 4), (0, 4, 5), (1, 3, 5)])
def test_pointwise_convolutions_of_one_image_are_one_product(first, narrow, products, precision,
                                                             monkeypatch):
    calls, gemm = [], convolution_channels_last.gemm
    monkeypatch.setattr(convolution_channels_last, 'gemm', lambda *arguments, **options: (
        calls.append(arguments), gemm(*arguments, **options)))
    prepared = compare(Inception(first, narrow), (2, 3, 5, 6), precision)
    assert len(calls) == 3 * products
    copies = [step for step in prepared._steps if len(step[1]) == 2 and not step[2]]
    assert len(copies) == 3     # of three parts, each computed in its place, none copied


def test_products_are_not_joined_where_results_differ_in_kind_or_have_other_readers(precision,
                                                                                    monkeypatch):
    calls, gemm = [], convolution_channels_last.gemm
    monkeypatch.setattr(convolution_channels_last, 'gemm', lambda *arguments, **options: (
        calls.append(arguments), gemm(*arguments, **options)))
    convs = ChainList(*[L.Convolution2D(8 if i else 3, 8, 1) for i in range(6)])

    def code(x):
        x = convs[0](x)
        second = convs[2](x)
        parts = F.concat((convs[1](x), second, F.relu(convs[3](x))))
        return parts + F.concat((F.max_pooling_2d(F.relu(convs[4](x)), 1), second,
                                 F.local_response_normalization(convs[5](x))))
    compare(code, (2, 3, 5, 6), precision, convs)
    assert len(calls) == 3 * 6


def test_some_channels_of_an_image_are_read_where_they_are(precision, launched):
    convs = ChainList(L.Convolution2D(3, 24, 3), L.Convolution2D(8, 8, 1),
                      L.DepthwiseConvolution2D(16, 1, 3, pad=1))

    def code(x):
        h = convs[0](x)
        first, second = h[:, :8], h[:, 8:]
        parts = F.concat((convs[1](first), F.relu(convs[2](second)), second, second[:, 3:5],
                          F.max_pooling_2d(second[:, 1:], 3, 1, 1, False)))
        return parts, first + convs[1](first)
    compare(lambda x: F.concat([F.reshape(y, (len(y), -1)) for y in code(x)]), (2, 3, 5, 6),
            precision, convs, generic=['Reshape', 'Reshape', 'Concat'])
    assert launched.count('to_channels_last') == 3 and launched.count('to_channels_first') == 6


def test_relu_of_what_is_joined_does_not_reach_those_that_read_its_parts(precision):
    convs = ChainList(L.Convolution2D(3, 8, 3), *[L.Convolution2D(8, 8, 3) for _ in range(3)])

    def code(x):
        first = convs[0](x)
        inner = F.concat((first, F.max_pooling_2d(first, 3, 1, 1, False)))
        outer = F.relu(F.concat((F.average_pooling_2d(first, 3, 1, 1), inner)))
        h = convs[1](outer[:, :8]) + convs[2](first)
        return h + convs[3](F.max_pooling_2d(inner[:, 8:], 1)) + convs[3](inner[:, :8])
    compare(code, (2, 3, 7, 6), precision, convs)


def drawn(seed):
    """Return code that applies functions drawn by lot to results drawn by lot, and its model."""
    draw, convs, program, channels = np.random.RandomState(seed), ChainList(), [], [3]
    for _ in range(14):
        i, j = draw.randint(len(channels), size=2)
        kind = draw.choice(['one', 'one', 'one', 'three', 'pool', 'mean', 'join', 'join', 'relu',
                            'slice', 'sum', 'swish', 'tanh', 'lrn', 'groups', 'scale', 'alone'])
        cut, C = bool(draw.randint(2)), channels[i]
        if kind in ('one', 'three', 'groups', 'alone'):
            groups = C if kind == 'alone' else 2 if kind == 'groups' and C % 2 == 0 else 1
            convs.add_link(L.Convolution2D(
                C, C if kind == 'alone' else int(draw.choice([4, 8, 16])),
                *((1,) if kind == 'one' else (3, 1, 1)), groups=groups, nobias=cut))
            function, C = convs[-1], convs[-1].W.shape[0]
        elif kind == 'join':
            function, C = F.concat, C + channels[j]
        elif kind == 'slice':
            start = int(draw.randint(C))
            function, C = (lambda x, start=start: x[:, start:]), C - start
        elif kind == 'sum':
            j = draw.choice([k for k, n in enumerate(channels) if n == C])
            function = sum
        else:
            function = {'pool': lambda x: F.max_pooling_2d(x, 3, 1, 1, False), 'relu': F.relu,
                        'mean': lambda x: F.average_pooling_2d(x, 3, 1, 1), 'tanh': F.tanh,
                        'swish': lambda x: x * F.sigmoid(x), 'scale': lambda x: x * .5 + .1,
                        'lrn': lambda x: F.local_response_normalization(x, alpha=.1)}[kind]
        program.append((function, (i, j) if kind in ('join', 'sum') else (i,), cut))
        channels.append(C)

    def code(x):
        values = [x]
        for function, operands, cut in program:
            given = [values[i] for i in operands]
            y = function(given if len(given) > 1 else given[0])
            values.append(F.relu(y) if cut else y)
        return F.concat([F.mean(y, axis=(2, 3)) for y in values[-4:]])
    return code, convs


@pytest.mark.parametrize('seed', range(25))
def test_networks_drawn_by_lot_are_right(seed, precision):
    code, model = drawn(seed)
    x, other = random_array(2, 3, 5, 4), random_array(2, 3, 5, 4, seed=1)
    model.to_device(sim)
    prepared = inference.prepare(code, sim.send(x), model=model)
    found = [prepared(sim.send(each)) for each in (other, x)]
    for y, each in zip(found, (other, x)):
        close(y, in_float64(code, model, each), precision)

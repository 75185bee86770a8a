"""Features of images on a device, by GoogLeNet and InceptionV3; a step of training SqueezeNet."""
import numpy as np

import minichain.functions as F
import models
from benchmarks import networks
from benchmarks.comparison import COMPILED, TORCH
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import (
    CAPTURED,
    PREPARED_CAPTURED,
    Case,
    add_case,
    captured,
    make_table,
)
from benchmarks.variants import PLAIN, PREPARED
from minichain import inference, no_backprop_mode, using_config

PRECISIONS = 'bf16', 'tf32', 'float32'
BATCH = 64
STATISTICS = 'avg_mean', 'avg_var'
ROUNDED_TRAINING = .3       # tolerance: where rounding turns a ReLU over, a gradient is another
# network: (layer of features, side, side of a rehearsal)
NETWORKS = {'googlenet': ('pool5', 224, 224), 'inception_v3': ('pool', 299, 75)}
BARS = {TORCH: (1 / 1.3,), COMPILED: (1 / .9, 1 / 1.1)}     # under bf16


def make_network(name):
    """Return a network with random weights that keep the size of what passes through."""
    if name in ('googlenet', 'squeezenet', 'caffenet', 'unet'):
        return networks.make_network(name)
    source, net = np.random.default_rng(0), models.inception_v3()
    for path, parameter in sorted(net.namedparams()):
        if path.endswith('/W'):
            fan_in = parameter.size // parameter.shape[0]
            parameter.array[...] = source.standard_normal(parameter.shape, np.float32) \
                * np.float32((2 / fan_in) ** .5)
    for path, value in statistics_of(net).items():
        if path.endswith('/avg_var'):
            value[...] = source.uniform(.5, 1.5, value.shape)
    return net


def statistics_of(net):
    """Return {path: array} of the means and variances that batch normalization remembers."""
    return {f'{path}/{name}': getattr(link, name) for path, link in sorted(net.namedlinks())
            for name in STATISTICS if hasattr(link, name)}


def state_of(net):
    """Return {path: array} of parameters and batch statistics, on the CPU."""
    return {**networks.weights_of(net), **statistics_of(net)}


def cast_to(net, dtype):
    """Give a network on the CPU another dtype, batch statistics included."""
    for parameter in net.params():
        parameter.array = parameter.array.astype(dtype)
    for link in net.links():
        for name in STATISTICS:
            if hasattr(link, name):
                setattr(link, name, getattr(link, name).astype(dtype))
    return net


def make_case(name, layer, side, batch, precision, options, bench):
    """Return the Case of a network: features of a batch of images."""
    x = networks.images(batch, side)

    def ours(dtype='float32'):
        net = cast_to(make_network(name), dtype)
        function = networks.infer(net, layer, x.astype(dtype), bench.device)
        return lambda: function().reshape(batch, -1)

    def prepared():
        net, images = make_network(name).to_device(bench.device), bench.device.send(x)
        copy = inference.prepare(lambda x: net(x, layers=[layer])[layer], images, model=net)
        return lambda: copy(images).array.reshape(batch, -1)

    def graph(make):
        function = make()
        return captured(lambda _: function(), bench.device.xp.zeros(1, 'float32'))()
    net = make_network(name)
    counted = networks.count_operations(net, x[:1], layer) * batch
    size = 2 if precision == 'bf16' else 4
    weights = sum(parameter.size for parameter in net.params())
    place, reason = place_of(options.device)
    if reason:
        peers = missing(reason, FORMS, options)
    else:
        from benchmarks.gpu import torch_inception, torch_steps
        make = torch_inception.features_of[name]
        peers = forms(lambda: torch_steps.network(
            lambda: make(state_of(make_network(name))), x, precision, place), place, options)
    return Case(f'{name} to {layer}', f'batch {batch} @{side}', precision,
                {PLAIN: ours, CAPTURED: lambda: graph(ours), PREPARED: prepared,
                 PREPARED_CAPTURED: lambda: graph(prepared), **peers}, lambda: ours('float64')(),
                [(counted, size * (weights + 2 * outputs_of(net, x[:1], layer) * batch))],
                BARS if precision == 'bf16' else {}, rounds=9)


class CountOutputs(networks.CountOperations):
    """Sums up the numbers that convolutions and linear layers give."""

    name = 'CountOutputs'

    def forward_postprocess(self, args):
        """Add those of one link."""
        if isinstance(args.link, (networks.L.Convolution2D, networks.L.Linear)):
            self.total += args.out.size


def outputs_of(net, x, layer):
    """Return how many numbers the layers with weights give, up to ``layer``."""
    with CountOutputs() as hook, no_backprop_mode(), using_config('train', False):
        net(x, layers=[layer])
    return hook.total


def training_case(batch, side, precision, options, bench):
    """Return the Case of a step of training SqueezeNet, without dropout, of loss and gradients."""
    x, source = networks.images(batch, side), np.random.default_rng(2)
    t = source.integers(1000, size=batch).astype('int32')

    def ours(dtype='float32', graph=False):
        net = cast_to(make_network('squeezenet'), dtype).to_device(bench.device)
        arrays = bench.device.send((x.astype(dtype), t))

        def update(batch):
            images, labels = batch
            with using_config('train', False):
                loss = F.softmax_cross_entropy(net(images, layers=['pool10'])['pool10'], labels)
            net.cleargrads()
            loss.backward()
            return [loss.array, *(parameter.grad for _, parameter in sorted(net.namedparams()))]
        return captured(update, arrays, (net,))() if graph else lambda: update(arrays)
    net = make_network('squeezenet')
    operations = 3 * batch * networks.count_operations(net, x[:1], 'pool10')
    moved = 4 * (3 * sum(parameter.size for parameter in net.params())
                 + 5 * batch * outputs_of(net, x[:1], 'pool10'))
    place, reason = place_of(options.device)
    if reason:
        peers = missing(reason, FORMS, options)
    else:
        from benchmarks.gpu import torch_steps
        peers = forms(lambda: torch_steps.gradients_of_network(
            'squeezenet', networks.weights_of(make_network('squeezenet')), x, t, precision,
            place), place, options)
    return Case('squeezenet: forward and backward', f'batch {batch} @{side}', precision,
                {PLAIN: ours, CAPTURED: lambda: ours(graph=True), **peers},
                lambda: ours('float64')(), [(operations, moved)], rounds=7,
                tolerance=ROUNDED_TRAINING if precision == 'tf32' else None)


def run(options, bench):
    """Return the table."""
    table = make_table('Networks for images, random weights, without batch normalization or '
                       'dropout of training', FORMS)
    for name, (layer, side, small_side) in NETWORKS.items():
        batch, side = (1, small_side) if options.quick else (BATCH, side)
        for precision in PRECISIONS[:1] if options.quick else PRECISIONS:
            add_case(table, FORMS, lambda name=name, layer=layer, side=side, batch=batch,
                     precision=precision: make_case(name, layer, side, batch, precision, options,
                                                    bench), options, bench)
    batch, side = (1, 63) if options.quick else (BATCH, 227)
    for precision in ('float32',) if options.quick else ('tf32', 'float32'):
        add_case(table, FORMS, lambda batch=batch, side=side, precision=precision: training_case(
            batch, side, precision, options, bench), options, bench)
    table.note('torch: channels_last tensors, of bfloat16 under bf16; batch normalization is not '
               'folded into weights. minichain: float32 activations with channels first; its '
               'convolutions multiply as under tf32 then. prepared: minichain.inference.prepare('
               'network, images), before the clock starts: channels last, bfloat16 under bf16, '
               'batch normalization folded into weights; images and features stay float32. Bytes: '
               'weights, and what layers with weights give, written and read once')
    return table

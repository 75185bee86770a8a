"""Networks for images: inference, and steps of training, with the same weights everywhere."""
import os
import tempfile

import numpy as np

import minichain
import minichain.functions as F
import minichain.links as L
import models
from benchmarks import remote
from benchmarks.comparison import (
    CHAINER,
    CHANNELS_LAST,
    COMPILED,
    ONNXRUNTIME,
    TORCH,
    Computation,
    add_row,
    explain_missing,
    make_table,
    remotes,
)
from benchmarks.frame import find_peer, n_threads
from benchmarks.variants import ONEDNN, PREPARED, PREPARED_ONEDNN, in_all_ways
from minichain import Chain, LinkHook, inference, onnx
from minichain.backend import get_device

LR, MOMENTUM = 1e-4, .9

# network: (layer, side of the image, {batch: bars beside torch, with oneDNN, beside Chainer})
INFERENCE = {
    'caffenet': ('fc7', 227, {1: ((1.05, .95), (.8, .7), (1 / 1.3,)),
                              32: ((1., .85), (.75, .65), (.5,))}),
    'squeezenet': ('pool10', 227, {1: ((.75, .6), (.5, .4), (.5,)),
                                   16: ((.7, .55), (.45, .4), (.5,))}),
    'googlenet': ('loss3_fc', 224, {1: ((.7, .6), (.45, .4), (.5,)),
                                    16: ((.55, .45), (.4, .36), (.5,))})}

# network: (layer, side, batch, classes)
TRAINING = {'squeezenet': ('pool10', 227, 16, 1000), 'unet': ('last', 128, 8, 4)}
TRAINING_BARS = {TORCH: (1.2, .9), CHAINER: (.5,)}


class UNet(Chain):
    """An encoder and a decoder with connections between equal sizes, two halvings, 4 classes.

    Ronneberger, Fischer, Brox 2015, "U-Net: convolutional networks for biomedical image
    segmentation", arXiv:1505.04597; narrower, padded, on maps of 128 x 128.
    """

    def __init__(self):
        super().__init__()
        with self.init_scope():
            for name, channels, out in (('down1', 3, 16), ('down2', 16, 32), ('middle', 32, 64),
                                        ('wide2', 64, 32), ('wide1', 32, 16)):
                setattr(self, f'{name}a', L.Convolution2D(channels, out, 3, pad=1))
                setattr(self, f'{name}b', L.Convolution2D(out, out, 3, pad=1))
            self.up2 = L.Deconvolution2D(64, 32, 2, 2)
            self.up1 = L.Deconvolution2D(32, 16, 2, 2)
            self.last = L.Convolution2D(16, 4, 1)

    def _twice(self, name, x):
        return F.relu(self[f'{name}b'](F.relu(self[f'{name}a'](x))))

    def forward(self, x, layers):
        """Apply to images (N, 3, H, W), H and W multiples of 4 -> {'last': (N, 4, H, W)}."""
        down1 = self._twice('down1', x)
        down2 = self._twice('down2', F.max_pooling_2d(down1, 2))
        x = self.up2(self._twice('middle', F.max_pooling_2d(down2, 2)))
        x = self.up1(self._twice('wide2', F.concat((x, down2))))
        return {'last': self.last(self._twice('wide1', F.concat((x, down1))))}


def make_network(name, seed=0):
    """Return a network with random weights that keep the size of what passes through."""
    source = np.random.default_rng(seed)
    net = {'caffenet': models.caffenet, 'squeezenet': models.squeezenet1_0, 'unet': UNet,
           'googlenet': lambda: models.googlenet(aux_heads=True)}[name]()
    for path, parameter in sorted(net.namedparams()):
        if path.endswith('/W'):
            fan_in = parameter.size // parameter.shape[0]
            parameter.array[...] = source.standard_normal(parameter.shape, np.float32) \
                * np.float32((2 / fan_in) ** .5)
        else:
            parameter.array[...] = source.uniform(-.1, .1, parameter.shape)
    return net


def weights_of(net):
    """Return {path: array} of a network."""
    return {path: parameter.array for path, parameter in net.namedparams()}


def images(batch, side, seed=1):
    """Return random images, (batch, 3, side, side), float32."""
    return np.random.default_rng(seed).standard_normal((batch, 3, side, side), np.float32)


class CountOperations(LinkHook):
    """Sums up the floating-point operations of convolutions and linear layers, forward."""

    name, total = 'CountOperations', 0

    def forward_postprocess(self, args):
        """Add those of one link: two for each weight at each place where it is used."""
        link = args.link
        if isinstance(link, (L.Convolution2D, L.Linear)):
            self.total += 2 * args.out.size * (link.W.size // link.W.shape[0])
        elif isinstance(link, L.Deconvolution2D):
            self.total += 2 * args.args[0].size * (link.W.size // link.W.shape[0])


def count_operations(net, x, layer):
    """Return the floating-point operations of a layer and what precedes it, without tricks."""
    with CountOperations() as hook, minichain.no_backprop_mode(), \
            minichain.using_config('train', False):
        net(x, layers=[layer])
    return hook.total


def infer(net, layer, x, device='cpu'):
    """Return minichain's function: a layer in test mode."""
    net.to_device(device)
    x = get_device(device).send(x)

    def function():
        with minichain.using_config('train', False), minichain.no_backprop_mode():
            return net(x, layers=[layer])[layer].array
    return function


def infer_prepared(net, layer, x):
    """Return the function of a copy of the network that was prepared for these images."""
    copy = inference.prepare(lambda x: net(x, layers=[layer])[layer], x, model=net)
    return lambda: copy(x).array


def infer_elsewhere(name, net, layer, x, options, folder):
    """Return {library: function} of torch and onnxruntime, where they are installed."""
    functions = {}
    torch = find_peer('torch')
    if torch is not None:
        from benchmarks import torch_networks
        tensor = torch.tensor(x)

        def on_torch(twin, tensor=tensor):
            def function():
                with torch.inference_mode():
                    return twin(tensor)
            return function
        twin = torch_networks.make(name, weights_of(net))
        last = {'memory_format': torch.channels_last}
        functions[TORCH] = on_torch(twin)
        functions[CHANNELS_LAST] = on_torch(
            torch_networks.make(name, weights_of(net)).to(**last), tensor.to(**last))
        if options.compile:
            functions[COMPILED] = on_torch(torch.compile(twin))
    runtime = find_peer('onnxruntime')
    if runtime is not None:
        path = os.path.join(folder, f'{name}.onnx')
        if not os.path.exists(path):
            onnx.export(lambda x: net(x, layers=[layer])[layer], x[:1], path, input_names=['x'],
                        chain=net)
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = n_threads()
        session = runtime.InferenceSession(path, settings, providers=['CPUExecutionProvider'])
        functions[ONNXRUNTIME] = lambda: session.run(None, {'x': x})
    return functions


def train(net, layer, x, t):
    """Return minichain's function: a step of training. It returns the loss and all gradients."""
    optimizer = minichain.optimizers.MomentumSGD(LR, MOMENTUM).setup(net)

    def function():
        with minichain.using_config('train', False):    # dropout differs from run to run
            loss = F.softmax_cross_entropy(net(x, layers=[layer])[layer], t)
        net.cleargrads()
        loss.backward()
        optimizer.update()
        return [loss.array, *(parameter.grad for _, parameter in sorted(net.namedparams()))]
    return function


def train_with_torch(torch, name, weights, x, t, channels_last=False):
    """Return the function of torch; the twin runs in test mode, which has no dropout."""
    from benchmarks import torch_networks
    layout = {'memory_format': torch.channels_last} if channels_last else {}
    net = torch_networks.make(name, weights).to(**layout)
    x, t = torch.tensor(x).to(**layout), torch.tensor(t).long()
    parameters = [torch_networks.parameter_of(net, path) for path in sorted(weights)]
    optimizer = torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM)

    def function():
        loss = torch.nn.functional.cross_entropy(net(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return [loss, *(parameter.grad for parameter in parameters)]
    return function


def add_inference(table, peers, options):
    """Add the rows of inference."""
    with tempfile.TemporaryDirectory() as folder, remotes() as opened:
        for name, (layer, side, batches) in INFERENCE.items():
            net = make_network(name)
            for batch, (to_torch, with_onednn, to_chainer) in batches.items():
                batch = min(batch, 2) if options.quick else batch
                x = images(batch, side)
                operations = count_operations(net, x, layer)
                functions = infer_elsewhere(name, net, layer, x, options, folder)
                job = {'kind': 'network', 'name': name, 'layer': layer}
                functions.update(remote.chainer_function(
                    table, options, job, {'x': x, **weights_of(net)}, opened))
                functions.update(in_all_ways(
                    lambda net=net, layer=layer, x=x: infer(net, layer, x),
                    lambda net=net, layer=layer, x=x: infer_prepared(net, layer, x)))
                add_row(table, peers, Computation(
                    f'{name} to {layer}', f'batch {batch} @{side}', functions,
                    {TORCH: to_torch, CHAINER: to_chainer}, operations,
                    bars_of={ONEDNN: {TORCH: with_onednn}, PREPARED: {TORCH: to_torch},
                             PREPARED_ONEDNN: {TORCH: with_onednn}}), options)


def add_training(table, peers, options):
    """Add the rows of training."""
    torch = find_peer('torch')
    for name, (layer, side, batch, classes) in TRAINING.items():
        net, batch = make_network(name), 1 if options.quick else batch
        weights = weights_of(net)
        x, source = images(batch, side), np.random.default_rng(2)
        maps = (side, side) if name == 'unet' else ()
        t = source.integers(classes, size=(batch, *maps)).astype('int32')
        operations = 3 * count_operations(net, x, layer)
        functions = in_all_ways(
            lambda name=name, layer=layer, x=x, t=t: train(
                make_network(name), layer, x, t))
        if torch is not None:
            functions[TORCH] = train_with_torch(torch, name, weights, x, t)
            functions[CHANNELS_LAST] = train_with_torch(torch, name, weights, x, t, True)
        with remotes() as opened:
            functions.update(remote.chainer_function(table, options, {
                'kind': 'training', 'name': name, 'layer': layer, 'lr': LR,
                'momentum': MOMENTUM}, {'x': x, 't': t, **weights}, opened))
            add_row(table, peers, Computation(
                f'{name}: training step', f'batch {batch} @{side}', functions, TRAINING_BARS,
                operations, tolerance=2e-3, rounds=7), options)


def run(options):
    """Return the Table."""
    peers = [TORCH, CHANNELS_LAST, *[COMPILED] * options.compile, ONNXRUNTIME, CHAINER]
    table = make_table('Networks, random weights: inference; steps of training all layers (SGD '
                       'with momentum, no dropout)', peers)
    add_inference(table, peers, options)
    add_training(table, peers, options)
    explain_missing(table, peers, options)
    table.note('prepared: minichain.inference.prepare(network, images), before the clock starts.')
    table.note('GFLOP/s count convolutions and linear layers by their formula, training as three '
               'times inference; onnxruntime reads what minichain.onnx.export wrote.')
    return table

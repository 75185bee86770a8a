"""What does an update of a network's parameters cost on a device? Gradients are there."""
import numpy as np

from benchmarks import networks, optimizers
from benchmarks.comparison import TORCH
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import CAPTURED, SHARE, Case, add_case, captured, make_table
from benchmarks.variants import PLAIN

CLIP = 5.
CAPTIONER, GOOGLENET = 'captioner', 'googlenet'
# rule of benchmarks/optimizers.py, norm to which gradients are clipped, network
UPDATES = [('SGD', None, CAPTIONER), ('MomentumSGD', None, CAPTIONER), ('Adam', None, CAPTIONER),
           ('Adam', CLIP, CAPTIONER), ('MomentumSGD', None, GOOGLENET), ('Adam', CLIP, GOOGLENET)]


def shapes_of(network, quick):
    """Return the shapes of a network's parameters: few large ones, or 128, most of them small.

    Args:
        quick: for a rehearsal, with short axes.
    """
    if network == GOOGLENET:
        shapes = [parameter.shape for parameter in networks.make_network(network).params()]
        return [tuple(min(length, 3) for length in shape) for shape in shapes] if quick else shapes
    units, n_vocabulary, n_feature = (16, 40, 32) if quick else (1024, 10000, 2048)
    return [(n_vocabulary, units), (n_vocabulary, units), (n_vocabulary,), (4 * units, units),
            (4 * units, units), (4 * units,), (units, n_feature), (units,)]


def with_graph(function, device):
    """Return an update, made by benchmarks/optimizers.py, as a graph, with a way to the start."""
    optimizer = function.optimizer
    parameters = list(optimizer.target.params())
    before = [(each.array.copy(), each.grad.copy()) for each in parameters]

    def reset():
        optimizer.t = 0
        for parameter, (array, gradient) in zip(parameters, before):
            rule = parameter.update_rule
            rule.t, parameter.array[...], parameter.grad[...] = 0, array, gradient
            for moment in rule.state.values():
                moment[...] = 0
    step = captured(lambda _: function(), device.xp.zeros(1, 'float32'), (optimizer,))()
    step.reset = reset
    return step


def make_case(rule, clip, network, options, bench):
    """Return the Case of a rule on the parameters of a network."""
    shapes = shapes_of(network, options.quick)
    mine, my_arguments, theirs, their_arguments, arrays = optimizers.RULES[rule]
    place, reason = place_of(options.device)
    if reason:
        peers = missing(reason, FORMS, options)
    else:
        from benchmarks.gpu import torch_steps
        peers = forms(lambda: torch_steps.update(theirs, their_arguments, optimizers.draw(shapes),
                                                 optimizers.LR, clip, place), place, options)

    def ours(dtype='float32'):
        return optimizers.ours(mine, my_arguments, shapes, clip, device=options.device,
                               dtype=dtype)
    n = sum(int(np.prod(shape)) for shape in shapes)
    ways = {PLAIN: ours, CAPTURED: lambda: with_graph(ours(), bench.device)}
    return Case(f'{rule}, {network}' + f', clipping to {CLIP:g}' * bool(clip),
                f'{len(shapes)} arrays, {n / 1e6:.3g} M numbers', 'float32', {**ways, **peers},
                lambda: ours('float64')(),
                [*[(0, 4 * n)] * bool(clip), (0, 4 * n * arrays)], {TORCH: (1.,)},
                SHARE if clip is None and network == CAPTIONER else ())


def run(options, bench):
    """Return the table."""
    table = make_table("Updates of all parameters of a network by an optimizer's update()", FORMS)
    for rule, clip, network in UPDATES:
        add_case(table, FORMS, lambda rule=rule, clip=clip, network=network: make_case(
            rule, clip, network, options, bench), options, bench)
    table.note('torch: fused. GB: weights, gradients and moments, read and written; for the norm '
               'gradients are read once more')
    return table

"""What does an update of a captioner's parameters cost on a device? Gradients are there."""
import numpy as np

from benchmarks import optimizers
from benchmarks.comparison import TORCH
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import SHARE, Case, add_case, make_table
from benchmarks.variants import PLAIN

CLIP = 5.
# rule of benchmarks/optimizers.py, norm to which gradients are clipped
UPDATES = [('SGD', None), ('MomentumSGD', None), ('Adam', None), ('Adam', CLIP)]


def shapes_of(units, n_vocabulary, n_feature):
    """Return the shapes of a captioner's parameters."""
    return [(n_vocabulary, units), (n_vocabulary, units), (n_vocabulary,), (4 * units, units),
            (4 * units, units), (4 * units,), (units, n_feature), (units,)]


def make_case(rule, clip, options, bench):
    """Return the Case of a rule."""
    shapes = shapes_of(*(16, 40, 32) if options.quick else (1024, 10000, 2048))
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
    return Case(rule + f', clipping to {CLIP:g}' * bool(clip), f'{n / 1e6:.3g} M numbers',
                'float32', {PLAIN: ours, **peers}, lambda: ours('float64')(),
                [*[(0, 4 * n)] * bool(clip), (0, 4 * n * arrays)], {TORCH: (1.,)},
                SHARE if clip is None else ())


def run(options, bench):
    """Return the table."""
    table = make_table("Updates of all parameters of a captioner by an optimizer's update()",
                       FORMS)
    for rule, clip in UPDATES:
        add_case(table, FORMS, lambda rule=rule, clip=clip: make_case(rule, clip, options, bench),
                 options, bench)
    table.note('torch: fused. GB: weights, gradients and moments, read and written; for the norm '
               'gradients are read once more')
    return table

"""What does an update cost? The parameters of a captioner, gradients that are there."""
import numpy as np

from benchmarks.comparison import TORCH, Computation, add_row, explain_missing, make_table
from benchmarks.frame import find_peer
from minichain import Chain, Parameter, get_device, optimizer_hooks, optimizers

FUSED = 'torch fused'
PEERS = TORCH, FUSED
SHAPES = [(8000, 256), (8000, 512), (8000,), (2048, 256), (2048, 512), (2048,), (256, 2048)]
SMALL = [(5000, 100), (5000, 100), (5000,), (400, 100), (400, 100), (400,), (100, 2048)]
LR, DENORMAL = 1e-3, 1e-40
# name: (ours, its arguments, torch's, its arguments, arrays of 4 bytes that are read or written)
RULES = {
    'SGD': ('SGD', {}, 'SGD', {}, 3),
    'MomentumSGD': ('MomentumSGD', {}, 'SGD', {'momentum': .9}, 5),
    'RMSprop': ('RMSprop', {}, 'RMSprop', {}, 5),
    'AdaGrad': ('AdaGrad', {}, 'Adagrad', {'eps': 1e-8}, 5),
    # eps stands at another place in PyTorch: so small that this makes no difference
    'Adam': ('Adam', {'eps': 1e-12}, 'Adam', {'eps': 1e-12}, 7),
}
HAS_FUSED = 'SGD', 'MomentumSGD', 'AdaGrad', 'Adam'


def draw(shapes):
    """Return (weights, gradients): lists of arrays."""
    random = np.random.RandomState(0)
    return tuple([random.standard_normal(shape).astype('float32') for shape in shapes]
                 for _ in range(2))


def ours(name, arguments, shapes, clip=None, decayed=False, device='cpu', dtype='float32'):
    """Return a function that updates and gives all weights.

    Args:
        clip: norm to which gradients are clipped, or None.
        decayed: with gradients of zeros and moments that were denormal numbers 64 updates before.
        device: where. dtype: of weights and gradients.
    """
    device = get_device(device)
    weights, gradients = ([device.send(array.astype(dtype)) for array in arrays]
                          for arrays in draw(shapes))
    chain = Chain()
    with chain.init_scope():
        for i, array in enumerate(weights):
            setattr(chain, f'W{i}', Parameter(array))
    parameters = [getattr(chain, f'W{i}') for i in range(len(weights))]
    step = 'alpha' if name == 'Adam' else 'lr'
    optimizer = getattr(optimizers, name)(**{step: LR}, **arguments).setup(chain)
    if clip is not None:
        optimizer.add_hook(optimizer_hooks.GradientClipping(clip))
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = 0 * gradient if decayed else gradient
    if decayed:
        optimizer.update()
        for parameter in parameters:
            parameter.update_rule.state['m'][...] = DENORMAL
        for _ in range(63):
            optimizer.update()

    def function():
        optimizer.update()
        return [parameter.array for parameter in parameters]
    function.optimizer = optimizer
    return function


def with_torch(name, arguments, shapes, clip=None, decayed=False, fused=None):
    """Return the same with torch.optim."""
    import torch
    weights, gradients = draw(shapes)
    parameters = [torch.nn.Parameter(torch.tensor(array)) for array in weights]
    optimizer = getattr(torch.optim, name)(parameters, lr=LR, fused=fused, **arguments) \
        if fused else getattr(torch.optim, name)(parameters, lr=LR, **arguments)
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.tensor(0 * gradient if decayed else gradient)
    if decayed:
        optimizer.step()
        for parameter in parameters:
            optimizer.state[parameter]['exp_avg'].fill_(DENORMAL)

    def function():
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        return parameters
    return function


def run(options):
    """Return the Table."""
    table = make_table('Updates of all parameters of a captioner', PEERS)
    cases = [(name, SHAPES, {}) for name in RULES]
    cases += [('Adam', SMALL, {}), ('Adam', SHAPES, {'clip': 5.}),
              ('Adam', SHAPES, {'decayed': True})]
    for name, shapes, extra in cases:
        if options.quick:
            shapes = [tuple(length // 8 for length in shape) for shape in shapes]
        mine, my_arguments, theirs, their_arguments, arrays = RULES[name]
        functions = {'minichain': ours(mine, my_arguments, shapes, **extra)}
        if find_peer('torch'):
            functions[TORCH] = with_torch(theirs, their_arguments, shapes, **extra)
            if name in HAS_FUSED:
                functions[FUSED] = with_torch(theirs, their_arguments, shapes, fused=True, **extra)
        n = sum(int(np.prod(shape)) for shape in shapes)
        label = name + (', clipping' if 'clip' in extra else '')
        label += ', rows without gradient for 1,000 updates' if 'decayed' in extra else ''
        add_row(table, PEERS, Computation(label, f'{n / 1e6:.3g} M numbers', functions,
                                          work=4 * n * arrays, unit='byte'), options)
    table.note('rows without gradient: moments have decayed to denormal numbers, with which '
               'processors are slow, some many times; minichain sets them to zero')
    explain_missing(table, [TORCH], options)
    return table

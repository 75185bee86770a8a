"""The operations of kernels.py in PyTorch, on the same numbers.

Import it only where torch is installed. Each function takes the Storage, the sizes and the place,
and returns a function without arguments.
"""
import numpy as np
import torch
from torch.nn import functional

from benchmarks.gpu.operands import ADAM, KSIZE, LRN, STRIDE, Storage, labels_of, pooled
from minichain.backend import to_cpu


def tensor(s, x, place):
    """Return a stored array as a tensor on a device: float32 or bfloat16."""
    values = torch.from_numpy(np.ascontiguousarray(to_cpu(x)).view('int16' if s.bf16 else 'f4'))
    return values.view(torch.bfloat16 if s.bf16 else torch.float32).to(place)


def lrn(x):
    """Local response normalization; PyTorch divides alpha by n."""
    return functional.local_response_norm(x, LRN['n'], LRN['alpha'] * LRN['n'], LRN['beta'],
                                          LRN['k'])


def forward_only(function, x):
    """Return a function that applies ``function`` without a record."""
    def run():
        with torch.inference_mode():
            return [function(x)]
    return run


def backward_only(function, x, gy):
    """Return a function that goes back through ``function``, which was applied once."""
    x.requires_grad_()
    y = function(x)
    return lambda: list(torch.autograd.grad(y, x, gy, retain_graph=True))


def normalize(s, shape, place):
    """LRN, forward."""
    return forward_only(lrn, tensor(s, s.draw(shape), place))


def normalize_back(s, shape, place):
    """LRN, backward."""
    return backward_only(lrn, *(tensor(s, s.draw(shape, salt), place) for salt in (1, 2)))


def max_pool(x):
    """Max pooling where the window fits."""
    return functional.max_pool2d(x, KSIZE, STRIDE)


def largest(s, shape, place):
    """Max pooling, forward."""
    return forward_only(max_pool, tensor(s, s.draw(shape), place))


def largest_back(s, shape, place):
    """Max pooling, backward."""
    return backward_only(max_pool, tensor(s, s.draw(shape), place),
                         tensor(s, s.draw(pooled(shape), 2), place))


def means(s, shape, place):
    """Average pooling, forward."""
    return forward_only(lambda x: functional.avg_pool2d(x, KSIZE, STRIDE),
                        tensor(s, s.draw(shape), place))


def cross_entropy(s, shape, place):
    """Losses, and the gradient of the scores."""
    x = tensor(s, s.draw(shape), place).requires_grad_()
    labels = torch.tensor(labels_of(*shape), dtype=torch.long, device=place)

    def run():
        losses = functional.cross_entropy(x, labels, reduction='none')
        return [losses, *torch.autograd.grad(losses.mean(), x)]
    return run


def update(s, count, place):
    """Adam's first update."""
    wide = Storage(s.xp, 'float32')
    x, g = (tensor(wide, wide.draw(count, salt), place) for salt in (1, 2))
    before = x.clone()
    x = torch.nn.Parameter(x)
    x.grad = g
    # whose eps stands beside the square root of v after its correction
    eps = ADAM['eps'] / (1 - ADAM['beta2']) ** .5
    optimizer = torch.optim.Adam([x], ADAM['alpha'], (ADAM['beta1'], ADAM['beta2']), eps,
                                 fused=True, capturable=place != 'cpu')

    def run():
        optimizer.step()

    def reset():
        with torch.no_grad():
            x.copy_(before)
        for value in optimizer.state[x].values():
            value.zero_()

    def read():
        state = optimizer.state[x]
        return [x, state['exp_avg'], state['exp_avg_sq']]
    run.reset, run.read = reset, read
    return run


def embed_back(s, sizes, place):
    """The gradient of an embedding."""
    table, width, rows = sizes
    gy = tensor(s, s.draw((rows, width)), place)
    ids = torch.tensor(labels_of(rows, table // 4), dtype=torch.long, device=place)
    return lambda: [torch.ops.aten.embedding_dense_backward(gy, ids, table, -1, False)]

"""What does an LSTM over sequences cost, forward and backward, without the rest of a model?"""
import numpy as np

from benchmarks.comparison import TORCH, Computation, add_row, explain_missing, make_table
from benchmarks.frame import find_peer
from minichain import Variable
from minichain import functions as F
from minichain import links as L

PACKED, CELLS = 'packed', 'LSTMCell'
PEERS = TORCH, PACKED, CELLS

# (inputs, units, sequences, shortest, longest)
SIZES = [(256, 512, 64, 20, 20), (256, 512, 64, 10, 20), (100, 100, 16, 10, 20)]


def batch_sizes_of(n, shortest, longest):
    """Return how many of n sequences have each step; lengths are spread evenly."""
    lengths = np.linspace(longest, shortest, n).round()
    return [int((lengths > step).sum()) for step in range(longest)]


def ours(lstm, x, weights, batch_sizes):
    """Return a function: the gradients of x and of the recurrent weights of sum(weights hs)."""
    size = lstm.state_size

    def function():
        lstm.cleargrads()
        variable = Variable(x)
        hs, _, _ = lstm.sequence(variable, batch_sizes)
        F.sum(hs * weights).backward()
        return [variable.grad, lstm.lateral.W.grad.reshape(size, 4, size)]
    return function


def torch_functions(lstm, x, weights, batch_sizes):
    """Return {peer: function}: the same with the weights that ``lstm`` has."""
    import torch

    from benchmarks.torch_steps import cell_of, run_cell
    size = lstm.state_size
    rows = np.arange(4 * size).reshape(size, 4)[:, [1, 2, 0, 3]].T.ravel()   # blocks i, f, a, o
    net = torch.nn.LSTM(x.shape[1], size)
    net.load_state_dict({name: torch.tensor(value[rows]) for name, value in (
        ('weight_ih_l0', lstm.upward.W.array), ('weight_hh_l0', lstm.lateral.W.array),
        ('bias_ih_l0', lstm.upward.b.array), ('bias_hh_l0', np.zeros_like(lstm.upward.b.array)))})
    cell, sizes = cell_of(net), torch.tensor(batch_sizes)
    step = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    sequence = torch.cat([torch.arange(n) for n in batch_sizes])

    def padded(array):
        result = torch.zeros(len(batch_sizes), batch_sizes[0], array.shape[1])
        result[step, sequence] = torch.tensor(array)
        return result
    x_padded, weights_padded, weights = padded(x), padded(weights), torch.tensor(weights)
    zeros = torch.zeros(batch_sizes[0], size)

    def gradients(variable, total):
        net.zero_grad()
        total.backward()
        gW = net.weight_hh_l0.grad.view(4, size, size)
        return [variable.grad, gW.transpose(0, 1)[:, [2, 0, 1, 3]]]

    def with_packed():
        variable = torch.tensor(x, requires_grad=True)
        hs, _ = net(torch.nn.utils.rnn.PackedSequence(variable, sizes))
        return gradients(variable, (hs.data * weights).sum())

    def with_padded(cells=False):
        variable = x_padded.clone().requires_grad_()
        hs = run_cell(cell, variable, zeros, zeros)[0] if cells else net(variable)[0]
        gx, gW = gradients(variable, (hs * weights_padded).sum())
        return [gx[step, sequence], gW]
    return {TORCH: with_padded, PACKED: with_packed, CELLS: lambda: with_padded(True)}


def run(options):
    """Return the Table."""
    table = make_table('LSTM over sequences, forward and backward to inputs and weights', PEERS)
    for inputs, units, n, shortest, longest in SIZES:
        if options.quick:
            inputs, units, n = inputs // 8, units // 8, n // 2
        np.random.seed(0)
        lstm, batch_sizes = L.StatelessLSTM(inputs, units), batch_sizes_of(n, shortest, longest)
        steps = sum(batch_sizes)
        x, weights = (np.random.standard_normal((steps, width)).astype('float32')
                      for width in (inputs, units))
        functions = {'minichain': ours(lstm, x, weights, batch_sizes)}
        if find_peer('torch'):
            functions.update(torch_functions(lstm, x, weights, batch_sizes))
        lengths = f'T={longest}' if shortest == longest else f'T={shortest}-{longest}'
        add_row(table, PEERS, Computation(
            f'{n} sequences', f'i{inputs} h{units} {lengths}', functions,
            work=6 * steps * 4 * units * (inputs + units), rounds=21), options)
    table.note(f'{TORCH}: nn.LSTM over padded sequences; {PACKED}: nn.LSTM of a PackedSequence, '
               'the same arithmetic as minichain')
    explain_missing(table, [TORCH], options)
    return table

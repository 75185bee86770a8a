"""What does an LSTM over sequences cost on a device, forward and backward?"""
import functools

import numpy as np

from benchmarks import lstm_step
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import CAPTURED, LAUNCHES, Case, add_case, captured, make_table
from benchmarks.variants import PLAIN
from minichain import links as L
from minichain.configuration import using_config

CELLS = 'LSTMCell'
PEERS = *FORMS, CELLS
STEPS = 20
PRECISIONS = 'bf16', 'tf32', 'float32'
SIZES = [(512, 64), (1024, 512)]      # units and inputs, sequences


def make_case(units, n, precision, options, bench):
    """Return the Case of a size."""
    def draw():
        np.random.seed(0)
        lstm = L.StatelessLSTM(units, units)
        return lstm, *np.random.standard_normal((2, STEPS * n, units)).astype('float32')

    def ours(launches='auto', graph=False, dtype='float32'):
        lstm, x, weights = draw()
        for parameter in lstm.params():
            parameter.array = parameter.array.astype(dtype)
        lstm.to_device(bench.device)
        x, weights = (bench.device.send(array.astype(dtype)) for array in (x, weights))

        def update(batch):
            with using_config('persistent_lstm', launches):
                return lstm_step.ours(lstm, *batch, [n] * STEPS)()
        return captured(update, (x, weights), (lstm,))() if graph else (
            lambda: update((x, weights)))
    ways = {PLAIN: ours, CAPTURED: functools.partial(ours, graph=True)}
    for way, launches in LAUNCHES.items():
        ways[way] = functools.partial(ours, launches)
        ways[f'{way}, {CAPTURED}'] = functools.partial(ours, launches, graph=True)
    place, reason = place_of(options.device)
    if reason:
        peers = missing(reason, PEERS, options)
    else:
        from benchmarks.gpu import torch_steps

        def theirs(cells=False):
            lstm, *arrays = draw()
            arrays = (array.reshape(STEPS, n, units) for array in arrays)
            return torch_steps.lstm_step(lstm, *arrays, precision, place, cells)
        peers = {**forms(theirs, place, options), CELLS: lambda: theirs(True)}
    rows, size = STEPS * n, 2 if precision == 'bf16' else 4
    # inputs, gates, cells, outputs and their gradients; weights and their gradients
    moved = rows * units * (size * 4 * 5 + 4 * 8) + 8 * units ** 2 * (size * 2 + 4)
    return Case(f'{n} sequences', f'i{units} h{units} T{STEPS}', precision,
                {**ways, **peers}, lambda: ours(dtype='float64')(),
                [(6 * rows * 8 * units ** 2, moved)])


def run(options, bench):
    """Return the table."""
    table = make_table('LSTM over sequences, forward and backward to inputs and weights', PEERS)
    for units, n in SIZES:
        if options.quick:
            units, n = units // 32, n // 16
        for precision in PRECISIONS:
            add_case(table, PEERS, lambda units=units, n=n, precision=precision: make_case(
                units, n, precision, options, bench), options, bench)
    return table

"""How fast are captions said on a device? Greedy and beam search, beside the same on tensors."""
import numpy as np

from benchmarks import decode
from benchmarks.comparison import TORCH
from benchmarks.gpu.peers import FORMS, MissingPeerError, forms, missing, place_of
from benchmarks.gpu.rows import CAPTURED, Case, add_case, make_table
from benchmarks.variants import PLAIN
from minichain.vocabulary import BOS, EOS, UNK

BATCHES = 1, 4, 16, 64
BEAMS = 1, 5
BARS = {TORCH: (1 / 3, 1 / 6)}      # of beam 5


def make_case(beam, batch, size, options, bench):
    """Return the Case of a beam and a number of images."""
    n_vocabulary, n_feature, n_embed, n_hidden = size
    features = np.random.RandomState(1).standard_normal((batch, n_feature)).astype('float32')

    def ours(dtype='float32', capture=False):
        model = decode.make_model(size)
        for parameter in model.params():
            parameter.array = parameter.array.astype(dtype)
        model.to_device(bench.device)
        step = model.prepare_step(capture=capture)
        function = decode.ours(model, step, bench.device.send(features.astype(dtype)), beam)
        if capture:
            function(), function()      # as written, then captured
            if step.reason is not None:
                raise MissingPeerError(step.reason)
        return function
    place, reason = place_of(options.device)
    if reason:
        peers = missing(reason, FORMS, options)
    else:
        from benchmarks.gpu import torch_steps
        peers = forms(lambda: torch_steps.search(
            decode.make_model(size), features, (BOS, EOS, decode.LENGTH, beam, [UNK, BOS]),
            place), place, options)
    rows, steps = beam * batch, decode.LENGTH + 1
    # What no step can do without: recurrent weights, and scores, which are written and read; the
    # input half of the gates can be had from a table.
    weights = 4 * n_hidden * n_hidden + n_hidden * n_vocabulary
    return Case(f'{"greedy" if beam == 1 else f"beam {beam}"}',
                f'e{n_embed} h{n_hidden} V{n_vocabulary} N{batch}', 'float32',
                {PLAIN: ours, CAPTURED: lambda: ours(capture=True), **peers},
                lambda: ours('float64')(),
                [(2 * rows * weights, 4 * (weights + rows * 2 * n_vocabulary))] * steps,
                BARS if beam > 1 else {}, rounds=7)


def run(options, bench):
    """Return the table."""
    table = make_table(f'Captions of {decode.LENGTH} words and the end word', FORMS)
    size = [length // 64 for length in decode.SIZE] if options.quick else decode.SIZE
    for beam in BEAMS:
        for batch in BATCHES[:2] if options.quick else BATCHES:
            add_case(table, FORMS, lambda beam=beam, batch=batch: make_case(
                beam, batch, size, options, bench), options, bench)
    table.note('Words are compared, too. minichain looks every fourth step whether captions have '
               'ended, which those of this model never do; torch does not look')
    table.note(f'launches are those of a call, {decode.LENGTH + 1} steps and what comes before; '
               'captured, the host launches a graph for each step. On the device sim kernels of '
               'our own are counted, those of replays are not')
    return table

"""How long does a step of learning to caption take? All captions have 20 words.

The step size is 0: all that an update costs is done, and every call gives the same results, so
that captured steps can be compared, too.
"""
import numpy as np

from benchmarks.caption_step import CLIP, N_FEATURE
from benchmarks.comparison import TORCH
from benchmarks.gpu.peers import FORMS, GRAPH, MissingPeerError, forms, missing, place_of
from benchmarks.gpu.rows import CAPTURED, Case, add_case, captured, make_table
from benchmarks.variants import PLAIN
from minichain import optimizer_hooks, optimizers
from minichain.packing import PackedChunk
from models.caption_generator import CaptionGenerator

CELLS = 'LSTMCell'
PEERS = *FORMS, CELLS
STEPS = 20
PRECISIONS = 'bf16', 'tf32', 'float32'
# name: (units and embedding, vocabulary, batch, {precision: bars beside peers})
SIZES = {
    'small': (512, 8800, 64, {'bf16': {TORCH: (1 / 2,), CELLS: (1 / 5,), GRAPH: (1., 1 / 1.2)}}),
    'large': (1024, 10000, 512, {'bf16': {GRAPH: (1 / 1.05,)}})}
SHARES = {'large': (.65, .8)}


def draw(units, n_vocabulary, batch):
    """Return (CaptionGenerator on the CPU, features, words read, words to be said)."""
    np.random.seed(0)
    random = np.random.RandomState(1)
    model = CaptionGenerator(n_vocabulary, N_FEATURE, units, units)
    features = random.standard_normal((batch, N_FEATURE)).astype('float32')
    model.standardize_by(features)
    inputs, targets = random.randint(3, n_vocabulary, (2, STEPS * batch)).astype('int32')
    return model, features, inputs, targets


def ours(model, device, dtype='float32'):
    """Return (update, state): a function of (features, inputs, targets), and what it changes.

    Args:
        model: it is moved to the device.
        device: Device. dtype: of the parameters.
    """
    for parameter in model.params():
        parameter.array = parameter.array.astype(dtype)
    model.to_device(device)
    for name in ('feature_mean', 'feature_scale'):
        setattr(model, name, getattr(model, name).astype(dtype))
    optimizer = optimizers.Adam(alpha=0.).setup(model)
    optimizer.add_hook(optimizer_hooks.GradientClipping(CLIP))

    def forward_backward(batch):
        features, inputs, targets = batch
        chunk = PackedChunk(inputs, targets, [len(features)] * STEPS, True)
        loss, _ = model.loss(model.image(features), chunk)
        model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        return loss.array

    def results(loss):
        return [loss, model.out.W.grad, model.embed.W.grad, model.img2x.W.grad]

    def update(batch):
        loss = forward_backward(batch)
        optimizer.update()
        return results(loss)
    return update, forward_backward, results, (model, optimizer)


def our_functions(units, n_vocabulary, batch, device, table):
    """Return {way: function that makes it}, and the reference in float64."""
    def prepare(dtype='float32'):
        model, *arrays = draw(units, n_vocabulary, batch)
        arrays[0] = arrays[0].astype(dtype)
        return ours(model, device, dtype), device.send(tuple(arrays))

    def plain():
        (update, *_), arrays = prepare()
        return lambda: update(arrays)

    def with_graph():
        (update, forward_backward, results, state), arrays = prepare()
        try:
            return captured(update, arrays, state)()
        except MissingPeerError as error:
            whole = str(error)
        (_, forward_backward, results, (model, optimizer)), arrays = prepare()
        step = captured(forward_backward, arrays, (model,))()
        table.note(f'captured: forward and backward alone; the whole step is not: {whole}')

        def function():
            loss = step()
            optimizer.update()
            return results(loss)
        return function

    def reference():
        (update, *_), arrays = prepare('float64')
        return update(arrays)
    return {PLAIN: plain, CAPTURED: with_graph}, reference


def torch_functions(units, n_vocabulary, batch, precision, options):
    """Return {peer: function that makes it}."""
    place, reason = place_of(options.device)
    if reason:
        return missing(reason, PEERS, options)
    from benchmarks.gpu import torch_steps
    model, *arrays = draw(units, n_vocabulary, batch)

    def make(kind='Padded'):
        return torch_steps.caption_step(kind, model, arrays, STEPS, CLIP, precision, place)
    return {**forms(make, place, options), CELLS: lambda: make('Cells')}


def phases_of(units, n_vocabulary, batch, precision):
    """Return what a step has to do: products beside activations, then the update.

    Operations are those of the products, forward and backward. Bytes: the scores are written,
    turned into their gradient, and read twice; the gates likewise, with cells, outputs and inputs;
    an update reads weight, gradient and two moments, writes all but the gradient, which was
    written before, and under bf16 a copy of the weight, which the products read twice.
    """
    rows, size = STEPS * batch, 2 if precision == 'bf16' else 4
    inner = units * n_vocabulary + 8 * units * units
    operations = 6 * rows * inner + 4 * batch * N_FEATURE * units
    scores, steps = rows * n_vocabulary * size * 5, rows * units * size * (4 * 5 + 6 + 4)
    weights = 2 * units * n_vocabulary + n_vocabulary + 8 * units ** 2 + (N_FEATURE + 5) * units
    copies = 2 if precision == 'bf16' else 0
    return [(operations, scores + steps + 2 * size * weights), (0, (32 + copies) * weights)]


def run(options, bench):
    """Return the table."""
    table = make_table('One update of a captioner: forward, backward, clipping to norm 5, Adam; '
                       f'{STEPS} words each', PEERS)
    for name, (units, n_vocabulary, batch, bars) in SIZES.items():
        if options.quick:
            units, n_vocabulary, batch = units // 32, n_vocabulary // 80, batch // 16
        for precision in PRECISIONS:
            def case(name=name, size=(units, n_vocabulary, batch), precision=precision,
                     bars=bars):
                functions, reference = our_functions(*size, bench.device, table)
                return Case(name, f'h{size[0]} V{size[1]} N{size[2]} T{STEPS}', precision,
                            {**functions, **torch_functions(*size, precision, options)},
                            reference, phases_of(*size, precision), bars.get(precision, {}),
                            SHARES.get(name, ()) if precision == 'bf16' else ())
            add_case(table, PEERS, case, options, bench)
    table.note(f'{TORCH}: nn.LSTM, autocast under bf16, fused Adam. {CELLS}: a loop of '
               'nn.LSTMCell, eager. The step size is 0, so that every call gives the same')
    return table

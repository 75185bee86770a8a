"""How fast are captions said? Greedy and beam search, beside the same search on tensors."""
import statistics
import time

import numpy as np

from benchmarks.comparison import TORCH, Computation, add_row, explain_missing, make_table
from benchmarks.frame import find_peer
from minichain import decoding
from minichain.vocabulary import BOS, EOS, UNK
from models.caption_generator import CaptionGenerator

SIZE = 8000, 2048, 256, 512     # vocabulary, features, embedding, LSTM
LENGTH = 20
# (name, beam, batch, bars)
CASES = [('greedy', 1, 1, (.30, .15)), ('greedy', 1, 32, (.70, .55)),
         ('beam 5', 5, 1, (.80, .6)), ('beam 5', 5, 32, (.85, .7))]
STEPS = 'plain step', 'prepared', 'input table'


def make_model(size):
    """Return a model with random weights, in which captions never end and words differ clearly."""
    np.random.seed(0)
    model = CaptionGenerator(*size)
    for link in (model.embed, model.out):
        link.W.array *= 3
    model.out.b.array[EOS] = -100
    return model


def ours(model, step, features, beam):
    """Return a function that decodes: words (N, 20) and log probabilities (N,)."""
    def function():
        n, state = len(features), model.start(features)
        if beam == 1:
            found = decoding.greedy(step, state, n, BOS, EOS, LENGTH, banned=(UNK,))
        else:
            found = [best for best, in decoding.beam_search(
                step, state, n, BOS, EOS, LENGTH, beam, banned=(UNK,))]
        return [np.array([each.words for each in found]),
                np.array([each.log_probability for each in found])]
    return function


def run(options):
    """Return the Table."""
    table = make_table(f'Captions of {LENGTH} words and the end word', [TORCH])
    size = [length // 8 for length in SIZE] if options.quick else SIZE
    model = make_model(size)
    n_vocabulary, n_feature, n_embed, n_hidden = size
    torch, steps = find_peer('torch'), dict(zip(STEPS, (
        model.step, model.prepare_step(False), model.prepare_step(True))))
    if torch is not None:
        from benchmarks.torch_captioner import TorchCaptioner
        from benchmarks.torch_steps import search
        net = TorchCaptioner(model).eval()
    for name, beam, batch, bars in CASES:
        features = np.random.RandomState(1).standard_normal((batch, n_feature)).astype('float32')
        for kind, step in steps.items():
            functions = {'minichain': ours(model, step, features, beam)}
            if torch is not None:
                functions[TORCH] = lambda beam=beam, features=features: list(
                    search(net, features, BOS, EOS, LENGTH, beam, [UNK, BOS]))
            add_row(table, [TORCH], Computation(
                f'{name}, {kind}', f'e{n_embed} h{n_hidden} V{n_vocabulary} N{batch}', functions,
                {TORCH: bars} if kind == 'prepared' else {}, batch, 'captions', rounds=11),
                options)
    table.note(f'{STEPS[0]}: model.step. {STEPS[1]}: model.prepare_step(), private weights laid '
               f'out for thin products; making it takes {preparation(model, False):.3g} ms, once '
               f'for any number of captions. {STEPS[2]}: with the input weights of all words '
               f'multiplied beforehand, {preparation(model, True):.3g} ms and '
               f'{n_vocabulary * n_hidden * 16 / 2 ** 20:.3g} MiB')
    table.note('Words and log probabilities are compared before the clock starts')
    explain_missing(table, [TORCH], options)
    return table


def preparation(model, input_table):
    """Return the milliseconds, median of five, that a step takes to prepare."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        model.prepare_step(input_table)
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)

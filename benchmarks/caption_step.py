"""How long does a step of learning take? The learner that train.py uses, beside PyTorch."""
import numpy as np

from benchmarks.comparison import TORCH, Computation, add_row, explain_missing, make_table
from benchmarks.frame import find_peer
from minichain import get_device, optimizer_hooks, optimizers
from minichain.captioning import Learner
from minichain.packing import pack
from minichain.vocabulary import BOS, EOS
from models.caption_generator import CaptionGenerator

PACKED, MASKED, CELLS = 'packed', 'masked', 'LSTMCell'
PEERS = TORCH, PACKED, MASKED, CELLS
N_FEATURE, SHORTEST, LONGEST = 2048, 10, 20      # words and the end word
LR, CLIP = 1e-3, 5.

# name: (embedding, LSTM, vocabulary, batch, bars)
SIZES = {
    'large': (256, 512, 8000, 64, {TORCH: (.70, .60), PACKED: (.95, .85)}),
    "the article's": (100, 100, 5000, 16, {TORCH: (.75, .5)}),
}


def draw(n, n_vocabulary, seed=0):
    """Return (features (n, 2048), n id arrays); words by Zipf's law."""
    random = np.random.RandomState(seed)
    chance = 1 / np.arange(1, n_vocabulary - 2)
    captions = [np.array([BOS, *random.choice(n_vocabulary - 3, length - 1,
                                              p=chance / chance.sum()) + 3, EOS], 'int32')
                for length in random.randint(SHORTEST, LONGEST + 1, n)]
    return random.standard_normal((n, N_FEATURE)).astype('float32'), captions


def make_functions(n_embed, n_hidden, n_vocabulary, batch):
    """Return {library: function}: each makes an update and gives the loss and some gradients."""
    features, ids = draw(batch, n_vocabulary)
    np.random.seed(0)
    model = CaptionGenerator(n_vocabulary, N_FEATURE, n_embed, n_hidden)
    model.standardize_by(features)
    optimizer = optimizers.Adam(alpha=LR).setup(model)
    optimizer.add_hook(optimizer_hooks.GradientClipping(CLIP))
    learner = Learner(model, optimizer, get_device('cpu'))

    def ours():
        loss = learner.update(features, ids)
        return [loss.nats / loss.tokens, model.out.W.grad, model.embed.W.grad, model.img2x.W.grad]
    return {'minichain': ours, **(torch_functions(model, features, ids)
                                  if find_peer('torch') else {})}


def torch_functions(model, features, ids):
    """Return {peer: function}, of the weights that the model has now."""
    from benchmarks import torch_steps
    from benchmarks.torch_captioner import TorchCaptioner, TorchLearner
    order, (chunk,) = pack(ids)
    padded, functions = torch_steps.pad(chunk), {}
    for name, kind in ((TORCH, torch_steps.Padded), (PACKED, TorchCaptioner),
                       (MASKED, torch_steps.Masked), (CELLS, torch_steps.Cells)):
        learner = TorchLearner(model, LR, CLIP, kind)

        def function(learner=learner, chunk=chunk if name == PACKED else padded):
            loss, _ = learner.learn(features[order], chunk)
            net = learner.model
            return [loss, net.out.weight.grad, net.embed.weight.grad, net.img2x.weight.grad]
        functions[name] = function
    return functions


def flop(n_embed, n_hidden, n_vocabulary, batch):
    """Return the floating point operations of the products of a step, pads not counted."""
    _, ids = draw(batch, n_vocabulary)
    tokens = sum(len(caption) - 1 for caption in ids)
    inner = n_hidden * n_vocabulary + 4 * n_hidden * (n_embed + n_hidden)
    return 6 * tokens * inner + 4 * batch * N_FEATURE * n_embed


def run(options):
    """Return the Table."""
    table = make_table("One update of train.py's learner, Adam, clipping to norm 5: packing, "
                       'forward, backward, update', PEERS)
    for name, (*size, bars) in SIZES.items():
        if options.quick:
            size = [length // 8 for length in size]
        n_embed, n_hidden, n_vocabulary, batch = size
        add_row(table, PEERS, Computation(
            name, f'e{n_embed} h{n_hidden} V{n_vocabulary} N{batch} T<={LONGEST}',
            make_functions(*size), bars, flop(*size), tolerance=1e-3,
            rounds=15 if n_embed > 100 else 41), options)
    table.note(f'{TORCH}: nn.LSTM over padded captions, as most scripts write it; {MASKED}: the '
               f'same without the scores of pads; {PACKED}: PackedSequence, the arithmetic of '
               f'minichain. Captions have {SHORTEST} to {LONGEST} words, the end word counted')
    explain_missing(table, [TORCH], options)
    return table

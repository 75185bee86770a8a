"""How well does the caption generator describe real photos, beside PyTorch and simple baselines?

Data in the layout of Flickr8k; features are SqueezeNet's fire9/concat averaged over positions. The
same model in PyTorch gets the same initial weights and batches, and dropout of its own.
"""
import collections
import dataclasses
import math
import statistics
import sys
import time

import numpy as np

from benchmarks.frame import Table, find_peer, missing
from benchmarks.learners import MinichainLearner, make_learners
from benchmarks.neighbours import consensus, nearest
from minichain import decoding, metrics
from minichain.datasets import captions as caption_files
from minichain.features import cached_features
from minichain.image_encoder import ImageEncoder
from minichain.iterators import BucketIterator
from minichain.packing import pack
from minichain.text import get_tokenizer
from minichain.vocabulary import BOS, EOS, UNK, Vocabulary
from models.caption_generator import CaptionGenerator

LAYER, TOKENIZER, THRESHOLD = 'fire9/concat', 'words', 3
WIDTH, DROPOUT, LR, BATCH, CLIP, INJECT = 256, .5, 1e-3, 64, 5., 'state'
EPOCHS, PATIENCE = 25, 4        # at most; and without a better dev loss before it ends
BEAM, MAX_LENGTH = 3, 30
NEIGHBOURS = 20
SEEDS = 0, 1, 2
STEPS, TOLERANCE = 50, 1e-5     # updates without dropout, relative difference of the losses
BARS = {'dev': 3.12, 'CIDEr': .28, 'BLEU-4': .12, 'ROUGE-L': .385, 'shuffling costs': .35}
STRETCH = {'dev': 2.93, 'CIDEr': .34}
SCORES = 'dev', 'shuffling costs', 'CIDEr', 'BLEU-4', 'ROUGE-L'


@dataclasses.dataclass
class Split:
    """One split: features (images, D); tokens: for each image its captions, lists of tokens.

    Made from these: ids of all captions, and for each the index of its image, image_of.
    """

    features: np.ndarray
    tokens: list

    def encode(self, vocabulary):
        """Turn the captions into ids."""
        self.ids = [vocabulary.encode(caption) for group in self.tokens for caption in group]
        self.image_of = np.repeat(np.arange(len(self.tokens)), [len(g) for g in self.tokens])


@dataclasses.dataclass
class Data:
    """Splits 'train', 'dev', 'test', the vocabulary, and training captions without an image."""

    splits: dict
    vocabulary: Vocabulary
    extra: list


def load(options):
    """Return the Data in the folder ``--data``, features computed by ``--weights``."""
    tokenize = get_tokenizer(TOKENIZER).tokenize
    data = caption_files.load(options.data)
    encoder = ImageEncoder(options.weights, layer=LAYER)
    names = [image.name for images in data.splits.values() for image in images]
    features = cached_features(data.images, names, encoder.compute, encoder.key, options.cache,
                               prepare=encoder.prepare)
    return make_data(
        {name: Split(features.of([image.name for image in images]),
                     [[tokenize(caption) for caption in image.captions] for image in images])
         for name, images in data.splits.items()},
        [tokenize(caption) for image in data.without_image['train'] for caption in image.captions])


def make_data(splits, extra):
    """Return Data of splits, with the vocabulary of the captions whose images are here."""
    vocabulary = Vocabulary.build(
        [caption for group in splits['train'].tokens for caption in group], THRESHOLD)
    for split in splits.values():
        split.encode(vocabulary)
    return Data(splits, vocabulary, [vocabulary.encode(caption) for caption in extra])


def make_model(data, seed, dropout=DROPOUT):
    """Return a model with the initial weights of a seed."""
    np.random.seed(seed)
    features = data.splits['train'].features
    model = CaptionGenerator(len(data.vocabulary), features.shape[1], WIDTH, WIDTH,
                             dropout=dropout, inject=INJECT)
    model.standardize_by(features)
    return model


def batches_of(ids, seed):
    """Return batches of about the same length, shuffled for ever."""
    return BucketIterator(range(len(ids)), [len(caption) for caption in ids], BATCH, seed=seed)


def learn(learner, ids, features):
    """Learn one batch: id arrays and features, a row a caption."""
    order, (chunk,) = pack(ids)
    learner.learn(features[order], chunk)


def judge(learner, split, features):
    """Return the nats per token of a split, seen with these features of its images."""
    nats = tokens = 0
    by_length = np.argsort([len(ids) for ids in split.ids], kind='stable')
    for start in range(0, len(by_length), 256):
        part = by_length[start:start + 256]
        order, (chunk,) = pack([split.ids[i] for i in part])
        loss, _ = learner.judge(features[split.image_of[part[order]]], chunk)
        nats += loss * len(chunk.targets)
        tokens += len(chunk.targets)
    return nats / tokens


def train(learner, data, seed, blind=False, more_text=False, epochs=EPOCHS):
    """Train and score on dev and test.

    Args:
        blind: every image looks like the mean of all.
        more_text: after each batch, learn one of captions whose training image is not here, with
            the mean of all images in its place.
    Returns:
        (scores, epoch): a number for each of SCORES, at the best epoch by dev loss.
    """
    train, dev, test = (data.splits[name] for name in ('train', 'dev', 'test'))
    mean = train.features.mean(axis=0, dtype='float64').astype('float32')

    def look(split):
        return np.tile(mean, (len(split.features), 1)) if blind else split.features
    extra = batches_of(data.extra, seed + 1000) if more_text else None
    batches, best, features = batches_of(train.ids, seed), (math.inf, 0), look(train)
    for epoch in range(1, epochs + 1):
        for _ in range(batches.n_batches):
            batch = batches.next()
            learn(learner, [train.ids[i] for i in batch], features[train.image_of[batch]])
            if more_text:
                batch = extra.next()
                learn(learner, [data.extra[i] for i in batch], np.tile(mean, (len(batch), 1)))
        loss = judge(learner, dev, look(dev))
        if loss < best[0]:
            best, weights = (loss, epoch), learner.get_weights()
        if epoch - best[1] >= PATIENCE:
            break
    learner.set_weights(weights)
    permuted = look(dev)[np.random.RandomState(0).permutation(len(dev.features))]
    said = [found[0].words for found in decoding.beam_search(
        learner.step, learner.start(look(test)), len(test.features), BOS, EOS, MAX_LENGTH,
        beam=BEAM, banned=(UNK,))]
    return {'dev': best[0], 'shuffling costs': judge(learner, dev, permuted) - best[0],
            **score(test, [data.vocabulary.decode(words) for words in said])}, best[1]


def score(split, captions, references=None):
    """Return CIDEr, BLEU-4 and ROUGE-L of one caption, a list of tokens, for each image."""
    found = metrics.evaluate(
        {i: [' '.join(tokens) for tokens in group]
         for i, group in enumerate(references or split.tokens)},
        {i: [' '.join(tokens)] for i, tokens in enumerate(captions)})
    return {name: found[name] for name in ('CIDEr', 'BLEU-4', 'ROUGE-L')}


def largest_difference(data, seed=0):
    """Return the largest relative difference of the losses from PyTorch's without dropout."""
    learners = make_learners(make_model(data, seed, dropout=0.), LR, CLIP)
    split, batches, worst = data.splits['train'], batches_of(data.splits['train'].ids, seed), 0.
    for _ in range(STEPS):
        batch = batches.next()
        order, (chunk,) = pack([split.ids[i] for i in batch])
        features = split.features[split.image_of[batch]][order]
        ours, theirs = (learners[library].learn(features, chunk)[0]
                        for library in ('minichain', 'torch'))
        worst = max(worst, abs(ours / theirs - 1))
    return worst


def measure(data, quick=False):
    """Return the Table of these data."""
    table = Table('Flickr8k: dev loss in nats/token, what images of others add to it, and scores '
                  'of test captions',
                  ['model', 'seed', 'epoch', *SCORES, 'CPU s'])
    train_split, test = data.splits['train'], data.splits['test']
    seeds, epochs = (SEEDS[:1], 1) if quick else (SEEDS, EPOCHS)
    found = collections.defaultdict(list)

    def add(name, seed, learner, **how):
        start = time.process_time()
        np.random.seed(seed)
        scores, epoch = train(learner, data, seed, epochs=epochs, **how)
        found[name].append(scores)
        print(f'{name}, seed {seed}: dev {scores["dev"]:.4f}, test CIDEr {scores["CIDEr"]:.3f}',
              file=sys.stderr)
        table.add(name, seed, epoch, *(scores[what] for what in SCORES),
                  round(time.process_time() - start, 1))
    torch = find_peer('torch')
    if torch is None:
        table.notes.append(missing('torch')[1])
    else:
        worst = largest_difference(data)
        table.notes.append(
            f"without dropout, {STEPS} updates: losses differ from PyTorch's by {worst:.1e} at "
            f'most, relative; bar {TOLERANCE:g} {"met" if worst <= TOLERANCE else "MISSED"}')
    for seed in seeds:
        for library, learner in make_learners(make_model(data, seed), LR, CLIP).items():
            if library == 'torch':
                torch.manual_seed(seed)
            add(library, seed, learner)
    kinds = {'image-blind': {'blind': True}}
    if data.extra:
        kinds['with more text'] = {'more_text': True}
    for name, how in kinds.items():
        for seed in seeds:
            add(name, seed, MinichainLearner(make_model(data, seed), LR, CLIP), **how)
    for name, all_scores in found.items():
        table.add(f'{name}, mean', None, None, *(
            statistics.fmean(scores[what] for scores in all_scores) for what in SCORES), None)
    mean, deviation = train_split.features.mean(axis=0), train_split.features.std(axis=0)
    neighbours = nearest((test.features - mean) / deviation,
                         (train_split.features - mean) / deviation, NEIGHBOURS)
    for name, scores in {
            'nearest neighbour': score(test, [train_split.tokens[row[0]][0]
                                              for row in neighbours]),
            f'consensus of {NEIGHBOURS}': score(test, consensus(neighbours, train_split.tokens)),
            'a human against the others': score(test, [group[0] for group in test.tokens],
                                                [group[1:] for group in test.tokens])}.items():
        table.add(name, None, None, *(scores.get(what) for what in SCORES), None)
    if torch is not None:
        table.notes += compare_with_torch(found)
    return judge_bars(table, found)


def compare_with_torch(found):
    """Return a line a score: the means of both libraries, and how far PyTorch's seeds spread."""
    lines = []
    for what in ('CIDEr', 'BLEU-4', 'ROUGE-L'):
        ours, theirs = ([scores[what] for scores in found[name]]
                        for name in ('minichain', 'torch'))
        spread = max(theirs) - min(theirs)
        met = statistics.fmean(ours) >= statistics.fmean(theirs) - spread
        lines.append(f'{what}: minichain {statistics.fmean(ours):.3f}, torch '
                     f'{statistics.fmean(theirs):.3f} with a spread of {spread:.3f}; not lower by '
                     f'more than that: {"met" if met else "MISSED"}')
    return lines


def judge_bars(table, found):
    """Append to the notes what became of the bars."""
    mean = {name: {what: statistics.fmean(scores[what] for scores in all_scores)
                   for what in SCORES} for name, all_scores in found.items()}
    bars = {**BARS, 'CIDEr beside image-blind': 2.}
    ours = {**mean['minichain'], 'CIDEr beside image-blind':
            mean['minichain']['CIDEr'] / max(mean['image-blind']['CIDEr'], 1e-9)}
    for title, values, wanted in (
            ('bars', ours, bars), ('stretch', mean.get('with more text', ours), STRETCH)):
        table.notes.append(f'{title}: ' + '; '.join(
            f'{what} {values[what]:.3f}, {"at most" if what == "dev" else "at least"} {bar:g} '
            f'{"met" if (values[what] <= bar) == (what == "dev") else "MISSED"}'
            for what, bar in wanted.items()))
    return table


def run(options):
    """Return the Table, or one that says what is missing."""
    if options.data is None or options.weights is None:
        table = Table('Flickr8k', ['needs', 'given'])
        table.add('--data, a folder with captions and images', options.data or 'missing')
        table.add('--weights, squeezenet_v1.0.caffemodel', options.weights or 'missing')
        return table
    return measure(load(options), options.quick)

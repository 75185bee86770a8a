"""What stopped the captioner of article 004: many captions for one image, or the training?

The article saw its loss stall at 2,000 images with 15 captions each, and fall at 300 images with
one each, and blamed the captions. Here are both experiments on generated captions, once as its
published code trains (groups of the same length in a fixed order, the LSTM's state carried from
batch to batch) and once shuffled with the state reset, each beside the same model in PyTorch with
the same batches and initial weights. The graph is cut between batches in all of them; the
published code does not, and slows down with every update.
"""
import math
import time

import numpy as np

from benchmarks.frame import Table, find_peer, missing, verdict
from benchmarks.learners import make_learners
from minichain import loss_floor
from minichain.iterators import BucketIterator
from minichain.packing import pack
from minichain.vocabulary import BOS, EOS, SPECIAL_TOKENS
from models.caption_generator import CaptionGenerator

WORDS = 2000                # the vocabulary, BOS, EOS and UNK not counted
SUCCESSORS = 50             # words that may follow a word
LENGTHS = (5, 16)           # of captions in words, all equally likely
N_FEATURE, WIDTH, BATCH = 256, 100, 16
BAR = 1.01                  # loss beside PyTorch's: rounding alone moves it by less

# name: (images, captions of each, epochs, epochs between two figures, the article's figures)
EXPERIMENTS = {
    '300 images x 1': (300, 1, 100, 20, (6.7659, 1.7259, .7160, .3598, .1992)),
    '200 images x 15': (200, 15, 30, 3, (10.5573, 9.7241, 9.0519, 8.7288, 8.3642, 8.1050, 7.9992,
                                         7.7831, 7.8214, 7.6293)),
}


def generate(n_images, n_captions, seed=0):
    """Draw captions from a bigram chain over words of Zipf's distribution, and random features.

    A word's 50 successors are drawn by Zipf's law, p(word of rank r) ~ 1 / r, and follow it with
    p(k-th) ~ 1 / k; the first word follows BOS in the same way.

    Returns:
        (features, captions): (n_images, 256), float32, normal, and for each image a list of id
        arrays, each BOS, words, EOS.
    """
    random = np.random.RandomState(seed)
    zipf = 1 / np.arange(1, WORDS + 1)
    first = len(SPECIAL_TOKENS)
    successors = first + random.choice(WORDS, (first + WORDS, SUCCESSORS), p=zipf / zipf.sum())
    chance = zipf[:SUCCESSORS] / zipf[:SUCCESSORS].sum()

    def draw():
        ids = [BOS]
        for _ in range(random.randint(LENGTHS[0], LENGTHS[1] + 1)):
            ids.append(successors[ids[-1], random.choice(SUCCESSORS, p=chance)])
        return np.array([*ids, EOS], 'int32')
    features = random.randn(n_images, N_FEATURE).astype('float32')
    return features, [[draw() for _ in range(n_captions)] for _ in range(n_images)]


def batches_as_published(captions):
    """Return batches of indexes: groups of the same length, always in this order."""
    lengths = np.array([len(ids) for ids in captions])
    groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
    return [group[start:start + BATCH] for group in groups
            for start in range(0, len(group), BATCH)]


def go_through(read, batches, captions, features, carried=None):
    """Read batches one after the other.

    Args:
        read: ``learn`` or ``judge`` of a learner.
        batches: lists of indexes of captions. captions: id arrays. features: a row a caption.
        carried: (c, h), each (16, 100): carried from batch to batch, changed in place; a smaller
            batch leaves the other rows. None: every caption begins with zeros.
    Returns:
        nats of all captions.
    """
    total = 0.
    for batch in batches:
        order, (chunk,) = pack([captions[i] for i in batch])
        states = carried and tuple(state[:len(batch)] for state in carried)
        nats, after = read(features[batch][order], chunk, states)
        for state, now in zip(carried or (), after):
            state[:len(batch)] = now
        total += nats * len(chunk.targets)
    return total


def train(images, groups, published, epochs, every, seed=0):
    """Train on generated data with every library there is.

    Args:
        images, groups: of :func:`generate`.
        published: in the fixed order with the state carried over, or shuffled and reset.
        epochs, every: passes over the captions, and between two measuring points.
    Returns:
        (losses, seconds): {library: [nats per caption on the training set, a measuring point
        each]}, {library: CPU seconds of all updates}.
    """
    captions = [ids for group in groups for ids in group]
    features = np.repeat(images, [len(group) for group in groups], axis=0)
    np.random.seed(seed)
    learners = make_learners(CaptionGenerator(len(SPECIAL_TOKENS) + WORDS, N_FEATURE, WIDTH,
                                              WIDTH))
    fixed = batches_as_published(captions)
    shuffled = BucketIterator(range(len(captions)), [len(ids) for ids in captions], BATCH,
                              seed=seed)
    states = {library: tuple(np.zeros((BATCH, WIDTH), 'float32') for _ in range(2))
              if published else None for library in learners}
    losses, seconds = {library: [] for library in learners}, dict.fromkeys(learners, 0.)
    for epoch in range(1, epochs + 1):
        batches = fixed if published else [shuffled.next() for _ in range(shuffled.n_batches)]
        for library, learner in learners.items():
            start = time.process_time()
            go_through(learner.learn, batches, captions, features, states[library])
            seconds[library] += time.process_time() - start
            if epoch % every == 0:
                nats = go_through(learner.judge, fixed, captions, features, states[library])
                losses[library].append(nats / len(captions))
    return losses, seconds


def run(options):
    """Return the Table."""
    table = Table(
        'Training loss in nats/caption; in brackets nats/caption / 16, the unit of article 004',
        ['data', 'epoch', 'as published', 'torch', 'shuffled, reset', 'torch', 'floor',
         'article 004', 'bar: shuffled / torch'])
    has_torch = find_peer('torch') is not None
    if not has_torch:
        table.notes.append(missing('torch')[1])
    for name, (n_images, n_captions, epochs, every, article) in EXPERIMENTS.items():
        if options.quick:
            n_images, epochs, every = n_images // 10, 1, 1
        images, groups = generate(n_images, n_captions)
        (published, times), (shuffled, more_times) = (
            train(images, groups, is_published, epochs, every) for is_published in (True, False))
        floor = loss_floor.caption_entropy(
            [[tuple(ids[1:-1]) for ids in group] for group in groups]).per_caption
        for i, loss in enumerate(shuffled['minichain']):
            cells = [in_both_units(found[library][i]) if library in found else 'missing'
                     for found in (published, shuffled) for library in ('minichain', 'torch')]
            is_last = has_torch and i == len(shuffled['minichain']) - 1
            table.add(name, every * (i + 1), *cells, in_both_units(floor),
                      f'[{article[i]:.3f}]',
                      verdict_of_losses(loss, shuffled['torch'][i]) if is_last else None)
        per_epoch = ', '.join(
            f'{library} {(times[library] + more_times[library]) / 2 / epochs:.2f}'
            for library in times)
        table.notes.append(f'{name}: CPU seconds an epoch: {per_epoch}')
    table.notes.append(
        f'generated captions: a bigram chain, {WORDS} words, {LENGTHS[0]}-{LENGTHS[1]} words a '
        f'caption; {N_FEATURE} random features, width {WIDTH}, Adam 1e-3, batch {BATCH}; the '
        f"article's second run had 2,000 images x 15. Its floor: ln 15 = {math.log(15):.2f}")
    return table


def verdict_of_losses(ours, peer):
    """Return the ratio of two losses with what became of the bar."""
    return f'{ours / peer:.4f}, {verdict(ours / peer, BAR)}'


def in_both_units(nats):
    """Return nats per caption, and in brackets in the article's unit."""
    return f'{nats:.2f} [{nats / BATCH:.3f}]'

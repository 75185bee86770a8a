"""How close generated captions come to human ones: BLEU, ROUGE-L and CIDEr, equal to coco-caption.

All take references and hypotheses as dicts from an image's id to a list of captions, a caption
being its tokens joined by blanks; the tokenizer 'words' of `minichain.text` gives such tokens.
"""

import math
from collections import Counter, defaultdict

from minichain.errors import InvalidArgument

LONGEST_NGRAM = 4
BETA = 1.2      # ROUGE-L: recall weighs beta^2 as much as precision
SIGMA = 6.0     # CIDEr-D: words of difference in length that cost a factor exp(-1/2)


# BLEU --------------------------------------------------------------------------------------------

def bleu(references, hypotheses):
    """BLEU-1 to BLEU-4 of a corpus:  BLEU-n = min(1, e^(1 - r/c)) (p_1 ... p_n)^(1/n).

    p_k is the share of the hypotheses' k-grams found in a reference, counted over the corpus and
    clipped to the count in one reference; c is the length of the hypotheses, r that of the
    references closest in length.

    Args:
        references: dict, id -> non-empty list of str, tokens joined by blanks.
        hypotheses: dict with the same ids, id -> list of one str.
    Returns:
        tuple of four floats, 0 to 1.
    Raises:
        InvalidArgument: the ids differ, or an id has no reference or not one hypothesis.
    Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation",
    doi:10.3115/1073083.1073135.
    """
    counts = _bleu_counts(references, hypotheses, 'bleu').values()
    correct, guessed, lengths = (
        [sum(column) for column in zip(*table)] for table in zip(*counts))
    return bleu_from_counts(correct, guessed, *lengths)


def bleu_per_image(references, hypotheses):
    """BLEU-1 to BLEU-4 of every image by itself: dict, id -> four floats. Arguments as `bleu`."""
    return {i: bleu_from_counts(correct, guessed, *lengths) for i, (correct, guessed, lengths)
            in _bleu_counts(references, hypotheses, 'bleu_per_image').items()}


def bleu_from_counts(correct, guessed, hypothesis_length, reference_length):
    """BLEU-1 to BLEU-n from the counts of 1-grams to n-grams.

    Args:
        correct, guessed: n ints; k-grams found in a reference, and k-grams in all.
        hypothesis_length, reference_length: c and r of `bleu`, in tokens.
    Returns:
        tuple of n floats.
    """
    if hypothesis_length == 0:
        return (0.0,) * len(correct)
    penalty = min(1.0, math.exp(1 - reference_length / hypothesis_length))
    scores, product = [], 1.0
    for n, (found, all_) in enumerate(zip(correct, guessed), start=1):
        # coco-caption's constants: an image without a common 4-gram scores little, not nothing.
        product *= (found + 1e-15) / (all_ + 1e-9)
        scores.append(penalty * product ** (1 / n))
    return tuple(scores)


def _bleu_counts(references, hypotheses, where):
    counts = {}
    for i, (captions, hypothesis) in _checked(references, hypotheses, where).items():
        most = Counter()
        for caption in captions:
            most |= _ngrams(caption)
        correct, length = [0] * LONGEST_NGRAM, len(hypothesis)
        for ngram, count in _ngrams(hypothesis).items():
            correct[len(ngram) - 1] += min(count, most[ngram])
        guessed = [max(0, length - n) for n in range(LONGEST_NGRAM)]
        closest = min((abs(len(caption) - length), len(caption)) for caption in captions)[1]
        counts[i] = correct, guessed, (length, closest)
    return counts


# ROUGE-L -----------------------------------------------------------------------------------------

def rouge_l(references, hypotheses):
    """ROUGE-L, mean over images:  F = (1 + beta^2) P R / (R + beta^2 P),  beta = 1.2.

    With the longest common subsequence of hypothesis and reference, P is the largest share of the
    hypothesis and R the largest share of a reference that it covers.

    Args, Raises: as `bleu`.
    Returns:
        float, 0 to 1.
    Lin 2004, "ROUGE: a package for automatic evaluation of summaries",
    https://aclanthology.org/W04-1013.
    """
    return _mean(_rouge_l(references, hypotheses, 'rouge_l'))


def rouge_l_per_image(references, hypotheses):
    """ROUGE-L of every image: dict, id -> float. Arguments as `bleu`."""
    return _rouge_l(references, hypotheses, 'rouge_l_per_image')


def _rouge_l(references, hypotheses, where):
    scores = {}
    for i, (captions, hypothesis) in _checked(references, hypotheses, where).items():
        common = [longest_common_subsequence(hypothesis, caption) for caption in captions]
        precision = max(common) / max(len(hypothesis), 1)
        recall = max(n / max(len(caption), 1) for n, caption in zip(common, captions))
        scores[i] = ((1 + BETA ** 2) * precision * recall / (recall + BETA ** 2 * precision)
                     if precision else 0.0)
    return scores


def longest_common_subsequence(a, b):
    """Length of the longest sequence that both lists contain in order, with gaps allowed.

    A row of the usual table is one integer here, a bit for each place where it does not grow.
    Hyyro 2004, "Bit-parallel LCS-length computation revisited".
    """
    places = defaultdict(int)
    for i, token in enumerate(a):
        places[token] |= 1 << i
    everywhere = row = (1 << len(a)) - 1
    for token in b:
        matches = row & places.get(token, 0)
        row = ((row + matches) | (row - matches)) & everywhere
    return len(a) - row.bit_count()


# CIDEr -------------------------------------------------------------------------------------------

def cider(references, hypotheses):
    """CIDEr-D, mean over images:  10 mean_n mean_r e^(-(l - l_r)^2 / 2 sigma^2) cos_n(h, r).

    h and r are vectors of the n-grams' counts, n = 1 to 4, times log(images / images with the
    n-gram in a reference); in the product h is clipped to r. sigma = 6. The score depends on all
    references: compare scores on the same images only. A single image always scores 0.

    Args, Raises: as `bleu`.
    Returns:
        float, 0 to 10.
    Vedantam et al. 2015, "CIDEr: consensus-based image description evaluation",
    doi:10.1109/CVPR.2015.7299087.
    """
    return _mean(_cider(references, hypotheses, 'cider'))


def cider_per_image(references, hypotheses):
    """CIDEr-D of every image within the whole set: dict, id -> float. Arguments as `bleu`."""
    return _cider(references, hypotheses, 'cider_per_image')


def _cider(references, hypotheses, where):
    checked = _checked(references, hypotheses, where)
    counts = {i: [_ngrams(caption) for caption in captions]
              for i, (captions, _) in checked.items()}
    images_with = Counter()
    for captions in counts.values():
        images_with.update(set().union(*captions))
    rarity = {ngram: math.log(len(checked) / n) for ngram, n in images_with.items()}
    unseen = math.log(len(checked))
    scores = {}
    for i, (captions, hypothesis) in checked.items():
        weights, norms = _weighted(_ngrams(hypothesis), rarity, unseen)
        total = 0.0
        for caption, ngrams in zip(captions, counts[i]):
            others, other_norms = _weighted(ngrams, rarity, unseen)
            products = [0.0] * LONGEST_NGRAM
            for ngram in weights.keys() & others.keys():
                products[len(ngram) - 1] += min(weights[ngram], others[ngram]) * others[ngram]
            # coco-caption measures length in 2-grams: an empty caption is as long as one word.
            difference = max(len(hypothesis), 1) - max(len(caption), 1)
            total += math.exp(-difference ** 2 / (2 * SIGMA ** 2)) * sum(
                product / (norm * other) for product, norm, other
                in zip(products, norms, other_norms) if product)
        scores[i] = 10.0 * total / LONGEST_NGRAM / len(captions)
    return scores


def _weighted(ngrams, rarity, unseen):
    weights = {ngram: n * rarity.get(ngram, unseen) for ngram, n in ngrams.items()}
    squares = [0.0] * LONGEST_NGRAM
    for ngram, weight in weights.items():
        squares[len(ngram) - 1] += weight * weight
    return weights, [math.sqrt(square) for square in squares]


# All together ------------------------------------------------------------------------------------

def evaluate(references, hypotheses):
    """Every metric: dict with BLEU-1 to BLEU-4, ROUGE-L and CIDEr, floats. Arguments as `bleu`."""
    scores = {f'BLEU-{n}': score for n, score in enumerate(bleu(references, hypotheses), start=1)}
    return {**scores, 'ROUGE-L': rouge_l(references, hypotheses),
            'CIDEr': cider(references, hypotheses)}


def _ngrams(tokens):
    return Counter(tuple(tokens[i:i + n]) for n in range(1, LONGEST_NGRAM + 1)
                   for i in range(len(tokens) - n + 1))


def _mean(scores):
    return math.fsum(scores.values()) / len(scores)


def _checked(references, hypotheses, where):
    """Dict id -> (list of token lists, token list), in the order of the references."""
    if not references:
        raise InvalidArgument(f'{where}: references of at least one image expected, got none.')
    for wanted, given, names in ((references, hypotheses, ('references', 'hypotheses')),
                                 (hypotheses, references, ('hypotheses', 'references'))):
        missing = [i for i in wanted if i not in given]
        if missing:
            raise InvalidArgument(
                f'{where}: the same ids in references and hypotheses expected, got '
                f'{len(missing)} in {names[0]} only: {_some(missing)}. Leave them out of '
                f'{names[0]} or add them to {names[1]}.')
    _refuse(where, 'a list of at least one str as references', {
        i: captions for i, captions in references.items() if not _is_captions(captions)})
    _refuse(where, 'a list of one str as hypothesis', {
        i: captions for i, captions in hypotheses.items()
        if not _is_captions(captions) or len(captions) != 1})
    return {i: ([caption.split() for caption in captions], hypotheses[i][0].split())
            for i, captions in references.items()}


def _is_captions(captions):
    return isinstance(captions, (list, tuple)) and bool(captions) and all(
        isinstance(caption, str) for caption in captions)


def _refuse(where, expected, wrong):
    if wrong:
        example = repr(next(iter(wrong.values())))[:60]
        raise InvalidArgument(f'{where}: {expected} of every id expected, got {example} and the '
                              f'like at {len(wrong)} ids: {_some(wrong)}.')


def _some(ids):
    ids = list(ids)
    return ', '.join(map(repr, ids[:5])) + (', ...' if len(ids) > 5 else '')

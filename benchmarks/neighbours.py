"""Captions without a model: those of the training images whose features are most similar."""
import collections
import math

import numpy as np


def nearest(features, others, number):
    """Return the rows of most similar features by cosine, best first.

    Args:
        features: (N, D). others: (M, D), among which to look. number: how many to return.
    Returns:
        (N, number), integers.
    """
    features, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features, others))
    return np.argsort(-(features @ others.T), axis=1, kind='stable')[:, :number]


def weigh_ngrams(captions):
    """Return for each caption {n-gram: weight}, unit vectors of tf-idf over 1- to 4-grams."""
    counts = [collections.Counter(tuple(caption[i:i + n]) for n in range(1, 5)
                                  for i in range(len(caption) - n + 1)) for caption in captions]
    documents = collections.Counter(ngram for count in counts for ngram in count)
    vectors = [{ngram: n * math.log(len(captions) / documents[ngram])
                for ngram, n in count.items()} for count in counts]
    lengths = [math.sqrt(sum(w * w for w in vector.values())) or 1. for vector in vectors]
    return [{ngram: w / length for ngram, w in vector.items()}
            for vector, length in zip(vectors, lengths)]


def consensus(neighbours, groups):
    """Return for each image the caption of its neighbours that is most like all the others.

    Args:
        neighbours: (N, K), rows of ``groups``.
        groups: for each training image its captions, lists of tokens.
    Devlin et al. 2015, "Exploring nearest neighbor approaches for image captioning",
    arXiv:1505.04467.
    """
    captions = [caption for group in groups for caption in group]
    image_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    vectors, chosen = weigh_ngrams(captions), []
    for row in neighbours:
        candidates = np.flatnonzero(np.isin(image_of, row))
        total = collections.Counter()
        for i in candidates:
            for ngram, weight in vectors[i].items():
                total[ngram] += weight
        chosen.append(captions[max(candidates, key=lambda i: sum(
            weight * total[ngram] for ngram, weight in vectors[i].items()))])
    return chosen

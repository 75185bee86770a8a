"""What a loss is to be compared with: losses in three units, floors and baselines.

A loss alone says little: several right captions for one image leave an entropy that no model can
get below. These numbers stand beside it.
"""
import collections
import dataclasses
import math

import numpy as np

from minichain.errors import InvalidArgument


@dataclasses.dataclass(frozen=True)
class Loss:
    """A total of negative log-probabilities, and over how much it was taken.

    Attributes:
        nats: the total; an array without axes while it is on a device. tokens: of words and ends
            of captions. captions: of captions.
    """

    nats: float = 0.
    tokens: int = 0
    captions: int = 0

    def __add__(self, other):
        return Loss(self.nats + other.nats, self.tokens + other.tokens,
                    self.captions + other.captions)

    def read(self):
        """Return this Loss with its total on the host; that waits for the device."""
        return dataclasses.replace(self, nats=float(self.nats))

    per_token = property(lambda self: self.nats / self.tokens if self.tokens else math.nan)
    per_caption = property(lambda self: self.nats / self.captions if self.captions else math.nan)

    @property
    def perplexity(self):
        """exp of the nats per token."""
        return math.exp(min(self.per_token, 700)) if self.tokens else math.nan

    def __str__(self):
        return (f'{_readable(self.per_token, "7.4f")} nats/token '
                f'{_readable(self.per_caption, "8.3f")} nats/caption '
                f'perplexity {_readable(self.perplexity, "8.2f")}')


def _readable(number, form):
    return format(number, form if not number > 1e6 else '.3e')


def caption_entropy(groups):
    """Return the entropy of captions given their image, as it shows in the data itself.

    An image with n captions, all different, leaves ln n nats to each: no model that fits the data
    without knowing which caption comes next can get below.

    Args:
        groups: for each image, a list of captions, each a tuple of tokens or ids without BOS;
            with its end, a caption has one token more than this.
    Returns:
        Loss.
    """
    total = Loss()
    for captions in groups:
        counts = collections.Counter(map(tuple, captions))
        nats = sum(-n * math.log(n / len(captions)) for n in counts.values())
        total += Loss(nats, sum(len(caption) + 1 for caption in captions), len(captions))
    return total


def unigram_loss(train, captions, n_vocabulary):
    """Return the loss of a model that knows only how frequent each word is.

    Args:
        train: id arrays (BOS, words, EOS) that are counted, one added to every count.
        captions: id arrays whose words and ends are to be predicted.
        n_vocabulary: number of ids.
    Returns:
        Loss.
    """
    if not len(train) or not len(captions):
        raise InvalidArgument('unigram_loss: captions to count and to predict expected, got '
                              f'{len(train)} and {len(captions)}')
    counts = np.bincount(np.concatenate([ids[1:] for ids in train]), minlength=n_vocabulary) + 1.
    nats = -np.log(counts / counts.sum())
    words = np.concatenate([ids[1:] for ids in captions])
    return Loss(float(nats[words].sum()), len(words), len(captions))


def find_floors(data, splits, n_vocabulary, tokenize):
    """Return what losses are to be compared with: split -> what -> Loss.

    Args:
        data: CaptionData; drawn scenes know their true floor.
        splits: name -> CaptionSplit.
        n_vocabulary: number of ids.
        tokenize: function from a caption to its tokens.
    """
    floors = {}
    for name, split in splits.items():
        if hasattr(data, 'floor'):
            nats = data.floor(name, tokenize).nats_per_caption * len(split.ids)
            tokens = sum(len(ids) - 1 for ids in split.ids)
            floors[name] = {'true entropy floor': Loss(nats, tokens, len(split.ids))}
            continue
        floors[name] = {'unigram baseline': unigram_loss(splits['train'].ids, split.ids,
                                                         n_vocabulary)}
        if name == 'train':
            floors[name]['entropy given the image'] = caption_entropy(split.groups())
    return floors

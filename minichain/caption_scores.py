"""The captions that a model gives to a split: in words, scored, as files to look at."""
import json
import math
from typing import NamedTuple

from minichain import metrics, pictures
from minichain._atomic import write_atomically

SHOWN = 24      # images of a contact sheet


class Caption(NamedTuple):
    """A generated caption.

    Attributes:
        file: name of the image. tokens: list of str. text: the tokens joined.
        probability: of the caption. per_word: its geometric mean over words and the end.
    """

    file: str
    tokens: list
    text: str
    probability: float
    per_word: float


def in_words(names, hypotheses, vocabulary, tokenizer):
    """Return decoded hypotheses, one for each image name, as a list of Caption."""
    captions = []
    for name, found in zip(names, hypotheses):
        tokens = vocabulary.decode(found.words)
        captions.append(Caption(name, tokens, tokenizer.join(tokens), found.probability,
                                math.exp(found.log_probability / (len(found.words) + 1))))
    return captions


def score(captions, references, check=None):
    """Return BLEU, ROUGE-L and CIDEr of captions, and the share that `check` finds right.

    Args:
        captions: list of Caption.
        references: image name -> list of token lists.
        check: None, or function from image name and text to a verdict with ``right``.
    """
    found = metrics.evaluate(
        {caption.file: [' '.join(tokens) for tokens in references[caption.file]]
         for caption in captions},
        {caption.file: [' '.join(caption.tokens)] for caption in captions})
    if check is not None:
        found['right'] = sum(bool(check(caption.file, caption.text).right)
                             for caption in captions) / len(captions)
    return found


def write(captions, images, path, title):
    """Write captions as `path`.jsonl, and the first of them under their images as `path`.png.

    Returns:
        a warning, if no font has their letters, or None.
    """
    lines = [json.dumps({'file': caption.file, 'caption': caption.text,
                         'probability': caption.probability}, ensure_ascii=False)
             for caption in captions]
    write_atomically(f'{path}.jsonl', ('\n'.join(lines) + '\n').encode())
    items = [pictures.Item(images.load(caption.file), caption.text, None, caption.file)
             for caption in captions[:SHOWN]]
    return pictures.contact_sheet(items, f'{path}.png', title).warning


def print_scores(scores):
    """Print scores: split -> what -> a loss, or metric -> value."""
    for split, found in scores.items():
        for what, value in found.items():
            if isinstance(value, dict):
                value = '  '.join(f'{metric} {number:.3f}' for metric, number in value.items())
            else:
                value = f'{value:.4f} nats/token'
            print(f'{split:8} {what:24} {value}')

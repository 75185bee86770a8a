import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from minichain import caption_scores
from minichain.caption_scores import Caption
from minichain.decoding import Hypothesis
from minichain.text import get_tokenizer
from minichain.vocabulary import Vocabulary

CAPTIONS = [Caption('a.png', ['a', 'red', 'cat', 'sits'], 'a red cat sits', .5, .9),
            Caption('b.png', ['一', '匹'], '一匹', .25, .8)]


class Images:
    """A grey picture under every name."""

    def load(self, name):
        return np.full((8, 8, 3), 99, 'uint8')


def test_hypotheses_become_words_with_the_mean_probability_of_a_word():
    vocabulary = Vocabulary(['a', 'cat'])
    caption, = caption_scores.in_words(
        ['x.png'], [Hypothesis((3, 4), math.log(.125), 0.)], vocabulary,
        get_tokenizer('words'))
    assert caption[:3] == ('x.png', ['a', 'cat'], 'a cat')
    assert caption.probability == pytest.approx(.125)
    assert caption.per_word == pytest.approx(.5)        # .5 ** 3: two words and the end


def test_captions_equal_to_a_reference_score_one_and_checked_ones_are_counted():
    references = {'a.png': [['other'], ['a', 'red', 'cat', 'sits']], 'b.png': [['一', '匹']]}
    scores = caption_scores.score(CAPTIONS, references)
    assert 'right' not in scores
    assert scores['BLEU-1'] == pytest.approx(1) and scores['ROUGE-L'] == pytest.approx(1)
    scores = caption_scores.score(CAPTIONS, references, lambda name, words: SimpleNamespace(
        right=name == 'a.png' and words == 'a red cat sits'))
    assert scores['right'] == .5


def test_captions_are_written_as_lines_and_as_a_sheet(tmp_path):
    warning = caption_scores.write(CAPTIONS, Images(), tmp_path / 'test', 'test split')
    assert warning is None or '一匹' in warning
    lines = (tmp_path / 'test.jsonl').read_text(encoding='utf-8').splitlines()
    assert [json.loads(line) for line in lines] == [
        {'file': 'a.png', 'caption': 'a red cat sits', 'probability': .5},
        {'file': 'b.png', 'caption': '一匹', 'probability': .25}]
    with Image.open(tmp_path / 'test.png') as sheet:
        assert min(sheet.size) > 200


def test_scores_are_printed_with_split_and_unit(capsys):
    caption_scores.print_scores({'test': {'model, loss': 1.25, 'model': {'CIDEr': .5}}})
    assert capsys.readouterr().out.splitlines() == [
        'test     model, loss              1.2500 nats/token',
        'test     model                    CIDEr 0.500']

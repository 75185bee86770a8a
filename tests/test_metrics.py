"""minichain.metrics against hand-computed cases and coco-caption's published and stored scores."""

import json
import math
import random
import time
from pathlib import Path

import pytest

from minichain import metrics
from minichain.errors import InvalidArgument
from minichain.text import tokenize_words

CAPTIONS = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'captions'
COCO_NAMES = {'BLEU-1': 'Bleu_1', 'BLEU-2': 'Bleu_2', 'BLEU-3': 'Bleu_3', 'BLEU-4': 'Bleu_4',
              'ROUGE-L': 'ROUGE_L', 'CIDEr': 'CIDEr'}
FUNCTIONS = [metrics.bleu, metrics.bleu_per_image, metrics.rouge_l, metrics.rouge_l_per_image,
             metrics.cider, metrics.cider_per_image, metrics.evaluate]


def shared_json(name):
    if not (CAPTIONS / name).exists():
        pytest.skip(f'needs ../shared/data/captions/{name}')
    return json.loads((CAPTIONS / name).read_text(encoding='utf-8'))


def random_captions(images, captions, vocabulary=500, seed=0):
    generator = random.Random(seed)
    words = [f'w{i}' for i in range(vocabulary)]
    return {i: [' '.join(generator.choices(words, k=generator.randint(6, 15)))
                for _ in range(captions)] for i in range(images)}


# BLEU

def test_the_counts_of_the_coco_demo_give_its_published_scores():
    scores = metrics.bleu_from_counts([5732, 2510, 1043, 423], [9893, 8893, 7893, 6893],
                                      9893, 9855)
    assert [round(score, 3) for score in scores] == [.579, .404, .279, .191]


def test_bleu_of_a_small_corpus_is_what_a_hand_computes():
    references = {'x': ['a b c d e', 'a b c'], 'y': ['c d']}
    hypotheses = {'x': ['a b c d'], 'y': ['c c']}
    # x: 4/4 3/3 2/2 1/1, closest length 3 (a tie with 5, the shorter wins); y: 1/2 0/1, length 2.
    expected = [5 / 6, (5 / 6 * 3 / 4) ** (1 / 2), (5 / 6 * 3 / 4) ** (1 / 3),
                (5 / 6 * 3 / 4) ** (1 / 4)]
    assert metrics.bleu(references, hypotheses) == pytest.approx(expected, abs=1e-8)


def test_bleu_is_lowered_when_the_hypotheses_are_shorter_than_the_closest_references():
    scores = metrics.bleu({1: ['a b c d e f', 'a b c d e f g h i']}, {1: ['a b c d']})
    assert scores == pytest.approx([math.exp(1 - 6 / 4)] * 4, abs=1e-8)


def test_bleu_counts_a_word_no_more_often_than_one_reference_has_it():
    scores = metrics.bleu({1: ['the cat the', 'the dog']}, {1: ['the the the the']})
    assert scores[0] == pytest.approx(2 / 4, abs=1e-8)


def test_bleu_per_image_is_bleu_of_that_image_alone():
    references, hypotheses = random_captions(5, 3, 6), random_captions(5, 1, 6, seed=1)
    for i, scores in metrics.bleu_per_image(references, hypotheses).items():
        assert scores == metrics.bleu({i: references[i]}, {i: hypotheses[i]})


def test_bleu_without_a_common_4_gram_has_the_tiny_value_of_coco_caption():
    # stored by coco-caption for one image: 5/9 of the words and no 2-gram in common, 9 words
    scores = metrics.bleu_from_counts([5, 0, 0, 0], [9, 8, 7, 6], 9, 9)
    assert scores == pytest.approx([0.555555555432099, 8.333333331423613e-09,
                                    2.1487199818053214e-11, 1.1339582219145234e-12], rel=1e-9)


# ROUGE-L

@pytest.mark.parametrize(('a', 'b', 'length'), [
    ('', '', 0), ('a', '', 0), ('', 'a', 0), ('abcde', 'ace', 3), ('abc', 'cba', 1),
    ('xaxbxc', 'abc', 3), ('aaaa', 'aa', 2), ('abcbdab', 'bdcaba', 4)])
def test_the_longest_common_subsequence_of_known_pairs(a, b, length):
    assert metrics.longest_common_subsequence(a, b) == length


def test_the_longest_common_subsequence_is_that_of_the_textbook_table():
    generator = random.Random(3)
    for _ in range(200):
        a = generator.choices('abcd', k=generator.randint(0, 80))
        b = generator.choices('abcd', k=generator.randint(0, 80))
        row = [0] * (len(b) + 1)
        for token in a:
            previous, row = row, [0]
            for j, other in enumerate(b):
                row.append(previous[j] + 1 if token == other else max(previous[j + 1], row[j]))
        assert metrics.longest_common_subsequence(a, b) == row[-1]


def test_rouge_l_is_what_a_hand_computes_and_means_over_images():
    references = {1: ['a b c d', 'a x'], 2: ['q']}
    hypotheses = {1: ['a c x'], 2: ['z']}
    # a c of the first, a x of the second reference: P = 2/3, R = max(2/4, 2/2)
    expected = 2.44 * (2 / 3) / (1 + 1.44 * 2 / 3)
    assert metrics.rouge_l_per_image(references, hypotheses) == pytest.approx({1: expected, 2: 0})
    assert metrics.rouge_l(references, hypotheses) == pytest.approx(expected / 2)


# CIDEr

def test_cider_of_single_words_is_what_a_hand_computes():
    references = {1: ['a b'], 2: ['a c'], 3: ['a d']}
    hypotheses = {1: ['b'], 2: ['a'], 3: ['d d']}
    # a is everywhere and weighs 0; 1-gram cosines 1, 0 and clipped 1/2; no 2-grams but one apart.
    expected = {1: 10 / 4 * math.exp(-1 / 72), 2: 0.0, 3: 10 / 4 / 2}
    assert metrics.cider_per_image(references, hypotheses) == pytest.approx(expected)
    assert metrics.cider(references, hypotheses) == pytest.approx(sum(expected.values()) / 3)


def test_cider_of_two_words_weighs_n_grams_by_their_rarity():
    references = {1: ['a b', 'b a'], 2: ['a c'], 3: ['c d'], 4: ['x y']}
    hypotheses = {1: ['a b'], 2: ['e f'], 3: ['e f'], 4: ['e f']}
    # a: log 4/2, b: log 4/1, 'a b' and 'b a': log 4/1. Against 'a b' both cosines are 1, against
    # 'b a' that of the 1-grams is.
    assert metrics.cider_per_image(references, hypotheses)[1] == pytest.approx(
        10 / 4 * (2 + 1) / 2)


def test_cider_of_a_copy_is_ten_and_falls_with_the_difference_in_length():
    references = {1: ['a b c d e f'], 2: ['g h i j k l']}
    assert metrics.cider(references, references) == pytest.approx(10)
    longer = {1: ['a b c d e f a b c d e f'], 2: references[2]}
    assert metrics.cider_per_image(references, longer)[1] < 10 * math.exp(-36 / 72)


def test_cider_of_one_image_is_zero_as_nothing_is_rare():
    assert metrics.cider({1: ['a b']}, {1: ['a b']}) == 0


# all

def test_evaluate_gives_every_metric_under_its_name():
    references, hypotheses = random_captions(4, 2, 5), random_captions(4, 1, 5, seed=1)
    scores = metrics.evaluate(references, hypotheses)
    assert list(scores) == list(COCO_NAMES)
    assert tuple(scores.values())[:4] == metrics.bleu(references, hypotheses)
    assert scores['ROUGE-L'] == metrics.rouge_l(references, hypotheses) > 0
    assert scores['CIDEr'] == metrics.cider(references, hypotheses) > 0


def test_an_empty_hypothesis_scores_zero_in_every_metric():
    references, hypotheses = {1: ['a b'], 2: ['', 'c']}, {1: [''], 2: [' ']}
    assert set(metrics.evaluate(references, hypotheses).values()) == {0.0}
    assert metrics.bleu_per_image(references, hypotheses) == {1: (0.0,) * 4, 2: (0.0,) * 4}
    assert metrics.rouge_l_per_image(references, hypotheses) == {1: 0.0, 2: 0.0}
    assert metrics.cider_per_image(references, hypotheses) == {1: 0.0, 2: 0.0}


def test_an_empty_reference_beside_others_harms_nothing():
    scores = metrics.evaluate({1: ['', 'a b'], 2: ['c d']}, {1: ['a b'], 2: ['c d']})
    assert scores['BLEU-1'] == pytest.approx(1)
    assert scores['ROUGE-L'] == 1
    # the empty caption adds nothing to the 10 / 2 of 2-grams and 1-grams, and halves the first
    assert scores['CIDEr'] == pytest.approx((2.5 + 5) / 2)


@pytest.mark.parametrize('function', FUNCTIONS)
def test_ids_that_do_not_meet_are_named(function):
    with pytest.raises(InvalidArgument, match=r"1 in references only: 'lonely'\."):
        function({'lonely': ['a'], 2: ['a']}, {2: ['a']})
    with pytest.raises(InvalidArgument, match=r'7 in hypotheses only: 1, 2, 3, 4, 5, \.\.\.\.'):
        function({0: ['a']}, {i: ['a'] for i in range(8)})


@pytest.mark.parametrize('function', FUNCTIONS)
def test_captions_in_the_wrong_shape_are_refused_with_the_id(function):
    for references, hypotheses in [
            ({'it': []}, {'it': ['a']}), ({'it': 'a b'}, {'it': ['a']}),
            ({'it': [['a', 'b']]}, {'it': ['a']}), ({'it': ['a']}, {'it': []}),
            ({'it': ['a']}, {'it': ['a', 'b']}), ({'it': ['a']}, {'it': 'a'}),
            ({'it': ['a']}, {'it': [None]})]:
        with pytest.raises(InvalidArgument, match="at 1 ids: 'it'"):
            function(references, hypotheses)
    with pytest.raises(InvalidArgument, match='at least one image expected, got none'):
        function({}, {})


def test_a_thousand_images_with_five_references_take_a_second_or_two():
    references, hypotheses = random_captions(1000, 5), random_captions(1000, 1, seed=1)
    start = time.process_time()
    metrics.evaluate(references, hypotheses)
    assert time.process_time() - start < 6      # 30 s for 5,000 images; about 0.6 s when measured


# coco-caption's scores on real captions

def assert_scores(references, hypotheses, name, tolerance=1e-6):
    wanted = shared_json('metrics_reference.json')['scores'][name]
    scores = metrics.evaluate(references, hypotheses)
    assert len(references) == wanted['n_images']
    assert scores == pytest.approx({k: wanted[v] for k, v in COCO_NAMES.items()}, abs=tolerance)


def assert_scores_per_image(references, hypotheses, name):
    bleu = metrics.bleu_per_image(references, hypotheses)
    rouge_l = metrics.rouge_l_per_image(references, hypotheses)
    cider = metrics.cider_per_image(references, hypotheses)
    for i, wanted in shared_json(name).items():
        scores = [*bleu[i], rouge_l[i], cider[i]]
        assert scores == pytest.approx([wanted[v] for v in COCO_NAMES.values()], abs=1e-8)


def test_the_coco_demo_scores_as_in_coco_caption_in_all_and_per_image():
    tokens = shared_json('ptb_tokenized_fakecap126.json')
    arguments = tokens['references'], tokens['hypotheses']
    assert_scores(*arguments, 'coco_fakecap126')
    assert_scores_per_image(*arguments, 'metrics_reference_fakecap126_per_image.json')


def test_flickr8k_with_our_tokenizer_scores_as_in_coco_caption_in_all_and_per_image():
    shared_json('metrics_reference.json')
    folder, captions = CAPTIONS / 'flickr8k', {}
    for line in (folder / 'Flickr8k.token.txt').read_text(encoding='utf-8').splitlines():
        key, caption = line.split('\t')
        captions.setdefault(key.split('#')[0], []).append(' '.join(tokenize_words(caption)))
    names = (folder / 'Flickr_8k.testImages.txt').read_text(encoding='utf-8').split()
    references = {name: captions[name][1:] for name in names}
    hypotheses = {name: captions[name][:1] for name in names}
    assert_scores(references, hypotheses, 'flickr8k_test950_cap0_vs_1to4')
    assert_scores_per_image(references, hypotheses,
                            'metrics_reference_flickr8k_per_image200.json')


@pytest.mark.slow
def test_five_thousand_coco_images_with_our_tokenizer_score_as_in_coco_caption():
    annotations = shared_json('coco_metrics/captions_val2017_min.json')['annotations']
    captions = {}
    for annotation in sorted(annotations, key=lambda annotation: annotation['id']):
        tokens = ' '.join(tokenize_words(annotation['caption']))
        captions.setdefault(annotation['image_id'], []).append(tokens)
    # six captions of 25,014 are cut differently, so the fifth digit of CIDEr differs
    assert_scores({i: texts[1:] for i, texts in captions.items()},
                  {i: texts[:1] for i, texts in captions.items()},
                  'coco_val2017_first_vs_rest', tolerance=2e-5)

"""Drawn scenes: the splits, the grammars against their parsers, the floor, the drawings."""

import collections
import dataclasses
import itertools
import math
import random

import numpy as np
import pytest

from minichain.datasets import scenes
from minichain.datasets.captions import CaptionData
from minichain.datasets.scenes import phrasing
from minichain.datasets.scenes.drawing import PAINT, RADIUS, layout, outline
from minichain.datasets.scenes.scene import (
    COLOURS,
    HELD_OUT,
    SHAPES,
    SPLITS,
    Scene,
    Thing,
    split_of,
)
from minichain.errors import DataError, InvalidArgument
from minichain.text import get_tokenizer

languages = pytest.mark.parametrize('language', ['en', 'ja'])

RED_STAR, BLUE_MOON = Thing('star', 'red'), Thing('moon', 'blue')
SINGLE = Scene('single', (Thing('heart', 'orange', 'small'),), 'top left')
GROUP = Scene('group', (Thing('square', 'green', 'large'),), count=3)
LEFT = Scene('pair', (RED_STAR, BLUE_MOON), 'left')
ABOVE = Scene('pair', (RED_STAR, BLUE_MOON), 'above')
BETWEEN = Scene('between', (Thing('circle', 'orange'), Thing('triangle', 'yellow')))

# First letters, by colour and shape of the left object.
PINNED_SPLITS = 'ttttthdhtttttttthttdthtthdttttdthttt'


def some_scenes(n=60):
    return [scene for split in SPLITS for scene in scenes.generate(n, 5, split)]


def facts_of(scene):
    return dataclasses.replace(scene, seed=0)


# Scenes and splits

def test_the_same_seed_gives_the_same_scenes_and_a_larger_number_more_of_them():
    assert scenes.generate(30, 3, 'dev') == scenes.generate(50, 3, 'dev')[:30]
    assert scenes.generate(30, 3, 'dev') != scenes.generate(30, 4, 'dev')


def test_no_facts_of_one_split_occur_in_another_whatever_the_seed():
    facts = {split: {facts_of(scene) for scene in scenes.generate(1500, seed, split)}
             for seed, split in enumerate(SPLITS)}
    for one, other in itertools.combinations(SPLITS, 2):
        assert not facts[one] & facts[other]


def test_held_out_pairs_of_colour_and_shape_are_in_every_held_out_scene_and_nowhere_else():
    for split in SPLITS:
        for scene in scenes.generate(300, 1, split):
            held_out = [(thing.colour, thing.shape) in HELD_OUT for thing in scene.things]
            assert any(held_out) == (split == 'heldout')


def test_train_shows_every_colour_and_every_shape_and_all_pairs_that_are_not_held_out():
    shown = {(thing.colour, thing.shape) for scene in scenes.generate(1500, 0, 'train')
             for thing in scene.things}
    assert shown == set(itertools.product(COLOURS, SHAPES)) - HELD_OUT
    assert {colour for colour, _ in HELD_OUT} == set(COLOURS)
    assert {shape for _, shape in HELD_OUT} == set(SHAPES)


def test_every_split_has_the_kinds_in_the_same_proportions():
    for split in SPLITS:
        kinds = collections.Counter(scene.kind for scene in scenes.generate(2000, 2, split))
        expected = {'single': 500, 'group': 400, 'pair': 700, 'between': 400}
        for kind, count in expected.items():
            assert abs(kinds[kind] - count) < 5 * math.sqrt(count)


def test_the_split_of_a_scene_stays_what_it_was_when_the_bundled_network_was_trained():
    scene = Scene('pair', (Thing('circle', 'red'), Thing('square', 'red')), 'left')
    got = [split_of(dataclasses.replace(scene, things=(thing, scene.things[1])))
           for thing in (Thing(shape, colour) for colour in COLOURS for shape in SHAPES)]
    assert ''.join(split[0] for split in got) == PINNED_SPLITS


def test_an_unknown_split_or_language_is_refused():
    with pytest.raises(InvalidArgument, match="split is one of train.*'validation'"):
        scenes.generate(1, 0, 'validation')
    with pytest.raises(InvalidArgument, match="language is one of en, ja, got 'fr'"):
        scenes.captions(SINGLE, 'fr')
    with pytest.raises(InvalidArgument, match="got 'fr'"):
        scenes.load('fr')


# Captions and their probabilities

def test_equal_texts_of_different_derivations_are_summed():
    assert phrasing.choose((0.5, 'a'), (0.25, {'a': 0.5, 'b': 0.5})) == {'a': 0.625, 'b': 0.125}
    assert phrasing.sequence(phrasing.choose((0.5, 'a'), (0.5, 'a b')),
                             phrasing.choose((0.5, 'b c'), (0.5, 'c'))) == {
        'a b c': 0.5, 'a c': 0.25, 'a b b c': 0.25}


def test_the_captions_of_a_group_are_those_counted_by_hand():
    expected = {f'{opening}three {size} green squares': p * q
                for opening, p in (('', 0.5), ('there are ', 0.3), ('a group of ', 0.2))
                for size, q in (('large', 0.6), ('big', 0.4))}
    got = scenes.captions(GROUP)
    assert got.keys() == expected.keys()
    assert all(math.isclose(got[caption], p) for caption, p in expected.items())


@pytest.mark.parametrize(('scene', 'caption', 'probability'), [
    (SINGLE, 'a small orange heart in the top left corner', 0.45 * 0.7),
    (SINGLE, 'in the top left corner there is a little orange heart', 0.25 * 0.3),
    (LEFT, 'a red star to the left of a blue moon', 0.35 * 0.6),
    (LEFT, 'right of a red star there is a blue moon', 0.25 * 0.4),
    (ABOVE, 'there is a red star above a blue moon', 0.15 * 0.7),
    (ABOVE, 'under a red star there is a blue moon', 0.25 * 0.3),
    (ABOVE, 'over a blue moon there is a red star', 0.25 * 0.3),
    (BETWEEN, 'an orange circle between two yellow triangles', 0.5),
    (BETWEEN, 'two yellow triangles with an orange circle between them', 0.25),
    (SINGLE, '左上の小さいオレンジ色のハート', 0.25 * 0.3),
    (GROUP, '三つの大きな緑の四角がある', 0.3 * 0.6),
    (LEFT, '赤い星が青い三日月の左側にある', 0.35 * 0.4),
    (LEFT, '右に青い三日月、左に赤い星がある', 0.25 * 0.6),
    (ABOVE, '赤い星の下に青い三日月がある', 0.15 * 0.7),
    (BETWEEN, '二つの黄色い三角に挟まれたオレンジ色の丸', 0.25)])
def test_a_caption_has_the_probability_computed_by_hand(scene, caption, probability):
    language = 'en' if caption.isascii() else 'ja'
    assert math.isclose(scenes.log_probability(caption, scene, language), math.log(probability))
    assert scenes.check(caption, scene, language).right


@languages
def test_the_probabilities_of_all_captions_of_a_scene_sum_to_one(language):
    for scene in some_scenes():
        assert math.isclose(sum(scenes.captions(scene, language).values()), 1, abs_tol=1e-12)


def test_a_caption_that_the_grammar_does_not_have_is_impossible():
    assert scenes.log_probability('a red star', LEFT) == -math.inf


def test_the_entropy_of_a_group_is_that_of_its_two_independent_choices():
    def entropy(*probabilities):
        return -sum(p * math.log(p) for p in probabilities)
    expected = entropy(0.5, 0.3, 0.2) + entropy(0.6, 0.4)
    assert math.isclose(scenes.entropy(GROUP), expected)
    assert math.isclose(scenes.entropy(GROUP, 'ja'), expected)


@languages
@pytest.mark.parametrize('scene', [SINGLE, GROUP, LEFT, BETWEEN])
def test_sampled_captions_come_as_often_as_their_probability_says(language, scene):
    n = 4000
    rng = np.random.default_rng(0)
    counts = collections.Counter(scenes.sample(scene, rng, language) for _ in range(n))
    expected = scenes.captions(scene, language)
    assert counts.keys() == expected.keys()
    for caption, p in expected.items():
        assert abs(counts[caption] - n * p) < 5 * math.sqrt(n * p)
    nats = -sum(c * scenes.log_probability(text, scene, language) for text, c in counts.items())
    assert abs(nats / n - scenes.entropy(scene, language)) < 0.05


# The parser against the grammar

@languages
def test_every_caption_that_the_grammar_makes_is_read_as_right(language):
    for scene in some_scenes():
        for caption in scenes.captions(scene, language):
            verdict = scenes.check(caption, scene, language)
            assert verdict.right and not verdict.false and not verdict.missing, caption


@languages
def test_a_caption_is_right_for_another_scene_only_if_that_has_it_too(language):
    told = some_scenes(25)
    for scene, other in itertools.product(told, told):
        caption = next(iter(scenes.captions(scene, language)))
        possible = scenes.log_probability(caption, other, language) > -math.inf
        assert scenes.check(caption, other, language).right == possible


@pytest.mark.parametrize(('scene', 'caption', 'false', 'missing'), [
    (SINGLE, 'a small green heart in the top left corner',
     {('object', 'colour', 'green')}, {('object', 'colour', 'orange')}),
    (SINGLE, 'an orange heart in the top left corner', set(), {('object', 'size', 'small')}),
    (GROUP, 'four large green squares', {('group', 'count', 4)}, {('group', 'count', 3)}),
    (LEFT, 'a red star above a blue moon',
     {('pair', 'relation', 'above'), ('upper', 'colour', 'red'), ('upper', 'shape', 'star'),
      ('lower', 'colour', 'blue'), ('lower', 'shape', 'moon')},
     {('pair', 'relation', 'left'), ('left', 'colour', 'red'), ('left', 'shape', 'star'),
      ('right', 'colour', 'blue'), ('right', 'shape', 'moon')}),
    (LEFT, 'a blue star to the left of a red moon',
     {('left', 'colour', 'blue'), ('right', 'colour', 'red')},
     {('left', 'colour', 'red'), ('right', 'colour', 'blue')}),
    (LEFT, 'a large red star to the left of a blue moon', {('left', 'size', 'large')}, set()),
    (BETWEEN, 'two yellow triangles with an orange star between them',
     {('middle', 'shape', 'star')}, {('middle', 'shape', 'circle')}),
    (SINGLE, '左上に小さな緑のハートがある',
     {('object', 'colour', 'green')}, {('object', 'colour', 'orange')}),
    (GROUP, '緑の四角が三つある', set(), {('group', 'size', 'large')}),
    (LEFT, '左に青い星、右に赤い三日月がある',
     {('left', 'colour', 'blue'), ('right', 'colour', 'red')},
     {('left', 'colour', 'red'), ('right', 'colour', 'blue')}),
    (BETWEEN, '二つの黄色い三角の間に赤い丸がある',
     {('middle', 'colour', 'red')}, {('middle', 'colour', 'orange')})])
def test_what_is_false_and_what_is_missing_is_named(scene, caption, false, missing):
    verdict = scenes.check(caption, scene, 'en' if caption.isascii() else 'ja')
    assert verdict.grammatical and not verdict.right
    assert verdict.false == false
    assert verdict.missing == missing


def test_swapped_objects_are_wrong_and_the_other_way_of_saying_it_is_right():
    assert not scenes.check('a blue moon to the left of a red star', LEFT).right
    assert scenes.check('a blue moon to the right of a red star', LEFT).right
    assert not scenes.check('青い三日月が赤い星の左にある', LEFT, 'ja').right
    assert scenes.check('青い三日月が赤い星の右にある', LEFT, 'ja').right


@pytest.mark.parametrize(('language', 'caption'), [
    ('en', ''), ('en', 'a'), ('en', 'a orange heart at the top'), ('en', 'three green square'),
    ('en', 'an red star above a blue moon'), ('en', 'a red star above blue moon'),
    ('en', 'two yellow triangles with an orange circle'), ('en', 'a heart orange at the top'),
    ('en', 'there is there is a small red star at the top'),
    ('en', 'a red star a blue moon'), ('en', '左上の小さい丸'),
    ('ja', ''), ('ja', '赤い'), ('ja', '左に赤い星、左に青い三日月がある'), ('ja', '三つ緑の四角'),
    ('ja', '左に赤い星、下に青い三日月がある'), ('ja', 'a red star'),
    ('ja', '赤い小さな星が上にある')])
def test_what_is_no_sentence_is_not_grammatical_and_states_nothing(language, caption):
    verdict = scenes.check(caption, LEFT, language)
    assert not verdict.grammatical and not verdict.right
    assert not verdict.true and not verdict.false and len(verdict.missing) == 6


@languages
def test_scrambled_captions_are_right_only_where_the_grammar_could_have_said_them(language):
    rng = random.Random(0)
    tokenize, join = get_tokenizer({'en': 'words', 'ja': 'characters'}[language])[1:]
    told = some_scenes(50)
    words = sorted({word for scene in told for caption in scenes.captions(scene, language)
                    for word in tokenize(caption)})
    wrong = 0
    for scene in told:
        tokens = tokenize(scenes.sample(scene, rng, language))
        tokens[rng.randrange(len(tokens))] = rng.choice(words)
        caption = join(tokens)
        if scenes.log_probability(caption, scene, language) == -math.inf:
            verdict = scenes.check(caption, scene, language)
            wrong += not verdict.right
            # What is right all the same is a mixture of phrasings, with no false word in it.
            assert not verdict.right or (not verdict.false and not verdict.missing)
    assert wrong > 150


# Drawings

def test_the_same_scene_gives_the_same_picture_and_another_seed_another():
    scene = scenes.generate(1, 0, 'train')[0]
    picture = scenes.draw(scene)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, scenes.draw(dataclasses.replace(scene)))
    assert not np.array_equal(picture, scenes.draw(dataclasses.replace(scene, seed=1)))
    assert scenes.draw(scene, 96).shape == (96, 96, 3)


def nearest_paint(colour):
    return min(COLOURS, key=lambda name: math.dist(colour, PAINT[name]))


@pytest.mark.parametrize('split', SPLITS)
def test_every_object_has_its_colour_where_it_stands_and_the_rest_is_pale(split):
    for scene in scenes.generate(40, 8, split):
        picture = scenes.draw(scene).astype(float)
        yy, xx = (np.mgrid[:64, :64] + 0.5) / 64
        empty = np.ones((64, 64), bool)
        for thing, x, y, radius in layout(scene):
            empty &= np.hypot(xx - x, yy - y) > 1.25 * radius + 0.04
            if thing.shape == 'moon':
                x -= 0.55 * radius
            inside = picture[np.hypot(xx - x, yy - y) < 0.25 * radius]
            assert nearest_paint(np.median(inside, axis=0)) == thing.colour
        assert picture[empty].min() > 230


@pytest.mark.parametrize('split', SPLITS)
def test_objects_stand_where_the_facts_say_apart_and_inside_the_picture(split):
    for scene in scenes.generate(150, 9, split):
        placed = layout(scene)
        for thing, x, y, radius in placed:
            assert radius < min(x, y, 1 - x, 1 - y)
            assert RADIUS[thing.size][0] <= radius <= RADIUS[thing.size][1]
        for (_, x, y, r), (_, x2, y2, r2) in itertools.combinations(placed, 2):
            assert math.hypot(x - x2, y - y2) > r + r2
        xs, ys = [p[1] for p in placed], [p[2] for p in placed]
        if scene.kind == 'single':
            column = 'left' if xs[0] < 1 / 3 else 'right' if xs[0] > 2 / 3 else ''
            row = 'top' if ys[0] < 1 / 3 else 'bottom' if ys[0] > 2 / 3 else ''
            assert scene.place == (f'{row} {column}'.strip() or 'middle')
        elif scene.kind == 'group':
            assert len(placed) == scene.count and len({p[0] for p in placed}) == 1
        elif scene.kind == 'pair':
            along, across = (xs, ys) if scene.place == 'left' else (ys, xs)
            assert along[1] - along[0] > 3 * abs(across[1] - across[0])
            assert [p[0] for p in placed] == list(scene.things)
        else:
            assert [p[0] for p in placed] == [scene.things[i] for i in (1, 0, 1)]
            assert max(abs(xs[1] - (xs[0] + xs[2]) / 2), abs(ys[1] - (ys[0] + ys[2]) / 2)) < 0.1


def test_sizes_are_far_apart_and_shapes_are_different_polygons_of_one_size():
    assert RADIUS['large'][0] > 1.5 * RADIUS['small'][1]
    polygons = [outline(shape) for shape in SHAPES]
    assert len(set(map(tuple, polygons))) == len(SHAPES)
    for polygon in polygons:
        assert 0.9 < max(math.hypot(x, y) for x, y in polygon) < 1.35


# The data set

@languages
def test_the_data_set_is_one_of_captioned_images_with_a_fourth_split(language):
    data = scenes.load(language, 20, 5, 6, 7, seed=1, captions_per_image=2)
    assert isinstance(data, CaptionData)
    assert {split: len(images) for split, images in data.splits.items()} == {
        'train': 20, 'dev': 5, 'test': 6, 'heldout': 7}
    names = [image.name for images in data.splits.values() for image in images]
    assert sorted(names) == data.images.names() and len(data.images) == 38
    for split, images in data.splits.items():
        for image in images:
            assert split_of(data.images.scene(image.name)) == split
            assert len(image.captions) == 2
            assert all(data.check(image.name, caption).right for caption in image.captions)
            assert image.name in data.images and data.images.resolve(image.name) == image.name


def test_the_data_set_of_a_seed_is_always_the_same_and_shows_the_same_scenes_in_both_languages():
    sizes = {'n_train': 6, 'n_dev': 2, 'n_test': 2, 'n_heldout': 2}
    english, again = scenes.load('en', **sizes), scenes.load('en', **sizes)
    japanese, other = scenes.load('ja', **sizes), scenes.load('en', **sizes, seed=1)
    assert english.splits == again.splits and english.digest == again.digest
    assert len({data.digest for data in (english, japanese, other)}) == 3
    name = 'test_00001'
    assert np.array_equal(english.images.load(name), japanese.images.load(name))
    assert english.images.digest(name) == again.images.digest(name)
    assert english.images.digest(name) != other.images.digest(name)


def test_a_picture_that_is_not_there_is_refused_by_name():
    data = scenes.load('en', 1, 1, 1, 1)
    assert 'train_00009' not in data.images and data.images.resolve('train_00009') is None
    with pytest.raises(DataError, match="no picture 'train_00009' among 4"):
        data.images.load('train_00009')


@languages
def test_the_floor_computed_from_samples_agrees_with_the_expected_entropy(language):
    data = scenes.load(language, 2000, 1, 1, 1, seed=3)
    tokenize = get_tokenizer(data.tokenizer).tokenize
    floor = data.floor('train', tokenize)
    captions = [image.captions[0] for image in data.splits['train']]
    n_tokens = sum(len(caption.split() if language == 'en' else caption) for caption in captions)
    assert math.isclose(floor.nats_per_token,
                        floor.nats_per_caption * 2000 / (n_tokens + 2000))
    nats = [-scenes.log_probability(image.captions[0], data.images.scene(image.name), language)
            for image in data.splits['train']]
    assert math.isclose(floor.nats_per_caption, np.mean(nats))
    assert abs(floor.nats_per_caption - floor.entropy) < 4 * np.std(nats) / math.sqrt(2000)


def test_the_vocabulary_is_small_and_the_captions_are_short():
    for language, longest, n_words in (('en', 13, 60), ('ja', 30, 60)):
        data = scenes.load(language, 2000, 1, 1, 1)
        tokenize = get_tokenizer(data.tokenizer).tokenize
        tokens = [tokenize(image.captions[0]) for image in data.splits['train']]
        assert max(map(len, tokens)) <= longest
        assert len({word for words in tokens for word in words}) <= n_words

"""Scenes in English: the captions of a scene with their probabilities, and a caption read back."""

import re

from minichain.datasets.scenes.phrasing import alternatives, choose, meanings, sequence
from minichain.datasets.scenes.scene import COLOURS, COUNTS, SHAPES, Thing, claims

SIZE = {'small': {'small': 0.7, 'little': 0.3}, 'large': {'large': 0.6, 'big': 0.4}}
COLOUR = {colour: {colour: 1.0} for colour in COLOURS}
SHAPE = {shape: {shape: 1.0} for shape in SHAPES}
SHAPES_PLURAL = {shape: {f'{shape}s': 1.0} for shape in SHAPES}
COUNT = {count: {word: 1.0} for count, word in zip(COUNTS, ('two', 'three', 'four'))}
PLACE = {
    'top left': {'in the top left corner': 1.0},
    'top': {'at the top': 1.0},
    'top right': {'in the top right corner': 1.0},
    'left': {'on the left': 0.6, 'on the left side': 0.4},
    'middle': {'in the middle': 0.6, 'in the center': 0.4},
    'right': {'on the right': 0.6, 'on the right side': 0.4},
    'bottom left': {'in the bottom left corner': 1.0},
    'bottom': {'at the bottom': 1.0},
    'bottom right': {'in the bottom right corner': 1.0},
}
# Where the object that is told about is, seen from the other one.
RELATION = {
    'left': {'to the left of': 0.6, 'left of': 0.4},
    'above': {'above': 0.7, 'over': 0.3},
    'right': {'to the right of': 0.6, 'right of': 0.4},
    'below': {'below': 0.7, 'under': 0.3},
}
OPPOSITE = {'left': 'right', 'above': 'below'}


def captions(scene):
    """All captions of a scene: dict from text to probability, which sum to 1."""
    if scene.kind == 'single':
        thing, place = _a(scene.things[0]), PLACE[scene.place]
        return choose((0.45, sequence(thing, place)),
                      (0.30, sequence('there is', thing, place)),
                      (0.25, sequence(place, 'there is', thing)))
    if scene.kind == 'group':
        group = sequence(COUNT[scene.count], _named(scene.things[0], SHAPES_PLURAL))
        return choose((0.5, group), (0.3, sequence('there are', group)),
                      (0.2, sequence('a group of', group)))
    one, other = map(_a, scene.things)
    if scene.kind == 'pair':
        relation, backwards = RELATION[scene.place], RELATION[OPPOSITE[scene.place]]
        return choose((0.35, sequence(one, relation, other)),
                      (0.15, sequence('there is', one, relation, other)),
                      (0.25, sequence(relation, other, 'there is', one)),
                      (0.25, sequence(backwards, one, 'there is', other)))
    ends = sequence('two', _named(scene.things[1], SHAPES_PLURAL))
    return choose((0.5, sequence(one, 'between', ends)),
                  (0.25, sequence('there is', one, 'between', ends)),
                  (0.25, sequence(ends, 'with', one, 'between them')))


def _named(thing, shapes=SHAPE):
    return sequence(SIZE.get(thing.size, ''), COLOUR[thing.colour], shapes[thing.shape])


def _a(thing):
    return {f'{_article(text)} {text}': p for text, p in _named(thing).items()}


def _article(text):
    return 'an' if text[0] in 'aeiou' else 'a'


_LOOKS = rf'(?:({alternatives(SIZE)}) )?({alternatives(COLOUR)}) '
_ONE = rf'(an?) {_LOOKS}({alternatives(SHAPE)})'
_SEVERAL = rf'{_LOOKS}({alternatives(SHAPES_PLURAL)})'
_PLACE, _RELATION, _COUNT = (f'({alternatives(table)})' for table in (PLACE, RELATION, COUNT))
_FORMS = [(kind, re.compile(pattern)) for kind, pattern in (
    ('single', f'(?:there is )?{_ONE} {_PLACE}'),
    ('single', f'{_PLACE} there is {_ONE}'),
    ('group', f'(?:there are |a group of )?{_COUNT} {_SEVERAL}'),
    ('pair', f'(?:there is )?{_ONE} {_RELATION} {_ONE}'),
    ('pair', f'{_RELATION} {_ONE} there is {_ONE}'),
    ('between', f'(?:there is )?{_ONE} between two {_SEVERAL}'),
    ('between', f'two {_SEVERAL} with {_ONE} between them'))]
_PLACES, _RELATIONS, _COUNTS = meanings(PLACE), meanings(RELATION), meanings(COUNT)
_SIZES, _SHAPES = meanings(SIZE), meanings(SHAPE) | meanings(SHAPES_PLURAL)


def parse(caption):
    """Read a caption by the grammar.

    Returns:
        set of the facts that it states, (role, attribute, value); None if it cannot be read.
    """
    caption = ' '.join(caption.split())
    for kind, pattern in _FORMS:
        if match := pattern.fullmatch(caption):
            return _read(kind, [word for word in match.groups() if word])
    return None


def _read(kind, words):
    things, singular, place, count, size, article = [], [], '', 1, None, None
    for i, word in enumerate(words):
        if word in ('a', 'an'):
            article = word
            if word != _article(words[i + 1]):
                return None
        elif word in _SIZES:
            size = _SIZES[word]
        elif word in COLOUR:
            colour = word
        elif word in _SHAPES:
            things.append(Thing(_SHAPES[word], colour, size))
            singular.append(article is not None)
            size = article = None
        elif word in _COUNTS:
            count = _COUNTS[word]
        else:
            place = _PLACES.get(word) or _RELATIONS[word]
    if words[0] in _RELATIONS or singular == [False, True]:
        things.reverse()  # 'above this there is that', 'two of these with one of those between'
    return claims(kind, things, place, count)

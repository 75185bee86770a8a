"""Scenes in Japanese, the same facts as in English; without spaces, to be read by characters."""

import functools
import re

from minichain.datasets.scenes.phrasing import alternatives, choose, meanings, sequence
from minichain.datasets.scenes.scene import COUNTS, Thing, claims

SIZE = {'small': {'小さな': 0.7, '小さい': 0.3}, 'large': {'大きな': 0.6, '大きい': 0.4}}
COLOUR = {'red': {'赤い': 1.0}, 'orange': {'オレンジ色の': 1.0}, 'yellow': {'黄色い': 1.0},
          'green': {'緑の': 1.0}, 'blue': {'青い': 1.0}, 'purple': {'紫の': 1.0}}
SHAPE = {'circle': {'丸': 1.0}, 'square': {'四角': 1.0}, 'triangle': {'三角': 1.0},
         'star': {'星': 1.0}, 'heart': {'ハート': 1.0}, 'moon': {'三日月': 1.0}}
COUNT = {count: {word: 1.0} for count, word in zip(COUNTS, ('二つ', '三つ', '四つ'))}
PLACE = {
    'top left': {'左上': 1.0}, 'top': {'上': 1.0}, 'top right': {'右上': 1.0},
    'left': {'左': 0.6, '左側': 0.4}, 'middle': {'真ん中': 0.6, '中央': 0.4},
    'right': {'右': 0.6, '右側': 0.4},
    'bottom left': {'左下': 1.0}, 'bottom': {'下': 1.0}, 'bottom right': {'右下': 1.0},
}
# Where the object that is told about is, seen from the other one.
RELATION = {
    'left': {'左': 0.6, '左側': 0.4}, 'above': {'上': 0.7, '上側': 0.3},
    'right': {'右': 0.6, '右側': 0.4}, 'below': {'下': 0.7, '下側': 0.3},
}
OPPOSITE = {'left': 'right', 'above': 'below'}

_sequence = functools.partial(sequence, separator='')


def captions(scene):
    """All captions of a scene: dict from text to probability, which sum to 1."""
    things = [_sequence(SIZE.get(thing.size, ''), COLOUR[thing.colour], SHAPE[thing.shape])
              for thing in scene.things]
    if scene.kind == 'single':
        thing, place = things[0], PLACE[scene.place]
        return choose((0.45, _sequence(place, 'に', thing, 'がある')),
                      (0.30, _sequence(thing, 'が', place, 'にある')),
                      (0.25, _sequence(place, 'の', thing)))
    if scene.kind == 'group':
        thing, count = things[0], COUNT[scene.count]
        return choose((0.5, _sequence(thing, 'が', count, 'ある')),
                      (0.3, _sequence(count, 'の', thing, 'がある')),
                      (0.2, _sequence(count, 'の', thing)))
    one, other = things
    if scene.kind == 'pair':
        relation, backwards = RELATION[scene.place], RELATION[OPPOSITE[scene.place]]
        both = [(p, here, there) for (here, p), there in zip(relation.items(), backwards)]
        return choose(
            (0.35, _sequence(one, 'が', other, 'の', relation, 'にある')),
            (0.15, _sequence(one, 'の', backwards, 'に', other, 'がある')),
            *((0.25 * p, _sequence(here, 'に', one, '、', there, 'に', other, 'がある'))
              for p, here, there in both),
            *((0.25 * p, _sequence(there, 'に', other, '、', here, 'に', one, 'がある'))
              for p, here, there in both))
    return choose((0.5, _sequence('二つの', other, 'の間に', one, 'がある')),
                  (0.25, _sequence(one, 'が二つの', other, 'の間にある')),
                  (0.25, _sequence('二つの', other, 'に挟まれた', one)))


_THING = rf'(?:({alternatives(SIZE)}))?({alternatives(COLOUR)})({alternatives(SHAPE)})'
_PLACE, _RELATION, _COUNT = (f'({alternatives(table)})' for table in (PLACE, RELATION, COUNT))
_FORMS = [(kind, ground_first, re.compile(pattern)) for kind, ground_first, pattern in (
    ('single', False, f'{_PLACE}(?:に{_THING}がある|の{_THING})'),
    ('single', False, f'{_THING}が{_PLACE}にある'),
    ('group', False, f'{_COUNT}の{_THING}(?:がある)?'),
    ('group', False, f'{_THING}が{_COUNT}ある'),
    ('pair', True, f'{_THING}の{_RELATION}に{_THING}がある'),
    ('pair', False, f'{_THING}が{_THING}の{_RELATION}にある'),
    ('pair', False, f'{_RELATION}に{_THING}、{_RELATION}に{_THING}がある'),
    ('between', True, f'二つの{_THING}(?:の間に{_THING}がある|に挟まれた{_THING})'),
    ('between', False, f'{_THING}が二つの{_THING}の間にある'))]
_SIZES, _COLOURS, _SHAPES, _PLACES, _RELATIONS, _COUNTS = map(
    meanings, (SIZE, COLOUR, SHAPE, PLACE, RELATION, COUNT))


def parse(caption):
    """Read a caption by the grammar.

    Returns:
        set of the facts that it states, (role, attribute, value); None if it cannot be read.
    """
    caption = ''.join(caption.split())
    for kind, ground_first, pattern in _FORMS:
        if match := pattern.fullmatch(caption):
            return _read(kind, ground_first, [word for word in match.groups() if word])
    return None


def _read(kind, ground_first, words):
    things, places, count, size = [], [], 1, None
    for word in words:
        if word in _SIZES:
            size = _SIZES[word]
        elif word in _COLOURS:
            colour = _COLOURS[word]
        elif word in _SHAPES:
            things.append(Thing(_SHAPES[word], colour, size))
            size = None
        elif word in _COUNTS:
            count = _COUNTS[word]
        else:
            places.append((_RELATIONS if kind == 'pair' else _PLACES)[word])
    if len(places) == 2 and tuple(sorted(places)) not in (('left', 'right'), ('above', 'below')):
        return None
    return claims(kind, things[::-1] if ground_first else things, *places[:1], count=count)

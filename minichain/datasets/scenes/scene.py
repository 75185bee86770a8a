"""What a drawn scene is, which facts hold in it, and how scenes are made from a seed.

A scene is one object somewhere, a group of equal ones, a pair, or one between two others.
Its facts alone decide to which split it belongs, so that no two seeds can ever mix the splits.
"""

import dataclasses
import hashlib
import random

from minichain.errors import InvalidArgument

SHAPES = ('circle', 'square', 'triangle', 'star', 'heart', 'moon')
COLOURS = ('red', 'orange', 'yellow', 'green', 'blue', 'purple')
SIZES = ('small', 'large')
PLACES = ('top left', 'top', 'top right', 'left', 'middle', 'right',
          'bottom left', 'bottom', 'bottom right')
RELATIONS = ('left', 'above')
COUNTS = (2, 3, 4)
SPLITS = ('train', 'dev', 'test', 'heldout')
KINDS = {'single': 0.25, 'group': 0.2, 'pair': 0.35, 'between': 0.2}

# Every colour and every shape is held out once: train shows each, but never these six pairs.
HELD_OUT = frozenset({('red', 'moon'), ('orange', 'square'), ('yellow', 'heart'),
                      ('green', 'star'), ('blue', 'circle'), ('purple', 'triangle')})


@dataclasses.dataclass(frozen=True)
class Thing:
    """What an object looks like; size is None where several are compared by other things."""
    shape: str
    colour: str
    size: str | None = None


@dataclasses.dataclass(frozen=True)
class Scene:
    """The facts of one picture, and the seed of everything in it that no caption speaks of.

    Args:
        kind: 'single', 'group', 'pair' or 'between'.
        things: the one Thing (single, group), the left or upper one and the other (pair), or the
            one in the middle and that which is on both sides of it (between).
        place: one of PLACES for a single, one of RELATIONS for a pair, '' otherwise.
        count: how many times a group shows its Thing; 1 otherwise.
        seed: decides background, jitter of position, size and colour, and a group's layout.
    """
    kind: str
    things: tuple[Thing, ...]
    place: str = ''
    count: int = 1
    seed: int = 0


def claims(kind, things, place='', count=1):
    """The facts that a sentence states: required of every caption of a Scene with these fields.

    Args:
        kind, things, count: as in Scene.
        place: as in Scene; a pair's may also be 'right' or 'below', which are turned round.
    Returns:
        set of (role, attribute, value).
    """
    facts = {('scene', 'kind', kind)}
    if kind == 'single':
        return facts | _looks(things[0], 'object') | {('object', 'place', place)}
    if kind == 'group':
        return facts | _looks(things[0], 'group') | {('group', 'count', count)}
    if kind == 'between':
        return facts | _looks(things[0], 'middle') | _looks(things[1], 'ends')
    if place in ('right', 'below'):
        place, things = {'right': 'left', 'below': 'above'}[place], things[::-1]
    roles = {'left': ('left', 'right'), 'above': ('upper', 'lower')}[place]
    return (facts | {('pair', 'relation', place)}
            | _looks(things[0], roles[0]) | _looks(things[1], roles[1]))


def _looks(thing, role):
    facts = {(role, 'colour', thing.colour), (role, 'shape', thing.shape)}
    return facts | {(role, 'size', thing.size)} if thing.size else facts


def split_of(scene):
    """The split of a scene: heldout for its colours and shapes, else by a hash of its facts.

    Of the facts that are not held out, 80 % are train's, 10 % dev's and 10 % test's.
    """
    if any((t.colour, t.shape) in HELD_OUT for t in scene.things):
        return 'heldout'
    # The count is left out: else what was seen two and four times would be guessed never three.
    words = [scene.kind, scene.place]
    words += [f'{thing.size} {thing.colour} {thing.shape}' for thing in scene.things]
    bucket = hashlib.sha256('; '.join(words).encode()).digest()[0] / 256
    return 'train' if bucket < 0.8 else 'dev' if bucket < 0.9 else 'test'


def generate(n, seed, split):
    """Make n scenes of one split.

    Facts of one split never occur in another, whatever the seeds. Within a split the same facts
    may come again in another drawing.

    Args:
        n: how many scenes.
        seed: any int; the same seed and split give the same scenes, a larger n more of them.
        split: 'train', 'dev', 'test', or 'heldout', where every scene holds at least one pair of
            colour and shape that no scene of the others has.
    Returns:
        list of n Scenes.
    Raises:
        InvalidArgument: the split is unknown.
    """
    if split not in SPLITS:
        raise InvalidArgument(f'scenes.generate: split is one of {", ".join(SPLITS)}, '
                              f'got {split!r}.')
    rng = random.Random(f'scenes {split} {seed}')
    return [_random_scene(rng, split) for _ in range(n)]


def _random_scene(rng, split):
    # The kind first and once: every split has the kinds in the same proportions.
    kind = rng.choices(tuple(KINDS), tuple(KINDS.values()))[0]
    alone = kind in ('single', 'group')
    while True:
        things = [Thing(rng.choice(SHAPES), rng.choice(COLOURS),
                        rng.choice(SIZES) if alone else None) for _ in range(1 if alone else 2)]
        if split == 'heldout':
            colour, shape = rng.choice(sorted(HELD_OUT))
            i = rng.randrange(len(things))
            things[i] = dataclasses.replace(things[i], colour=colour, shape=shape)
        place = {'single': rng.choice(PLACES), 'pair': rng.choice(RELATIONS)}.get(kind, '')
        count = rng.choice(COUNTS) if kind == 'group' else 1
        scene = Scene(kind, tuple(things), place, count, rng.randrange(2 ** 32))
        # Two that look alike are a group, not a pair.
        if (alone or things[0] != things[1]) and split_of(scene) == split:
            return scene

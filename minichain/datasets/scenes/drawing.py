"""Draws a scene with Pillow, at any size.

Every shape is a polygon, drawn four times too large and then reduced, so that edges are smooth.
"""

import functools
import math
import random

import numpy as np
from PIL import Image, ImageDraw

PAINT = {'red': (224, 44, 52), 'orange': (247, 134, 24), 'yellow': (252, 214, 44),
         'green': (44, 164, 82), 'blue': (44, 104, 222), 'purple': (148, 66, 186)}

# No caption has a word for these. A network that learns colours on strange shapes, and shapes in
# strange colours, cannot come to take the pairs that it never sees for impossible.
STRANGE_PAINT = {'pink': (245, 130, 180), 'brown': (120, 75, 40), 'cyan': (60, 200, 215),
                 'white': (250, 250, 250), 'grey': (130, 130, 135), 'black': (35, 35, 40)}
STRANGE_SHAPES = {
    'bar': [(-1, -0.4), (1, -0.4), (1, 0.4), (-1, 0.4)],
    'diamond': [(0, -1), (0.75, 0), (0, 1), (-0.75, 0)],
    'kite': [(0, 1), (0.9, -0.8), (0, -0.35), (-0.9, -0.8)],
    'hexagon': [(1, 0), (0.5, 0.87), (-0.5, 0.87), (-1, 0), (-0.5, -0.87), (0.5, -0.87)],
    'arrow': [(-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)],
    'cross': [(-0.32, -1), (0.32, -1), (0.32, -0.32), (1, -0.32), (1, 0.32), (0.32, 0.32),
              (0.32, 1), (-0.32, 1), (-0.32, 0.32), (-1, 0.32), (-1, -0.32), (-0.32, -0.32)],
}

# Radii in units of the image's side. The gaps between the ranges make sizes unmistakable.
RADIUS = {'small': (0.082, 0.094), None: (0.105, 0.140), 'large': (0.152, 0.166)}

_SUPERSAMPLING = 4


def layout(scene):
    """Where a scene's objects are: a list of (Thing, x, y, radius), in units of the image's side.

    Args:
        scene: a Scene; its seed decides the jitter.
    Returns:
        list with an entry for every object drawn; x to the right, y downwards, both of the centre.
    """
    rng = random.Random(f'layout {scene.seed}')
    if scene.kind == 'group':
        return _scattered(scene, rng)
    if scene.kind == 'single':
        column = 0.5 + 0.29 * (('right' in scene.place) - ('left' in scene.place))
        row = 0.5 + 0.29 * (('bottom' in scene.place) - ('top' in scene.place))
        centres = [(column + rng.uniform(-0.03, 0.03), row + rng.uniform(-0.03, 0.03))]
        return _sized(scene.things, centres, rng)
    if scene.kind == 'pair':
        gap = rng.uniform(0.44, 0.58)
        centres = _in_line([-gap / 2, gap / 2], scene.place == 'above', rng)
        return _sized(scene.things, centres, rng)
    middle, end = scene.things
    return _sized([end, middle, end], _in_line([-0.33, 0, 0.33], rng.random() < 0.5, rng), rng)


def _in_line(along, upright, rng):
    shift, across = rng.uniform(-0.02, 0.02), rng.uniform(0.3, 0.7)
    centres = [(0.5 + shift + x, across + rng.uniform(-0.04, 0.04)) for x in along]
    return [(y, x) for x, y in centres] if upright else centres


def _sized(things, centres, rng):
    return [(thing, x, y, rng.uniform(*RADIUS[thing.size]))
            for thing, (x, y) in zip(things, centres)]


def _scattered(scene, rng):
    thing = scene.things[0]
    radii = [rng.uniform(*RADIUS[thing.size]) for _ in range(scene.count)]
    edge, distance = max(radii) + 0.02, 2 * max(radii) + 0.05
    centres = []
    while len(centres) < scene.count:
        # Darts until all lie apart; a full board that can take no more is cleared.
        centres = centres if len(centres) and rng.random() > 0.1 else []
        dart = rng.uniform(edge, 1 - edge), rng.uniform(edge, 1 - edge)
        if all(math.dist(dart, centre) >= distance for centre in centres):
            centres.append(dart)
    return [(thing, x, y, r) for (x, y), r in zip(centres, radii)]


@functools.cache
def outline(shape):
    """The polygon of a shape: a list of (x, y) around (0, 0), within a radius of about 1."""
    if shape in STRANGE_SHAPES:
        return STRANGE_SHAPES[shape]
    turn = 2 * math.pi
    if shape == 'circle':
        return [(0.94 * math.cos(turn * i / 48), 0.94 * math.sin(turn * i / 48))
                for i in range(48)]
    if shape == 'square':
        return [(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)]
    if shape == 'triangle':
        return [(0, -1), (1.02, 0.8), (-1.02, 0.8)]
    if shape == 'star':
        return [(r * math.sin(turn * i / 10), 0.06 - r * math.cos(turn * i / 10))
                for i in range(10) for r in [0.48 if i % 2 else 1.14]]
    if shape == 'heart':
        angles = [turn * i / 48 for i in range(48)]
        return [(1.04 * math.sin(a) ** 3,
                 -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a)
                   - math.cos(4 * a) + 2) / 15.2) for a in angles]
    # A moon: the left arc of a circle, and back along another circle whose centre is moved right.
    radius, shift = 1.0, 0.62
    tip = math.acos(shift / 2)
    outer = [tip + (turn - 2 * tip) * i / 32 for i in range(33)]
    inner = [math.pi - tip + 2 * tip * i / 24 for i in range(25)]
    points = [(radius * math.cos(a), radius * math.sin(a)) for a in outer]
    points += [(shift + radius * math.cos(a), -radius * math.sin(a)) for a in inner]
    return [(x + 0.3, y) for x, y in points]


def draw(scene, side=64):
    """Draw a scene; the same scene gives the same picture, at any size.

    Args:
        scene: a Scene; its things may also have a STRANGE_PAINT as colour or a STRANGE_SHAPE.
        side: height and width in pixels; the network of the embedded default sees 64.
    Returns:
        uint8 array (side, side, 3), RGB.
    """
    rng = random.Random(f'paint {scene.seed}')
    scale = side * _SUPERSAMPLING
    tint = [rng.uniform(235, 254) for _ in range(3)]
    image = Image.new('RGB', (scale, scale), _colour(tint))
    pen = ImageDraw.Draw(image)
    for thing, x, y, radius in layout(scene):
        paint = [channel + rng.uniform(-10, 10)
                 for channel in (PAINT | STRANGE_PAINT)[thing.colour]]
        angle = rng.uniform(-0.14, 0.14)
        cos, sin = radius * math.cos(angle), radius * math.sin(angle)
        points = [(x + cos * px - sin * py, y + sin * px + cos * py)
                  for px, py in outline(thing.shape)]
        shadow = [(scale * (px + 0.012), scale * (py + 0.018)) for px, py in points]
        points = [(scale * px, scale * py) for px, py in points]
        pen.polygon(shadow, fill=_colour([0.86 * channel for channel in tint]))
        pen.polygon(points, fill=_colour(paint))
        pen.line(points + points[:2], fill=_colour([0.72 * channel for channel in paint]),
                 width=max(1, round(0.014 * scale)), joint='curve')
    return np.asarray(image.reduce(_SUPERSAMPLING))


def _colour(channels):
    return tuple(min(255, max(0, round(channel))) for channel in channels)

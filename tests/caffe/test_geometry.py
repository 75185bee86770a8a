"""How much a call may take: what networks of many kinds need is let through."""

import itertools
import math

import numpy as np
import pytest

from minichain.caffe.geometry import Room
from minichain.errors import DataError


def expect_convolutions(inputs, layers):
    """Asks for the room of 3 x 3 convolutions: rows of (inputs, outputs, height and width)."""
    room, (samples, _, side, _) = Room([inputs]), inputs.shape
    in_use = inputs.size
    for channels, outputs, size in layers:
        room.expect((samples, outputs, size, size), 1, in_use, samples * channels * side ** 2,
                    9 * channels * size ** 2 + channels * (side + 2) ** 2)
        in_use, side = samples * (outputs + channels) * size ** 2, size


@pytest.mark.parametrize('shape', [(1, 3, 224, 224), (64, 3, 224, 224), (1, 3, 1024, 1024)])
def test_vgg_has_room(shape):
    widths = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512),
              (512, 512), (512, 512), (512, 512)]
    expect_convolutions(np.broadcast_to(np.float32(0), shape), [
        (*pair, shape[2] >> number // 2) for number, pair in enumerate(widths)])


def test_a_network_for_grey_images_that_keeps_their_size_has_room():
    x = np.broadcast_to(np.float32(0), (1, 1, 572, 572))
    expect_convolutions(x, [(1, 64, 572), (64, 64, 572), (64, 128, 572), (128, 64, 572)])


def test_wide_networks_for_large_batches_have_room():
    x = np.broadcast_to(np.float32(0), (512, 3, 32, 32))
    expect_convolutions(x, [(3, 160, 32), *[(160, 160, 32)] * 8, *[(320, 320, 16)] * 8])


def test_generators_have_room():
    sides = zip(itertools.accumulate([4] * 6, lambda a, _: 2 * a), (1024, 512, 256, 128, 64, 3))
    room = Room([np.zeros((64, 100, 1, 1), np.float32)])
    for side, channels in sides:
        shape = 64, channels, side, side
        room.expect(shape, 1, 2 * math.prod(shape), 2 * math.prod(shape), math.prod(shape[1:]))


@pytest.mark.parametrize('arguments', [
    ((1, 1 << 27), 1, 0, 0, 0), ((1, 1 << 25), 3, 0, 0, 0), ((1, 9), 1, 1 << 27, 0, 0),
    ((1, 9), 1, 0, 0, 1 << 28), ((1, 9), 1, 0, 1 << 33, 0)])
def test_what_no_network_needs_has_none(arguments):
    with pytest.raises(DataError, match='too much'):
        Room([np.zeros((1, 3, 8, 8), np.float32)]).expect(*arguments)

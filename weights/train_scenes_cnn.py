"""Trains the small network that looks at drawn scenes, and writes it in Caffe's format.

Its last layer fc7 has one unit for every attribute (a place, a number, a shape, a colour, a size).
It learns from drawings of the train split alone: pairs of colour and shape that are held out are
never shown. To keep it from learning that they do not exist, part of the objects are strange:
shapes without a name teach colours, and colours without a name teach shapes.
"""

import argparse
import dataclasses
import os
import random

import numpy as np
from tqdm import tqdm

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import caffe, initializers, optimizer_hooks, optimizers
from minichain.datasets.scenes import draw, generate
from minichain.datasets.scenes.drawing import STRANGE_PAINT, STRANGE_SHAPES
from minichain.datasets.scenes.scene import (
    COLOURS,
    COUNTS,
    KINDS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
)
from minichain.image import Preprocessing

# Attribute -> its values, a unit of fc7 each. An attribute that a scene does not have is 'none',
# which has no unit: its logit is always 0, so a unit is positive where its attribute holds.
ATTRIBUTES = {
    'kind': tuple(KINDS), 'place': PLACES, 'relation': RELATIONS, 'count': COUNTS, 'size': SIZES,
    'first shape': SHAPES, 'first colour': COLOURS,
    'second shape': SHAPES, 'second colour': COLOURS,
}
NONE, UNKNOWN = 0, -1    # labels; the values are 1, 2, ...
PREPROCESSING = Preprocessing((64, 64), 'BGR', mean=(220, 220, 220), scale=1 / 64)


def labels(scene):
    """The label of every attribute of a scene, int32; UNKNOWN where the value is a strange one."""
    values = dict.fromkeys(ATTRIBUTES)
    values.update(kind=scene.kind, size=scene.things[0].size)
    if scene.kind == 'single':
        values['place'] = scene.place
    elif scene.kind == 'pair':
        values['relation'] = scene.place
    elif scene.kind == 'group':
        values['count'] = scene.count
    for order, thing in zip(('first', 'second'), scene.things):
        values.update({f'{order} shape': thing.shape, f'{order} colour': thing.colour})
    return np.array([NONE if value is None else
                     ATTRIBUTES[name].index(value) + 1 if value in ATTRIBUTES[name] else UNKNOWN
                     for name, value in values.items()], np.int32)


def estrange(scene, rng, rate):
    """Give each object a strange shape or a strange colour with this probability."""
    things = list(scene.things)
    for i, thing in enumerate(things):
        if rng.random() < rate:
            strange = ({'colour': rng.choice(tuple(STRANGE_PAINT))} if rng.random() < 0.5 else
                       {'shape': rng.choice(tuple(STRANGE_SHAPES))})
            things[i] = dataclasses.replace(thing, **strange)
    return dataclasses.replace(scene, things=tuple(things))


def batch_of(scenes):
    """Drawings (N, 3, 64, 64), float32, and labels (N, attributes), int32."""
    return (np.stack([PREPROCESSING.apply(draw(scene)) for scene in scenes]),
            np.stack([labels(scene) for scene in scenes]))


class ScenesCNN(minichain.Chain):
    """Four convolutions and two fully connected layers; `forward` gives fc7 before its ReLU."""

    def __init__(self):
        super().__init__()
        he = initializers.HeNormal()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 16, 5, stride=2, pad=2, initialW=he)
            self.conv2 = L.Convolution2D(16, 32, 3, pad=1, initialW=he)
            self.conv3 = L.Convolution2D(32, 48, 3, pad=1, initialW=he)
            self.conv4 = L.Convolution2D(48, 64, 3, pad=1, initialW=he)
            self.fc6 = L.Linear(64 * 4 * 4, 128, initialW=he)
            self.fc7 = L.Linear(128, sum(map(len, ATTRIBUTES.values())))

    def forward(self, x):
        h = F.relu(self.conv1(x))                                # (N, 16, 32, 32)
        h = F.max_pooling_2d(F.relu(self.conv2(h)), 2)           # (N, 32, 16, 16)
        h = F.max_pooling_2d(F.relu(self.conv3(h)), 2)           # (N, 48, 8, 8)
        h = F.max_pooling_2d(F.relu(self.conv4(h)), 2)           # (N, 64, 4, 4)
        return self.fc7(F.relu(self.fc6(h)))

    def caffe_layers(self):
        """The same network as a list of Caffe layers, for `minichain.caffe.save`."""
        layers, bottom = [], 'data'
        for name in ('conv1', 'conv2', 'conv3', 'conv4', 'fc6', 'fc7'):
            link, shape = self[name], self[name].W.shape
            layer = {'name': name, 'bottom': [bottom], 'top': [name],
                     'blobs': [link.W.array, link.b.array]}
            if name.startswith('conv'):
                layer |= {'type': 'Convolution', 'convolution_param': {
                    'num_output': shape[0], 'kernel_size': [shape[2]],
                    'stride': [link.stride[0]], 'pad': [link.pad[0]]}}
            else:
                layer |= {'type': 'InnerProduct', 'inner_product_param': {'num_output': shape[0]}}
            layers += [layer, {'name': f'relu{name[-1]}', 'type': 'ReLU',
                               'bottom': [name], 'top': [name]}]
            bottom = name
            if name in ('conv2', 'conv3', 'conv4'):
                bottom = f'pool{name[-1]}'
                layers.append({'name': bottom, 'type': 'Pooling', 'bottom': [name],
                               'top': [bottom],
                               'pooling_param': {'pool': 'MAX', 'kernel_size': 2, 'stride': 2}})
        return layers


def by_attribute(logits):
    """Cut fc7 into attributes and put the logit 0 of 'none' before each: a list of (N, 1 + V)."""
    ends = np.cumsum([len(values) for values in ATTRIBUTES.values()])[:-1]
    none = np.zeros((len(logits), 1), np.float32)
    return [F.concat([none, part]) for part in F.split_axis(logits, ends, axis=1)]


def loss_of(logits, t):
    """Softmax cross entropy of every attribute, summed; in nats per scene."""
    return sum(F.softmax_cross_entropy(part, t[:, i])
               for i, part in enumerate(by_attribute(logits)))


def right_answers(logits, t):
    """Whether the largest logit of an attribute is that of its label, (N, attributes), bool."""
    guesses = [part.array.argmax(axis=1) for part in by_attribute(logits)]
    return np.stack(guesses, axis=1) == t


def evaluate(model, split, n, seed):
    """Print the accuracies on one split, and how many scenes are right in all attributes."""
    x, t = batch_of(generate(n, seed, split))
    with minichain.no_backprop_mode():
        right = np.concatenate([right_answers(model(x[i:i + 100]), t[i:i + 100])
                                for i in range(0, n, 100)])
    print(f'{split}: {right.all(axis=1).mean():.1%} of {n} scenes right in all attributes')
    for name, answers, has in zip(ATTRIBUTES, right.T, (t != NONE).T):
        print(f'    {name:13} {answers[has].mean():.1%} of {has.sum()}')


def scale_units(model, scenes):
    """Scale the units of each attribute to a mean of 1 where they hold; a ReLU allows it.

    All units of an attribute get the same factor, so the largest one stays the largest.
    """
    x, t = batch_of(scenes)
    with minichain.no_backprop_mode():
        y = np.maximum(model(x).array, 0)
    start = 0
    for i, values in enumerate(ATTRIBUTES.values()):
        units = slice(start, start + len(values))
        holds = t[:, i, None] == np.arange(1, 1 + len(values))
        mean = y[:, units][holds].mean() or 1    # 0 where no unit has woken
        model.fc7.W.array[units] /= mean
        model.fc7.b.array[units] /= mean
        start = units.stop


def train(model, arguments):
    """Show every drawing once, with a learning rate that falls to zero."""
    optimizer = optimizers.Adam(alpha=arguments.alpha, weight_decay_rate=arguments.decay)
    optimizer.setup(model)
    optimizer.add_hook(optimizer_hooks.GradientClipping(5))
    rng = random.Random(arguments.seed)
    scenes = generate(arguments.drawings, arguments.seed, 'train')
    progress = tqdm(range(0, len(scenes), arguments.batch), unit='batch', mininterval=5)
    loss, accuracy = 0, np.zeros(len(ATTRIBUTES))
    for step, start in enumerate(progress):
        optimizer.alpha = arguments.alpha * min(1, 1.6 * (1 - start / len(scenes)))
        x, t = batch_of([estrange(scene, rng, arguments.strange)
                         for scene in scenes[start:start + arguments.batch]])
        logits = model(x)
        batch_loss = loss_of(logits, t)
        # A small price on every unit that is awake: else wrong ones are only less so than the
        # right one, and who reads the features has to compare instead of to look.
        awake = F.sum(F.square(F.relu(logits))) / len(x)
        model.cleargrads()
        (batch_loss + arguments.price * awake).backward()
        optimizer.update()
        keep = 0.98 if step else 0    # running means
        loss = keep * loss + (1 - keep) * float(batch_loss.array)
        # Of a strange value nobody knows the answer.
        right = right_answers(logits, t).sum(axis=0) / np.maximum((t != UNKNOWN).sum(axis=0), 1)
        accuracy = keep * accuracy + (1 - keep) * right
        progress.set_description(f'loss {loss:.3f} nats', refresh=False)
        if step % 100 == 99:
            progress.write(f'{start + len(x):7} drawings, loss {loss:.3f} nats, right: '
                           + ', '.join(f'{name} {value:.1%}'
                                       for name, value in zip(ATTRIBUTES, accuracy)))


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=('example, from the folder above this one: '
                'python -m weights.train_scenes_cnn --drawings 5000 --out .'))
    parser.add_argument('--drawings', type=int, default=120_000,
                        help='scenes to learn from, each shown once (default: %(default)s, about '
                             'ten minutes on one core)')
    parser.add_argument('--batch', type=int, default=32,
                        help='drawings in a step of the optimizer (default: %(default)s)')
    parser.add_argument('--alpha', type=float, default=0.002,
                        help='learning rate of Adam at the beginning (default: %(default)s)')
    parser.add_argument('--decay', type=float, default=4e-5,
                        help='share of every weight lost at a step (default: %(default)s)')
    parser.add_argument('--strange', type=float, default=0.4,
                        help='share of the objects that are drawn in a shape or a colour that has '
                             'no name; 0 makes held-out pairs harder (default: %(default)s)')
    parser.add_argument('--price', type=float, default=1e-3,
                        help='of the squared activity of fc7, which makes it sparse '
                             '(default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0,
                        help='of weights and drawings (default: %(default)s)')
    parser.add_argument('--out', default=here,
                        help='folder for scenes_cnn.caffemodel and scenes_cnn.prototxt '
                             '(default: beside this script)')
    arguments = parser.parse_args()

    np.random.seed(arguments.seed)
    model = ScenesCNN()
    train(model, arguments)
    scale_units(model, generate(4000, arguments.seed + 1, 'train'))
    path = os.path.join(arguments.out, 'scenes_cnn')
    caffe.save(f'{path}.caffemodel', f'{path}.prototxt', model.caffe_layers(), (1, 3, 64, 64),
               name='ScenesCNN', preprocessing=PREPROCESSING)
    for split in ('test', 'heldout'):
        evaluate(model, split, 2000, arguments.seed + 2)
    print(f'written: {path}.caffemodel ({os.path.getsize(path + ".caffemodel")} bytes), '
          f'{path}.prototxt')


if __name__ == '__main__':
    main()

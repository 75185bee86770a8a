"""The network of the drawn scenes: the script that trains it, and the files that it left."""

import os

import numpy as np

import minichain
from minichain import caffe
from minichain.datasets.scenes import generate
from minichain.datasets.scenes.scene import HELD_OUT
from weights import train_scenes_cnn as script

FOLDER = os.path.dirname(os.path.abspath(script.__file__))
BUNDLED = os.path.join(FOLDER, 'scenes_cnn')


def units(scene):
    """Names of the units of fc7 that hold for a scene, written apart from the script's labels."""
    names = {('kind', scene.kind)}
    if scene.place:
        names.add(('place' if scene.kind == 'single' else 'relation', scene.place))
    if scene.kind == 'group':
        names.add(('count', scene.count))
    for order, thing in zip(('first', 'second'), scene.things):
        names |= {(f'{order} shape', thing.shape), (f'{order} colour', thing.colour)}
        names |= {('size', thing.size)} if thing.size else set()
    return names


ALL_UNITS = [(name, value) for name, values in script.ATTRIBUTES.items() for value in values]


def test_labels_are_the_attributes_of_the_scene():
    for split in ('train', 'heldout'):
        for scene in generate(200, 4, split):
            labels = script.labels(scene)
            assert units(scene) == {
                (name, values[label - 1])
                for (name, values), label in zip(script.ATTRIBUTES.items(), labels) if label}


def test_strange_drawings_ask_nothing_that_they_do_not_show():
    rng = np.random.default_rng(0)
    strange = [script.estrange(scene, FirstOf(rng), 1) for scene in generate(300, 0, 'train')]
    for scene in strange:
        assert all((thing.colour, thing.shape) not in HELD_OUT for thing in scene.things)
        named = units(scene) & set(ALL_UNITS)
        labels = dict(zip(script.ATTRIBUTES, script.labels(scene)))
        for order in ('first', 'second')[:len(scene.things)]:
            assert (labels[f'{order} shape'] == script.UNKNOWN) != (
                labels[f'{order} colour'] == script.UNKNOWN)
        assert len(named) == sum(label > 0 for label in labels.values())


class FirstOf:
    """random.Random's two methods that the script uses, over a NumPy generator."""

    def __init__(self, rng):
        self.random = rng.random
        self.choice = lambda values: values[rng.integers(len(values))]


def test_the_loss_is_the_cross_entropy_of_softmaxes_that_share_a_logit_of_zero():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3, len(ALL_UNITS))).astype('f')
    scenes = generate(3, 2, 'train')
    t = np.stack([script.labels(scene) for scene in scenes])
    t[1, 0] = script.UNKNOWN
    expected, start = 0, 0
    for i, values in enumerate(script.ATTRIBUTES.values()):
        part = logits[:, start:start + len(values)].astype(float)
        start += len(values)
        log_z = np.log(1 + np.exp(part).sum(axis=1))
        chosen = np.where(t[:, i] > 0, part[range(3), t[:, i] - 1], 0)
        known = t[:, i] != script.UNKNOWN
        expected += (log_z - chosen)[known].mean()
    got = script.loss_of(minichain.Variable(logits), t)
    assert abs(float(got.array) - expected) < 1e-4


def test_a_network_written_as_caffe_layers_computes_the_same_from_its_files(tmp_path):
    np.random.seed(0)
    model = script.ScenesCNN()
    path = str(tmp_path / 'net')
    caffe.save(f'{path}.caffemodel', f'{path}.prototxt', model.caffe_layers(), (1, 3, 64, 64),
               preprocessing=script.PREPROCESSING)
    x, _ = script.batch_of(generate(4, 0, 'train'))
    net = caffe.load(f'{path}.caffemodel', f'{path}.prototxt')
    with minichain.no_backprop_mode():
        expected = np.maximum(model(x).array, 0)
        fc7, = net(inputs={'data': x}, outputs=['fc7'])
    assert expected.any()
    np.testing.assert_allclose(fc7.array, expected, rtol=1e-4, atol=1e-4)
    assert net.preprocessing == script.PREPROCESSING


def test_scaled_units_have_a_mean_of_one_where_they_hold_and_keep_their_order():
    np.random.seed(0)
    model = script.ScenesCNN()
    model.fc7.b.array[:] = 1
    scenes = generate(300, 0, 'train')
    x, t = script.batch_of(scenes)
    with minichain.no_backprop_mode():
        before = script.right_answers(model(x), t)
        script.scale_units(model, scenes)
        after, fc7 = script.right_answers(model(x), t), np.maximum(model(x).array, 0)
    assert np.array_equal(before, after)
    for name in script.ATTRIBUTES:
        active = [fc7[i, j] for i, scene in enumerate(scenes)
                  for j, unit in enumerate(ALL_UNITS) if unit[0] == name and unit in units(scene)]
        assert abs(np.mean(active) - 1) < 1e-4


def test_a_few_steps_of_training_lower_the_loss(capsys):
    np.random.seed(0)
    model = script.ScenesCNN()
    x, t = script.batch_of(generate(100, 3, 'test'))
    with minichain.no_backprop_mode():
        before = float(script.loss_of(model(x), t).array)
    arguments = script.argparse.Namespace(alpha=2e-3, decay=1e-4, seed=0, drawings=320, batch=32,
                                          strange=0.4, price=1e-3)
    script.train(model, arguments)
    with minichain.no_backprop_mode():
        after = float(script.loss_of(model(x), t).array)
    assert after < 0.9 * before
    script.evaluate(model, 'test', 100, 0)
    assert 'of 100 scenes right in all attributes' in capsys.readouterr().out


def test_the_bundled_network_is_small_and_knows_unseen_scenes():
    assert os.path.getsize(f'{BUNDLED}.caffemodel') <= 2 ** 20
    net = caffe.load(f'{BUNDLED}.caffemodel', f'{BUNDLED}.prototxt')
    for split, bar in (('test', 0.97), ('heldout', 0.85)):
        scenes = generate(400, 12, split)
        x, _ = script.batch_of(scenes)
        with minichain.no_backprop_mode(), minichain.using_config('train', False):
            fc7 = net(inputs={'data': x}, outputs=['fc7'])[0].array
        # Of each attribute the strongest unit, where any is awake: ReLU has cut 'none' at 0.
        told = [set() for _ in scenes]
        start = 0
        for name, values in script.ATTRIBUTES.items():
            part = fc7[:, start:start + len(values)]
            start += len(values)
            for i, scores in enumerate(part):
                if any(attribute == name for attribute, _ in units(scenes[i])):
                    told[i].add((name, values[scores.argmax()]))
        right = np.mean([guess == units(scene) for guess, scene in zip(told, scenes)])
        assert right >= bar, (split, right)

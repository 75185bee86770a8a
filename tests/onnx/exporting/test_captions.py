"""Captions by the exported files against captions by the model itself."""
import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from minichain import decoding
from minichain.datasets import scenes
from minichain.image_encoder import ImageEncoder
from minichain.onnx.exporting import export_captioner
from models.caption_generator import INJECT, CaptionGenerator
from tests.tiny_result import PREPROCESSING, write_cnn

ROOT = Path(__file__).parents[3]
V, D, BOS, EOS = 23, 8, 0, 1


def make(inject='first', n_layers=1, n_feature=D):
    np.random.seed(3)
    model = CaptionGenerator(V, n_feature, 7, 9, n_layers, .5, inject)
    for parameter in model.params():   # so that it prefers some words, others for every image
        parameter.array *= 4
    model.standardize_by(features(20, n_feature))
    return model


def features(n, n_feature=D):
    return np.random.RandomState(4).rand(n, n_feature).astype('f') * 3


def sessions(paths, runner):
    """Return a function (feeds) -> outputs for each of the files."""
    if runner == 'reference':
        return [partial(ReferenceEvaluator(path).run, None) for path in paths]
    ort = pytest.importorskip('onnxruntime', reason='onnxruntime, which runs the files, is not '
                                                    'installed')
    return [partial(ort.InferenceSession(path).run, None) for path in paths]


def step_of(session):
    """Return the step function that minichain.decoding calls."""
    def step(state, words):
        feeds = {f'state_{i}': each for i, each in enumerate(state)}
        scores, *state = session({'words': words.astype('int64'), **feeds})
        return tuple(state), scores
    return step


def captions(step, state, n):
    return [(found.words, found.log_probability)
            for found in decoding.greedy(step, state, n, BOS, EOS, 8)]


def expect_same_captions(ours, theirs):
    assert [words for words, _ in ours] == [words for words, _ in theirs]
    np.testing.assert_allclose([p for _, p in ours], [p for _, p in theirs], rtol=1e-4)


@pytest.mark.parametrize('runner', ['reference', 'onnxruntime'])
@pytest.mark.parametrize('n_layers', [1, 2])
@pytest.mark.parametrize('inject', INJECT)
def test_the_files_say_what_the_model_says(inject, n_layers, runner, tmp_path):
    model, x = make(inject, n_layers), features(13)
    encoder, step = sessions(export_captioner(model, tmp_path / 'onnx'), runner)
    ours = captions(model.step, model.start(x), len(x))
    assert len({words for words, _ in ours}) > 3, 'captions that differ would be missed'
    expect_same_captions(ours, captions(step_of(step), tuple(encoder({'features': x})), len(x)))


def test_a_beam_search_runs_on_the_files(tmp_path):
    model, x = make(), features(3)
    encoder, step = sessions(export_captioner(model, tmp_path), 'reference')
    ours = decoding.beam_search(model.step, model.start(x), 3, BOS, EOS, 5, beam=3)
    theirs = decoding.beam_search(step_of(step), tuple(encoder({'features': x})), 3, BOS, EOS, 5,
                                  beam=3)
    assert [best[0].words for best in ours] == [best[0].words for best in theirs]


@pytest.mark.parametrize('runner', ['reference', 'onnxruntime'])
def test_with_its_network_the_encoder_begins_with_images(runner, tmp_path):
    looker = ImageEncoder(write_cnn(tmp_path))
    model = make()
    paths = export_captioner(model, tmp_path, looker, metadata={'language': 'none'})
    proto = onnx.load(paths[0])
    about = {entry.key: entry.value for entry in proto.metadata_props}
    assert about['language'] == 'none'
    assert json.loads(about['preprocessing']) == json.loads(json.dumps(PREPROCESSING.to_dict()))
    assert 'encoder/conv1/W' in {w.name for w in proto.graph.initializer}
    images = np.random.RandomState(5).randint(0, 256, (9, 20, 30, 3)).astype('uint8')
    prepared = [looker.prepare(image) for image in images]
    encoder, step = sessions(paths, runner)
    ours = captions(model.step, model.start(looker.compute(prepared)), len(images))
    expect_same_captions(ours, captions(
        step_of(step), tuple(encoder({'images': np.stack(prepared)})), len(images)))


@pytest.mark.slow
def test_words_are_the_same_on_every_test_image_of_the_drawn_scenes(tmp_path):
    data = scenes.load(n_train=1, n_dev=1, n_heldout=1)
    looker = ImageEncoder(ROOT / 'weights' / 'scenes_cnn.caffemodel')
    prepared = [looker.prepare(data.images.load(image.name)) for image in data.splits['test']]
    seen = np.concatenate([looker.compute(prepared[i:i + 100]) for i in range(0, 1000, 100)])
    model = make(n_layers=2, n_feature=seen.shape[1])
    model.standardize_by(seen)
    encoder, step = sessions(export_captioner(model, tmp_path, looker), 'onnxruntime')
    ours = captions(model.step, model.start(seen), len(seen))
    assert len({words for words, _ in ours}) > 50
    states = [encoder({'images': np.stack(prepared[i:i + 100])}) for i in range(0, 1000, 100)]
    state = tuple(map(np.concatenate, zip(*states)))
    expect_same_captions(ours, captions(step_of(step), state, len(seen)))

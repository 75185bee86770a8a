import numpy as np
import pytest

from minichain import decoding, to_cpu
from minichain.caption_step import THIN, CaptionStep, log_normalize, thin_product
from models.caption_generator import INJECT, CaptionGenerator
from tests import strict_cupy

V, D, E, H = 23, 5, 4, 6


def make(inject='first', n_layers=1, seed=0):
    np.random.seed(seed)
    model = CaptionGenerator(V, D, E, H, n_layers, .5, inject)
    for parameter in model.params():       # so that words differ
        parameter.array *= 3
    return model


def features(n, seed=1):
    return np.random.RandomState(seed).randn(n, D).astype('float32')


def walk(step, state, words):
    """Return log probabilities after each of some words, and the last state."""
    found = []
    for word in words:
        state, scores = step(state, word)
        found.append(to_cpu(scores))
    return found, state


@pytest.mark.parametrize('table', [True, False, None])
@pytest.mark.parametrize('inject', INJECT)
@pytest.mark.parametrize('n_layers, n', [(1, 1), (2, 1), (1, 3), (2, 7), (1, 0)])
def test_it_says_what_the_model_s_own_step_says(inject, n_layers, n, table):
    model = make(inject, n_layers)
    state = model.start(features(n))
    words = np.random.RandomState(2).randint(0, V, (4, n)).astype('int32')
    expected, last = walk(model.step, state, words)
    found, ours = walk(model.prepare_step(table), state, words)
    for scores, wanted in zip(found, expected):
        assert scores.shape == (n, V) and scores.dtype == np.float32
        np.testing.assert_allclose(scores, wanted, rtol=2e-5, atol=1e-5)
    for part, wanted in zip(ours, last):
        np.testing.assert_allclose(part, wanted, rtol=1e-4, atol=1e-6)


def test_states_and_parameters_are_left_as_they_are():
    model, x = make(), features(3)
    before = {path: parameter.array.copy() for path, parameter in model.namedparams()}
    state = model.start(x)
    copies, step = [part.copy() for part in state], model.prepare_step()
    first = step(state, np.array([1, 2, 3]))[1].copy()
    np.testing.assert_array_equal(step(state, np.array([1, 2, 3]))[1], first)
    for part, copy in zip(state, copies):
        np.testing.assert_array_equal(part, copy)
    for path, parameter in model.namedparams():
        np.testing.assert_array_equal(parameter.array, before[path])


@pytest.mark.parametrize('decode, options', [
    (decoding.greedy, {}), (decoding.greedy, {'banned': (0, 5, 9)}),
    (decoding.beam_search, {'beam': 4, 'n_best': 3, 'length_penalty': .5}),
    (decoding.beam_search, {'beam': 3, 'banned': (0, 7), 'length_penalty': 0.}),
    (decoding.sample, {'random_state': 3, 'temperature': 1.5, 'banned': (0,)})], ids=str)
@pytest.mark.parametrize('n', [1, 9])
def test_captions_and_their_probabilities_are_those_of_the_plain_step(decode, options, n):
    model = make()
    found, expected = (decode(step, model.start(features(n)), n, 1, 2, 8, **options)
                       for step in (model.prepare_step(), model.step))
    if decode is not decoding.beam_search:
        found, expected = [found], [expected]
    for mine, wanted in zip(found, expected):
        assert [each.words for each in mine] == [each.words for each in wanted]
        np.testing.assert_allclose([each.log_probability for each in mine],
                                   [each.log_probability for each in wanted], rtol=1e-4)
        np.testing.assert_allclose([each.score for each in mine],
                                   [each.score for each in wanted], rtol=1e-4)


def test_a_float16_model_is_computed_in_float32():
    model = make()
    for parameter in model.params():
        parameter.array = parameter.array.astype('float16')
    state = tuple(part.astype('float16') for part in model.start(features(2).astype('float16')))
    expected = model.step(state, np.array([3, 4]))[1]
    scores = model.prepare_step()(state, np.array([3, 4]))[1]
    np.testing.assert_allclose(scores, expected, atol=3e-2)


@pytest.mark.parametrize('n', [1, 2, THIN, THIN + 1])
def test_thin_products_are_products(n):
    random = np.random.RandomState(0)
    x, W = random.randn(n, 7), random.randn(7, 11)
    np.testing.assert_allclose(thin_product(x, W), np.einsum('ni,io->no', x, W), rtol=1e-12)


def test_scores_of_any_size_are_normalized_in_blocks(monkeypatch):
    monkeypatch.setattr('minichain.caption_step.BLOCK', 10)
    scores = np.array([[1000., 0, -1000], [-1000, -1000, -1000], [0, 0, np.log(2)]] * 3)
    expected = np.log([[1, 0, 0], [1 / 3] * 3, [.25, .25, .5]] * 3, where=False,
                      out=np.array([[0., -1000, -2000], [-np.log(3)] * 3,
                                    [-np.log(4), -np.log(4), -np.log(2)]] * 3))
    np.testing.assert_allclose(log_normalize(scores, np.full(3, 7.)), expected, atol=1e-12)


@pytest.mark.parametrize('table', [True, False])
def test_on_a_gpu_it_says_the_same(table):
    expected = make()
    state = expected.start(features(4))
    wanted, _ = walk(expected.step, state, np.array([[1, 2, 3, 4], [5, 6, 7, 8]]))
    with strict_cupy.installed() as cupy:
        model = make()
        model.to_gpu()
        state = model.start(cupy.asarray(features(4)))
        found, _ = walk(CaptionStep(model, table), state,
                        cupy.asarray(np.array([[1, 2, 3, 4], [5, 6, 7, 8]])))
    for scores, each in zip(found, wanted):
        np.testing.assert_allclose(scores, each, rtol=2e-5, atol=1e-5)

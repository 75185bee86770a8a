"""Searches on a real GPU; test_captured_search.py and test_decoding.py show them on 'sim'."""
import numpy as np
import pytest

import minichain
from minichain import decoding, using_config
from minichain.backend import cuda_available
from minichain.functions.lstm_sequence import run_steps
from models.caption_generator import INJECT, CaptionGenerator

pytestmark = pytest.mark.skipif(not cuda_available(), reason='no GPU')
UNK, BOS, EOS, V, D = 0, 1, 2, 1003, 33


def make(inject, n_layers):
    """Return a model on the CPU and the same on the GPU; words differ clearly."""
    models = []
    for device in ('cpu', 'cuda'):
        np.random.seed(0)
        model = CaptionGenerator(V, D, 40, 72, n_layers, 0., inject)
        for link in (model.embed, model.out, *model.lstm):
            for parameter in link.params():
                parameter.array *= 3
        models.append(model.to_device(minichain.get_device(device)))
    return models


@pytest.mark.parametrize('n_layers', [1, 2])
@pytest.mark.parametrize('inject', INJECT)
def test_captions_are_those_of_the_cpu_and_replays_those_of_steps_as_written(inject, n_layers):
    on_cpu, model = make(inject, n_layers)
    captured, written = model.prepare_step(), model.prepare_step(capture=False)
    for seed in range(3):
        for n, beam in ((1, 1), (3, 5), (64, 5)):
            x = np.random.default_rng(seed).standard_normal((n, D)).astype('f4')
            arguments = n, BOS, EOS, 15, beam, beam, .7, (UNK, 9)
            expected = decoding.beam_search(on_cpu.step, on_cpu.start(x), *arguments)
            state = model.start(model.device.send(x))
            with using_config('deterministic', True):
                found = [decoding.beam_search(step, state, *arguments)
                         for step in (captured, written)]
            assert found[0] == found[1]
            for one, other in zip(found[0], expected):
                np.testing.assert_allclose([each.score for each in one],
                                           [each.score for each in other], rtol=1e-4)
    assert captured.reason is None or not run_steps.fuses(model.out.W.array)


@pytest.mark.parametrize('precision', ['tf32', 'bf16'])
def test_other_precisions_replay_what_they_do_as_written(precision):
    _, model = make('first', 1)
    state = model.start(model.device.send(np.random.default_rng(0).standard_normal(
        (8, D)).astype('f4')))
    captured, written = model.prepare_step(), model.prepare_step(capture=False)
    with using_config('precision', precision), using_config('deterministic', True):
        found = [decoding.beam_search(step, state, 8, BOS, EOS, 15, 5, 2)
                 for step in (written, captured, captured, captured)]
    assert all(each == found[0] for each in found) and captured.reason is None


def test_a_search_that_fails_leaves_the_next_one_right():
    on_cpu, model = make('first', 1)
    step, x = model.prepare_step(), np.ones((2, D), 'f4')
    expected = decoding.beam_search(on_cpu.step, on_cpu.start(x), 2, BOS, EOS, 9, 3)
    for value in (1, np.nan, 1, np.nan, 1):
        state = model.start(model.device.send(x * np.float32(value)))
        if value == 1:
            found = decoding.beam_search(step, state, 2, BOS, EOS, 9, 3)
            assert [one[0].words for one in found] == [one[0].words for one in expected]
        else:
            with pytest.raises(minichain.errors.NotFinite):
                decoding.beam_search(step, state, 2, BOS, EOS, 9, 3)

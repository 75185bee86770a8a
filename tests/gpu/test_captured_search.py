"""Searches of a caption generator's step by a replayed graph, on the device 'sim'."""
import threading
import warnings

import numpy as np
import pytest

import minichain
from minichain import caption_step, decoding, using_config
from minichain.decoding import captured_search
from minichain.errors import InvalidArgument, InvalidType, NotFinite
from minichain.fixed_caption_step import FixedCaptionStep
from minichain.gpu.recorders import SimulatedRecorder
from minichain.gpu.simulator import simulation
from minichain.gpu.simulator.builder import missing
from models.caption_generator import INJECT, CaptionGenerator

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
SIM = minichain.get_device('sim')
UNK, BOS, EOS = 0, 1, 2
V, D, E, H = 23, 5, 4, 6


class Captioner:
    """A model in which words differ clearly, on the device and on the CPU."""

    def __init__(self, inject='first', n_layers=1, ends=0., seed=0):
        self.models = []
        for device in ('cpu', 'sim'):
            np.random.seed(seed)
            model = CaptionGenerator(V, D, E, H, n_layers, 0., inject)
            for parameter in model.params():
                parameter.array *= 3
            model.out.b.array[EOS] = ends
            self.models.append(model.to_device(minichain.get_device(device)))
        self.on_cpu, self.model = self.models

    def step(self, **options):
        return self.model.prepare_step(**options)

    def search(self, step, x, *arguments, banned=(UNK,), **options):
        """Search on the device for features (N, D) that lie on the host."""
        return decoding.beam_search(step, self.model.start(SIM.send(x)), len(x), BOS, EOS,
                                    *arguments, banned=banned, **options)

    def captured(self, step, *arguments, **options):
        """Search twice, first as written, then captured; the results are equal."""
        first = self.search(step, *arguments, **options)
        second = self.search(step, *arguments, **options)
        assert second == first
        return second

    def search_on_cpu(self, x, *arguments, banned=(UNK,), **options):
        return decoding.beam_search(self.on_cpu.step, self.on_cpu.start(x), len(x), BOS, EOS,
                                    *arguments, banned=banned, **options)


def features(n, seed=1):
    return np.random.RandomState(seed).randn(n, D).astype('float32')


def assert_alike(found, expected, rtol=1e-4):
    assert [[each.words for each in one] for one in found] == [
        [each.words for each in one] for one in expected]
    for one, other in zip(found, expected):
        np.testing.assert_allclose([each.log_probability for each in one],
                                   [each.log_probability for each in other], rtol=rtol)


@pytest.fixture
def captures(monkeypatch):
    """Return a list that grows with every capture."""
    made, record = [], SimulatedRecorder.record
    monkeypatch.setattr(SimulatedRecorder, 'record', lambda self, *arguments: (
        made.append(1) or record(self, *arguments)))
    return made


@pytest.fixture
def replays(monkeypatch):
    """Return a list that grows with every replay."""
    made, replay = [], SimulatedRecorder.replay
    monkeypatch.setattr(SimulatedRecorder, 'replay', lambda self, graph: (
        made.append(1) or replay(self, graph)))
    return made


@pytest.mark.parametrize('ends', [-9., 1., 4.])
@pytest.mark.parametrize('beam', [1, 2, 5])
@pytest.mark.parametrize('n', [1, 3])
def test_every_word_and_probability_is_that_of_the_search_as_written(n, beam, ends, captures):
    captioner, x = Captioner(ends=ends), features(n)
    captured, written = captioner.step(), captioner.step(capture=False)
    cases = [(9, beam, beam, .5), (9, beam, 1, 0.), (1, beam, 1, 1.), (2, beam, beam, 1.)]
    for number, arguments in enumerate(cases):
        found = captioner.captured(captured, x, *arguments)
        assert len(captures) == {0: 1, 1: 1, 2: 2, 3: 3}[number]    # by length
        assert found == captioner.search(written, x, *arguments)
        assert_alike(found, captioner.search_on_cpu(x, *arguments))
    assert captured.reason is None and written.reason == 'capture=False was asked for'


@pytest.mark.parametrize('n_layers', [1, 2, 3])
@pytest.mark.parametrize('inject', INJECT)
def test_all_that_a_model_can_be_is_captured(inject, n_layers, captures):
    captioner, x = Captioner(inject, n_layers, ends=1.), features(4)
    for table in (None, True):
        step = captioner.step(input_table=table)
        found = captioner.captured(step, x, 7, 3, 2)
        assert found == captioner.search(captioner.step(capture=False), x, 7, 3, 2)
        assert_alike(found, captioner.search_on_cpu(x, 7, 3, 2))
    assert len(captures) == 2


@pytest.mark.parametrize('n_layers', [1, 3])
def test_a_step_is_two_launches_a_layer_and_two_of_the_search(n_layers):
    captioner = Captioner(n_layers=n_layers)
    step, state = captioner.step(), captioner.model.start(SIM.send(features(2)))
    for _ in range(2):
        decoding.beam_search(step, state, 2, BOS, EOS, 5, 4)
    search, = step.at_fixed_addresses(state, 2, 4).searches.values()
    assert len(search._graph) == 2 * n_layers + 2


def test_greedy_is_captured_too(captures):
    captioner, x = Captioner(ends=1.), features(5)
    step, state = captioner.step(), captioner.model.start(SIM.send(x))
    arguments = 5, BOS, EOS, 8, (UNK, 7)
    decoding.greedy(step, state, *arguments)
    found = decoding.greedy(step, state, *arguments)
    expected = decoding.greedy(captioner.on_cpu.step, captioner.on_cpu.start(x), *arguments)
    assert_alike([found], [expected])
    assert len(captures) == 1


def test_from_the_second_batch_of_a_size_on_every_word_is_a_replay(captures, replays):
    captioner = Captioner(ends=-9.)
    step = captioner.step()
    for seed in range(4):
        x = features(2, seed)
        assert_alike(captioner.search(step, x, 6, 3), captioner.search_on_cpu(x, 6, 3))
        assert len(captures) == min(seed, 1) and len(replays) == 7 * seed


def test_a_search_ends_when_there_is_nothing_to_hope_for_and_the_next_is_not_disturbed(replays):
    captioner = Captioner(ends=30.)
    step = captioner.step()
    for seed in range(4):
        x = features(2, seed)
        found = captioner.search(step, x, 40, 3)
        assert [best.words for best, in found] == [(), ()]
        assert_alike(found, captioner.search_on_cpu(x, 40, 3))
    # the host looks at four steps while the device makes four more
    assert len(replays) == 3 * 2 * decoding.PEEK


def test_the_host_looks_at_every_fourth_step_only(monkeypatch):
    looks, fetch = [], SimulatedRecorder.fetch
    monkeypatch.setattr(SimulatedRecorder, 'fetch', lambda self, *arguments: (
        looks.append(1) or fetch(self, *arguments)))
    captioner = Captioner(ends=-30.)
    captioner.search(captioner.step(), features(3), 12, 3)
    assert len(looks) == 4


def test_banned_words_and_lengths_and_sizes_have_their_graphs_of_which_few_are_kept(
        captures, monkeypatch):
    monkeypatch.setattr(captured_search, 'MOST_SEARCHES', 2)
    monkeypatch.setattr(caption_step, 'MOST_FIXED', 2)
    captioner, x = Captioner(ends=1.), features(3)
    step = captioner.step()

    def search(n, length, *banned):
        found = captioner.captured(step, x[:n], length, 3, banned=banned)
        assert_alike(found, captioner.search_on_cpu(x[:n], length, 3, banned=banned))
        return len(captures)
    assert [search(2, 5), search(2, 5, 9), search(2, 5), search(2, 5, 9)] == [1, 2, 2, 2]
    assert [search(2, 6), search(2, 5, 9), search(2, 5)] == [3, 3, 4], 'the longest unused went'
    numbers = [search(n, 5) for n in (3, 2, 1, 2, 3)]
    assert numbers == [5, 5, 6, 6, 7]


def test_arrays_that_are_replaced_are_noticed(captures):
    captioner, x = Captioner(), features(2)
    step = captioner.step()
    before = captioner.captured(step, x, 6, 3)
    captioner.on_cpu.out.b.array[:9] += 2
    assert captioner.search(step, x, 6, 3) == before and len(captures) == 1
    captioner.model.out.b.array[:9] += 2
    step.out_b = captioner.model.out.b.array.copy()
    found = captioner.captured(step, x, 6, 3)
    assert_alike(found, captioner.search_on_cpu(x, 6, 3))
    assert found != before and len(captures) == 2
    assert found == captioner.search(captioner.step(), x, 6, 3), 'as of a new step'


def test_what_cannot_be_captured_is_told_once_and_runs_as_written(captures, monkeypatch):
    captioner, x = Captioner(ends=1.), features(2)
    read = FixedCaptionStep.read

    def look(self, words, rows, count):
        read(self, words, rows, count)
        count.get()
    monkeypatch.setattr(FixedCaptionStep, 'read', look)
    step = captioner.step()
    with pytest.warns(RuntimeWarning, match=r'as written.*array.get\(\) makes the host wait'):
        found = captioner.captured(step, x, 6, 3, 2)
    assert_alike(found, captioner.search_on_cpu(x, 6, 3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert captioner.search(step, x, 6, 3, 2) == found
        captioner.captured(step, x[:1], 6, 3, 2)
    assert len(captures) == 1 and 'makes the host wait' in step.reason


@pytest.mark.parametrize('precision', ['tf32', 'bf16'])
def test_another_precision_has_its_graph(precision, captures):
    captioner, x = Captioner(ends=1.), features(3)
    step = captioner.step()
    exact = captioner.captured(step, x, 6, 3)
    with using_config('precision', precision):
        found = captioner.captured(step, x, 6, 3)
        assert found == captioner.search(captioner.step(capture=False), x, 6, 3)
        assert len(captures) == 2
    assert found != exact == captioner.search(step, x, 6, 3) and len(captures) == 2
    for one, other in zip(found, exact):
        assert one[0].score == pytest.approx(other[0].score, rel=.1)


def test_a_state_in_the_middle_of_a_caption_goes_on_from_there():
    captioner, x = Captioner(n_layers=2, ends=1.), features(3)
    start = np.array([5, 9, 5], 'int32')
    state, _ = captioner.model.step(captioner.model.start(SIM.send(x)), SIM.send(start))
    expected, _ = captioner.on_cpu.step(captioner.on_cpu.start(x), start)
    step = captioner.step()
    for _ in range(2):
        assert_alike(decoding.beam_search(step, state, 3, 9, EOS, 5, 3),
                     decoding.beam_search(captioner.on_cpu.step, expected, 3, 9, EOS, 5, 3))


@pytest.mark.parametrize('prepare, options', [
    (lambda model: None, {'input_table': False}),
    (lambda model: setattr(caption_step, 'MOST_TABLE', 4 * V * H - 1), {}),
    (lambda model: [setattr(p, 'array', p.array.astype('float64')) for p in model.params()], {})])
def test_what_is_too_large_or_not_in_float32_is_searched_without_capture(
        prepare, options, captures, monkeypatch):
    monkeypatch.setattr(caption_step, 'MOST_TABLE', 4 * V * H)
    captioner, x = Captioner(ends=1.), features(2)
    prepare(captioner.model)
    step, dtype = captioner.step(**options), captioner.model.out.W.dtype
    assert_alike(captioner.captured(step, x.astype(dtype), 5, 3), captioner.search_on_cpu(x, 5, 3))
    assert not captures and not step._fixed


def test_without_kernels_and_on_the_cpu_there_is_no_capture(captures):
    captioner, x = Captioner(ends=1.), features(2)
    with using_config('kernels', 'generic'):
        found = captioner.captured(captioner.step(), x, 5, 3)
    assert_alike(found, captioner.search_on_cpu(x, 5, 3))
    step = captioner.on_cpu.prepare_step()
    assert step.at_fixed_addresses(captioner.on_cpu.start(x), 2, 3) is None and not captures


@pytest.mark.parametrize('change', [lambda state: state[:-1], lambda state: state[1:],
                                    lambda state: tuple(part[:1] for part in state)])
def test_a_state_of_another_model_is_not_taken(change):
    captioner = Captioner('state')
    state = captioner.model.start(SIM.send(features(2)))
    fixed = captioner.step().at_fixed_addresses
    assert fixed(state, 2, 3) is not None and fixed(change(state), 2, 3) is None


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error_and_the_next_batch_is_right(value):
    captioner, x = Captioner(ends=1.), features(2)
    step, broken = captioner.step(), x.copy()
    broken[1] = value
    for _ in range(3):
        with pytest.raises(NotFinite, match='NaN or infinite'), np.errstate(invalid='ignore'):
            captioner.search(step, broken, 9, 3)
        assert_alike(captioner.search(step, x, 9, 3), captioner.search_on_cpu(x, 9, 3))


def test_a_model_that_can_say_nothing_is_an_error():
    captioner = Captioner(ends=-np.inf)
    with pytest.raises(NotFinite, match='every word that may be said'):
        captioner.search(captioner.step(), features(2), 3, 2, banned=[w for w in range(V)
                                                                     if w != EOS])


@pytest.mark.parametrize('ids', [{'banned': (V,)}, {'banned': (UNK, 99)}])
def test_ids_that_are_no_words_are_refused(ids):
    captioner = Captioner()
    with pytest.raises(InvalidArgument, match=f'below {V}'):
        captioner.search(captioner.step(), features(2), 3, 2, **ids)


@pytest.mark.parametrize('order', ['reverse', 'random'])
def test_no_order_of_threads_changes_anything(order):
    captioner, x = Captioner('every', 2, ends=1.), features(3)
    with simulation(order, seed=1):
        found = captioner.captured(captioner.step(), x, 5, 3, 2)
    assert found == captioner.search(captioner.step(capture=False), x, 5, 3, 2)


def test_threads_take_turns(captures):
    captioner = Captioner(ends=1.)
    step, results = captioner.step(), {}

    def work(seed):
        results[seed] = [captioner.search(step, features(2, seed), 8, 3) for _ in range(3)]
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, found in results.items():
        expected = captioner.search_on_cpu(features(2, seed), 8, 3)
        for each in found:
            assert_alike(each, expected)
    assert len(results) == 3


@pytest.mark.parametrize('word', [-1, V])
def test_a_word_that_is_none_is_refused_by_a_step_on_the_cpu(word):
    model = Captioner().on_cpu
    for table in (True, False):
        with pytest.raises(InvalidType, match=f'from 0 to {V - 1}'):
            model.prepare_step(table)(model.start(features(2)), np.array([3, word]))

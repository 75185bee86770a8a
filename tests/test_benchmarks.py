import functools
import json
import subprocess
import sys
import types

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from benchmarks import __main__ as main
from benchmarks import (
    article_004,
    comparison,
    conv,
    flickr8k,
    frame,
    fresh,
    import_time,
    machine,
    memory,
    memory_probes,
    neighbours,
    networks,
    pipeline,
    remote,
    tape,
    timing,
    variants,
)
from benchmarks.learners import MinichainLearner, make_learners
from minichain import Sequential, config
from minichain.image import Preprocessing
from minichain.packing import pack
from minichain.vocabulary import BOS, EOS
from models.caption_generator import CaptionGenerator

QUICK = types.SimpleNamespace(quick=True, data=None, weights=None, cache=None, device='cpu',
                              compile=False, chainer=None, seconds=6.)
QUIET = {'load': lambda of_children: 0.}     # nobody else uses the machine


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Tables for one thread, whatever the tests themselves run with."""
    monkeypatch.setenv('OPENBLAS_NUM_THREADS', '1')


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)      # import torch raises ImportError


# The frame ---------------------------------------------------------------------------------------

def test_a_table_shows_columns_numbers_gaps_and_notes():
    table = frame.Table('How fast?', ['library', 'us'], notes=['a note'])
    table.add('minichain', 1.23456)
    table.add('other', None)
    assert str(table).splitlines() == [
        'How fast?', '', 'library       us', '----------------', 'minichain  1.235',
        'other          -', '', 'a note']


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match='2 cells'):
        frame.Table('?', ['a', 'b']).add(1)


def test_a_table_is_written_as_markdown_with_its_notes_as_a_list():
    table = frame.Table('How fast?', ['library', 'us | s'], notes=['a note'])
    table.add('minichain', 1.5)
    assert table.markdown().splitlines() == [
        'How fast?', '', '| library | us \\| s |', '| --- | ---: |', '| minichain | 1.5 |', '',
        '- a note']


def test_functions_are_timed_in_turns_and_the_first_call_is_not_counted():
    calls, now = [], iter(range(1000))
    seconds = frame.time_in_turns({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')},
                                  rounds=2, clock=lambda: next(now), **QUIET)
    assert calls == ['a', 'b', 'a', 'b', 'b', 'a']
    assert seconds == {'a': [1, 1], 'b': [1, 1]}


def test_nobody_comes_after_the_same_one_always():
    calls = []
    frame.time_in_turns({name: functools.partial(calls.append, name) for name in 'abc'}, 6,
                        iter(range(99)).__next__, **QUIET)
    assert ''.join(calls[3:]) == 'abccbabcaacbcabbac'


@pytest.mark.parametrize('threads, uncounted', [(1, 0), (2, 4)])
def test_with_threads_a_turn_begins_with_calls_that_are_not_counted(
        monkeypatch, threads, uncounted):
    now = [0.]

    def step():
        now[0] += .25
    monkeypatch.setattr(timing, 'n_threads', lambda: threads)
    monkeypatch.setattr(timing.time, 'perf_counter', lambda: now[0])
    seconds = frame.time_in_turns({'a': step}, 1, lambda: now[0], warm_up=1., **QUIET)
    assert seconds == {'a': [.25]} and now[0] == .25 * (1 + uncounted + 1)


def test_what_is_quick_is_called_often_enough_to_be_timed(monkeypatch):
    monkeypatch.setattr(timing, 'SHORTEST', 10.)
    calls, now = [], [0.]

    def step():
        calls.append(now[0])
        now[0] += 4.
    seconds = frame.time_in_turns({'a': step}, 1, clock=lambda: now[0], **QUIET)
    assert len(calls) == 1 + 3 and seconds == {'a': [4.]}


@pytest.mark.parametrize('loads, kept, repeated, disturbed', [
    ([0., 9., 9., 0.], [0, 3], 2, 0),            # two rounds of four were quiet
    ([9., 7., 8., 9.], [1, 2], 2, 2),            # none was: the least disturbed are reported
    ([None, None], [0, 1], 0, 0)])               # not known
def test_disturbed_rounds_are_repeated_up_to_a_bound(monkeypatch, loads, kept, repeated,
                                                     disturbed):
    monkeypatch.setattr(timing, 'WINDOW', 0.)
    now, marks = [0.], iter([100, 0, 1, 2, 3])

    def step():         # round k takes 100 + k seconds, after a first call
        now[0] += 100 + next(marks)
    answers = iter([0., *loads])
    seconds = frame.time_in_turns({'a': step}, 2, lambda: now[0],
                                  load=lambda of_children: next(answers))
    assert seconds['a'] == [100 + k for k in kept]
    assert (seconds.repeated, seconds.disturbed) == (repeated, disturbed)
    assert seconds.foreign == [loads[k] for k in kept]


def test_a_budget_ends_the_rounds_but_not_before_five(monkeypatch):
    monkeypatch.setattr(timing, 'WINDOW', 0.)
    for rounds, expected in (3, 3), (9, 5):
        seconds = frame.time_in_turns({'a': lambda: None}, rounds, iter(range(99)).__next__,
                                      budget=0., load=lambda of_children: 9.)
        assert len(seconds['a']) == seconds.disturbed == expected


def test_a_gpu_is_waited_for_before_the_clock_is_read():
    order = []
    timing.one_turn(lambda: order.append('call'), 2, lambda: order.append('clock') or 0.,
                    lambda: order.append('finish'))
    assert order == ['clock', 'call', 'call', 'finish', 'clock']


def test_others_use_what_the_machine_was_busy_with_less_our_own(monkeypatch):
    reads = iter([(10., 50., 5.), (12., 53., 6.), (14., 54., 7.)])
    monkeypatch.setattr(machine.ForeignLoad, '_read', lambda self: next(reads))
    load = machine.ForeignLoad()
    assert load.take(of_children=.5) == .75 and load.take() == 0.


def test_the_ceilings_are_of_a_product_and_of_a_copy():
    found = machine.ceilings(quick=True)
    assert found.gflops > 1 and found.gbytes > .5
    assert f'sgemm {found.gflops:.0f} GFLOP/s' in str(found)


def test_the_quantiles_of_rounds_are_among_them():
    values = [3., 1., 2., 5., 4.]
    assert [frame.quantile(values, part) for part in (0, .5, .9, 1)] == [1., 3., 5., 5.]


def test_ratios_are_of_pairs_of_a_round():
    assert frame.compare([2., 30., 9.], [1., 10., 2.]) == (3., 2.)


def test_a_bar_is_met_up_to_its_value():
    assert frame.verdict(2.5, 2.5) == '2.5 met' and frame.verdict(2.6, 2.5) == '2.5 MISSED'


def test_a_peer_that_is_not_installed_is_none(no_torch):
    assert frame.find_peer('torch') is None and frame.find_peer('math').pi > 3
    assert 'no torch' in frame.describe_machine()


# A row -------------------------------------------------------------------------------------------

def measure_row(functions, **settings):
    table = comparison.make_table('?', ['torch', 'other'])
    comparison.add_row(table, ['torch', 'other'], comparison.Computation(
        'double', '3', functions, **settings), QUICK)
    return dict(zip(table.columns, table.rows[0])), table


def test_a_row_has_rate_ceiling_ratios_and_bars(monkeypatch):
    rounds = [(0., {'minichain': 2., 'other': 4.}), (0., {'minichain': 1., 'other': 4.}),
              (9., {'minichain': 3., 'other': 4.})]
    monkeypatch.setattr(comparison, 'time_in_turns', lambda functions, times, **settings:
                        timing.choose(functions, rounds, 3, 'wall'))
    monkeypatch.setattr(comparison, 'ceilings', lambda quick: machine.Ceilings(100., 10.))
    row, table = measure_row({'minichain': lambda: np.ones(3), 'other': lambda: np.ones(3)},
                             bars={'other': (.6, .4), 'torch': (1,)}, work=20e9)
    assert row['ms p50 (p10-p90)'] == '2000 (1000-3000)'
    assert (row['rate'], row['% of ceiling']) == ('10 GFLOP/s', '10%')
    assert row['/ other'] == '0.50 (4000 ms)' and row['bar'] == 'other 0.6 met, 0.4 MISSED'
    assert row['disturbed'] == '1 of 3'
    assert table.raw['double 3']['seconds']['other'] == [4., 4., 4.]


def test_every_way_of_minichain_has_a_row_with_bars_of_its_own():
    table = comparison.make_table('?', ['other'])
    functions = {**dict.fromkeys(('other', 'minichain', 'no Winograd'), lambda: np.ones(3)),
                 'oneDNN': lambda: np.ones(3) + 1e-6}
    comparison.add_row(table, ['other'], comparison.Computation(
        'double', '3', functions, {'other': (1e9,)}, bars_of={'oneDNN': {'other': (0,)}}), QUICK)
    assert [(row[0], row[-2]) for row in table.rows] == [
        ('double', 'other 1e+09 met'), ('double; oneDNN', 'other 0 MISSED')]


def test_a_peer_whose_outputs_differ_or_that_fails_is_not_timed():
    def fail():
        raise ValueError('no such layer')
    row, table = measure_row({'minichain': lambda: [np.ones(3), 2.], 'torch': fail,
                              'other': lambda: [np.array([1, 1, 1.1]), 2.]})
    assert row['/ torch'] == row['/ other'] == 'not timed' and row['bar'] is None
    assert any('differ by 0.091' in note for note in table.notes)
    assert any('no such layer' in note for note in table.notes)


def test_outputs_of_another_shape_or_number_or_with_nan_differ():
    one, gap = np.ones((2, 1)), comparison.largest_gap
    assert gap([one], [one]) == 0 and gap([one], [one[:, 0]]) == gap([one], [one, one]) == np.inf
    assert not gap([one * np.nan], [one]) <= 1


def test_a_peer_that_is_not_installed_is_missing_in_its_column(no_torch):
    row, table = measure_row({'minichain': lambda: 1.})
    assert row['/ torch'] == 'missing' and row['/ other'] is None


WORKER = """
import json, sys, numpy
folder, calls = sys.argv[1], 0
job = json.load(open(folder + '/job.json'))
if job['kind'] == 'broken':
    raise ImportError('no chainer here')
x = numpy.load(folder + '/arrays.npz')['x']
numpy.savez(folder + '/outputs.npz', 2 * x, x[0])
print('"ready"', flush=True)
for line in sys.stdin:
    calls += int(line)
    print(json.dumps([calls, calls / 2]), flush=True)
"""


def test_a_function_in_another_process_gives_its_outputs_and_its_times(tmp_path, monkeypatch):
    (tmp_path / 'worker.py').write_text(WORKER)
    monkeypatch.setattr(remote, 'WORKER', str(tmp_path / 'worker.py'))
    function = remote.RemoteFunction(sys.executable, {'kind': 'double'}, {'x': np.arange(3.)})
    assert [array.tolist() for array in function()] == [[0, 2, 4], 0]
    assert function.time(2) == (2, 1.) and timing.one_turn(function, 3, None, None) == (5, 2.5)
    function.close()


def test_a_process_without_chainer_is_a_note(tmp_path, monkeypatch):
    (tmp_path / 'worker.py').write_text(WORKER)
    monkeypatch.setattr(remote, 'WORKER', str(tmp_path / 'worker.py'))
    options = types.SimpleNamespace(chainer=sys.executable, device='cpu')
    for python in sys.executable, str(tmp_path / 'none'):
        table, options.chainer = frame.Table('?', []), python
        assert remote.chainer_function(table, options, {'kind': 'broken'}, {}, []) == {}
        assert table.notes[0].startswith('Chainer does not run: ')
    assert remote.chainer_function(table, QUICK, {}, {}, []) == {}


def test_a_function_runs_in_a_fresh_process():
    found = fresh.call('fresh', 'memory', 'VmHWM')
    assert 5 < found < 10_000
    with pytest.raises(RuntimeError, match='no_such'):
        fresh.call('fresh', 'no_such')


# The command line --------------------------------------------------------------------------------

def test_an_unknown_case_ends_with_the_names_of_those_there_are(capsys):
    with pytest.raises(SystemExit):
        main.main(['tap'])
    assert f'no case tap; there are {", ".join(main.CASES)}' in capsys.readouterr().err


def test_without_a_case_those_run_that_need_nothing_and_take_no_hour():
    assert main.parse_arguments([]).cases == [
        case for case in main.CASES if case not in ('loading', 'article_004', 'flickr8k')]
    assert main.parse_arguments(['--device', 'cuda']).cases == list(main.ON_DEVICE)


@pytest.mark.parametrize('arguments, reason', [
    (['--threads', '0'], 'the processors that there are, expected, got 0'),
    (['--threads', '99999'], 'the processors that there are, expected, got 99999'),
    (['--seconds', '-1'], '0 or more expected, got -1'),
    (['--seconds', 'nan'], '0 or more expected, got nan'),
    (['--json', 'no/such/folder/found.json'], '--json: a file in a folder that can be written'),
    (['--markdown', '.'], "that can be written to expected, got '.'"),
    (['loading', '--device', 'cuda'], 'no case loading with --device cuda; there are')])
def test_options_that_make_no_sense_are_refused(arguments, reason, capsys):
    with pytest.raises(SystemExit):
        main.parse_arguments(arguments)
    assert reason in capsys.readouterr().err


def test_a_device_that_is_none_ends_as_one_that_is_not_there():
    done = subprocess.run([sys.executable, '-m', 'benchmarks', 'tape', '--device', 'printer'],
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == main.NOTHING and "'printer' is not a device" in done.stderr


STOPPING = """
import runpy, sys, benchmarks.tape
def stop(options):
    raise KeyboardInterrupt
benchmarks.tape.run, sys.argv[1:] = stop, ['tape', '--quick']
runpy.run_module('benchmarks', run_name='__main__')
"""


def test_an_interruption_ends_with_its_code_and_no_traceback():
    done = subprocess.run([sys.executable, '-c', STOPPING], text=True, capture_output=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (130, 'benchmarks: stopped\n')


def test_another_number_of_threads_starts_python_again(monkeypatch):
    started = []
    monkeypatch.setattr(main, 'processors', lambda: 8)
    monkeypatch.setattr(main.os, 'execve', lambda *given: started.append(given) or exit())
    with pytest.raises(SystemExit):
        main.main(['tape', '--threads', '7'])
    (_, command, environment), = started
    assert command[1:] == ['-m', 'benchmarks', 'tape', '--threads', '7']
    assert environment['OPENBLAS_NUM_THREADS'] == environment['OMP_NUM_THREADS'] == '7'


def test_every_case_is_explained_and_can_be_imported(capsys):
    with pytest.raises(SystemExit):
        main.main(['--help'])
    printed = capsys.readouterr().out
    for case, what in main.CASES.items():
        assert case in printed and what in printed


def test_tables_are_printed_and_written_as_json(tmp_path, capsys):
    main.main(['tape', '--quick', '--json', str(tmp_path / 'found.json'),
               '--markdown', str(tmp_path / 'found.md')])
    printed, found = capsys.readouterr().out, json.loads((tmp_path / 'found.json').read_text())
    assert '=== tape' in printed and found['quick'] and found['machine'] in printed
    table = found['tables']['tape']
    assert len(table['rows'][0]) == len(table['columns']) and found['ceilings']['gflops'] > 0
    (raw,) = table['raw'].values()
    assert len(raw['seconds']['minichain']) == len(raw['foreign']) == 3
    assert '| y = y * x, y = y + x | 4x4 |' in (tmp_path / 'found.md').read_text()


# The cases ---------------------------------------------------------------------------------------

def test_the_tape_multiplies_and_adds_in_turns():
    # y' = x y + x: at x = 1/2 y -> 1, and dy/dx -> (y + 1) / (1 - x) = 4
    np.testing.assert_allclose(tape.ours(np.full((4, 4), .5, 'float32')), 4, rtol=1e-5)


def test_a_missing_peer_is_shown_as_missing(no_torch):
    table = tape.run(QUICK)
    row = dict(zip(table.columns, table.rows[0]))
    assert row['/ torch'] == 'missing' and 'torch is missing: pip install torch' in table.notes
    assert float(row['ms p50 (p10-p90)'].split()[0]) > 0 and row['bar'] is None


def test_import_is_timed_in_a_fresh_interpreter_without_numpy_itself(monkeypatch, no_torch):
    _, cpu = import_time.measure('numpy')
    assert 0 < cpu < .01      # it is there already
    monkeypatch.setattr(import_time, 'measure', lambda module: (.25, .1))
    table = import_time.run(QUICK)
    assert table.rows[0] == ['minichain', .25, .25, .1, '0.2 MISSED']
    assert table.rows[1][1] == 'missing'


def test_ways_differ_in_their_switches_and_leave_them_as_they_were(monkeypatch):
    monkeypatch.setattr(variants.onednn, 'installed', lambda: True)
    before = config.use_onednn, config.winograd
    ways = variants.in_all_ways(lambda: lambda: (config.use_onednn, config.winograd))
    assert {way: function() for way, function in ways.items()} == {
        'minichain': ('never', True), 'no Winograd': ('never', False), 'oneDNN': ('auto', True)}
    assert (config.use_onednn, config.winograd) == before


@pytest.mark.parametrize('backward', [False, True])
def test_convolutions_of_both_libraries_are_the_same(backward):
    torch = pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    layer = conv.Layer('5x5/2', 2, 4, 9, 6, 5, 2, 1, 2)
    arrays = layer.make_arrays()
    ours = comparison.as_arrays(conv.ours(layer, arrays, backward)())
    assert [array.shape for array in ours][:1] == [arrays[3].shape] == [(2, 6, 4, 4)]
    assert len(ours) == (4 if backward else 1)
    for how in comparison.TORCH, comparison.CHANNELS_LAST:
        theirs = conv.with_torch(torch, layer, arrays, backward, how)()
        assert comparison.largest_gap(ours, comparison.as_arrays(theirs)) < 1e-5


def test_operations_of_a_convolution_are_counted_by_hand():
    # 2 images, 6 channels of 4 x 4, each of 2 channels of 5 x 5, a product and a sum
    assert conv.Layer('', 2, 4, 9, 6, 5, 2, 1, 2).operations() == 2 * 6 * 16 * 2 * 25 * 2


def test_operations_of_a_network_are_those_of_its_layers():
    class Net(Sequential):
        def forward(self, x, layers):
            return super().forward(x)
    net = Net(L.Convolution2D(2, 3, 3), F.relu, L.Deconvolution2D(3, 1, 2, 2), L.Linear(64, 5))
    x = np.ones((1, 2, 6, 6), 'float32')
    convolution, deconvolution, linear = 3 * 16 * 2 * 9, 3 * 16 * 1 * 4, 64 * 5
    assert networks.count_operations(net, x, 'y') == 2 * (convolution + deconvolution + linear)


@pytest.mark.parametrize('name, layer, side', [
    ('squeezenet', 'pool10', 63), ('unet', 'last', 8), ('googlenet', 'loss3_fc', 224),
    pytest.param('caffenet', 'fc7', 227, marks=pytest.mark.slow)])
def test_networks_of_both_libraries_are_the_same(name, layer, side, tmp_path):
    pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    net, x = networks.make_network(name), networks.images(1, side)
    ours = comparison.as_arrays(networks.infer(net, layer, x)())
    others = networks.infer_elsewhere(name, net, layer, x, QUICK, str(tmp_path))
    assert {'torch', 'channels_last'} <= set(others)
    for function in others.values():
        theirs = comparison.as_arrays(function())
        assert np.ptp(theirs[0]) > 1e-3 and comparison.largest_gap(ours, theirs) < 1e-4


def test_steps_of_training_are_the_same_one_after_the_other():
    torch = pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    net, x = networks.make_network('unet'), networks.images(2, 16)
    weights = {path: array.copy() for path, array in networks.weights_of(net).items()}
    t = np.random.RandomState(0).randint(4, size=(2, 16, 16)).astype('int32')
    ours = networks.train(net, 'last', x, t)
    theirs = networks.train_with_torch(torch, 'unet', weights, x, t)
    before = comparison.as_arrays(ours())
    assert comparison.largest_gap(before, comparison.as_arrays(theirs())) < 1e-4
    for _ in range(5):
        after = comparison.as_arrays(ours())
        assert comparison.largest_gap(after, comparison.as_arrays(theirs())) < 1e-3
    assert after[0] < before[0]


def test_tables_of_convolutions_and_networks_have_a_row_for_each(monkeypatch, no_torch):
    monkeypatch.setattr(conv, 'LAYERS', [conv.Layer('3x3', 1, 2, 5, 2, 3, bars=((.5,), (.6,)))])
    monkeypatch.setattr(variants.onednn, 'installed', lambda: False)
    assert [row[0] for row in conv.run(QUICK).rows] == ['3x3, forward', '3x3, forward + backward']
    monkeypatch.setattr(networks, 'INFERENCE', {'squeezenet': ('pool10', 63, {1: ((), (), ())})})
    monkeypatch.setattr(networks, 'TRAINING', {'unet': ('last', 8, 1, 4)})
    table = networks.run(QUICK)
    assert {row[0].partition(';')[0] for row in table.rows} == {
        'squeezenet to pool10', 'unet: training step'}
    assert 'torch is missing: pip install torch' in table.notes


def test_memory_is_judged_by_what_fresh_processes_say(monkeypatch):
    def call(module, function, *arguments):
        assert module == 'memory_probes'
        if function == 'captions':
            return {'us_per_token': [9., 2., 2., 2., 2., 3.], 'memory': [1., 50., 50., 50., 50.,
                                                                         51.]}
        if function == 'stream':
            return {'peak': arguments[1] / 10, 'check': 0}
        return {'peak': 60. if arguments[0] == 'minichain' else 100.,
                'check': 1. if arguments[0] == 'minichain' else 1.1}
    monkeypatch.setattr(fresh, 'call', call)
    monkeypatch.setattr(memory, 'find_peer', lambda name: name)
    table = memory.run(QUICK)
    rows = {row[0]: row[-2:] for row in table.rows}
    assert rows['caption step'] == [.6, '0.7 met, 0.5 MISSED']
    assert rows['CaffeNet to fc7'] == [.6, '1 met, 0.8 met']
    assert rows['cost of epochs'] == [1.5, '1.1 MISSED'] and rows['cost of captions'][0] == 1.
    assert rows['memory of epochs'] == [1.02, '1.1 met']
    assert rows['streaming'] == [10., '48.0 batches more, 4 MISSED']
    assert any('different results' in note for note in table.notes)


def test_probes_of_memory_learn_the_same_in_both_libraries():
    pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    ours, theirs = (memory_probes.learn(library, 30, 8, 4) for library in ('minichain', 'torch'))
    assert ours == pytest.approx(theirs, rel=1e-5) and ours < np.log(30)


def test_probes_count_every_caption_and_every_image(tmp_path):
    found = memory_probes.captions(70, 2)
    assert len(found['us_per_token']) == len(found['memory']) == 2
    assert min(found['us_per_token']) > 0
    pipeline.write_photos(tmp_path, 2)
    assert memory_probes.stream(str(tmp_path), 5)['check'] == 5


def test_photos_are_prepared_as_by_a_loop_over_pillow(tmp_path):
    names = pipeline.write_photos(tmp_path, 2)
    paths, preprocessing = [str(tmp_path / name) for name in names], Preprocessing(
        (pipeline.SIDE,) * 2, 'BGR', (104, 117, 123))
    ours, theirs, threaded = (
        pipeline.prepare_all(prepare, paths, preprocessing, threads)() for prepare, threads in (
            (pipeline.prepare_by_minichain, None), (pipeline.prepare_by_pillow, None),
            (pipeline.prepare_by_minichain, 2)))
    assert abs(ours - theirs).mean() < 2 and ours.std() > 20
    np.testing.assert_array_equal(ours, threaded)


def test_article_captions_are_reproducible_and_follow_their_law():
    features, groups = article_004.generate(20, 3, seed=5)
    again = article_004.generate(20, 3, seed=5)
    assert features.shape == (20, 256) and [len(g) for g in groups] == [3] * 20
    np.testing.assert_array_equal(features, again[0])
    captions = [ids for group in groups for ids in group]
    for ids, same in zip(captions, (ids for group in again[1] for ids in group)):
        np.testing.assert_array_equal(ids, same)
        assert ids[0] == BOS and ids[-1] == EOS and 7 <= len(ids) <= 18
        assert ids[1:-1].min() >= 3
    words = np.concatenate([ids[1:-1] for ids in captions])
    assert (words < 3 + 100).mean() > .4     # the hundred frequent ones


def test_published_batches_are_groups_of_one_length_in_order():
    captions = [np.zeros(n, int) for n in (5, 4, 5, 4, 4)]
    assert [list(b) for b in article_004.batches_as_published(captions)] == [[1, 3, 4], [0, 2]]


def test_states_are_carried_over_where_there_are_rows_for_them():
    captions = [np.arange(4)] * 3
    carried = (np.zeros((16, 2)), np.zeros((16, 2)))
    seen = []

    def read(features, chunk, states):
        seen.append([state.copy() for state in states])
        return 1., (states[0] + 1, states[1] + 2)
    nats = article_004.go_through(read, [[0, 1], [2]], captions, np.zeros((3, 5)), carried)
    assert nats == 9.       # 1 nat for each of 3 words of 3 captions
    assert seen[1][0].tolist() == [[1., 1.]] and carried[1][:3, 0].tolist() == [4., 2., 0.]


@pytest.mark.parametrize('library', ['here', 'missing'])
def test_article_004_runs_in_its_quick_form(library, monkeypatch):
    if library == 'missing':
        monkeypatch.setitem(sys.modules, 'torch', None)
    else:
        pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    monkeypatch.setattr(article_004, 'EXPERIMENTS', {'tiny': (40, 2, 4, 2, (9., 8.))})
    table = article_004.run(QUICK)
    (name, epoch, *figures), = table.rows
    assert (name, epoch) == ('tiny', 1) and '[9.000]' in figures
    assert (figures[1] == 'missing') == (library == 'missing')
    assert figures[4] == '0.69 [0.043]'      # ln 2: two captions an image
    if library == 'here':
        assert figures[-1].endswith('met')


@pytest.mark.parametrize('inject', ['first', 'state'])
def test_both_libraries_judge_decode_and_learn_alike(inject):
    pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    np.random.seed(0)
    learners = make_learners(CaptionGenerator(11, 5, 6, 6, inject=inject), lr=.01, clip=.5)
    random = np.random.RandomState(1)
    x = random.randn(4, 5).astype('float32')
    _, (chunk,) = pack([np.array([1, *random.randint(3, 11, n), 2]) for n in (5, 4, 4, 1)])
    ours, theirs = (learners[name].judge(x, chunk) for name in ('minichain', 'torch'))
    again = [learners[name].judge(x, chunk, ours[1])[0] for name in ('minichain', 'torch')]
    assert ours[0] == pytest.approx(theirs[0], rel=1e-6)
    assert again[0] == pytest.approx(again[1], rel=1e-6) and abs(again[0] - ours[0]) > 1e-4
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
    states = {name: learner.start(x) for name, learner in learners.items()}
    for word in (1, 5):
        scores = {}
        for name, learner in learners.items():
            states[name], scores[name] = learner.step(states[name], np.full(4, word))
        np.testing.assert_allclose(scores['minichain'], scores['torch'], atol=1e-5)
    for _ in range(50):
        ours, theirs = (learners[name].learn(x, chunk) for name in ('minichain', 'torch'))
        assert ours[0] == pytest.approx(theirs[0], rel=1e-5)


def test_weights_of_a_learner_can_be_kept_and_put_back():
    for learner in make_learners(CaptionGenerator(11, 5, 6, 6)).values():
        x, (_, (chunk,)) = np.ones((1, 5), 'float32'), pack([np.array([1, 5, 2])])
        before, weights = learner.judge(x, chunk)[0], learner.get_weights()
        learner.learn(x, chunk)
        assert learner.judge(x, chunk)[0] != before
        learner.set_weights(weights)
        assert learner.judge(x, chunk)[0] == before


def tiny_photos(extra=True):
    """Six kinds of images, whose captions name the kind."""
    random = np.random.RandomState(0)
    kinds = ['cat', 'dog', 'bird', 'boat', 'tree', 'man']

    def split(n):
        which = np.arange(n) % 6
        return flickr8k.Split(
            (np.eye(6)[which] * 3 + .1 * random.randn(n, 6) + 1).astype('float32'),
            [[f'a {kinds[i]} is here'.split(), f'the {kinds[i]} stands'.split()] for i in which])
    return flickr8k.make_data({'train': split(60), 'dev': split(12), 'test': split(12)},
                              ['a cat is there'.split()] * 5 if extra else [])


@pytest.fixture
def small(monkeypatch):
    for name, value in (('WIDTH', 16), ('BATCH', 12), ('DROPOUT', .1), ('LR', .02), ('STEPS', 5)):
        monkeypatch.setattr(flickr8k, name, value)


def test_flickr8k_in_quick_form_has_a_row_for_everyone(small):
    pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    table = flickr8k.measure(tiny_photos(), quick=True)
    assert [row[0] for row in table.rows] == [
        'minichain', 'torch', 'image-blind', 'with more text', 'minichain, mean', 'torch, mean',
        'image-blind, mean', 'with more text, mean', 'nearest neighbour', 'consensus of 20',
        'a human against the others']
    assert 'bar 1e-05 met' in table.notes[0]
    assert any(note.startswith('stretch') for note in table.notes)


def test_flickr8k_without_torch_says_so_and_without_more_text_leaves_it_out(small, no_torch):
    table = flickr8k.measure(tiny_photos(extra=False), quick=True)
    assert not any('torch' in row[0] or 'text' in row[0] for row in table.rows)
    assert 'torch is not installed' in table.notes[0]


def test_training_learns_to_look_at_images(small):
    data = tiny_photos()
    seeing, blind = (flickr8k.train(MinichainLearner(flickr8k.make_model(data, 0), .02), data, 0,
                                    blind, epochs=12)[0] for blind in (False, True))
    assert seeing['dev'] < blind['dev'] - .2 and seeing['shuffling costs'] > .3
    assert blind['shuffling costs'] == 0 and seeing['CIDEr'] > 2 * blind['CIDEr']


def test_neighbours_are_of_the_same_kind_and_agree_on_a_caption():
    data = tiny_photos()
    train, test = data.splits['train'], data.splits['test']
    rows = neighbours.nearest(test.features, train.features, 10)
    assert (rows % 6 == np.arange(12)[:, None] % 6).all()
    chosen = neighbours.consensus(rows, train.tokens)
    assert all(caption in group for caption, group in zip(chosen, test.tokens))


def test_the_consensus_is_the_caption_that_most_others_resemble():
    groups = [['a red ball'.split(), 'a red ball there'.split()],
              ['two men'.split(), 'the red ball there'.split()]]
    assert neighbours.consensus([[0, 1]], groups) == ['a red ball there'.split()]


def test_flickr8k_without_data_says_what_it_needs():
    assert ['--data, a folder with captions and images', 'missing'] in flickr8k.run(QUICK).rows


def test_the_package_runs_as_a_command_with_one_thread():
    done = subprocess.run([sys.executable, '-m', 'benchmarks', 'flickr8k', '--quick'], text=True,
                          capture_output=True, cwd=import_time.ROOT)
    assert done.returncode == 0 and 'missing' in done.stdout, done.stderr
    assert '1 BLAS thread,' in done.stdout

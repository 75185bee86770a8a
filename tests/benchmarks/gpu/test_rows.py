import types

import numpy as np
import pytest

from benchmarks.gpu import rows
from benchmarks.gpu.ceilings import GpuCeilings
from benchmarks.gpu.peers import FORMS, GRAPH, TORCH, MissingPeerError
from benchmarks.gpu.rows import CAPTURED, Bench, Case, add_case, make_table
from benchmarks.variants import PLAIN
from minichain.configuration import config
from tests.benchmarks.gpu.fakes import Clock, made

OPTIONS = types.SimpleNamespace(quick=False, seconds=0, compile=False)
BENCH = Bench('cuda', Clock(), GpuCeilings(1e9, {'float32': 1e12, 'bf16': 2e12}))
RIGHT = np.array([1., 2.])


def absent():
    raise MissingPeerError('no GPU here')


def table_of(options=OPTIONS, **about):
    about = {'name': 'sum', 'shapes': '2', 'precision': 'float32', 'reference': lambda: [RIGHT],
             'functions': {PLAIN: made(RIGHT, .02)}, **about}
    table = make_table('how long?', FORMS)
    add_case(table, FORMS, lambda: Case(**about), options, BENCH)
    return table, [dict(zip(table.columns, row)) for row in table.rows]


def test_a_case_has_a_row_for_each_way_beside_the_roofline_and_peers():
    functions = {PLAIN: made(RIGHT, .04), CAPTURED: made(RIGHT * (1 + 1e-6), .02),
                 TORCH: made(RIGHT, .05), GRAPH: made(RIGHT, .025)}
    table, (plain, captured) = table_of(
        functions=functions, phases=[(5e9, 1e6), (0, 10e6)],
        bars={TORCH: (.5, .3), GRAPH: (1.,)}, share=(.5, .9))
    assert plain['case'] == 'sum' and captured['case'] == 'sum; captured'
    assert captured['ms p50 (p10-p90)'] == '20 (20-20)'
    assert captured['GFLOP'] == 5 and captured['GB'] == pytest.approx(.011)
    assert captured['floor ms'] == pytest.approx(15) and captured['% of roofline'] == '75%'
    assert captured['bound by'] == 'memory' and captured['launches'] == 7
    assert captured['/ torch'] == '0.40 (50 ms)' and captured['/ torch graph'] == '0.80 (25 ms)'
    assert plain['/ torch'] == '0.80 (50 ms)' and captured['error'] == pytest.approx(1e-6)
    assert captured['bar'] == ('torch 0.5 met, 0.3 MISSED; torch graph 1 met; '
                               'roofline 50% met, 90% MISSED')
    assert plain['bar'] is None and not table.failures      # the quickest way is judged


def test_what_is_wrong_is_not_timed_and_minichain_s_is_a_failure():
    wrong = made(RIGHT + .01, .01)
    table, (plain, captured) = table_of(functions={
        PLAIN: made(RIGHT, .02), CAPTURED: wrong, TORCH: wrong})
    assert captured['ms p50 (p10-p90)'] == plain['/ torch'] == 'WRONG'
    assert captured['error'] == pytest.approx(.005)
    assert plain['ms p50 (p10-p90)'] == '20 (20-20)'
    assert table.failures == ['sum, 2, float32, captured: its results differ from those in '
                              'float64 by 0.005 of the largest, at most 0.001 expected']
    assert not table_of(functions={PLAIN: wrong}, precision='bf16')[0].failures
    assert table_of(functions={PLAIN: wrong})[0].failures
    assert table_of(functions={PLAIN: made(RIGHT * np.nan, .01)})[0].failures


def test_a_peer_may_be_missing_or_fail_and_minichain_may_not():
    broken = made(RuntimeError('out of luck'), .01)
    table, (plain, captured) = table_of(functions={
        PLAIN: made(RIGHT, .02), CAPTURED: absent, TORCH: broken, GRAPH: absent})
    assert plain['/ torch'] == 'fails' and plain['/ torch graph'] == 'missing'
    assert captured['ms p50 (p10-p90)'] == 'missing' and not table.failures
    assert set(table.notes) == {'captured: no GPU here', 'torch graph: no GPU here',
                                'sum, 2, float32: torch: RuntimeError: out of luck'}
    table, (plain,) = table_of(functions={PLAIN: broken})
    assert plain['ms p50 (p10-p90)'] == 'fails'
    assert table.failures == ['sum, 2, float32, minichain: RuntimeError: out of luck']


def test_a_case_runs_in_its_precision_and_quick_runs_are_not_judged():
    seen = []

    def make():
        seen.append(config.precision)
        return made(RIGHT, .02)()
    quick = types.SimpleNamespace(**{**vars(OPTIONS), 'quick': True})
    _, (row,) = table_of(quick, functions={PLAIN: make, TORCH: made(RIGHT, .1)},
                         bars={TORCH: (.5,)}, precision='bf16')
    assert seen == ['bf16'] and config.precision == 'float32' and row['bar'] is None


def test_functions_that_work_in_place_are_reset_and_read():
    log = []
    function = made(None, .02, reset=lambda: log.append('reset'),
                    read=lambda: log.append('read') or RIGHT)
    table, _ = table_of(functions={PLAIN: function})
    assert log == ['reset', 'read'] and not table.failures


def test_a_step_that_is_not_captured_is_missing_with_the_reason(monkeypatch):
    class Step:
        def __init__(self, update, batch, state):
            self.update, self.reason, self.calls = update, state[0], 0

        def __call__(self, batch):
            self.calls += 1
            return self.update(batch), self.calls
    monkeypatch.setattr(rows, 'compile_step', Step)
    with pytest.raises(MissingPeerError, match='it waits'):
        rows.captured(abs, -3, ('it waits',))()
    # twice as written, captured, replayed: then it is timed
    assert rows.captured(abs, -3, (None,))()() == (3, 5)

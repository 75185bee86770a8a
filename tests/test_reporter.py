"""Reports and summaries."""
import threading

import numpy as np
import pytest

import minichain
from minichain import functions as F
from minichain import links as L
from minichain import reporter as reporting
from minichain.errors import InvalidArgument
from minichain.reporter import DictSummary, Reporter, Summary, report, report_scope
from minichain.serializers import DictionarySerializer, NpzDeserializer
from tests import strict_cupy


def test_reports_go_under_the_names_of_observers():
    model = minichain.Chain(l1=L.Linear(1, 1))
    reporter, observation = Reporter(), {}
    reporter.add_observer('main', model)
    reporter.add_observers('main', model.namedlinks(skipself=True))
    with reporter, reporter.scope(observation):
        assert reporting.get_current_reporter() is reporter
        report({'loss': 1}, model)
        report({'norm': 2}, model.l1)
        report({'free': 3})
        with report_scope({}) as inner:
            report({'hidden': 4})
        with pytest.raises(InvalidArgument, match='Link was not added'):
            report({'x': 1}, minichain.Link())
    assert observation == {'main/loss': 1, 'main/l1/norm': 2, 'free': 3} and inner is None
    report({'nothing': 1}, model)   # nobody listens
    with pytest.raises(InvalidArgument, match='no reporter is active'):
        reporting.get_current_reporter()
    reporter.report({'a': 1})
    assert reporter.observation == {'a': 1}


def test_a_scope_of_a_reporter_makes_it_the_current_one():
    outer, inner, observation = Reporter(), Reporter(), {}
    with outer:
        with inner.scope(observation):
            report({'a': 1})
        report({'b': 2})
    assert observation == {'a': 1} and outer.observation == {'b': 2} and not inner.observation
    with pytest.raises(ZeroDivisionError), inner.scope({}):
        raise ZeroDivisionError
    with pytest.raises(InvalidArgument, match='no reporter is active'):
        reporting.get_current_reporter()


def test_reporters_nest_and_belong_to_a_thread():
    outer, inner = Reporter(), Reporter()
    with outer:
        with inner:
            report({'a': 1})
            thread = threading.Thread(target=report, args=({'b': 2},))
            thread.start()
            thread.join()
        report({'c': 3})
    assert (inner.observation, outer.observation) == ({'a': 1}, {'c': 3})


def test_reported_variables_lose_their_graph():
    y = F.sum(minichain.Variable(np.ones(2)))
    reporter = Reporter()
    reporter.report({'y': y})
    assert reporter.observation['y'].creator is None and reporter.observation['y'].array == 2
    with minichain.using_config('keep_graph_on_report', True):
        reporter.report({'y': y})
    assert reporter.observation['y'] is y


def test_summary_is_the_weighted_mean_and_deviation():
    summary = Summary()
    for value, weight in ((1., 1), (np.float32(2), 3), (np.array(3.), 1)):
        summary.add(value, weight)
    assert summary.compute_mean() == 2
    mean, deviation = summary.make_statistics()
    assert mean == 2 and deviation == pytest.approx(.4 ** .5)
    same = Summary()
    for _ in range(3):
        same.add(np.float32(.1))
    assert same.make_statistics()[1] == pytest.approx(0, abs=1e-4)


def test_dict_summary_takes_numbers_of_every_kind():
    summary = DictSummary()
    summary.add({'a': 1, 'b': (2., 3), 'c': np.array(4.), 'v': minichain.Variable(np.array(1.)),
                 'w': (minichain.Variable(np.array(5.)), np.array(2)),
                 'array': np.zeros(2), 'text': 'x', 'none': None})
    summary.add({'a': 3, 'b': 6.})
    assert summary.compute_mean() == {'a': 2, 'b': 3, 'c': 4, 'v': 1, 'w': 5}
    statistics = summary.make_statistics()
    assert statistics['a.std'] == 1 and statistics['c.std'] == 0
    assert statistics['b.std'] == pytest.approx(3 ** .5)


def test_summaries_are_stored_under_chainers_keys():
    summary, again = DictSummary(), DictSummary()
    summary.add({'a': 1, 'b': (np.float32(2), .5)})
    summary.add({'a': 3})
    serializer = DictionarySerializer()
    serializer.save(summary)
    target = serializer.target
    assert set(target) == {'_names'} | {f'_summaries/{i}/{name}' for i in (0, 1)
                                        for name in ('_x', '_x2', '_n')}
    assert str(target['_names']) == '["a", "b"]' and target['_summaries/0/_x2'] == 10
    again.add({'old': 1})
    NpzDeserializer(target).load(again)
    assert again.make_statistics() == summary.make_statistics()
    again.add({'a': 5, 'b': 2})
    assert again.compute_mean() == {'a': 3, 'b': 2}


def test_absent_statistics_give_a_warning():
    for summary in (Summary(), DictSummary()):
        with pytest.warns(UserWarning, match='not saved'):
            NpzDeserializer({}).load(summary)


def test_values_on_a_gpu_are_summed_there_and_stored_from_there():
    with strict_cupy.installed() as cupy:
        summary = DictSummary()
        summary.add({'a': cupy.asarray(np.array(2.))})
        summary.add({'a': minichain.Variable(cupy.asarray(np.array(4.)))})
        assert float(summary.make_statistics()['a']) == 3
        serializer = DictionarySerializer()
        serializer.save(summary)
    again = DictSummary()
    NpzDeserializer(serializer.target).load(again)
    assert again.make_statistics() == {'a': 3, 'a.std': 1}

"""Every case on the device 'sim': all results are those of float64, with peers beside them."""
import json
import sys
import types

import pytest

from benchmarks import __main__ as main
from benchmarks.gpu import caption_step, conv, decode, kernels, lstm_step, networks, rows
from minichain.backend import cuda_available
from minichain.errors import DeviceError
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture
def small(monkeypatch):
    """Few rows of each case, the ones that differ most."""
    monkeypatch.setattr(caption_step, 'PRECISIONS', ('bf16',))
    monkeypatch.setattr(caption_step, 'SIZES', {'small': (128, 1600, 32, {})})
    monkeypatch.setattr(lstm_step, 'PRECISIONS', ('float32',))
    monkeypatch.setattr(lstm_step, 'SIZES', [(128, 32)])
    monkeypatch.setattr(decode, 'BATCHES', (2,))
    monkeypatch.setattr(conv.conv, 'LAYERS', conv.conv.LAYERS[:1])
    monkeypatch.setattr(networks, 'NETWORKS', {'inception_v3': ('pool', 75, 75)})


def figures(tmp_path, *cases):
    path = tmp_path / 'found.json'
    code = main.main([*cases, '--device', 'sim', '--seconds', '0', '--json', str(path)])
    return code, json.loads(path.read_text())


@pytest.mark.parametrize('case', [
    'caption_step', 'kernels', 'decode', 'lstm_step', 'optimizers', 'conv', 'tape',
    pytest.param('networks', marks=pytest.mark.slow)])
def test_a_case_is_right_and_has_torch_beside_it_where_that_is(case, small, tmp_path):
    code, found = figures(tmp_path, case)
    assert code == 0 and found['failures'] == []
    table = found['tables'][case]
    each = [dict(zip(table['columns'], row)) for row in table['rows']]
    assert each and all(row['error'] <= rows.TOLERANCE[row['precision']] for row in each)
    assert all(float(row['ms p50 (p10-p90)'].split()[0]) > 0 for row in each)
    assert {row['/ torch graph'] for row in each} == {'missing'}
    if main.frame.find_peer('torch'):
        beside = [row['/ torch'] for row in each]
        assert not {'WRONG', 'missing'} & set(beside)
        # on a CPU torch has no LRN of bfloat16
        assert [row['case'][:3] for row in each if row['/ torch'] == 'fails'] in ([], ['LRN'] * 2)
    else:
        assert {row['/ torch'] for row in each} == {'missing'}
        assert 'torch: torch is not installed: pip install torch' in table['notes']


@pytest.mark.parametrize('case', ['memory', pytest.param('pipeline', marks=pytest.mark.slow)])
def test_memory_and_the_pipeline_are_shown_part_by_part(case, small, tmp_path):
    code, found = figures(tmp_path, case)
    table = found['tables'][case]
    assert code == 0 and len(table['rows']) == {'memory': 1, 'pipeline': 4}[case]
    assert all(isinstance(row[3 if case == 'memory' else 4], float) for row in table['rows'])


def test_without_torch_every_peer_is_missing_with_the_reason(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    monkeypatch.setattr(kernels, 'KERNELS', {'LRN': kernels.KERNELS['LRN']})
    for case in ('kernels', 'tape', 'decode'):
        test_a_case_is_right_and_has_torch_beside_it_where_that_is(case, None, tmp_path)


def test_a_case_that_breaks_leaves_the_others_and_the_exit_code_tells(
        small, tmp_path, monkeypatch, capsys):
    def run(options, bench):
        raise RuntimeError('the driver is gone')
    monkeypatch.setitem(sys.modules, 'benchmarks.gpu.conv', types.SimpleNamespace(run=run))
    code, found = figures(tmp_path, 'conv', 'tape')
    assert code == main.WRONG and list(found['tables']) == ['tape']
    assert 'the driver is gone' in found['failures'][0]
    assert 'WRONG or not made, 1:' in capsys.readouterr().out


def test_a_wrong_result_is_shown_and_the_exit_code_tells(small, tmp_path, monkeypatch):
    right = kernels.adam
    monkeypatch.setattr(kernels, 'adam', lambda *given, **more: right(*given, **{
        **more, 'beta1': .8}))
    monkeypatch.setattr(kernels, 'KERNELS', {'Adam': kernels.KERNELS['Adam']})
    code, found = figures(tmp_path, 'kernels')
    assert code == main.WRONG and len(found['failures']) == 1
    assert {row[3] for row in found['tables']['kernels']['rows']} == {'WRONG'}


@pytest.mark.skipif(cuda_available(), reason='there is a GPU here')
def test_without_a_gpu_the_program_says_so_and_nothing_else(capsys):
    with pytest.raises(DeviceError, match='a GPU was asked for'):
        main.main(['tape', '--device', 'cuda'])
    assert 'ceilings' not in capsys.readouterr().out

"""Damaged files of every format load or are refused: no crash, no hang, no other error."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.hostile.damage import damaged
from tests.hostile.greedy import bodies_with_weights, greedy_models
from tests.hostile.onnx_damage import absurd_models
from tests.hostile.seeds import ROOT, seeds
from tests.onnx.backend_cases import node_cases

KINDS = ('caffemodel', 'prototxt', 'onnx', 'npz', 'image')


def read_all(folder, kind, limit):
    """How each file of a folder ended, read by a process of its own."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OPENBLAS_NUM_THREADS': '1',
                   'PYTHONWARNINGS': 'ignore'}
    run = subprocess.run([sys.executable, '-m', 'tests.hostile.child', str(folder), kind],
                         capture_output=True, text=True, timeout=limit, env=environment, cwd=ROOT)
    results = [json.loads(line) for line in run.stdout.splitlines()]
    count = len(list(folder.iterdir()))
    assert run.returncode == 0 and len(results) == count, \
        f'ended at file {len(results)} of {count}, exit {run.returncode}: {run.stderr[-2000:]}'
    return results


def check(tmp_path, kind, files):
    for index, data in enumerate(files):
        (tmp_path / f'{index:04}.{kind}').write_bytes(data)
    results = read_all(tmp_path, kind, 60 + 10 * len(files))
    wrong = [result for result in results if result['status'] == 'wrong']
    assert not wrong, '\n'.join(map(str, wrong))
    refused = sum(result['status'] == 'refused' for result in results)
    assert refused > len(files) / 10, f'only {refused} of {len(files)} refused: hardly damaged'


@pytest.mark.parametrize('kind', KINDS)
def test_whole_files_load(tmp_path, kind):
    for index, data in enumerate(seeds()[kind]):
        (tmp_path / f'{index}.{kind}').write_bytes(data)
    results = read_all(tmp_path, kind, 120)
    assert [result for result in results if result['status'] != 'loaded'] == []


@pytest.mark.parametrize('kind', KINDS)
def test_damaged_files_load_or_are_refused(tmp_path, kind):
    check(tmp_path, kind, list(damaged(seeds()[kind], 60, seed=1)))


def test_small_models_that_take_much_are_refused(tmp_path):
    for name, data in greedy_models().items():
        assert len(data) < 200_000
        (tmp_path / name).write_bytes(data)
    results = read_all(tmp_path, 'onnx', 300)
    assert [result for result in results if result['status'] != 'refused'] == []


def test_many_bodies_are_loaded_in_time(tmp_path):
    (tmp_path / 'bodies').write_bytes(bodies_with_weights(2000))
    result, = read_all(tmp_path, 'onnx', 60)
    assert result['status'] == 'loaded', result


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('kind', KINDS)
def test_a_thousand_damaged_files_load_or_are_refused(tmp_path, kind, seed):
    check(tmp_path, kind, list(damaged(seeds()[kind], 200, 100 + seed)))


@pytest.mark.slow
def test_damaged_models_with_every_operator_load_or_are_refused(tmp_path):
    models = [case.model.SerializeToString() for case in node_cases()]
    check(tmp_path, 'onnx', list(damaged(models, 2 * len(models), seed=11)))


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(3))
def test_models_that_ask_for_absurd_things_load_or_are_refused(tmp_path, seed):
    models = list(absurd_models(node_cases(), np.random.default_rng(seed)))
    check(tmp_path, 'onnx', models)

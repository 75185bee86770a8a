"""Two processes that mpiexec starts: sums, errors, signals, and train.py from end to end.

Skipped without mpi4py and an MPI; the same logic runs on threads in the other files.
"""
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minichain import snapshot
from tests.distributed import mpi_jobs
from tests.tiny_captions import arguments, run

ROOT = Path(__file__).parents[2]
MPIEXEC = next(filter(None, [shutil.which('mpiexec', path=os.path.dirname(sys.executable)),
                             shutil.which('mpiexec')]), None)
REASON = ('mpi4py is not installed' if importlib.util.find_spec('mpi4py') is None else
          'there is no mpiexec' if MPIEXEC is None else '')
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"{REASON}: pip install 'minichain[mpi]'")


def command(job, *argv, ranks=2):
    return [MPIEXEC, '-n', str(ranks), sys.executable, '-m', 'tests.distributed.mpi_jobs', job,
            *map(str, argv)]


def mpi(job, *argv, ranks=2):
    """Run a job; return exit code, output, and the lines on standard error."""
    environment = {**os.environ, 'OPENBLAS_NUM_THREADS': '1'}
    done = subprocess.run(command(job, *argv, ranks=ranks), cwd=ROOT, capture_output=True,
                          text=True, timeout=100, env=environment, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr.splitlines()


def results(job, ranks=2):
    code, output, errors = mpi(job, ranks=ranks)
    assert code == 0, errors
    return json.loads(output)


def test_ranks_talk():
    for rank, found in enumerate(results('talk')):
        assert found == {'size': 2, 'intra': [rank, 2], 'sum': [1, 3, 5],
                         'objects': [{'rank': 0}, {'rank': 1}], 'from 1': 'xx',
                         'any': [True, False], 'halves': [1, 1]}


def test_arrays_on_a_gpu_are_summed_by_way_of_the_cpu():
    assert results('naive') == [[1, 3, 5], [1, 3, 5]]


@pytest.mark.parametrize('ranks', [2, 3])
def test_ranks_learn_what_one_rank_learns(ranks):
    expected = learn_by_hand()
    found = results('learn', ranks)
    assert all(each == found[0] for each in found)
    for array, alone in zip(found[0], expected):
        np.testing.assert_allclose(array, alone, rtol=1e-5, atol=1e-6)


def learn_by_hand():
    x = np.random.RandomState(0).normal(size=(7, 4)).astype('f')
    W, b = np.ones((3, 4)), np.zeros(3)
    moments = [np.zeros((2, *p.shape)) for p in (W, b)]
    for t in range(1, 6):
        y = np.tanh(x @ W.T + b)
        gy = 2 * y * (1 - y * y) / len(x)
        for p, g, (m, v) in zip((W, b), (gy.T @ x, gy.sum(axis=0)), moments):
            m += .1 * (g - m)
            v += .001 * (g * g - v)
            p -= .1 * (m / (1 - .9 ** t)) / (np.sqrt(v / (1 - .999 ** t)) + 1e-8)
    return W, b


def test_a_data_set_is_scattered():
    assert [len(part) for part in results('scatter')] == [3, 3]
    assert {label for part in results('scatter') for label in part} == set(range(5))


@pytest.mark.parametrize('job, message', [
    ('fail on 0', 'data of rank 0'), ('fail on 1', 'one file'), ('fail on all', 'all alike')])
def test_an_error_on_a_rank_ends_all_and_is_told_once(job, message):
    began = time.monotonic()
    assert mpi(job) == (2, '', [f'train.py: error: {message}'])
    assert time.monotonic() - began < 20


def test_a_bug_on_one_rank_shows_its_traceback_once():
    code, _, errors = mpi('bug on 1')
    assert code == 1 and errors.count('Traceback (most recent call last):') == 1
    assert errors[-1] == 'ZeroDivisionError: x'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_ranks(number):
    job = subprocess.Popen(command('wait'), cwd=ROOT, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    assert job.stdout.readline() == 'waiting\n'
    job.send_signal(number)
    _, errors = job.communicate(timeout=30)
    assert job.returncode == 130
    assert errors.splitlines().count('train.py: interrupted') == 1, errors


def test_ranks_of_another_mpi_are_noticed():
    done = subprocess.run(
        [sys.executable, '-m', 'tests.distributed.mpi_jobs', 'talk'], cwd=ROOT, timeout=60,
        capture_output=True, text=True, env={**os.environ, 'OMPI_COMM_WORLD_SIZE': '3'})
    assert done.returncode == 2
    assert 'train.py: error: mpiexec started 3 ranks, and the MPI of mpi4py sees 1' in done.stderr


# train.py ----------------------------------------------------------------------------------------

def load(folder):
    return snapshot.load(folder / 'snapshot.zip')


def records(log):
    return [{name: value for name, value in json.loads(line).items() if name != 'seconds'}
            for line in log.splitlines()]


@pytest.fixture(scope='module')
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp('together')
    code, output, errors = mpi('train', *arguments(folder, '--dropout', 0))
    assert code == 0 and not errors, errors
    assert output.count('ranks    2, each learns from its share of every batch') == 1
    assert output.count('epoch 3, iteration 21') == 1
    return folder


def test_two_ranks_train_what_one_trains(together):
    assert run(*arguments(together, '--dropout', 0, out='alone')) == 0
    (arrays, state), (alone_arrays, alone) = load(together / 'out'), load(together / 'alone')
    assert set(arrays) == set(alone_arrays)
    for name, array in arrays.items():
        np.testing.assert_allclose(array, alone_arrays[name], rtol=1e-3, atol=2e-4, err_msg=name)
    assert state['iteration'] == alone['iteration'] == 21
    first, second = records(state['log']), records(alone['log'])
    assert first[0] == second[0]
    for record, other in zip(first[1:], second[1:]):
        for what, units in record['losses'].items():
            for unit, value in units.items():
                assert value == pytest.approx(other['losses'][what][unit], rel=1e-4), what
        assert [sample['caption'] for sample in record['samples']] == [
            sample['caption'] for sample in other['samples']]
    names = {path.name for path in (together / 'out').iterdir()}
    assert names == {path.name for path in (together / 'alone').iterdir()}
    assert 'test.jsonl' in names
    captions, alone_captions = ([json.loads(line)['caption'] for line in (
        together / out / 'test.jsonl').read_text().splitlines()] for out in ('out', 'alone'))
    assert captions == alone_captions


def test_a_run_of_two_ranks_goes_on_exactly_where_it_stopped(tmp_path):
    options = ['--dropout', '.5', '--bptt', 3]
    assert mpi('train', *arguments(tmp_path, *options, out='whole'))[0] == 0
    assert mpi('train', *arguments(tmp_path, *options, '--iterations', 10))[0] == 0
    code, _, errors = mpi('train', '--resume', tmp_path / 'out', '--quiet')
    assert code == 0 and not errors
    (arrays, state), (whole_arrays, whole) = load(tmp_path / 'out'), load(tmp_path / 'whole')
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, whole_arrays[name], err_msg=name)
    first, second = records(state['log'])[1:], records(whole['log'])[1:]
    assert len(first) == 3
    for record, other in zip(first, second):
        assert record['losses']['dev'] == other['losses']['dev']
        assert record['samples'] == other['samples']
        assert record['losses']['train']['per_token'] == pytest.approx(
            other['losses']['train']['per_token'], rel=1e-12)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_a_whole_snapshot_and_says_how_to_go_on(together, tmp_path,
                                                                      number):
    for name in ('data', 'tiny.caffemodel', 'tiny.prototxt'):
        os.symlink(together / name, tmp_path / name)
    out = tmp_path / 'out'
    job = subprocess.Popen(
        command('train slowly', *arguments(tmp_path, '--epochs', 1000, '--snapshot-every', 1)),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not (out / 'snapshot.zip').exists() or load(out)[1]['iteration'] < 3:
        assert time.monotonic() < end and job.poll() is None
        time.sleep(.01)
    job.send_signal(number)
    _, errors = job.communicate(timeout=30)
    assert job.returncode == 130
    assert errors.splitlines().count(
        f'train.py: interrupted: python train.py --resume {out} goes on') == 1, errors
    iteration = load(out)[1]['iteration']
    assert mpi('train', '--resume', out, '--iterations', iteration + 2, '--quiet')[0] == 0
    assert load(out)[1]['iteration'] == iteration + 2


def test_bad_options_are_told_once(together):
    argv = arguments(together, '--dropout', 0, '--epochs', 4)
    code, output, errors = mpi('train', *argv)
    assert code == 2 and output == ''
    assert len(errors) == 1 and 'holds another run: --epochs was 3, now 4' in errors[0]


def test_help_is_shown_once():
    code, output, errors = mpi('train', '--help')
    assert code == 0 and not errors and output.count('what a run leaves in --out') == 1
    assert mpi_jobs.train.__doc__.splitlines()[0] in output

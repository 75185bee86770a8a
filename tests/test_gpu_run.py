import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from benchmarks import __main__ as program
from benchmarks import gpu_run
from benchmarks.gpu_run import Step, run_steps
from minichain.backend import cuda_available

ROOT = pathlib.Path(__file__).parents[1]
# Starts a child that would write a file later, says so, and waits for ever.
PARENT = """
import subprocess, sys, time
late = "import sys, time; time.sleep(1.5); open(sys.argv[1], 'w').close()"
subprocess.Popen([sys.executable, '-S', '-c', late, sys.argv[1]])
print('child started', flush=True)
time.sleep(60)
"""


def step(name, code, *arguments, share=1):
    return Step(name, (sys.executable, '-S', '-c', code, *map(str, arguments)), share)


def summary(folder):
    return json.loads((folder / 'summary.json').read_text())


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, 'it did not happen in 20 s'
        time.sleep(.02)


@pytest.fixture(autouse=True)
def keep_sigterm():
    previous = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, previous)


def test_a_failing_step_does_not_stop_the_rest(tmp_path):
    steps = [step('first', 'print("one"); print("two\\n")'),
             step('second', 'import sys; sys.exit("it broke")'),
             Step('third', (str(tmp_path / 'missing'),), 1),
             step('fourth', 'print("still here")')]
    results = run_steps(steps, tmp_path, 60)
    assert [result['exit_code'] for result in results] == [0, 1, 127, 0]
    assert [result['last_line'] for result in results] == [
        'two', 'it broke', f'{tmp_path}/missing does not start: No such file or directory',
        'still here']
    assert (tmp_path / 'first.log').read_text() == 'one\ntwo\n\n'
    assert summary(tmp_path)['complete'] and summary(tmp_path)['steps'] == results


def test_a_step_over_its_limit_is_killed_with_its_children(tmp_path):
    late = tmp_path / 'late'
    start = time.monotonic()
    slow, after = run_steps([step('slow', PARENT, late), step('after', 'print(1)', share=9)],
                            tmp_path, 10)
    assert time.monotonic() - start < 5
    assert slow['killed'] and slow['exit_code'] is None and slow['last_line'] == 'child started'
    assert slow['limit'] == 1 and after['exit_code'] == 0
    time.sleep(max(0, start + 3.5 - time.monotonic()))
    assert not late.exists()


def test_the_summary_is_whole_after_each_step_and_names_those_to_come(tmp_path):
    copy = 'import shutil, sys; shutil.copy(*sys.argv[1:])'
    names = ['a', 'b', 'c']
    run_steps([step(name, copy, tmp_path / 'summary.json', tmp_path / name) for name in names],
              tmp_path, 60, machine='a machine')
    for number, name in enumerate(names):
        seen = json.loads((tmp_path / name).read_text())
        assert [done['step'] for done in seen['steps']] == names[:number]
        assert seen['to_come'] == names[number:] and not seen['complete']
        assert seen['machine'] == 'a machine'
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'a', 'a.log', 'b', 'b.log', 'c', 'c.log', 'summary.json']


def test_time_that_a_step_does_not_use_is_left_to_those_after_it(tmp_path):
    first, second = run_steps([step('a', '', share=3), step('b', '')], tmp_path, 40)
    assert first['limit'] == pytest.approx(30, abs=.5)
    assert second['limit'] > 30    # without the first's rest: 10


def test_an_interrupted_run_ends_its_step_and_leaves_a_summary(tmp_path):
    late = tmp_path / 'late'
    code = ('import sys; from unittest import mock; from benchmarks import gpu_run\n'
            'step = gpu_run.Step("slow", (sys.executable, "-S", "-c", *sys.argv[2:]), 1)\n'
            'with mock.patch.multiple(gpu_run, describe_gpu=lambda: ["a GPU"],\n'
            '                         make_steps=lambda *_: [step]):\n'
            '    sys.exit(gpu_run.main(["--out", sys.argv[1]]))')
    process = subprocess.Popen([sys.executable, '-c', code, tmp_path / 'out', PARENT, late],
                               cwd=ROOT, stdout=subprocess.DEVNULL)
    log = tmp_path / 'out/slow.log'
    wait_for(lambda: log.exists() and log.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    time.sleep(2)
    assert not late.exists()
    assert summary(tmp_path / 'out')['to_come'] == ['slow']


@pytest.mark.skipif(cuda_available(), reason='there is a GPU here')
def test_without_a_gpu_the_error_says_what_is_missing_and_nothing_is_written(tmp_path, capsys):
    assert gpu_run.main(['--out', str(tmp_path / 'out')]) == 2
    assert 'a GPU was asked for, but CuPy' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('minutes', ['0', '-1', 'nan', 'inf'])
def test_minutes_that_are_no_time_are_refused(minutes, tmp_path, capsys):
    assert gpu_run.main(['--out', str(tmp_path), '--minutes', minutes]) == 2
    assert '--minutes: more than 0 expected, got ' + minutes in capsys.readouterr().err


@pytest.mark.parametrize('codes, expected', [([0, 0], 0), ([0, 3], 1)])
def test_a_missing_sanitizer_is_said_and_the_exit_code_tells_of_failures(
        codes, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_run, 'describe_gpu', lambda: ['a GPU'])
    monkeypatch.setattr(gpu_run, 'find_sanitizer', lambda: None)
    monkeypatch.setattr(gpu_run, 'make_steps', lambda folder, sanitizer: [
        step(f's{i}', f'import sys; sys.exit({code})') for i, code in enumerate(codes)])
    assert gpu_run.main(['--out', str(tmp_path / 'out')]) == expected
    assert 'compute-sanitizer was not found' in capsys.readouterr().out
    assert 'compute-sanitizer was not found' in summary(tmp_path / 'out')['notes'][0]


def test_the_sanitizer_is_found_beside_cuda(tmp_path, monkeypatch):
    (tmp_path / 'bin').mkdir()
    tool = tmp_path / 'bin/compute-sanitizer'
    tool.write_text('#!/bin/sh\n')
    tool.chmod(0o755)
    monkeypatch.setenv('PATH', os.fspath(tmp_path))
    monkeypatch.setenv('CUDA_PATH', os.fspath(tmp_path))
    assert gpu_run.find_sanitizer() == os.fspath(tool)


def test_steps_name_tests_that_exist():
    names = [name.name for name in gpu_run.make_steps('/out', '/bin/compute-sanitizer')]
    assert names == ['warmup', 'tests', 'capture', 'benchmarks', 'memcheck', 'racecheck', 'more',
                     'compiled']
    assert [name.name for name in gpu_run.make_steps('/out', None)] == [
        'warmup', 'tests', 'capture', 'benchmarks', 'more', 'compiled']
    for path in (gpu_run.CAPTURE, gpu_run.KERNELS, *gpu_run.WITHOUT_GPU):
        assert (ROOT / path).is_file(), path
    for part in (*gpu_run.SIMULATED, gpu_run.KERNELS_ON_GPU):
        assert part in (ROOT / gpu_run.KERNELS).read_text(), part


def test_every_case_of_a_device_is_measured_those_most_wanted_first(tmp_path):
    measured = [step.command[3:] for step in gpu_run.make_steps(str(tmp_path), None)
                if step.command[1:3] == ('-m', 'benchmarks')]
    options = [program.parse_arguments(list(arguments)) for arguments in measured]
    assert [each.device for each in options] == ['cuda'] * 3
    assert [each.json for each in options] == [
        f'{tmp_path}/{name}.json' for name in ('benchmarks', 'more', 'compiled')]
    assert [each.compile for each in options] == [False, False, True]
    first, then, _ = (each.cases for each in options)
    assert sorted(first + then) == sorted(program.ON_DEVICE)
    assert first == list(program.ON_DEVICE)[:len(first)]


def test_a_rehearsal_leaves_logs_figures_and_a_summary(tmp_path, monkeypatch, capsys):
    def rehearsed(folder, sanitizer):
        for each in make_steps(folder, sanitizer):
            if each.name in ('warmup', 'more'):
                command = [part if part != 'cuda' else 'sim' for part in each.command]
                cases = [case for case in gpu_run.AFTERWARDS if case != 'tape']
                yield Step(each.name, tuple(part for part in command if part not in cases) + (
                    ('--arch', '90') if each.name == 'warmup' else ()), 1)
    make_steps = gpu_run.make_steps
    monkeypatch.setattr(gpu_run, 'describe_gpu', lambda: ['a GPU'])
    monkeypatch.setattr(gpu_run, 'find_sanitizer', lambda: None)
    monkeypatch.setattr(gpu_run, 'make_steps', lambda *given: list(rehearsed(*given)))
    assert gpu_run.main(['--out', str(tmp_path), '--minutes', '3']) == 0, capsys.readouterr().out
    found = summary(tmp_path)
    assert found['complete'] and [step['exit_code'] for step in found['steps']] == [0, 0]
    figures = json.loads((tmp_path / 'more.json').read_text())
    assert list(figures['tables']) == ['tape'] and not figures['failures']
    assert '=== tape' in (tmp_path / 'more.log').read_text()

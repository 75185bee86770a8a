"""How long OpenBLAS's threads wait: what a library is told, and what the real one then does."""
import os
import subprocess
import sys
import threading
import types

import pytest

from minichain.cpu import blas_waiting
from minichain.cpu.blas_waiting import VARIABLE


class Symbol:
    """A function of a library; it notes what the environment says when it is called."""

    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def __call__(self):
        self.calls.append((self.name, os.environ.get(VARIABLE)))


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(threading, 'active_count', lambda: 1)
    return []


@pytest.fixture
def library(calls):
    return types.SimpleNamespace(
        internal_api='openblas', threading_layer='pthreads', dynlib=types.SimpleNamespace(**{
            name: Symbol(name, calls) for name in ('openblas_read_env', 'blas_thread_shutdown_')}))


def test_threads_end_and_their_followers_are_told_to_sleep_soon(library, calls):
    blas_waiting.shorten([library])
    assert calls == [('openblas_read_env', '17'), ('blas_thread_shutdown_', '17')]
    assert VARIABLE not in os.environ


def test_threads_are_left_alone_if_the_user_has_said_how_long_they_wait(
        library, calls, monkeypatch):
    monkeypatch.setenv(VARIABLE, '20')
    blas_waiting.shorten([library])
    assert calls == []


def test_threads_are_not_ended_while_another_thread_may_use_them(library, calls, monkeypatch):
    monkeypatch.setattr(threading, 'active_count', lambda: 2)
    blas_waiting.shorten([library])
    assert calls == []


@pytest.mark.parametrize('attribute, value', [
    ('internal_api', 'mkl'), ('threading_layer', 'openmp'), ('dynlib', types.SimpleNamespace())])
def test_other_libraries_are_left_alone(library, calls, attribute, value):
    setattr(library, attribute, value)
    blas_waiting.shorten([library])
    assert calls == []


@pytest.mark.parametrize('loaded, said, there, expected', [
    (False, None, True, '17'), (True, None, True, 'not loaded'), (False, '20', True, 'not loaded'),
    (False, None, False, 'not loaded')])
def test_numpy_is_loaded_while_the_environment_says_it(monkeypatch, loaded, said, there, expected):
    found = ['not loaded']

    def load(name):
        assert name == 'numpy'
        found[0] = os.environ.get(VARIABLE)
    monkeypatch.setattr(blas_waiting.importlib, 'import_module', load)
    monkeypatch.setattr(blas_waiting.importlib.util, 'find_spec', lambda name: there or None)
    monkeypatch.setattr(blas_waiting.sys, 'modules', {'numpy': None} if loaded else {})
    if said is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, said)
    blas_waiting.load_numpy()
    assert found == [expected] and os.environ.get(VARIABLE) == said


WAITING = """
import importlib, time
for name in {order}:
    importlib.import_module(name)
import numpy as np
from minichain.cpu import threads
x = np.random.default_rng(0).standard_normal((512, 512), dtype='float32')
expected = x @ x
threads.share(list, [1, 2], threads.LEAST)
product = x @ x
before = time.process_time()
time.sleep(.2)
told = all(hasattr(library.dynlib, 'openblas_read_env') for library in threads._blas())
print(time.process_time() - before, abs(product - expected).max(), threads.count(), told)
"""


@pytest.mark.parametrize('order', [('minichain', 'numpy'), ('numpy', 'minichain')])
def test_the_real_blas_computes_as_before_and_does_not_wait_busily(order):
    pytest.importorskip('threadpoolctl', reason="not installed: pip install 'minichain[fast]'")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('OPENBLAS_', 'OMP_'))}
    run = subprocess.run([sys.executable, '-c', WAITING.format(order=order)], env=environment,
                         text=True, capture_output=True, timeout=60, check=True)
    waiting, difference, count, told = run.stdout.split()
    if float(count) < 2:
        pytest.skip('needs two processors')
    if order[0] == 'numpy' and told == 'False':
        pytest.skip('this OpenBLAS can be told only before it is loaded')
    assert float(waiting) < .01 and float(difference) < 1e-3

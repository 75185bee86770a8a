"""Function hooks are told of every forward and backward, in order."""
import io
import threading
import types

import numpy as np
import pytest

import minichain
from minichain import functions as F
from minichain.errors import InvalidArgument
from minichain.function_hook import FunctionHook
from minichain.function_hooks import PrintHook, TimerHook
from tests import strict_cupy


class Recorder(FunctionHook):
    name = 'recorder'

    def __init__(self):
        self.events = []

    def added(self, function):
        self.events.append(('added', function))

    def deleted(self, function):
        self.events.append(('deleted', function))

    def forward_preprocess(self, function, in_data):
        self.events.append(('forward', function.label, in_data))

    def forward_postprocess(self, function, in_data):
        self.events.append(('forward ends', function.label, in_data))

    def backward_preprocess(self, function, in_data, out_grad):
        self.events.append(('backward', function.label, in_data, out_grad))

    def backward_postprocess(self, function, in_data, out_grad):
        self.events.append(('backward ends', function.label, in_data, out_grad))


def test_a_hook_is_told_of_forward_and_backward():
    x = minichain.Variable(np.arange(3.))
    with Recorder() as hook:
        F.sum(x).backward()
    F.sum(x)
    names = [event[0] for event in hook.events]
    assert names == ['added', 'forward', 'forward ends', 'backward', 'backward ends', 'deleted']
    assert hook.events[0][1] is None and hook.events[1][2][0] is x.array
    in_data, out_grad = hook.events[3][2:]
    assert in_data == (None,) and out_grad == (np.ones(()),)


def test_names_are_unique_in_a_thread():
    with Recorder(), pytest.raises(InvalidArgument, match="'recorder' is active already"):
        Recorder().__enter__()
    assert minichain.get_function_hooks() == {}
    with Recorder() as outer:
        hook = Recorder()

        def run():
            with hook:
                F.exp(np.ones(1))
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert [event[0] for event in outer.events] == ['added', 'deleted']
    assert [event[0] for event in hook.events] == ['added', 'forward', 'forward ends', 'deleted']


def test_a_hook_leaves_after_an_error():
    with pytest.raises(ZeroDivisionError), Recorder():
        raise ZeroDivisionError
    assert minichain.get_function_hooks() == {}


def test_the_timer_counts_and_adds_up():
    x = minichain.Variable(np.ones(3))
    with TimerHook() as timer:
        for _ in range(3):
            y = F.sum(F.exp(x))
        y.backward()
        with pytest.raises(minichain.errors.MinichainError):
            F.matmul(np.ones((2, 3)), np.ones((2, 3)))
    summary = timer.summary()
    assert {name: row['occurrence'] for name, row in summary.items()} == {
        'Sum': 4, type(F.exp(x).creator).__name__: 4}
    assert timer.total_time() == pytest.approx(
        sum(row['elapsed_time'] for row in summary.values()))
    assert all(seconds > 0 for _, seconds in timer.call_history)
    file = io.StringIO()
    timer.call_history[:] = [('Slow', 2.), ('Fast', 3e-5), ('Fast', 1e-5)]
    timer.print_report(file=file)
    assert file.getvalue().splitlines() == [
        'FunctionName  ElapsedTime  Occurrence',
        '        Slow      2.00sec           1',
        '        Fast      40.00us           2']
    timer.print_report('ms', io.StringIO())


def test_print_hook_shows_operands_and_gradients():
    file = io.StringIO()
    x = minichain.Variable(np.array([1., 3.], 'f'))
    with PrintHook(file=file):
        F.sum(x).backward()
    assert file.getvalue().splitlines() == [
        'forward of sum', '  operand 0: (2,) float32, 1 to 3, mean 2',
        'backward of sum', '  operand 0: not there', '  out_grad 0: () float32, 1 to 1, mean 1']
    file = io.StringIO()
    with PrintHook(sep='|', end=';', file=file):
        F.sum(np.array([], 'f'))
    assert file.getvalue() == 'forward of sum|  operand 0: (0,) float32;'


def test_on_a_gpu_the_timer_waits_for_what_was_started():
    waits = []
    with strict_cupy.installed() as cupy:
        stream = types.SimpleNamespace(synchronize=lambda: waits.append(None))
        cupy.cuda.get_current_stream = lambda: stream
        x = minichain.Variable(cupy.asarray(np.ones(3)))
        with TimerHook() as timer, PrintHook(file=io.StringIO()) as printer:
            F.sum(x).backward()
        assert printer.file.getvalue().startswith(
            'forward of sum\n  operand 0: (3,) float64 on the GPU, 1 to 1, mean 1')
    assert len(waits) == 4 and len(timer.call_history) == 2

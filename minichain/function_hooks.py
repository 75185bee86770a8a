"""Hooks that come with the library: how long functions take, and what passes through them."""
import sys

from minichain._timings import Timings
from minichain.backend import get_array_module, to_cpu
from minichain.function_hook import FunctionHook


class TimerHook(Timings, FunctionHook):
    """Measures every forward and backward::

        with TimerHook() as timer:
            loss = model(x)
            loss.backward()
        timer.print_report()

    Attributes:
        call_history: list of (name of the function's class, seconds).
    """

    name, _heading = 'TimerHook', 'FunctionName'

    def forward_preprocess(self, function, in_data):
        self._start(get_array_module(*in_data))

    def forward_postprocess(self, function, in_data):
        self._stop(_class_name(function), get_array_module(*in_data))

    def backward_preprocess(self, function, in_data, out_grad):
        self._start(get_array_module(*in_data, *out_grad))

    def backward_postprocess(self, function, in_data, out_grad):
        self._stop(_class_name(function), get_array_module(*in_data, *out_grad))


def _class_name(function):
    return type(getattr(function, 'function', function)).__name__


class PrintHook(FunctionHook):
    """Prints name, shape, dtype and range of the operands and output gradients of functions.

    Args:
        sep: between the lines of one function; None is a line break.
        end: after each function.
        file: where; None is the standard output.
        flush: whether to write through at once.
    """

    name = 'PrintHook'

    def __init__(self, sep=None, end='\n', file=None, flush=True):
        self.sep, self.end, self.file, self.flush = sep, end, file, flush

    def forward_preprocess(self, function, in_data):
        self._print(f'forward of {function.label}', operand=in_data)

    def backward_preprocess(self, function, in_data, out_grad):
        self._print(f'backward of {function.label}', operand=in_data, out_grad=out_grad)

    def _print(self, title, **groups):
        lines = [title] + [f'  {name} {i}: {_describe(array)}'
                           for name, arrays in groups.items() for i, array in enumerate(arrays)]
        print(('\n' if self.sep is None else self.sep).join(lines), end=self.end,
              file=sys.stdout if self.file is None else self.file, flush=self.flush)


def _describe(array):
    if array is None:
        return 'not there'
    text = f'{array.shape} {array.dtype}'
    if get_array_module(array).__name__ == 'cupy':
        text += ' on the GPU'
    if array.size and array.dtype.kind in 'biuf':
        values = to_cpu(array).astype(float)
        text += f', {values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}'
    return text

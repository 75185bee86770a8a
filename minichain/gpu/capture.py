"""A training step as one CUDA graph: traced once by running it, then launched again and again.

Define-by-run stays. CUDA records what a step puts on a stream, with the addresses and numbers of
that moment; a replay does exactly that again, without Python. So

- batches are copied to where the recorded one lay, and results lie where the recorded ones did;
- arrays that outlive a step (weights, an optimizer's state, batch statistics, h and c of truncated
  backpropagation) are written in place, never replaced;
- numbers that change from step to step live in device memory. The step size of the optimizers in
  ``minichain.optimizers`` and what depends on their count of steps is brought there before each
  replay (``host_numbers.py``), as are seed and count of dropout's draws. Other numbers of Python
  are constants. An optimizer that counts on the host in another way stays outside: compile forward
  and backward, then call its ``update()``, which finds the gradients in the parameters;
- nothing is read back within a step, and nothing of the host's memory but the batch is read.

``state`` is what the last three are checked on.
"""
import traceback
import warnings

import numpy as np

from minichain.backend import is_array, to_cpu
from minichain.configuration import config
from minichain.errors import DeviceError, InvalidType
from minichain.gpu import step_state
from minichain.gpu.dropout import Draws
from minichain.gpu.host_numbers import gathering
from minichain.gpu.recorders import recorder_for

WARM_UPS = 2    # kernels are compiled, algorithms chosen, the optimizer's state made
SWITCHES = ('precision', 'deterministic', 'kernels', 'use_cudnn', 'cudnn_deterministic',
            'persistent_lstm', 'train', 'enable_backprop', 'dtype')
OWN = (__name__, 'minichain.gpu.recorders', 'minichain.gpu.simulator')
FOREIGN = ('cupy', 'cupyx', 'cupy_backends', 'numpy', 'contextlib')   # no place to look for a bug


def compile_step(update_fn, example, *, state=(), seed=0, compare=None):
    """Return a function that does what ``update_fn`` does, on a GPU by replaying a CUDA graph.

    ::

        step = compile_step(update, batch, state=(optimizer,))
        for batch in batches:
            loss = step(batch)

    Of each combination of shapes, dtypes and precision the first two steps run as written, on a
    stream and in memory of their own; the third is captured; then and later its graph runs. Every
    call is one step on its batch, none is done twice. Each combination keeps memory of its own:
    let lengths fall into few buckets.

    What cannot be captured runs as written from then on, after one RuntimeWarning that names the
    operation. On the CPU everything runs as written. The device 'sim' records and replays too.

    Args:
        update_fn: function of one batch that returns arrays or Variables, or None, or a tuple,
            list or dict of these.
        example: batch: array, or tuple, list or dict of arrays; other values in it are constants
            of the trace. It is only looked at: later batches have its structure. Arrays of the
            host are sent through pinned memory.
        state: links, optimizers, arrays, and dicts of arrays and numbers, whatever the step uses
            besides the batch. Before each replay it is compared with what was captured. If an
            array was replaced or a number set, a RuntimeWarning says so and the step is captured
            anew. A step that itself does either is not captured. Step sizes of the optimizers of
            ``minichain.optimizers`` may be set: replays follow them, and count ``t`` up.
        seed: of what dropout draws in these steps; ``step.draws.seed(n)`` sets another.
        compare: None, or for debugging a tolerance: each replay is followed by the same step as
            written, from the same state, and results and state are compared. This is slow.
    Returns:
        :class:`CompiledStep`. Its results are overwritten by the next call; copy what is to last.
    """
    return CompiledStep(update_fn, example, state, seed, compare)


class CompiledStep:
    """See :func:`compile_step`; for use by one thread.

    Attributes:
        reason: why steps run as written, None while they are captured.
        captures: number of captures so far.
        draws: :class:`~minichain.gpu.dropout.Draws` that the steps' dropout draws from.
    """

    def __init__(self, update_fn, example, state, seed, compare):
        self._update_fn, self._state, self._compare = update_fn, tuple(state), compare
        self._structure = _structure(example)
        self._recorder = recorder_for([*_leaves(example), *(
            entry.value for entry in step_state.look(self._state))])
        self.reason = 'there is no array on a GPU' if self._recorder is None else None
        self.captures, self.draws = 0, Draws(seed)
        self._traces = {}

    def __call__(self, batch):
        """Make one step, and return what ``update_fn`` returns, Variables as arrays.

        Raises:
            InvalidType: the batch has not the structure of the example, or a result is no array.
            DeviceError: with ``compare``, replay and define-by-run differ.
        """
        if _structure(batch) != self._structure:
            raise InvalidType(f'compile_step: a batch as the example expected, '
                              f'{self._structure}; got {_structure(batch)}')
        if self._recorder is None:
            return _results(self._update_fn(batch), on_cpu=True)
        with self._recorder.using_device():
            if any(isinstance(leaf, np.ndarray) for leaf in _leaves(batch)):
                batch = self._recorder.send(batch)
            self.draws.next_step()
            if self.reason is None:
                try:
                    with self._recorder.using_stream():
                        return self._step(batch)
                except _CannotCaptureError as error:
                    self._give_up(str(error))
            return self._run(batch)

    def _run(self, batch):
        with self.draws.using():
            return _results(self._update_fn(batch))

    def _step(self, batch):
        key = (_key(batch), *(getattr(config, name) for name in SWITCHES))
        if key not in self._traces:
            self._traces[key] = _Trace(f'step {len(self._traces)}', batch, self._recorder)
        trace = self._traces[key]
        trace.fill(batch)
        if trace.warm_ups < WARM_UPS:
            trace.warm_ups += 1
            with trace.pool.using():
                return self._run(trace.inputs)
        if trace.graph is not None:
            self._check(trace)
        if trace.graph is None:
            self._capture(trace)
        if self._compare is not None:
            return self._replay_and_compare(trace)
        trace.replay()
        return trace.results

    def _check(self, trace):
        """Drop a graph in which an address or number is written that is no longer so."""
        what = step_state.changed(trace.entries, (step_state.CONSTANT,))
        if what is None:
            return
        trace.restless = trace.restless + 1 if trace.replays < 2 else 0
        trace.graph = trace.results = None
        if trace.restless == 2:
            raise _CannotCaptureError(f'{what}, and so it does at every step; keep in place, on '
                                      'the device, what changes')
        warnings.warn(f'compile_step: {what}; the step is captured anew', RuntimeWarning,
                      stacklevel=4)

    def _capture(self, trace):
        entries = step_state.look(self._state)

        def run():
            with gathering() as trace.numbers:
                return self._run(trace.inputs)
        try:
            trace.graph, trace.results = self._recorder.record(
                trace.pool, lambda: step_state.put_back(entries), run)
        except Exception as error:
            step_state.put_back(entries)
            reason = f'{_place(error)}: {type(error).__name__}: {error}'
            raise _CannotCaptureError(reason) from error
        self.captures += 1
        what = step_state.changed(entries)
        if what is not None:
            step_state.put_back(entries)
            raise _CannotCaptureError(
                f'{what} within the step, which a replay would not repeat. What a step leaves for '
                'the next is written in place, on the device, or reset at its end')
        trace.entries, trace.replays = entries, 0
        trace.counts = step_state.counted(entries)
        trace.left = [entry for entry in step_state.look(self._state)
                      if entry.kind == step_state.FREE]
        step_state.put_back(entries, (step_state.COUNT,))   # it was not run; the replay counts

    def _give_up(self, reason):
        self.reason = reason
        self._traces.clear()
        warnings.warn(f'compile_step: steps are not captured but run as written, which is slower: '
                      f'{reason}', RuntimeWarning, stacklevel=3)

    def _replay_and_compare(self, trace):
        arrays = step_state.arrays_of(trace.entries)
        before = {name: array.copy() for name, array in arrays.items()}
        trace.replay()
        replayed = {**{name: array.copy() for name, array in arrays.items()},
                    **_named(trace.results, lambda array: array.copy())}
        for name, array in arrays.items():
            array[...] = before[name]
        for entry, steps in trace.counts:
            entry.write(entry.read() - steps)
        results = self._run(trace.inputs)
        written = {**arrays, **_named(results)}
        for name, expected in written.items():
            difference = _difference(to_cpu(replayed[name]), to_cpu(expected))
            if not difference <= self._compare:
                raise DeviceError(f'compile_step: {name} differs between the replay and the step '
                                  f'as written by {difference:.2g} of its largest value, more '
                                  f'than {self._compare:.2g}; something that the step uses is '
                                  'neither in the batch nor in device memory')
        step_state.put_back(trace.entries, (step_state.CONSTANT,))
        step_state.put_back(trace.left)
        return results


class _CannotCaptureError(Exception):
    """Why steps run as written."""


class _Trace:
    """One step as captured, for one combination of shapes, dtypes and switches."""

    def __init__(self, name, batch, recorder):
        self._recorder, self.pool = recorder, recorder.pool(name)
        self.graph = self.results = self.entries = self.left = self.counts = self.numbers = None
        self.warm_ups = self.replays = self.restless = 0
        with self.pool.using():
            self.inputs = _map(lambda leaf: recorder.empty(leaf.shape, leaf.dtype)
                               if is_array(leaf) else leaf, batch)

    def fill(self, batch):
        """Copy a batch to where the graph reads it."""
        for target, source in zip(_leaves(self.inputs), _leaves(batch)):
            if is_array(source) and source.nbytes:
                self._recorder.copy(target, source)

    def replay(self):
        """Do what the step did, Python's part too: count, bring numbers, leave gradients where
        they are written, whoever replaced them since."""
        self.replays += 1
        for entry, steps in self.counts:
            entry.write(entry.read() + steps)
        self.numbers.refresh(
            lambda array, contents: self._recorder.copy(array, self._recorder.send(contents)))
        self._recorder.replay(self.graph)
        step_state.put_back(self.left)


def _place(error):
    """Return in words where in a step an error was raised."""
    function = place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        owner, name = frame.f_locals.get('self'), frame.f_code.co_name
        if name.startswith(('forward', 'backward')) and isinstance(
                getattr(owner, 'label', None), str):
            function = f'{owner.label}.{name}'
        module = frame.f_globals.get('__name__', '?')
        if not module.startswith(OWN) and module.split('.')[0] not in FOREIGN:
            place = f'{module}.{name}, line {line}'
    return f'{function} ({place})' if function else place


def _map(function, tree):
    """Return tuples, lists and dicts, at any depth, with ``function`` applied to the rest."""
    if isinstance(tree, (tuple, list)):
        return type(tree)([_map(function, value) for value in tree])
    if isinstance(tree, dict):
        return {key: _map(function, value) for key, value in tree.items()}
    return function(tree)


def _leaves(tree):
    leaves = []
    _map(leaves.append, tree)
    return leaves


def _structure(batch):
    return str(_map(lambda leaf: 'array' if is_array(leaf) else type(leaf).__name__,
                    batch)).replace("'", '')


def _key(batch):
    return str(_map(lambda leaf: (leaf.shape, leaf.dtype.str) if is_array(leaf) else repr(leaf),
                    batch))


def _results(tree, on_cpu=False):
    """Return results with Variables as arrays, and refuse what a replay could not compute."""
    def array(leaf):
        leaf = getattr(leaf, 'array', leaf)
        if on_cpu and isinstance(leaf, np.generic):   # so NumPy returns arrays without axes
            leaf = np.asarray(leaf)
        if leaf is not None and not is_array(leaf):
            raise InvalidType(f'compile_step: a step that returns arrays expected, got '
                              f'{type(leaf).__name__}: a replay could not compute it')
        return leaf
    return _map(array, tree)


def _named(results, function=lambda array: array):
    return {f'result {position}': function(leaf) for position, leaf in enumerate(_leaves(results))
            if leaf is not None}


def _difference(x, expected):
    """Return the largest difference over the largest value; NaN equals NaN."""
    x, expected = x.astype(np.float64), expected.astype(np.float64)
    differences = np.abs(x - expected)[~((x == expected) | np.isnan(x) & np.isnan(expected))]
    if not differences.size:
        return 0.
    return float(differences.max() / max(np.abs(expected).max(), 1e-30))

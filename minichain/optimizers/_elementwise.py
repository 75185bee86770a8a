"""ElementwiseRule: an update rule in which every number of a parameter follows its own gradient.

On the CPU a large parameter is updated block by block, so that a formula of ten array operations
reads and writes main memory once and not ten times; threads share the blocks.
"""
from functools import partial
from numbers import Real

import numpy as np

from minichain.backend import using_device
from minichain.cpu.threads import share
from minichain.gpu.host_numbers import HostNumbers
from minichain.gpu.many_arrays import ArrayTables
from minichain.update_rule import UpdateRule

FLOAT32 = np.dtype(np.float32)
BLOCK = 1 << 17   # numbers; a float32 block and its temporaries stay in the cache
FLUSH_EVERY = 64  # updates
# What somebody may have set on a rule by itself; then it goes alone.
_METHODS = frozenset(('update', 'update_core', 'step', 'numbers', 'kernels'))
_COST = 16        # multiplications of a matrix product that take as long as a number's step


class ElementwiseRule(UpdateRule):
    """An update rule given by :meth:`step`.

    What a step reads of ``dials`` and of ``t`` it gets by :meth:`numbers`: on a GPU from device
    memory, so that a captured step can be replayed with others.

    Attributes:
        state_names: the arrays to remember, shaped like the parameter, zeros at first.
        decaying: those that a step multiplies by a number below 1 and adds to a parameter. Of rows
            without gradient, as of rare words, they would become so small (below 1e-38 in
            float32) that processors compute with them many times slower, and stay so. On the CPU
            every 64th update sets such numbers to 0, which no parameter notices.
    """

    is_elementwise = True
    state_names = decaying = ()
    dials = ('lr',)

    def __init__(self, parent_hyperparam=None, **hyperparameters):
        super().__init__(parent_hyperparam, **hyperparameters)
        self._on_device, self._tables = HostNumbers(), ArrayTables()

    def numbers(self):
        """Return what depends on ``dials`` or on ``t``, the number of this update, as floats."""
        return self.hyperparam.lr,

    def init_state(self, param):
        for name in self.state_names:
            self.state[name] = param.xp.zeros_like(param.array)

    def step(self, xp, x, gx, numbers, **state):
        """Change ``x`` and the state in place.

        Args:
            xp: array module.
            x, gx: parameter and gradient, or a part of each; same shape and dtype.
            numbers: those of :meth:`numbers`; on a device an array, else floats.
            state: the same part of every array of the state, by name.
        """
        raise NotImplementedError(f'{type(self).__name__} does not say how to step')

    def kernels(self):
        """Return by which kernels :meth:`step` runs on a GPU, or None.

        Returns:
            (function of one parameter, as decorated with ``fused``; function of
            :class:`~minichain.gpu.many_arrays.Work` on rows of parameter, gradient and the arrays
            of ``state_names``; numbers that it takes besides :meth:`numbers`, a tuple).
        """

    def shared(self):
        """Return by what, beside values of the optimizer, :meth:`numbers` and :meth:`kernels` are
        known: rules of equal answers, keys of a dict, have the same. None: nobody else has."""
        has_own = len(vars(self.hyperparam)) > 1     # the parent is one
        return None if has_own else (type(self), id(self.hyperparam.parent), self.t)

    def group(self, param, known):
        x, gx = param.array, param.grad
        if (type(x) is np.ndarray or x is None or gx is None or not self.enabled
                or 'kernels' not in vars(type(self))     # what inherits may step in another way
                or not _METHODS.isdisjoint(vars(self))
                or self._hooks.pre or self._hooks.post):
            return None
        shared = self.shared()
        if shared is None or shared not in known:
            known[shared] = self.kernels()
        kernels = known[shared]
        if kernels is None or not kernels[0].fuses(x) or not all(
                isinstance(each, Real) for each in kernels[2]):     # arrays are no keys
            return None
        if not self._is_plain(x, gx):
            with using_device(param.device):
                self._prepare_state(param)
            if not self._is_plain(x, gx):
                return None
        return type(self), param.device, kernels

    def _is_plain(self, x, gx):
        """Return whether all arrays are as kernels expect, but for a gradient's layout."""
        if self._state is None or tuple(self._state) != self.state_names or gx.dtype != FLOAT32:
            return False
        kind, shape, device = type(gx), gx.shape, gx.device
        return all(type(each) is kind and each.dtype == FLOAT32 and each.shape == shape
                   and each.device == device and each.flags.c_contiguous
                   for each in (x, *self._state.values()))

    def update_together(self, params):
        rules, xp = [param.update_rule for param in params], params[0].xp
        rows = [[param.array, gx if gx.flags.c_contiguous else xp.ascontiguousarray(gx),
                 *rule.state.values()]
                for param, rule in zip(params, rules) for gx in (param.grad,)]
        work = self._tables.of(rows, [True, False] + [True] * len(self.state_names))
        if work is None:   # two of them are views of one array, and one goes after the other
            super().update_together(params)
            return
        for rule in rules:
            rule.t += 1
        numbers = self._on_device.all_on_device(
            partial(numbers_of, rules), [rule.numbers for rule in rules], params[0].array)
        _, run, constants = self.kernels()
        run(work, numbers, *constants)

    def update_core(self, param):
        x, gx, xp = param.array, param.grad, param.xp
        numbers = self.numbers() if xp is np else self._on_device.on_device(self.numbers, x)
        if xp is not np or not all(a.flags.c_contiguous for a in (x, *self.state.values())):
            self.step(xp, x, gx, numbers, **self.state)
            return
        # Flat, also because NumPy turns results of 0-d arrays into scalars.
        x, gx = x.reshape(-1), np.ascontiguousarray(gx).reshape(-1)
        state = {name: array.reshape(-1) for name, array in self.state.items()}
        flushed = self.decaying if self.t % FLUSH_EVERY == 0 else ()

        def work(starts):
            for start in starts:
                part = slice(start, start + BLOCK)
                self.step(xp, x[part], gx[part], numbers,
                          **{name: array[part] for name, array in state.items()})
                for name in flushed:
                    flush(state[name][part])

        share(work, range(0, x.size, BLOCK), _COST * x.size)


def numbers_of(rules):
    """Return the numbers of some rules, one after another, computed once where they are shared."""
    known, found = {}, []
    for rule in rules:
        shared = rule.shared()
        if shared is None or shared not in known:
            known[shared] = rule.numbers()
        found += known[shared]
    return found


def flush(array):
    """Set numbers below the smallest normal one to 0, in place; float16 needs its own."""
    if array.dtype != np.float16:
        array[abs(array) < np.finfo(array.dtype).tiny] = 0

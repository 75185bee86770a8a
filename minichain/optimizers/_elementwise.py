"""ElementwiseRule: an update rule in which every number of a parameter follows its own gradient.

On the CPU a large parameter is updated block by block, so that a formula of ten array operations
reads and writes main memory once and not ten times.
"""
import numpy as np

from minichain.optimizer import UpdateRule

BLOCK = 1 << 14   # numbers; six float32 arrays of this length fit the second-level cache


class ElementwiseRule(UpdateRule):
    """An update rule given by :meth:`step`.

    Attributes:
        state_names: the arrays to remember, shaped like the parameter, zeros at first.
    """

    is_elementwise = True
    state_names = ()

    def init_state(self, param):
        for name in self.state_names:
            self.state[name] = param.xp.zeros_like(param.array)

    def step(self, xp, x, gx, **state):
        """Change ``x`` and the state in place.

        Args:
            xp: array module.
            x, gx: parameter and gradient, or a part of each; same shape and dtype.
            state: the same part of every array of the state, by name.
        """
        raise NotImplementedError(f'{type(self).__name__} does not say how to step')

    def update_core(self, param):
        x, gx, xp = param.array, param.grad, param.xp
        arrays = (x, *self.state.values())
        if xp is not np or x.size <= BLOCK or not all(a.flags.c_contiguous for a in arrays):
            self.step(xp, x, gx, **self.state)
            return
        x, gx = x.reshape(-1), np.ascontiguousarray(gx).reshape(-1)
        state = {name: array.reshape(-1) for name, array in self.state.items()}
        for start in range(0, x.size, BLOCK):
            part = slice(start, start + BLOCK)
            self.step(xp, x[part], gx[part],
                      **{name: array[part] for name, array in state.items()})

"""Dropout whose random numbers are computed again in the backward pass: ``kernels/dropout.cu``."""
from minichain.errors import InvalidArgument
from minichain.gpu.grids import flat
from minichain.gpu.launcher import kernel, storage


def new_dropout_state(xp, seed):
    """Return what random numbers depend on: the seed and the number of the step, (2,), uint64."""
    return xp.array([seed, 0], 'uint64')


def dropout(x, y, state, place, ratio):
    """Compute  y = x / (1 - ratio), or 0 with probability ``ratio``.

    Given the same state and place the same elements are 0: gradients take the same way.

    Args:
        x, y: any shape, float32 or bfloat16; ``y`` is filled and may be ``x``.
        state: of :func:`new_dropout_state`, on the device.
        place: number of this dropout in the network, other than those of the others.
        ratio: probability of a zero, 0 <= ratio < 1.
    Raises:
        InvalidArgument: ``ratio`` is out of range.
    """
    if not 0 <= ratio < 1:
        raise InvalidArgument(f'dropout: 0 <= ratio < 1 expected, got {ratio}')
    threshold = min(round(ratio * 2 ** 32), 2 ** 32 - 1)
    kernel(f'dropout_{storage(x)}')(x, y, state, place, threshold, 1 / (1 - ratio), x.size,
                                    **flat(x.size, 4))


def dropout_next_step(state):
    """Let the next step draw other numbers."""
    kernel('dropout_next_step')(state, grid=1, block=1)

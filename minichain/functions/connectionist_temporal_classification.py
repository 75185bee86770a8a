"""The loss of sequences whose labels are in order but not in time: CTC.

The sum over all alignments is one recursion over time in logarithms, for the whole batch at once.
"""
from minichain.autograd import as_array
from minichain.backend import get_array_module, get_device_from_array
from minichain.errors import InvalidType
from minichain.functions._axis import sum_dtype
from minichain.functions._loss import expect_choice, expect_labels, reduced
from minichain.functions.cast import cast
from minichain.functions.concat import concat, stack
from minichain.functions.get_item import get_item
from minichain.functions.softmax import log_softmax, logsumexp
from minichain.type_check import expect_float, expect_integer, expect_ndim, expect_shape

LABEL = 'connectionist_temporal_classification'
IMPOSSIBLE = -1e10   # in place of log 0, which would make gradients NaN


def _lengths(name, lengths, rows, most, least, device):
    """Return ``lengths`` as an array on ``device``, ``most`` in all rows if they are None."""
    if lengths is None:
        return device.xp.full(rows, most)
    lengths = device.send(as_array(lengths))
    expect_integer(LABEL, **{name: lengths})
    expect_shape(LABEL, (rows,), **{name: lengths})
    if rows and not (least <= int(lengths.min()) and int(lengths.max()) <= most):
        raise InvalidType(f'{LABEL}: {name} from {least} to {most} expected, got '
                          f'{int(lengths.min())} to {int(lengths.max())}')
    return lengths


def connectionist_temporal_classification(x, t, blank_symbol, input_length=None,
                                          label_length=None, reduce='mean'):
    """Negative log likelihood of label sequences, summed over all ways to lay them out in time.

    At every step the network emits a label or a blank; repetitions are merged, then blanks are
    taken out.

    Args:
        x: T scores before the softmax, a list of (N, V), float, one dtype.
        t: label sequences, (N, L), integer. What lies behind ``label_length`` is not looked at.
        blank_symbol: the class that stands for no label.
        input_length: number of steps of each sequence, (N,), 1 to T; None: T.
        label_length: number of labels of each sequence, (N,), 0 to L; None: L.
        reduce: 'mean', or 'no' for the loss of every sequence.
    Returns:
        a number, shape (), or (N,). Labels that do not fit into the steps cost about 1e10.
    Raises:
        InvalidType: shapes, dtypes, lengths or labels do not fit.
        InvalidArgument: unknown ``reduce``.
    Graves et al. 2006, "Connectionist temporal classification", doi:10.1145/1143844.1143891.
    """
    expect_choice(LABEL, 'reduce', reduce, ('mean', 'no'))
    scores = stack(x)
    expect_ndim(LABEL, 3, **{'stacked x': scores})
    expect_float(LABEL, x=scores)
    steps, N, V = scores.shape
    t = as_array(t)
    expect_integer(LABEL, t=t)
    expect_shape(LABEL, (N, None), t=t)
    xp, device = get_array_module(scores), get_device_from_array(scores)
    rows, places = xp.arange(N), xp.arange(2 * t.shape[1] + 1)
    input_length = _lengths('input_length', input_length, N, steps, 1, device)
    label_length = _lengths('label_length', label_length, N, t.shape[1], 0, device)
    t = xp.where(xp.arange(t.shape[1]) < label_length[:, None], t, blank_symbol)
    expect_labels(LABEL, xp.append(t, blank_symbol), V)

    # The path of a sequence: its labels, a blank before, between and behind them.
    path = xp.full((N, len(places)), blank_symbol)
    path[:, 1::2] = t
    dtype = sum_dtype(scores.dtype)
    at_path = get_item(log_softmax(cast(scores, dtype), axis=2),
                       (slice(None), rows[:, None], path))   # (T, N, 2 L + 1)

    def allow(condition):
        return xp.where(condition, 0, IMPOSSIBLE).astype(dtype)

    def advanced(forward, k):
        """Shift k places along the path."""
        k = min(k, len(places))
        return concat((xp.full((N, k), IMPOSSIBLE, dtype), forward[:, :len(places) - k]))

    # A blank may be left out between two labels that differ.
    skip = allow((path != blank_symbol) & (path != xp.roll(path, 2, axis=1)))
    forwards = [at_path[0] + xp.broadcast_to(allow(places < 2), path.shape)]
    for step in range(1, steps):
        last = forwards[-1]
        forwards.append(at_path[step] + logsumexp(
            stack((last, advanced(last, 1), advanced(last, 2) + skip)), axis=0))
    forwards, step, end = stack(forwards), input_length - 1, 2 * label_length
    behind_label = forwards[step, rows, xp.maximum(end - 1, 0)] + allow(label_length > 0)
    losses = -logsumexp(stack((forwards[step, rows, end], behind_label)), axis=0)
    return reduced(cast(losses, scores.dtype), reduce)

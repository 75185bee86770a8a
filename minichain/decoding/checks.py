"""What decoding takes from its caller and from a model is checked here."""
import math
from functools import partial

import numpy as np

from minichain import backend
from minichain.errors import InvalidArgument, InvalidType, NotFinite


def check(n, bos, eos, max_length, banned, length_penalty):
    """Return what is banned with the begin word, a sorted list of ids, or raise."""
    banned = sorted({int(bos), *map(int, banned)})
    if n < 0 or max_length < 1 or not (length_penalty >= 0 and math.isfinite(length_penalty)):
        raise InvalidArgument('decoding: n >= 0, max_length >= 1 and a finite length_penalty >= 0 '
                              f'expected, got n {n}, max_length {max_length} and length_penalty '
                              f'{length_penalty}.')
    try:
        (max_length + 1) ** float(length_penalty)
    except OverflowError as error:
        raise InvalidArgument(f'decoding: a length_penalty with which ({max_length} + 1) ** '
                              f'length_penalty is finite expected, got {length_penalty}. From 0 '
                              'to 1 is usual.') from error
    if eos in banned or min(bos, eos, *banned) < 0:
        raise InvalidArgument(f'decoding: ids >= 0, and eos {eos} neither bos nor banned '
                              f'expected, got bos {bos} and banned {banned}.')
    return banned


def begin(step, state, n, bos, eos, banned):
    """Read the begin word: (function that reads others, state, log_p)."""
    read, words = partial(read_words, step, eos=eos, banned=banned), np.full(n, bos, 'int32')
    return read, *read(state, backend.get_array_module(*state).asarray(words))


def read_words(step, state, words, eos, banned, wait=True):
    """Call ``step`` and check what it gives; ``wait``: whether to look at the numbers, too."""
    said = step(state, words)
    if not isinstance(said, (tuple, list)) or len(said) != 2:
        raise InvalidType('decoding: (state, log_probabilities) expected from step, got '
                          f'{type(said).__name__}')
    state, log_p = said
    if not backend.is_array(log_p) or log_p.dtype.kind != 'f' or log_p.ndim != 2 \
            or len(log_p) != len(words) or log_p.shape[1] <= eos:
        what = f'{getattr(log_p, "dtype", type(log_p).__name__)} {getattr(log_p, "shape", "")}'
        raise InvalidType(f'decoding: log_probabilities of floats, ({len(words)}, V) with V above '
                          f'eos {eos}, expected from step, got {what}')
    expect_ids(log_p.shape[1], eos, banned)
    if wait:
        expect_finite((log_p.max(axis=1) < np.inf).all())     # the maximum of NaN and more is NaN
    return state, log_p


def expect_ids(n_words, eos, banned):
    """Raise InvalidArgument unless all ids, of which ``banned`` are sorted, are below n_words."""
    highest = max(eos, banned[-1])
    if highest >= n_words:
        raise InvalidArgument(f'decoding: eos, bos and banned ids below {n_words}, the number of '
                              f'words, expected, got {highest}.')


def expect_finite(fine):
    """Raise NotFinite unless ``fine``, an array of one bool."""
    if not bool(fine):
        raise NotFinite('decoding: the model gave NaN or infinite log probabilities. Its '
                        'parameters or the image features are not finite; train it again with a '
                        'smaller step, or check the weights of the CNN.')


def expect_possible(log_p):
    """Raise NotFinite if one of some log probabilities, an array, is -infinity."""
    if not (log_p > -np.inf).all():
        raise NotFinite('decoding: every word that may be said, the end word included, has '
                        'probability 0. Ban fewer words, or allow longer captions.')


def forbid(log_p, banned):
    """Return a copy of log probabilities, (rows, V); those of banned ids are -infinity."""
    log_p = log_p.copy()        # the model may keep its own
    log_p[:, list(banned)] = -np.inf
    return log_p

"""Kernels of beam_search.cu: rows sorted in full, in float64."""
import numpy as np

from minichain.gpu.beam_search import beam_candidates, beam_merge
from tests.gpu.registry import reference

# Images, beginnings before, beam, columns, k, whether x holds scores: less than a warp, all of a
# row but what is banned, more than one column a thread.
CANDIDATES = [(1, 2, 2, 40, 3, 1), (1, 1, 1, 1, 1, 0), (2, 3, 3, 7, 7, 1), (3, 1, 4, 31, 4, 0),
              (1, 5, 5, 1201, 5, 1)]
MERGES = [(2, 3, 3, 3, 0), (1, 1, 1, 1, 0), (2, 1, 5, 5, 0), (3, 31, 17, 17, 0), (2, 3, 3, 4, 1)]
EOS, STEPS = 5, 3


def room(shape, dtype=np.int32):
    return np.full(shape, np.nan if dtype == np.float32 else -7, dtype)


@reference('beam_candidates', beam_candidates, CANDIDATES, registers=48, dtypes=('',))
def best_words(random, store, images, before, beam, columns, k, normalize):
    rows, eos = images * before, min(EOS, columns - 1)
    x = store(random.standard_normal((rows, columns + 3)) * 4)   # with room behind each row
    x[0, :columns:2] = x[0, 0]   # equal ones too
    totals = room((images, beam), np.float32)
    totals[:, :before] = -random.uniform(0, 9, (images, before))
    banned = np.array([3, 1, 900] if columns > 1 else [-1], np.int32)
    own = totals[:, :before].reshape(-1, 1).astype(np.float64)
    log_p = x[:, :columns].astype(np.float64)
    if normalize:
        log_p -= np.log(np.sum(np.exp(log_p), axis=1, keepdims=True))
    allowed = log_p.copy()
    allowed[:, banned[(banned >= 0) & (banned < columns)]] = -np.inf
    # of equal scores the first: not of equal log p, which are rounded
    order = np.lexsort((-x[:, :columns], -np.isfinite(allowed).astype(int)), axis=1)[:, :k]
    expected, ids = np.take_along_axis(allowed, order, axis=1), order.astype(np.int32)
    ids[expected == -np.inf] = -1
    last = beam * images if before == beam else rows    # of all rows that there is room for
    arguments = {'x': x, 'totals': totals, 'banned': banned, 'count': np.array([4], np.int32),
                 'values': room((last, k), np.float32), 'said': room((last, k + 1), np.float32),
                 'ids': room((last, k)), 'columns': columns, 'before': before, 'eos': eos,
                 'normalize': bool(normalize)}
    with np.errstate(invalid='ignore'):
        finite = {'ids': ids, 'count': [5]}
        if np.isfinite(expected).all():     # -infinity has its test in test_beam_search.py
            finite |= {'values': own + expected, 'said': np.append(expected, log_p[:, [eos]], 1)}
    return arguments, finite


@reference('beam_merge', beam_merge, MERGES, registers=64, dtypes=('',), tolerance={'float32': 0})
def best_of_all_beginnings(random, store, images, before, beam, k, is_last):
    step = STEPS - 1 if is_last else 1
    values = random.standard_normal((images, before * k)).astype(np.float32)
    said = random.standard_normal((images, before, k + 1)).astype(np.float32)
    ids = random.integers(EOS + 1, 1000, (images, before, k)).astype(np.int32)
    each = np.arange(images)[:, None]
    order = np.argsort(-values.astype(np.float64), axis=1, kind='stable')[:, :beam]
    parents, rank = order // k, order % k
    if is_last:
        parents, rank = np.broadcast_to(np.arange(beam), (images, beam)), k
        ids = np.concatenate((ids, np.full((images, before, 1), EOS, np.int32)), axis=2)
    words, log_p = ids[each, parents, rank], said[each, parents, rank]
    history, found = room((STEPS, 3, images, beam)), room((STEPS, 3, images, beam))
    found[step] = parents, words, log_p.view(np.int32)
    arguments = {
        'values': values.reshape(-1, k), 'said': said.reshape(-1, k + 1),
        'ids': np.ascontiguousarray(ids[..., :k]).reshape(-1, k),
        'count': np.array([step + 1], np.int32), 'totals': room((images, beam), np.float32),
        'rows': room(images * beam), 'words': room(images * beam), 'history': history,
        'before': before, 'eos': EOS}
    expected = {'rows': (each * before + parents).ravel(), 'words': words.ravel(),
                'history': found}
    if not is_last:     # then all are -infinity
        expected['totals'] = np.take_along_axis(values, order, axis=1)
    return arguments, expected

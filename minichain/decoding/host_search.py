"""Captions word by word, where the host looks at every step: on a CPU nothing is faster."""
import numpy as np

from minichain import backend
from minichain.decoding.checks import expect_possible, forbid
from minichain.decoding.hypothesis import as_hypothesis, rank


def one_by_one(choose, read, state, log_p, n, eos, max_length, banned, length_penalty):
    """One caption a row; choose(log_p of the rows still going, their numbers, banned) -> ids."""
    xp, rows = backend.get_array_module(log_p), np.arange(n)
    words, total = [[] for _ in range(n)], [0.] * n
    for length in range(max_length + 1):
        if length < max_length:
            last = backend.to_cpu(choose(log_p, rows, banned)).astype('int32')
        else:
            last = np.full(len(rows), eos, 'int32')
        said = backend.to_cpu(log_p[xp.arange(len(rows)), xp.asarray(last)])
        expect_possible(said)
        for row, word, value in zip(rows.tolist(), last.tolist(), said.tolist()):
            total[row] += value
            if word != eos:
                words[row].append(word)
        going, = np.nonzero(last != eos)
        if len(going) < len(rows):
            state = gather(state, xp.asarray(going))
        rows, last = rows[going], last[going]
        if not len(rows):
            break
        state, log_p = read(state, xp.asarray(last))
    return [as_hypothesis(tuple(w), t, length_penalty) for w, t in zip(words, total)]


def search_on_host(read, state, log_p, n, eos, max_length, beam, n_best, length_penalty, banned):
    """Keep the best beginnings of every caption, those that end apart; returns as beam_search."""
    xp, finished = backend.get_array_module(log_p), [[] for _ in range(n)]
    # The live beginnings, one a row: its image, words so far, log probability.
    image, words, total = np.arange(n), [()] * n, np.zeros(n)
    for length in range(max_length + 1):
        if length == max_length:
            ended = total + backend.to_cpu(log_p[:, eos])
            for i, w, t in zip(image.tolist(), words, ended.tolist()):
                finished[i].append(as_hypothesis(w, t, length_penalty))
            break
        row, word, after = best_continuations(log_p, banned, image, total, beam)
        ends = word == eos
        for r, t in zip(row[ends].tolist(), after[ends].tolist()):
            finished[image[r]].append(as_hypothesis(words[r], t, length_penalty))
        row, last, total = row[~ends], word[~ends], after[~ends]
        # A log probability only falls; its share is smallest at the full length.
        limit = total / (max_length + 1) ** length_penalty
        hopeful = still_hopeful(finished, image[row], limit, n_best)
        row, last, total = row[hopeful], last[hopeful], total[hopeful]
        words = [(*words[r], w) for r, w in zip(row.tolist(), last.tolist())]
        image = image[row]
        if not len(image):
            break
        state, log_p = read(gather(state, xp.asarray(row)), xp.asarray(last))
    return rank(finished, n_best)


def best_continuations(log_p, banned, image, total, beam):
    """The best `beam` of all (row, word) of each image: arrays row, word, log probability."""
    word, value = top_k(log_p, min(beam, log_p.shape[1]), banned)
    row = np.repeat(np.arange(len(image)), word.shape[1])
    word, after = word.ravel(), np.repeat(total, word.shape[1]) + value.ravel()
    order = np.lexsort((word, row, -after, image[row]))     # by the last key first
    order = order[after[order] > -np.inf]
    row, word, after = row[order], word[order], after[order]
    first = np.searchsorted(image[row], image[row])         # where the image's candidates begin
    kept = np.arange(len(row)) - first < beam
    return row[kept], word[kept], after[kept]


def still_hopeful(finished, image, limit, n_best):
    """Which rows belong to images where some row may become better than the n-th finished."""
    best = np.full(len(finished), -np.inf)
    np.maximum.at(best, image, limit)
    bar = np.array([sorted((h.score for h in found), reverse=True)[n_best - 1]
                    if len(found) >= n_best else -np.inf for found in finished])
    return (best > bar)[image]


def top_k(values, k, banned=()):
    """The k largest of each row without sorting the row; of equal ones those of lowest id.

    A maximum is found fast: up to k of about 100 the passes take less time than one partition,
    and up to 7 less than the maxima of blocks, of which only the largest are looked through.

    Args:
        values: (N, V), float, without NaN, NumPy or CuPy.
        k: 1..V.
        banned: ids that count as -infinity.
    Returns:
        (ids, values): NumPy arrays (N, k), int32 and the dtype of values, by falling value. The id
        of a value of -infinity means nothing.
    """
    xp = backend.get_array_module(values)
    rows, rest = xp.arange(len(values)), forbid(values, banned)
    ids, top = xp.empty((len(values), k), 'int32'), xp.empty((len(values), k), values.dtype)
    for i in range(k):
        ids[:, i] = rest.argmax(axis=1)
        top[:, i] = rest[rows, ids[:, i]]
        rest[rows, ids[:, i]] = -np.inf
    return backend.to_cpu(ids), backend.to_cpu(top)


def gather(state, rows):
    return tuple(array[rows] for array in state)

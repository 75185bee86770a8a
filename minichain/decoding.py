"""From a model's word probabilities to captions: greedy, beam search, sampling.

A model is a function ``step(state, words) -> (state, log_probabilities)``. Each caption has one
row in every array of ``state``, in ``words``, and in ``log_probabilities``, (rows, V). Captions
end: after `max_length` words the end word is the only one allowed. A caption's probability is
the model's own, of its words and the end word, whatever was banned or at which temperature.
"""
import math
from functools import partial
from typing import NamedTuple

import numpy as np

from minichain import backend
from minichain.errors import InvalidArgument, InvalidType, NotFinite
from minichain.gpu import top_k as by_kernels
from minichain.gpu.dispatch import fused

PEEK = 4    # steps after which the host looks whether captions on a device have ended


class Hypothesis(NamedTuple):
    """A caption, ended.

    Attributes:
        words: tuple of ids, at most max_length, without the begin and end words.
        log_probability: log p(words and end | image), nats.
        score: log_probability / (len(words) + 1) ** length_penalty; captions are ranked by it.
    """

    words: tuple
    log_probability: float
    score: float

    @property
    def probability(self):
        """exp(log_probability), 0..1."""
        return math.exp(min(self.log_probability, 0.))


def greedy(step, state, n, bos, eos, max_length, banned=(), length_penalty=1.):
    """Say the most probable word, until the end word comes; of equal ones that of lowest id.

    Args:
        step: function (state, words) -> (state, log_probabilities); words are (rows,), int32,
            log_probabilities (rows, V), float, on the device of the state.
        state: tuple of arrays of n rows, one a caption.
        n: number of captions.
        bos, eos: ids of the begin word, which is read first and never said, and of the end word.
        max_length: largest number of words in a caption, at least 1, the end word not counted.
        banned: ids of words that are never said.
        length_penalty: exponent of the length in the score, at least 0; ranks nothing here.
    Returns:
        list of n Hypothesis.
    Raises:
        NotFinite: NaN or +infinity among the log probabilities, or no word left with any
            probability.
        InvalidArgument: an argument out of range, or eos is banned.
        InvalidType: step returned something else.
    """
    def choose(log_p, rows, banned):
        xp, words = backend.get_array_module(log_p), log_p.argmax(axis=1)
        again = xp.isin(words, xp.asarray(banned))
        if bool(again.any()):       # seldom; the other rows need not be copied
            rest = _forbid(log_p[again], banned)
            _expect_possible(rest.max(axis=1))
            words[again] = rest.argmax(axis=1)
        return words

    banned = _check(n, bos, eos, max_length, banned, length_penalty)
    if not n:
        return []
    read, state, log_p = _begin(step, state, n, bos, eos, banned)
    if continue_beams.fuses(log_p):
        return [best for best, in _search_on_device(read, state, log_p, n, eos, max_length, 1, 1,
                                                    length_penalty, banned)]
    return _one_by_one(choose, read, state, log_p, n, eos, max_length, banned, length_penalty)


def sample(step, state, n, bos, eos, max_length, temperature=1., random_state=None, banned=(),
           length_penalty=1.):
    """Draw every word at random:  p(word) ~ exp(log_probability / temperature).

    Args:
        temperature: > 0; 1: as the model says, below: more cautious, above: more daring.
        random_state: seed, numpy.random.Generator, or None for another outcome every time. What
            is drawn for a caption does not depend on how long the others are.
        others: as for :func:`greedy`.
    Returns:
        list of n Hypothesis.
    Raises:
        As :func:`greedy`.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InvalidArgument(f'sample: a finite temperature above 0 expected, got {temperature}. '
                              'Near 0 it is greedy.')
    random = np.random.default_rng(random_state)

    def choose(log_p, rows, banned):
        xp = backend.get_array_module(log_p)
        log_p = _forbid(log_p, banned).astype('float64')
        _expect_possible(log_p.max(axis=1))
        u = xp.asarray(1 - random.random(n)[rows])      # in (0, 1]: a p of 0 is never hit
        p = xp.exp((log_p - log_p.max(axis=1, keepdims=True)) / temperature)
        below = xp.cumsum(p, axis=1)
        return (below >= (u * below[:, -1])[:, None]).argmax(axis=1)

    banned = _check(n, bos, eos, max_length, banned, length_penalty)
    if not n:
        return []
    read, state, log_p = _begin(step, state, n, bos, eos, banned)
    return _one_by_one(choose, read, state, log_p, n, eos, max_length, banned, length_penalty)


def _one_by_one(choose, read, state, log_p, n, eos, max_length, banned, length_penalty):
    """One caption a row; choose(log_p of the rows still going, their numbers, banned) -> ids."""
    xp, rows = backend.get_array_module(log_p), np.arange(n)
    words, total = [[] for _ in range(n)], [0.] * n
    for length in range(max_length + 1):
        if length < max_length:
            last = backend.to_cpu(choose(log_p, rows, banned)).astype('int32')
        else:
            last = np.full(len(rows), eos, 'int32')
        said = backend.to_cpu(log_p[xp.arange(len(rows)), xp.asarray(last)])
        _expect_possible(said)
        for row, word, value in zip(rows.tolist(), last.tolist(), said.tolist()):
            total[row] += value
            if word != eos:
                words[row].append(word)
        going, = np.nonzero(last != eos)
        if len(going) < len(rows):
            state = _gather(state, xp.asarray(going))
        rows, last = rows[going], last[going]
        if not len(rows):
            break
        state, log_p = read(state, xp.asarray(last))
    return [_ended(tuple(w), t, length_penalty) for w, t in zip(words, total)]


def beam_search(step, state, n, bos, eos, max_length, beam=5, n_best=1, length_penalty=1.,
                banned=()):
    """Keep the `beam` most probable beginnings of every caption, word by word.

    At every step the `beam` best of all continuations are kept; those that end leave the beam. It
    stops when no beginning can become better than the last of the n best, so never too early. A
    beam of 1 is :func:`greedy`; one as wide as there are captions finds the best of all.

    Args:
        beam: beginnings kept for each caption; memory and time grow with it.
        n_best: how many captions to return, at most `beam`.
        length_penalty: alpha >= 0 in score = log p / length ** alpha, where length counts the end
            word. 0: the most probable caption, which is a short one; 1: the mean over the words.
        others: as for :func:`greedy`.
    Returns:
        list of n lists of Hypothesis, by falling score; those of equal score as they were found.
        There are n_best in each, fewer only where not so many captions are possible.
    Raises:
        As :func:`greedy`.
    """
    banned = _check(n, bos, eos, max_length, banned, length_penalty)
    if beam < 1 or not 1 <= n_best <= beam:
        raise InvalidArgument(f'beam_search: beam >= 1 and 1 <= n_best <= beam expected, got beam '
                              f'{beam} and n_best {n_best}. A wider beam finds more captions.')
    if not n:
        return []
    read, state, log_p = _begin(step, state, n, bos, eos, banned)
    search = _search_on_device if continue_beams.fuses(log_p) else _search
    return search(read, state, log_p, n, eos, max_length, beam, n_best, length_penalty, banned)


def _search(read, state, log_p, n, eos, max_length, beam, n_best, length_penalty, banned):
    xp, finished = backend.get_array_module(log_p), [[] for _ in range(n)]
    # The live beginnings, one a row: its image, words so far, log probability.
    image, words, total = np.arange(n), [()] * n, np.zeros(n)
    for length in range(max_length + 1):
        if length == max_length:
            ended = total + backend.to_cpu(log_p[:, eos])
            for i, w, t in zip(image.tolist(), words, ended.tolist()):
                finished[i].append(_ended(w, t, length_penalty))
            break
        row, word, after = _best_continuations(log_p, banned, image, total, beam)
        ends = word == eos
        for r, t in zip(row[ends].tolist(), after[ends].tolist()):
            finished[image[r]].append(_ended(words[r], t, length_penalty))
        row, last, total = row[~ends], word[~ends], after[~ends]
        # A log probability only falls; its share is smallest at the full length.
        limit = total / (max_length + 1) ** length_penalty
        hopeful = _still_hopeful(finished, image[row], limit, n_best)
        row, last, total = row[hopeful], last[hopeful], total[hopeful]
        words = [(*words[r], w) for r, w in zip(row.tolist(), last.tolist())]
        image = image[row]
        if not len(image):
            break
        state, log_p = read(_gather(state, xp.asarray(row)), xp.asarray(last))
    return _rank(finished, n_best)


def _rank(finished, n_best):
    """Return the n best of each image's captions, those of equal score as they were found."""
    ranked = [sorted(found, key=lambda h: -h.score)[:n_best] for found in finished]
    _expect_possible(np.array([found[0].score if found else -np.inf for found in ranked]))
    return [[h for h in found if h.score > -np.inf] for found in ranked]


@np.errstate(invalid='ignore')      # what is not finite is refused
def _search_on_device(read, state, log_p, n, eos, max_length, beam, n_best, length_penalty,
                      banned):
    """:func:`_search` without waiting at every step: beams stay arrays (n, beam) on the device.

    The host looks from time to time at what was said, and adds up in float64. An image of which
    nothing more is to be hoped for is searched on until that is so of all; what is found then is
    no better.
    """
    xp, first = backend.get_array_module(log_p), np.zeros((n, 1), np.float32)
    totals, image, fine = xp.asarray(first), xp.arange(n)[:, None], None
    steps, found = [], _Found(n, eos, length_penalty)
    for length in range(max_length + 1):
        finite = (log_p.max(axis=1) < np.inf).all()
        fine = finite if fine is None else fine & finite
        if length == max_length:
            stays = xp.arange(beam, dtype='int32') + xp.zeros((n, 1), 'int32')
            steps.append((stays, xp.full((n, beam), eos, 'int32'), log_p[:, eos].reshape(n, beam)))
            break
        before = totals.shape[1]
        parents, last, totals = continue_beams(log_p, totals, banned, beam)
        rows = (image * before + parents).ravel()
        said = log_p[rows, last.ravel()].reshape(n, beam)
        steps.append((parents, last, xp.where(totals > -np.inf, said, said.dtype.type(-np.inf))))
        totals = xp.where(last == eos, totals.dtype.type(-np.inf), totals)
        if (length + 1) % PEEK == 0:
            found.add(steps, fine)
            steps = []
            if not found.hopeful(n_best, max_length):
                break
        state, log_p = read(_gather(state, rows), last.ravel(), wait=False)
    found.add(steps, fine)
    return _rank(found.best(n_best), n_best)


def _best_continuations(log_p, banned, image, total, beam):
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


@fused(by_kernels.continue_beams)
def continue_beams(log_p, totals, banned, beam):
    """Continue beginnings by a word each, keeping the best of every image, all on the device.

    Args:
        log_p: of the next word after every beginning, (N B, V), float.
        totals: log probabilities of the beginnings, (N, B), same dtype; -infinity: there is none.
        banned: ids that are not said. beam: how many to keep.
    Returns:
        (parents, words, totals), (N, beam), int32, int32, dtype of ``totals``: which beginning of
        an image is continued, with which word, by falling log probability; of equal ones lower
        ids first. Where there is no more, 0, 0, -infinity.
    """
    xp, columns = backend.get_array_module(log_p), log_p.shape[1]
    after = (_forbid(log_p, banned) + totals.reshape(-1, 1)).reshape(len(totals), -1)
    if after.shape[1] < beam:
        room = xp.full((len(after), beam - after.shape[1]), -np.inf, after.dtype)
        after = xp.concatenate((after, room), axis=1)
    best = xp.argsort(-after, axis=1, kind='stable')[:, :beam]
    totals = xp.take_along_axis(after, best, axis=1)
    lives = totals > -np.inf
    return (*(xp.where(lives, each, 0).astype('int32') for each in (best // columns,
                                                                    best % columns)), totals)


class _Found:
    """The captions that were found on a device, in NumPy arrays: what was said step by step."""

    def __init__(self, n, eos, length_penalty):
        self.eos, self.length_penalty, self.steps = eos, length_penalty, []
        self.totals = np.zeros((n, 1))      # of beginnings that live, float64
        self.ended = []     # (image, step, slot, log probability), arrays

    def add(self, steps, fine):
        """Take over (parents, words, log probabilities), (n, beam) each, of some steps."""
        if not steps:
            return
        _expect_finite(backend.to_cpu(fine))
        xp = backend.get_array_module(steps[0][0])
        for parents, words, said in zip(*(backend.to_cpu(xp.stack(part)) for part in zip(*steps))):
            after = np.take_along_axis(self.totals, parents, 1) + said
            ends = (words == self.eos) & (after > -np.inf)
            image, slot = np.nonzero(ends)
            self.ended.append((image, np.full(len(image), len(self.steps)), slot, after[ends]))
            self.steps.append((parents, words))
            self.totals = np.where(ends, -np.inf, after)

    def _ranked(self):
        """Return (image, rank in it, score, step, slot, log probability), arrays, best first."""
        image, step, slot, total = (np.concatenate(part) for part in zip(*self.ended))
        score = total / (step + 1) ** self.length_penalty
        order = np.lexsort((-score, image))     # which is stable
        image = image[order]
        rank = np.arange(len(image)) - np.searchsorted(image, image)
        return (image, rank, *(each[order] for each in (score, step, slot, total)))

    def hopeful(self, n_best, max_length):
        """Return whether some beginning may become one of the n best of its image."""
        image, rank, score, *_ = self._ranked()
        bar = np.full(len(self.totals), -np.inf)
        last = rank == n_best - 1
        bar[image[last]] = score[last]
        limit = self.totals.max(axis=1) / (max_length + 1) ** self.length_penalty
        return bool((limit > bar).any())

    def best(self, n_best):
        """Return the n best of each image, lists of Hypothesis."""
        results = [[] for _ in self.totals]
        for image, rank, _, step, slot, total in zip(*(each.tolist() for each in self._ranked())):
            if rank < n_best:
                words = []
                for before in range(step, 0, -1):
                    slot = self.steps[before][0][image, slot]
                    words.append(int(self.steps[before - 1][1][image, slot]))
                results[image].append(_ended(tuple(words[::-1]), total, self.length_penalty))
        return results


def _still_hopeful(finished, image, limit, n_best):
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
    rows, rest = xp.arange(len(values)), _forbid(values, banned)
    ids, top = xp.empty((len(values), k), 'int32'), xp.empty((len(values), k), values.dtype)
    for i in range(k):
        ids[:, i] = rest.argmax(axis=1)
        top[:, i] = rest[rows, ids[:, i]]
        rest[rows, ids[:, i]] = -np.inf
    return backend.to_cpu(ids), backend.to_cpu(top)


def _check(n, bos, eos, max_length, banned, length_penalty):
    banned = sorted({int(bos), *map(int, banned)})
    if n < 0 or max_length < 1 or not (length_penalty >= 0 and math.isfinite(length_penalty)):
        raise InvalidArgument('decoding: n >= 0, max_length >= 1 and a finite length_penalty >= 0 '
                              f'expected, got n {n}, max_length {max_length} and length_penalty '
                              f'{length_penalty}.')
    if eos in banned or min(bos, eos, *banned) < 0:
        raise InvalidArgument(f'decoding: ids >= 0, and eos {eos} neither bos nor banned '
                              f'expected, got bos {bos} and banned {banned}.')
    return banned


def _begin(step, state, n, bos, eos, banned):
    """Read the begin word: (function that reads others, state, log_p)."""
    read, words = partial(_read, step, eos=eos, banned=banned), np.full(n, bos, 'int32')
    return read, *read(state, backend.get_array_module(*state).asarray(words))


def _read(step, state, words, eos, banned, wait=True):
    """Call ``step`` and check what it gives; ``wait``: whether to look at the numbers, too."""
    state, log_p = step(state, words)
    if not backend.is_array(log_p) or log_p.dtype.kind != 'f' or log_p.ndim != 2 \
            or len(log_p) != len(words) or log_p.shape[1] <= eos:
        what = f'{getattr(log_p, "dtype", type(log_p).__name__)} {getattr(log_p, "shape", "")}'
        raise InvalidType(f'decoding: log_probabilities of floats, ({len(words)}, V) with V above '
                          f'eos {eos}, expected from step, got {what}')
    if banned[-1] >= log_p.shape[1]:
        raise InvalidArgument(f'decoding: banned ids and bos below {log_p.shape[1]}, the number '
                              f'of words, expected, got {banned[-1]}.')
    if wait:
        _expect_finite((log_p.max(axis=1) < np.inf).all())     # the maximum of NaN and more is NaN
    return state, log_p


def _expect_finite(fine):
    if not bool(fine):
        raise NotFinite('decoding: the model gave NaN or infinite log probabilities. Its '
                        'parameters or the image features are not finite; train it again with a '
                        'smaller step, or check the weights of the CNN.')


def _forbid(log_p, banned):
    log_p = log_p.copy()        # the model may keep its own
    log_p[:, list(banned)] = -np.inf
    return log_p


def _expect_possible(log_p):
    if not (log_p > -np.inf).all():
        raise NotFinite('decoding: every word that may be said, the end word included, has '
                        'probability 0. Ban fewer words, or allow longer captions.')


def _ended(words, log_probability, length_penalty):
    score = log_probability / (len(words) + 1) ** length_penalty
    return Hypothesis(words, log_probability, score)


def _gather(state, rows):
    return tuple(array[rows] for array in state)

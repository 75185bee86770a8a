"""Steps of beam search that stay on the device: see ``kernels/beam_search.cu``."""
import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.grids import whole_warps
from minichain.gpu.launcher import kernel

MOST_BLOCKS = 65536


def launch(name, rows, columns, *arguments):
    kernel(name)(*arguments, grid=min(rows, MOST_BLOCKS), block=whole_warps(columns, 1024))


def beam_candidates(x, totals, banned, count, values, said, ids, columns, before, eos, normalize):
    """Find the k best words after every beginning, largest first, of equal ones the lowest id.

    Args:
        x: scores of the next word, or log p of it, (N before, at least ``columns``), float32.
        totals: log probabilities of the beginnings, (N, B), float32, of which the first
            ``before`` of each image are read; -infinity: there is none.
        banned: ids that are not said, int32, (n,); at least one number, which may be -1.
        count: number of steps before, (1,), int32; counted up.
        values, ids: filled, (N B, k) of which N before rows are, float32 and int32: log
            probabilities of the longer beginnings; -infinity and -1 where there are no more words.
        said: filled likewise, (N B, k + 1), float32: log p of these words, and of the end word.
        columns: V. eos: id of the end word; -1: there is none.
        normalize: whether x holds scores. Rows that are not finite give NaN.
    """
    kernel_rows, (_, beam) = len(totals) * before, totals.shape
    launch('beam_candidates', kernel_rows, columns, x, totals, banned, count, values, said, ids,
           kernel_rows, columns, x.shape[1], ids.shape[1], before, beam, len(banned), eos,
           normalize)


def beam_merge(values, said, ids, count, totals, rows, words, history, before, eos):
    """Keep the best B continuations of each image; in the last step let all end.

    Args:
        values, said, ids, count: of :func:`beam_candidates`.
        totals: filled, (N, B); -infinity for what ends, and where there is no more.
        rows, words: filled, (N B,), int32: which row of ``values`` each beginning continues, and
            with which word.
        history: (steps, 3, N, B), int32; of step ``count - 1`` filled: which beginning of its
            image each continues, with which word, and the bits of log p of that word, those of
            -infinity where there is none, of NaN if a row of the image was NaN.
        before, eos: as above.
    """
    steps, _, images, beam = history.shape
    k = ids.shape[1]
    launch('beam_merge', images, max(beam, before * k), values, said, ids, count, totals, rows,
           words, history, images, before, beam, k, eos, steps)


class Beams:
    """The beginnings of a search, in arrays that stay where they are.

    Args:
        xp: array module. images, beam: N, B. steps: of the search. columns: V.
        bos, eos: ids of the begin and end words. banned: ids that are not said.
    Attributes:
        count, totals, rows, words, history: as of :func:`beam_merge`. At first each image has one
            beginning, which has read the begin word; rows are those of the image, from 0 to N - 1.
    """

    def __init__(self, xp, images, beam, steps, columns, bos, eos, banned):
        rows = images * beam
        self.columns, self.eos, self.banned = columns, eos, ids_of(xp, banned)
        first = np.zeros(1 + 3 * rows, np.int32)
        self._parts(first, rows, (images, beam))
        self.totals.fill(-np.inf)
        self.totals[:, 0] = 0
        self.rows[...], self.words[...] = np.arange(rows) // beam, bos
        self._first = xp.asarray(first)
        self._now = self._first.copy()
        self._parts(self._now, rows, (images, beam))
        self.history = xp.zeros((steps, 3, images, beam), np.int32)
        self._candidates = room(xp, rows, min(beam, columns))

    def _parts(self, memory, rows, shape):
        self.count, self.rows, self.words = memory[:1], memory[1:1 + rows], memory[-rows:]
        self.totals = memory[1 + rows:-rows].view(np.float32).reshape(shape)

    def reset(self):
        """Begin again."""
        self._now[...] = self._first

    def advance(self, x, before, normalize):
        """Continue every beginning by a word; ``x``, ``before``, ``normalize`` as above."""
        values, said, ids = self._candidates
        beam_candidates(x, self.totals, self.banned, self.count, values, said, ids, self.columns,
                        before, self.eos, normalize)
        beam_merge(values, said, ids, self.count, self.totals, self.rows, self.words, self.history,
                   before, self.eos)


def continue_beams(log_p, totals, banned, beam):
    """Compute what the function of this name in decoding/beams.py does."""
    xp, (rows, columns), (images, before) = get_array_module(log_p), log_p.shape, totals.shape
    count, (values, said, ids) = xp.zeros(1, np.int32), room(xp, rows, min(beam, columns))
    beam_candidates(xp.ascontiguousarray(log_p), totals, ids_of(xp, banned), count, values, said,
                    ids, columns, before, -1, False)
    after = xp.empty((images, beam), np.float32)
    unused, history = xp.empty(images * beam, np.int32), xp.empty((2, 3, images, beam), np.int32)
    beam_merge(values, said, ids, count, after, unused, unused.copy(), history, before, -1)
    return history[0, 0], history[0, 1], after


def room(xp, rows, k):
    """Return values, said and ids of :func:`beam_candidates` for some rows."""
    return (xp.empty((rows, k), np.float32), xp.empty((rows, k + 1), np.float32),
            xp.empty((rows, k), np.int32))


def ids_of(xp, banned):
    """Return ids that are not said as an array; -1, which is no id, if there are none."""
    return xp.asarray(np.array([*banned] or [-1], np.int32))

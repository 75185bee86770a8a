"""The largest of each row, and a step of beam search: see ``kernels/top_k.cu``.

Of equal numbers the one of lower id comes first. NaN is never found. Where a row has no more
numbers the value is -infinity and the id -1.
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.grids import whole_warps
from minichain.gpu.launcher import kernel, storage

MOST_BLOCKS = 65536


def launch(name, rows, columns, *arguments):
    kernel(name)(*arguments, grid=min(rows, MOST_BLOCKS), block=whole_warps(columns, 512))


def top_k(x, values, ids):
    """Find the k largest of each row, largest first.

    Args:
        x: (N, V), float32 or bfloat16.
        values, ids: filled, (N, k), float32 and int32.
    """
    rows, columns = x.shape
    launch(f'top_k_{storage(x)}', rows, columns, x, values, ids, rows, columns, ids.shape[1])


def log_softmax_top_k(x, totals, values, ids):
    """Find the k largest of each row of  totals + log softmax(x).

    Args:
        x: scores, (N, V), float32 or bfloat16.
        totals: a number for each row, (N,), float32.
        values, ids: filled, (N, k), float32 and int32.
    """
    rows, columns = x.shape
    launch(f'log_softmax_top_k_{storage(x)}', rows, columns, x, totals, values, ids, rows,
           columns, ids.shape[1])


def beam_merge(values, ids, parents, words, totals):
    """Keep the best B of the B k continuations of each image.

    Args:
        values, ids: log probabilities and words of the best k continuations of each beginning,
            (N, B, k), float32 and int32.
        parents, words, totals: filled, (N, B), int32, int32, float32: which beginning is
            continued, from 0 to B - 1, with which word, and its log probability.
    """
    images, beam, k = values.shape
    launch('beam_merge', images, beam * k, values, ids, parents, words, totals, images, beam, k)


def continue_beams(log_p, totals, banned, beam):
    """Compute what the function of this name in decoding/beams.py does."""
    xp = get_array_module(log_p)
    (rows, columns), (images, before) = log_p.shape, totals.shape
    k = min(beam + len(banned), columns)    # so that enough are left
    values, ids = xp.empty((rows, k), np.float32), xp.zeros((images, beam, k), np.int32)
    found = xp.empty((rows, k), np.int32)
    top_k(xp.ascontiguousarray(log_p), values, found)
    for word in banned:
        values = xp.where(found == word, np.float32(-np.inf), values)
    after = xp.full((images, beam, k), -np.inf, np.float32)
    after[:, :before] = (values + totals.reshape(-1, 1)).reshape(images, before, k)
    ids[:, :before] = found.reshape(images, before, k)
    parents, words = (xp.empty((images, beam), np.int32) for _ in range(2))
    new_totals = xp.empty((images, beam), np.float32)
    beam_merge(after, ids, parents, words, new_totals)
    lives = new_totals > -np.inf
    parents, words = (xp.where(lives, each, np.int32(0)) for each in (parents, words))
    return parents, words, new_totals


def beam_step(x, totals, values, ids, parents, words, new_totals):
    """Continue the B beginnings of each image by one word each, keeping the best B.

    Args:
        x: scores of the next word after every beginning, (N B, V), float32 or bfloat16.
        totals: log probabilities of the beginnings, (N, B), float32; -infinity: there is none,
            as at the start for all but the first.
        values, ids: room for (N, B, k), float32 and int32; k = min(B, V).
        parents, words, new_totals: filled, (N, B), as in :func:`beam_merge`.
    """
    k = ids.shape[-1]
    log_softmax_top_k(x, totals, values.reshape(len(x), k), ids.reshape(len(x), k))
    beam_merge(values, ids, parents, words, new_totals)

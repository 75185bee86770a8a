"""One step of beam search on arrays, all on their device."""
import numpy as np

from minichain import backend
from minichain.decoding.checks import forbid
from minichain.gpu import beam_search as by_kernels
from minichain.gpu.dispatch import fused


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
    after = (forbid(log_p, banned) + totals.reshape(-1, 1)).reshape(len(totals), -1)
    if after.shape[1] < beam:
        room = xp.full((len(after), beam - after.shape[1]), -np.inf, after.dtype)
        after = xp.concatenate((after, room), axis=1)
    best = xp.argsort(-after, axis=1, kind='stable')[:, :beam]
    totals = xp.take_along_axis(after, best, axis=1)
    lives = totals > -np.inf
    return (*(xp.where(lives, each, 0).astype('int32') for each in (best // columns,
                                                                    best % columns)), totals)

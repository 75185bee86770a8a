"""Beam search on a device, at which the host looks from time to time only."""
import numpy as np

from minichain import backend
from minichain.decoding.beams import continue_beams
from minichain.decoding.found import Found
from minichain.decoding.host_search import gather
from minichain.decoding.hypothesis import rank

PEEK = 4    # steps after which the host looks whether captions on a device have ended


@np.errstate(invalid='ignore')      # what is not finite is refused
def search_on_device(read, state, log_p, n, eos, max_length, beam, n_best, length_penalty,
                      banned):
    """:func:`_search` without waiting at every step: beams stay arrays (n, beam) on the device.

    The host looks from time to time at what was said, and adds up in float64. An image of which
    nothing more is to be hoped for is searched on until that is so of all; what is found then is
    no better.
    """
    xp, first = backend.get_array_module(log_p), np.zeros((n, 1), np.float32)
    totals, image, fine = xp.asarray(first), xp.arange(n)[:, None], None
    steps, found = [], Found(n, eos, length_penalty)
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
        state, log_p = read(gather(state, rows), last.ravel(), wait=False)
    found.add(steps, fine)
    return rank(found.best(n_best), n_best)

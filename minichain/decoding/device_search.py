"""Beam search on a device, at which the host looks from time to time only."""
from minichain import backend
from minichain.decoding.found import Found
from minichain.decoding.host_search import gather
from minichain.decoding.hypothesis import rank
from minichain.errors import InvalidType
from minichain.gpu.beam_search import Beams

PEEK = 4    # steps after which the host looks whether captions on a device have ended


def search_on_device(read, state, log_p, n, eos, max_length, beam, n_best, length_penalty,
                     banned):
    """:func:`~minichain.decoding.host_search.search_on_host` without waiting at every step.

    Beams stay arrays (n, beam) on the device. The host looks from time to time at what was said,
    and adds up in float64. An image of which nothing more is to be hoped for is searched on until
    that is so of all; what is found then is no better.
    """
    xp, steps, seen = backend.get_array_module(log_p), max_length + 1, 0
    beams = Beams(xp, n, beam, steps, log_p.shape[1], 0, eos, banned)
    found = Found(n, eos, length_penalty)
    for step in range(steps):
        if step:    # else the begin word was read already, by one row for each image
            # Copies: a model may keep the words in its state, and the next step overwrites them.
            state, log_p = read(gather(state, beams.rows), beams.words.copy(), wait=False)
            if log_p.shape[1] != beams.columns:
                raise InvalidType(f'decoding: log_probabilities of {beams.columns} words, as at '
                                  f'first, expected from step, got {log_p.shape[1]}')
        beams.advance(xp.ascontiguousarray(log_p), beam if step else 1, normalize=False)
        if (step + 1) % PEEK == 0 or step == max_length:
            found.add(backend.to_cpu(beams.history[seen:step + 1]))
            seen = step + 1
            if not found.hopeful(n_best, max_length):
                break
    return rank(found.best(n_best), n_best)

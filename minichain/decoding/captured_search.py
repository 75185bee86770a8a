"""Beam search on a device by a CUDA graph of one step, launched again and again.

A step of a small batch is a few short kernels; starting them from Python takes longer than they
do. So a step at fixed addresses, the model's and the search's, with its number in device memory,
is captured, and the host launches it, some steps ahead of what it looks at. The first search of a
kind runs as written: a capture takes longer than it saves one.
"""
import threading
import warnings

from minichain.backend import get_array_module
from minichain.decoding.checks import expect_ids
from minichain.decoding.device_search import PEEK
from minichain.decoding.found import Found
from minichain.decoding.hypothesis import rank
from minichain.gpu.beam_search import Beams
from minichain.gpu.recorders import recorder_for

WARM_UPS = 1        # searches as written: kernels are compiled, algorithms chosen
MOST_SEARCHES = 4   # graphs kept of one model for one number of images and beginnings
_recorders, _guard = {}, threading.Lock()


def search_captured(step, state, n, bos, eos, max_length, beam, n_best, length_penalty, banned):
    """Search as :func:`~minichain.decoding.device_search.search_on_device` does.

    Args:
        step: a function (state, words). If it has a method ``at_fixed_addresses(state, n, beam)``,
            as :class:`minichain.caption_step.CaptionStep`, that returns None, or an object with
            ``begin``, ``read``, ``scores``, ``columns`` and ``searches``, as
            :class:`minichain.fixed_caption_step.FixedCaptionStep`. Then the step has an attribute
            ``reason``, too: why searches run as written, None while they are captured.
        others: as of decoding.beam_search.
    Returns:
        list of lists of Hypothesis, or None: the step is not of that kind.
    """
    fixed = getattr(step, 'at_fixed_addresses', lambda *_: None)(state, n, beam)
    if fixed is None:
        return None
    expect_ids(fixed.columns, eos, banned)
    recorder, lock = _recorder_of(fixed.scores)
    found = Found(n, eos, length_penalty)
    with lock, recorder.using_device(), recorder.using_stream():
        key, kept = (max_length, bos, eos, *banned), fixed.searches
        search = kept.pop(key, None) or StepwiseSearch(fixed, n, beam, *key[:3], banned, recorder)
        kept[key] = search      # behind the others
        if len(kept) > MOST_SEARCHES:
            del kept[next(iter(kept))]
        search.run(step, state, found, lambda: found.hopeful(n_best, max_length))
    return rank(found.best(n_best), n_best)


class StepwiseSearch:
    """The arrays of a search, and the graph of one of its steps.

    Args:
        fixed: what ``step.at_fixed_addresses`` returned. n, beam: for which it was asked.
        max_length, bos, eos, banned: as of decoding.beam_search.
        recorder: of :mod:`minichain.gpu.recorders`, whose stream is the current one.
    """

    def __init__(self, fixed, n, beam, max_length, bos, eos, banned, recorder):
        self._fixed, self._beam, self._recorder = fixed, beam, recorder
        self._beams = Beams(get_array_module(fixed.scores), n, beam, max_length + 1, fixed.columns,
                            bos, eos, banned)
        self._seen = recorder.host_array(self._beams.history.shape, 'int32')
        self._graph, self._pool, self._searches = None, None, 0

    def run(self, step, state, found, hopeful):
        """Search: ``found`` takes over what is found; ``hopeful()`` says whether to go on."""
        beams, looks, start, steps = self._beams, [], 0, len(self._seen)
        self._searches += 1
        self._fixed.begin(state)
        beams.reset()
        for number in range(1, steps + 1):
            self._advance(step)
            if number % PEEK == 0 or number == steps:
                part = slice(start, number)
                looks.append((part, self._recorder.fetch(self._seen[part], beams.history[part])))
                start = number
                if len(looks) > 1:      # the device has the next steps to do meanwhile
                    self._look(*looks.pop(0), found)
                    if not hopeful():
                        return
        for look in looks:
            self._look(*look, found)

    def _look(self, part, wait, found):
        wait()
        found.add(self._seen[part].copy())

    def _advance(self, step):
        if self._graph is None and self._searches > WARM_UPS and step.reason is None:
            self._capture(step)
        if self._graph is None:
            self._step()
        else:
            self._recorder.replay(self._graph)

    def _step(self):
        beams = self._beams
        self._fixed.read(beams.words, beams.rows, beams.count)
        beams.advance(self._fixed.scores, self._beam, normalize=True)

    def _capture(self, step):
        self._pool = self._recorder.pool('decoding')
        try:
            self._graph, _ = self._recorder.record(self._pool, lambda: None, self._step)
        except Exception as error:
            step.reason = f'{type(error).__name__}: {error}'
            warnings.warn('decoding: steps are not captured but run as written, which is slower: '
                          f'{step.reason}', RuntimeWarning, stacklevel=6)


def _recorder_of(array):
    """Return the recorder of a device and the lock of its stream: one search at a time."""
    device = getattr(array.device, 'id', None)      # the device 'sim' has none
    with _guard:
        if device not in _recorders:
            _recorders[device] = recorder_for([array]), threading.RLock()
        return _recorders[device]

"""What a search on a device has found, as the host sees it."""
import numpy as np

from minichain.decoding.checks import expect_finite
from minichain.decoding.hypothesis import as_hypothesis


class Found:
    """The captions that were found on a device, in NumPy arrays: what was said step by step."""

    def __init__(self, n, eos, length_penalty):
        self.eos, self.length_penalty, self.steps = eos, float(length_penalty), []
        self.totals = np.zeros((n, 1))      # of beginnings that live, float64
        self.ended = []     # (image, step, slot, log probability), arrays

    def add(self, history):
        """Take over some steps: (steps, 3, n, beam), int32, of gpu.beam_search.beam_merge.

        Raises:
            NotFinite: a row of log probabilities was not.
        """
        said = history[:, 2].view(np.float32)
        expect_finite(not np.isnan(said).any())
        for (parents, words, _), log_p in zip(history, said):
            after = np.take_along_axis(self.totals, parents, 1) + log_p
            ends = (words == self.eos) & (after > -np.inf)
            image, slot = np.nonzero(ends)
            self.ended.append((image, np.full(len(image), len(self.steps)), slot, after[ends]))
            self.steps.append((parents, words))
            self.totals = np.where(ends, -np.inf, after)

    def _in_order(self):
        """Return (image, rank in it, score, step, slot, log probability), arrays, best first."""
        image, step, slot, total = (np.concatenate(part) for part in zip(*self.ended))
        score = total / (step + 1) ** self.length_penalty
        order = np.lexsort((-score, image))     # which is stable
        image = image[order]
        rank = np.arange(len(image)) - np.searchsorted(image, image)
        return (image, rank, *(each[order] for each in (score, step, slot, total)))

    def hopeful(self, n_best, max_length):
        """Return whether some beginning may become one of the n best of its image."""
        image, rank, score, *_ = self._in_order()
        bar = np.full(len(self.totals), -np.inf)
        last = rank == n_best - 1
        bar[image[last]] = score[last]
        limit = self.totals.max(axis=1) / (max_length + 1) ** self.length_penalty
        return bool((limit > bar).any())

    def best(self, n_best):
        """Return the n best of each image, lists of Hypothesis."""
        results = [[] for _ in self.totals]
        columns = (each.tolist() for each in self._in_order())
        for image, rank, _, step, slot, total in zip(*columns):
            if rank < n_best:
                words = []
                for before in range(step, 0, -1):
                    slot = self.steps[before][0][image, slot]
                    words.append(int(self.steps[before - 1][1][image, slot]))
                results[image].append(
                    as_hypothesis(tuple(words[::-1]), total, self.length_penalty))
        return results

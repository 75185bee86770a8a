"""Boxes of detectors, as arrays in main memory: priors, their regression, suppression of doubles.

A box is four numbers: left, top, right, bottom.
"""
import numpy as np

from minichain.errors import DataError

MAX_LENGTHS = 256       # of a file's lists of sizes, ratios and scales
MAX_COMPARISONS = 1 << 26          # some seconds
ONE = np.float32(1)


def positive(name, values, least=1):
    """A file's list of lengths, float64.

    Raises:
        DataError: too few, too many, or one that is not above 0.
    """
    values = np.asarray(values, np.float64)
    if not least <= values.size <= MAX_LENGTHS or not bool(
            ((values > 0) & (values < np.inf)).all()):
        raise DataError(f'{name}: {least} to {MAX_LENGTHS} numbers above 0 expected, got '
                        f'{values.tolist()!s:.100}')
    return values


def suppress(boxes, groups, threshold, most, extra=0, eta=1):
    """Which boxes stay when each is compared with the better ones of its group that stay.

    Args:
        boxes: float32 (K, 4), groups one after the other, in each the best box first.
        groups: number of each box's group, int (K,).
        threshold: largest overlap, area of the intersection over that of the union, that stays.
        most: how many of each group at most.
        extra: 1 where the last pixels belong to boxes.
        eta: what the threshold is multiplied by after each box, as long as it is above 1/2.
    Returns:
        Places of those that stay, in order, int64.
    Raises:
        DataError: too many boxes that overlap too little.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    area = np.prod(np.maximum(high - low + extra, 0), axis=1)
    limits = np.full(int(groups.max()) + 1 if groups.size else 0, threshold, np.float32)
    worst = np.zeros(len(boxes), np.float32)        # overlap with any that stays
    rest, chosen, comparisons = np.arange(len(boxes)), [], 0
    for _ in range(most):
        if not rest.size:
            break
        comparisons += rest.size
        if comparisons > MAX_COMPARISONS:
            raise DataError(f'{len(boxes)} boxes need more than {MAX_COMPARISONS} comparisons. '
                            'The file may be damaged')
        group = groups[rest]        # in all groups at once the best box that is left stays
        start = np.flatnonzero(np.diff(group, prepend=-1))
        chosen.append(rest[start])
        best = np.repeat(rest[start], np.diff(start, append=rest.size))
        shared = np.minimum(high[rest], high[best]) - np.maximum(low[rest], low[best]) + extra
        common = np.prod(np.maximum(shared, 0), axis=1)
        union = area[rest] + area[best] - common
        overlap = np.where(common > 0, common / np.where(common > 0, union, 1), 0)
        worst[rest] = np.maximum(worst[rest], overlap)
        if eta < 1:
            seen = group[start]
            limits[seen] *= np.where(limits[seen] > .5, np.float32(eta), ONE)
        staying = worst[rest] <= limits[group]
        staying[start] = False
        rest = rest[staying]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


def moved(boxes, deltas, variances=1, extra=0):
    """Boxes shifted and stretched: x + d0 w, y + d1 h, w exp(d2), h exp(d3) of their middles.

    Args:
        boxes: (..., 4).
        deltas: (..., 4), d.
        variances: what deltas are multiplied by.
        extra: 1 where the last pixels belong to boxes.
    Girshick et al. 2014, arXiv:1311.2524.
    """
    deltas = deltas * variances
    size = boxes[..., 2:] - boxes[..., :2] + extra
    middle = boxes[..., :2] + size / 2 + deltas[..., :2] * size
    size = size * np.exp(deltas[..., 2:])
    return np.concatenate([middle - size / 2, middle + size / 2], axis=-1)


def grid(height, width, step_y, step_x):
    """Left, top, left, top of the cells of a feature map, row by row, (height, width, 1, 4)."""
    y, x = np.meshgrid(np.arange(height) * step_y, np.arange(width) * step_x, indexing='ij')
    return np.stack([x, y, x, y], axis=-1)[:, :, None]

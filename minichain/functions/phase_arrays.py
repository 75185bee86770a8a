"""A convolution that strides as one that does not, of images with more channels.

Positions that are the same modulo the stride s make an image of their own. Of C channels become
C s s, and a window of k positions sees k / s of each, rounded up: 11 x 11 at stride 4 becomes
3 x 3 at stride 1, which Winograd's way takes.
"""
import numpy as np


def geometry(windows):
    """Return (k, s): side of the window on phases, and stride, or None.

    None where it is no square window and stride over images, nothing is gained, or the window
    fills less than 0.8 of the positions that it sees after rounding up.
    """
    if len(windows.size) != 2 or len(set(windows.stride)) > 1 or len(set(windows.ksize)) > 1:
        return None
    s, k = windows.stride[0], windows.ksize[0]
    side = -(-k // s)
    if s == 1 or set(windows.dilate) != {1} or k * k < .8 * (s * side) ** 2:
        return None
    return side, s


def split_image(x, windows, k, s):
    """Return the phases of x (N, C, H, W), padded: (N, C * s * s, oh + k - 1, ow + k - 1)."""
    high, wide = (n + k - 1 for n in windows.out)
    phases = np.zeros((*x.shape[:2], s, s, high, wide), x.dtype)
    for i in range(s):
        rows = _meeting(windows.size[0], windows.pad[0], i, s, high)
        for j in range(s):
            columns = _meeting(windows.size[1], windows.pad[1], j, s, wide)
            phases[:, :, i, j, rows[0], columns[0]] = x[:, :, rows[1], columns[1]]
    return phases.reshape(len(x), -1, high, wide)


def _meeting(size, pad, phase, s, count):
    """Return slices of a phase and of the image where position u s + phase - pad is inside."""
    first = max(0, -(-(pad - phase) // s))
    last = max(first, min(count, (size - 1 + pad - phase) // s + 1))
    start = first * s + phase - pad
    return slice(first, last), slice(start, start + (last - first) * s, s)


def split_filters(W, k, s):
    """Return filters (O, C, K, K) as (O, C * s * s, k, k), zeros where they had none."""
    o, c, size = W.shape[:3]
    whole = np.zeros((o, c, k * s, k * s), W.dtype)
    whole[:, :, :size, :size] = W
    parts = whole.reshape(o, c, k, s, k, s).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(o, c * s * s, k, k)


def join_filters(W, size, s):
    """Return filters (O, C, size, size) of filters (O, C * s * s, k, k) on phases."""
    o, c, k = len(W), W.shape[1] // (s * s), W.shape[2]
    whole = W.reshape(o, c, s, s, k, k).transpose(0, 1, 4, 2, 5, 3).reshape(o, c, k * s, k * s)
    return np.ascontiguousarray(whole[:, :, :size, :size])

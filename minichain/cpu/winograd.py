"""Convolution with 3 x 3 or 5 x 5 windows at stride 1 in fewer multiplications.

Tiles of 6 x 6 positions are multiplied position by position with filters of 6 x 6, after both
went through a linear transform B, G; another one, A, makes m x m results of a product:

    y = A [ (G w G') * (B x B') ] A',   m = 7 - k

That takes 36 multiplications where the definition takes 144 (k = 3) or 100 (k = 5). The result
differs from the direct one by about 1e-5 of its largest element. Some tiles at a time go through
all stages, so few that two threads do not wait for the memory that they share.
Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", arXiv:1509.09308.
"""
import functools
import math
from typing import NamedTuple

import numpy as np

from minichain.cpu import results
from minichain.cpu.threads import alone, share
from minichain.cpu.workspaces import workspace

TILE = 6
POINTS = (0, 1, -1, 2, -2)   # where the polynomials are evaluated; and at infinity
_TILES = 128                 # tiles at a time: enough for efficient products, few for the cache
_BYTES = 2 << 20             # of their transforms
_COLUMNS = 1024              # of a low product at a time
_GAIN = {(False, 3): .72, (False, 5): .66,   # part of the direct cost below which it is faster
         (True, 3): .575, (True, 5): .65}    # (of the gradient of the filters, side of the window)
_ONES = TILE + 1             # where both polynomials are evaluated at 1: A makes m x m ones of it


@functools.cache
def transforms(k, dtype=np.float32):
    """Return the matrices (A, G, B) of one axis as Kronecker products with themselves.

    Returns:
        (m * m, 36), (36, k * k) and (36, 36), m = 7 - k.
    """
    points, m = np.array(POINTS, float), TILE + 1 - k
    others = [np.delete(points, i) for i in range(TILE - 1)]
    scale = np.array([np.prod(p - other) for p, other in zip(points, others)])
    infinity = np.eye(1, m, m - 1).T, np.eye(1, k, k - 1)
    A = np.hstack([np.vander(points, m, increasing=True).T, infinity[0]])
    G = np.vstack([np.vander(points, k, increasing=True) / scale[:, None], infinity[1]])
    B = np.array([[*np.poly(other)[::-1], 0] for other in others] + [np.poly(points)[::-1]])
    return tuple(np.kron(each, each).astype(dtype) for each in (A, G, B))


def pays(images, channels, out_channels, k, out, of_weight=False):
    """Return whether it is faster than products of columns or rows.

    Args:
        images: their number. channels, out_channels: of one group.
        k: side of the window. out: (height, width) of the result.
        of_weight: whether it is the gradient of the filters, for which both operands are cut up.
    """
    m = TILE + 1 - k
    tiles = images * math.prod(-(-n // m) for n in out)
    saved = images * math.prod(out) * k * k * channels * out_channels
    cost = (36 * tiles * channels * out_channels          # products of transforms
            + 1.5 * tiles * (1296 * channels + 36 * m * m * out_channels)
            + 1500 * channels * out_channels)             # filters, mostly waiting for memory
    return min(channels, out_channels) >= 16 and cost < _GAIN[of_weight, k] * saved


def convolve(x, W, b, pad, out, groups=1):
    """Return the convolution of x with W at stride 1, plus b.

    Args:
        x: images, (N, C, H, W), float32.
        W: filters, (O, C / groups, k, k), float32, k 3 or 5.
        b: bias, (O,), or None.
        pad: zeros before the rows and before the columns, 0 or more.
        out: (height, width) of the result; as many zeros as it takes are imagined at the end.
    Returns:
        (N, O, *out).
    """
    k, channels, out_channels = W.shape[2], W.shape[1], len(W) // groups
    m, y = TILE + 1 - k, results.empty((len(x), len(W), *out), x.dtype)
    _, G, B = transforms(k, x.dtype)
    columns = W.reshape(groups, out_channels, channels, k * k).transpose(0, 3, 2, 1)
    with alone():
        U = (G @ columns.reshape(groups, k * k, -1)).reshape(groups, -1, channels, out_channels)

    def work(blocks):
        for block in blocks:
            V = _product(B, block.tiles(x, channels, m, TILE, pad), 'odd')
            count = V.shape[1] // channels
            V = np.matmul(V.reshape(-1, count, channels), U[block.group],
                          out=workspace('even', (len(V), count, out_channels), x.dtype))
            bias = 0 if b is None else b.reshape(groups, -1)[block.group]
            block.write(V, bias, y, k)

    cost = math.prod(_grid(out, m)) * len(x) * U[0].size * groups
    share(work, _blocks(len(x), out, m, groups, max(channels, out_channels)), cost)
    return y


def convolve_weight(x, y, k, pad, groups=1):
    """Return the gradient of W (O, C / groups, k, k) of :func:`convolve` for the gradient y.

    Args:
        x, pad, groups: as there. y: of the shape of the result. k: 3 or 5.
    """
    channels, out_channels = x.shape[1] // groups, y.shape[1] // groups
    m, shape = TILE + 1 - k, (TILE * TILE, channels, out_channels)
    A, G, B = transforms(k, x.dtype)

    def work(blocks):
        U = np.zeros((groups, *shape), x.dtype)
        for block in blocks:
            V = _product(B, block.tiles(x, channels, m, TILE, pad), 'odd')
            E = _product(A.T, block.tiles(y, out_channels, m, m, (0, 0)), 'gradient')
            V, E = (each.reshape(len(each), -1, c) for each, c in zip((V, E), shape[1:]))
            U[block.group] += np.matmul(V.swapaxes(1, 2), E,
                                        out=workspace('even', shape, x.dtype))
        return U

    blocks = _blocks(len(x), y.shape[2:], m, groups, max(channels, out_channels))
    cost = math.prod(_grid(y.shape[2:], m)) * len(x) * math.prod(shape) * groups
    U = sum(share(work, blocks, cost)).reshape(groups, TILE * TILE, -1)
    with alone():
        W = G.T @ U
    return np.ascontiguousarray(W.reshape(groups, k, k, channels, out_channels).transpose(
        0, 4, 3, 1, 2)).reshape(-1, channels, k, k)


def _grid(out, m):
    """Return the numbers of rows and columns of tiles."""
    return tuple(-(-size // m) for size in out)


def _product(matrix, tiles, name):
    """Return the product with tiles (rows, columns), some columns at a time."""
    y = workspace(name, (len(matrix), tiles.shape[1]), tiles.dtype)
    for begin in range(0, y.shape[1], _COLUMNS):
        part = slice(begin, begin + _COLUMNS)
        np.matmul(matrix, tiles[:, part], out=y[:, part])
    return y


class Block(NamedTuple):
    """Tiles that are worked on together.

    Attributes:
        images: slice of the images.
        row: the first row of tiles.
        count: numbers of rows and columns of tiles.
        group: which of the groups of channels.
    """

    images: slice
    row: int
    count: tuple
    group: int

    def tiles(self, x, channels, m, side, pad):
        """Return what the tiles see of x (N, C, H, W), (side * side, tiles * channels).

        They lie ``m`` positions from each other; what is outside the image is 0.
        """
        x = x[self.images, self.group * channels:(self.group + 1) * channels]
        start, shape = (self.row * m - pad[0], -pad[1]), [
            (number - 1) * m + side for number in self.count]
        canvas = workspace('canvas', (len(x), *shape, channels), x.dtype)
        inner, outer = [], []
        for size, begin, length in zip(x.shape[2:], start, shape):
            first = min(max(0, -begin), length)
            last = max(first, min(length, size - begin))
            inner.append((first, last))
            outer.append(slice(first + begin, last + begin))
        (top, bottom), (left, right) = inner
        canvas[:, :top], canvas[:, bottom:] = 0, 0
        canvas[:, top:bottom, :left], canvas[:, top:bottom, right:] = 0, 0
        canvas[:, top:bottom, left:right] = x[(..., *outer)].transpose(0, 2, 3, 1)
        image, row, column, channel = canvas.strides
        tiles = workspace('even', (side, side, len(x), *self.count, channels), x.dtype)
        tiles[...] = np.lib.stride_tricks.as_strided(
            canvas, tiles.shape, (row, column, image, row * m, column * m, channel))
        return tiles.reshape(side * side, -1)

    def write(self, products, b, y, k):
        """Turn products (36, tiles, O) into results and write them, plus b, into y.

        The products are changed.
        """
        m, c = TILE + 1 - k, products.shape[2]
        products[_ONES] += b
        products = products.reshape(TILE * TILE, -1).T
        results = workspace('odd', (len(products), m * m), y.dtype)
        turned_A = transforms(k, y.dtype)[0].T
        for begin in range(0, len(results), _COLUMNS):
            part = slice(begin, begin + _COLUMNS)
            np.matmul(products[part], turned_A, out=results[part])
        y = y[self.images, self.group * c:(self.group + 1) * c,
              self.row * m:(self.row + self.count[0]) * m]
        rows, columns = self.count
        whole = y.shape[2:] == (rows * m, columns * m)
        image = y if whole else workspace('even', (len(y), c, rows * m, columns * m), y.dtype)
        # m positions of a row are moved as one number, four times as fast as one by one
        row = f'c{m * y.itemsize}'
        image.view(row).reshape(len(y), c, rows, m, columns)[...] = results.view(row).reshape(
            len(y), rows, columns, c, m).transpose(0, 3, 1, 4, 2)
        if not whole:
            y[...] = image[:, :, :y.shape[2], :y.shape[3]]


def _even(number, most):
    """Return a length, at most ``most``, that cuts a number into nearly equal parts."""
    return max(1, -(-number // max(1, -(-number // most))))


def _blocks(n, out, m, groups, channels):
    """Return the blocks of n results of the shape ``out``; channels: of the wider operand."""
    high, wide = _grid(out, m)
    fit = min(_TILES, _BYTES // (TILE * TILE * 4 * channels))
    rows = _even(high, max(1, fit // wide))
    images = _even(n, max(1, fit // (high * wide))) if rows == high else 1
    return [Block(slice(i, min(i + images, n)), row, (min(rows, high - row), wide), group)
            for group in range(groups) for i in range(0, n, images)
            for row in range(0, high, rows)]

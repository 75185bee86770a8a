"""Scaled dot product attention with masks, caches and shared heads; rotary embeddings."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.budget import current
from minichain.onnx.operators.values import check_size, send_like, to_ints

# TensorProto.DataType -> the type in which softmax is computed; bfloat16 is widened.
PRECISIONS = {1: np.float32, 10: np.float16, 11: np.float64, 16: np.float32}


def attention(node, Q, K, V, mask=None, past_key=None, past_value=None, lengths=None):
    """Y = softmax(scale Q K^T + mask) V for each head; several heads of Q may share one of K, V.

    Returns:
        (Y, keys, values, scores): keys and values with those of the cache in front.
    """
    flat = Q.ndim == 3
    if flat:
        Q = split_heads(Q, node.require('q_num_heads'))
        K, V = (split_heads(x, node.require('kv_num_heads')) for x in (K, V))
    if (past_key is None) != (past_value is None) or (past_key is not None
                                                      and lengths is not None):
        raise DataError('either past_key and past_value or nonpad_kv_seqlen expected')
    past = 0
    if past_key is not None:
        past = past_key.shape[2]
        K, V = F.concat([past_key, K], 2), F.concat([past_value, V], 2)
    if K.ndim != 4 or V.shape[:3] != K.shape[:3] or Q.shape[1] % K.shape[1] or (
            Q.shape[::3] != K.shape[::3]):
        raise DataError('Q, K and V as (batch, heads, length, size) expected, K and V with a '
                        f'divisor of the heads, got {Q.shape}, {K.shape} and {V.shape}')
    batch, heads, steps, size = Q.shape
    shape = check_size((batch, heads, steps, K.shape[2]), Q.dtype.itemsize)
    current().work(2 * math.prod(shape) * (size + V.shape[3]))
    scale = node.get('scale')
    scale = 1 / math.sqrt(size) if scale is None else scale
    if Q.dtype == np.float16 and scale > 0:     # the product alone may be too large
        raw = shared_heads(Q * math.sqrt(scale), F.swapaxes(K * math.sqrt(scale), 2, 3))
    else:
        raw = shared_heads(Q * scale, F.swapaxes(K, 2, 3))
    cap = node.get('softcap', 0.)
    capped = cap * F.tanh(raw / cap) if cap > 0 else raw
    biased, blocked = masked(capped, mask, allowed(node, shape, past, lengths))
    weights = softmax(biased, blocked, node.get('softmax_precision'))
    y = shared_heads(weights, V)
    if flat:
        y = y.transpose((0, 2, 1, 3)).reshape((batch, steps, heads * V.shape[3]))
    modes = raw, capped, biased, weights
    mode = node.get('qk_matmul_output_mode', 0)
    if not 0 <= mode < len(modes):
        raise DataError(f'qk_matmul_output_mode from 0 to {len(modes) - 1} expected, got {mode}')
    return y, K, V, modes[mode]


def split_heads(x, heads):
    """(batch, length, heads * size) -> (batch, heads, length, size)."""
    if x.ndim != 3 or heads < 1 or x.shape[2] % heads:
        raise DataError(f'{x.shape} is not divided by {heads} heads')
    return x.reshape((*x.shape[:2], heads, x.shape[2] // heads)).transpose((0, 2, 1, 3))


def shared_heads(x, y):
    """x @ y, where so many heads of x in a row as y has fewer share one of y."""
    batch, heads, steps, size = x.shape
    x = x.reshape((batch, y.shape[1], heads // y.shape[1] * steps, size))
    return F.matmul(x, y).reshape((batch, heads, steps, y.shape[3]))


def allowed(node, shape, past, lengths):
    """Which keys a query may look at for their places: bool, broadcasts to `shape`; or None."""
    _, _, steps, total = shape
    offset, keys, conditions = past, np.arange(total), []
    if lengths is not None:
        lengths = np.array(to_ints(lengths), np.int64).reshape(-1, 1, 1, 1)
        conditions.append(keys < lengths)
        offset = lengths - steps
    places = np.arange(steps)[:, None] + offset     # of the queries among the keys
    left, right = node.get('left_window_size', -1), node.get('right_window_size', -1)
    if node.get('is_causal'):
        conditions.append(keys <= places)
    if left >= 0:
        conditions.append(keys >= places - left)
    if right >= 0:
        conditions.append(keys <= places + right)
    return np.logical_and.reduce(np.broadcast_arrays(*conditions)) if conditions else None


def masked(scores, mask, keep):
    """Scores with what must not be seen at minus infinity, and which rows see nothing at all."""
    xp, total = get_array_module(scores), scores.shape[3]
    keep = None if keep is None else send_like(keep, scores)
    if mask is None and keep is None:
        return scores, None
    if mask is not None:
        mask = padded(send_like(mask, scores) if mask.dtype.kind == 'b' else mask, total)
        if mask.dtype.kind == 'b':
            keep = mask if keep is None else keep & mask
        else:
            scores = scores + mask
            seen = as_array(mask) > -np.inf
            keep = seen if keep is None else keep & seen
    keep = xp.broadcast_to(keep, scores.shape)
    lowest = xp.full((), -np.inf, scores.dtype)
    return F.where(keep, scores, lowest), ~keep.any(axis=3, keepdims=True)


def padded(mask, total):
    """A mask whose last axis may be too short: the keys behind it are not seen."""
    missing = total - mask.shape[-1]
    if missing <= 0 or mask.shape[-1] == 1:
        return mask
    widths = [(0, 0)] * (mask.ndim - 1) + [(0, missing)]
    if mask.dtype.kind == 'b':
        return get_array_module(mask).pad(mask, widths)
    return F.pad(mask, widths, 'constant', constant_values=-np.inf)


def softmax(scores, blocked, precision):
    """Softmax over keys, in the precision asked for; zeros in rows that see nothing."""
    dtype = scores.dtype
    zero = get_array_module(scores).zeros((), dtype)
    if blocked is not None:
        scores = F.where(blocked, zero, scores)
    if precision is not None:
        if precision not in PRECISIONS:
            raise DataError(f'softmax_precision as one of {sorted(PRECISIONS)} expected, got '
                            f'{precision}')
        scores = F.cast(scores, PRECISIONS[precision])
    weights = F.cast(F.softmax(scores, axis=3), dtype)
    return weights if blocked is None else F.where(blocked, zero, weights)


def rotary_embedding(node, x, cos, sin, positions=None):
    """Pairs of features turned by an angle that grows with the position: (a, b) as a + b i."""
    shape = x.shape
    if x.ndim == 3:
        x = split_heads(x, node.require('num_heads'))
    elif x.ndim != 4:
        raise DataError(f'an input of 3 or 4 axes expected, got {shape}')
    size = node.get('rotary_embedding_dim', 0) or x.shape[3]
    if size % 2 or not 0 < size <= x.shape[3]:
        raise DataError(f'rotary_embedding_dim as an even number up to {x.shape[3]} expected, got '
                        f'{size}')
    if positions is not None:
        index = send_like(positions, cos),
        cos, sin = cos[index], sin[index]
    if cos.ndim != 3 or cos.shape != sin.shape or cos.shape[2] != size // 2:
        raise DataError(f'cosines and sines of {size // 2} angles for each position expected, got '
                        f'{cos.shape} and {sin.shape}')
    cos, sin = (table.reshape((len(table), 1, *table.shape[1:])) for table in (cos, sin))
    turned, rest = (x, None) if size == x.shape[3] else F.split_axis(x, [size], 3)
    if node.get('interleaved'):
        a, b = turned[:, :, :, ::2], turned[:, :, :, 1::2]
    else:
        a, b = F.split_axis(turned, 2, 3)
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    if node.get('interleaved'):
        y = F.stack([real, imaginary], 4).reshape(turned.shape)
    else:
        y = F.concat([real, imaginary], 3)
    y = y if rest is None else F.concat([y, rest], 3)
    return y.transpose((0, 2, 1, 3)).reshape(shape) if len(shape) == 3 else y


OPERATORS = {
    'Attention': attention,
    'RotaryEmbedding': rotary_embedding,
}

"""Caffe's layers that reduce blobs to a few numbers, or normalize by them."""
import minichain.functions as F
from minichain.autograd import as_variable
from minichain.caffe.geometry import canonical
from minichain.caffe.layers.weights import along, expect_blobs, shaped
from minichain.errors import DataError


def argmax(layer, blobs):
    p = layer.argmax_param
    if p.top_k < 1:
        raise DataError(f'top_k above 0 expected, got {p.top_k}')

    def forward(x):
        xp, array = x.xp, x.array
        if not x.size or not x.ndim:
            raise DataError(f'an input that is not empty expected, got {x.shape}')
        axis = canonical(p.axis, x.ndim) if 'axis' in p else None
        rows = array.reshape(len(array), -1) if axis is None else xp.moveaxis(array, axis, -1)
        length = rows.shape[-1]
        if p.top_k > length:
            raise DataError(f'top_k at most {length} expected, got {p.top_k}')
        # the largest first, of equal values the last one
        order = length - 1 - xp.argsort(-rows[..., ::-1], -1, kind='stable')[..., :p.top_k]
        values, order = xp.take_along_axis(rows, order, -1), order.astype(x.dtype)
        if axis is not None:
            return as_variable(xp.moveaxis(values if p.out_max_val else order, -1, axis))
        y = xp.stack([order, values], 1) if p.out_max_val else order[:, None]
        return as_variable(y.reshape(*y.shape, *(1,) * (x.ndim - 3)))
    return forward


def reduction(layer, blobs):
    p = layer.reduction_param

    def forward(x):
        axis = canonical(p.axis, x.ndim)
        y = {'ASUM': abs, 'SUMSQ': F.square}.get(p.operation, lambda x: x)(x)
        axes = tuple(range(axis, x.ndim))
        return (F.mean if p.operation == 'MEAN' else F.sum)(y, axes) * p.coeff
    return forward


def mvn(layer, blobs):
    p = layer.mvn_param

    def forward(x):
        if x.ndim < 3:
            raise DataError(f'an input (N, C, ...) expected, got {x.shape}')
        axes = tuple(range(1 if p.across_channels else 2, x.ndim))
        x = x - F.broadcast_to(F.mean(x, axes, keepdims=True), x.shape)
        if not p.normalize_variance:
            return x
        deviation = root(F.mean(x * x, axes, keepdims=True)) + p.eps
        return x / F.broadcast_to(deviation, x.shape)
    return forward


def root(x):
    """Square root whose slope at 0 is finite."""
    zero = (x.array == 0).astype(x.dtype)
    return F.sqrt(x + zero) - zero


def normalize(layer, blobs):
    """x / sqrt(sum of squares + eps), over channels or all of an image, times a weight; SSD."""
    p = layer.norm_param
    expect_blobs(blobs, 1)
    W = shaped(blobs[0], () if p.channel_shared else (blobs[0].size,), 'W')

    def forward(x, W):
        axes = tuple(range(1, x.ndim)) if p.across_spatial else 1
        norm = F.sqrt(F.sum(x * x, axes, keepdims=True) + p.eps)
        return x / F.broadcast_to(norm, x.shape) * along(x, 1, W)
    return forward, {'W': W}

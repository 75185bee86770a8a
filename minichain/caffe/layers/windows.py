"""Caffe's layers that look at a neighbourhood: pooling, which rounds up, and normalization."""
import math
import operator

import minichain.functions as F
from minichain.autograd import as_variable
from minichain.caffe.geometry import canonical, expect_image, planned, pooled_length, spatial
from minichain.caffe.schema import message
from minichain.errors import DataError
from minichain.functions.average_pooling import average_windows, count_inside
from minichain.functions.max_pooling import max_windows, winners
from minichain.functions.windows import Windows, get_conv_outsize

MAX_TAPS = 1 << 18      # each costs a pass over the result


def pooling(layer, blobs):
    p, masked = layer.pooling_param, len(layer.top) == 2
    if not p.global_pooling:
        ksize = spatial(p, 'kernel_size')
    stride, pad = spatial(p, 'stride', 1), spatial(p, 'pad', 0)
    floor = p.round_mode == 'FLOOR' or not p.ceil_mode
    if p.global_pooling and (stride, pad) != ((1, 1), (0, 0)):
        raise DataError('global_pooling has no stride and no pad')
    if not p.global_pooling and any(q >= k for q, k in zip(pad, ksize)):
        raise DataError(f'pad {pad} below kernel_size {ksize} expected')
    if not p.global_pooling and math.prod(ksize) > MAX_TAPS:
        raise DataError(f'a window of at most {MAX_TAPS} pixels expected, got {ksize}')
    if masked and p.pool != 'MAX':
        raise DataError(f'a second top, the mask, comes with pool: MAX, not {p.pool}')

    def geometry(shape):
        kernel = shape[2:] if p.global_pooling else ksize
        out = tuple(pooled_length(*sizes, floor) for sizes in zip(shape[2:], kernel, stride, pad))
        return Windows(shape[2:], kernel, stride, pad, (1, 1), out)

    def forward(x):
        expect_image(x)
        windows = geometry(x.shape)
        if p.pool == 'MAX':
            y = max_windows(x, windows)
            return (y, mask_of(x, y, windows)) if masked else y
        if p.pool == 'AVE':
            return average_pool(x, windows)
        # stochastic, at test time: the mean of each window, weighted with the values themselves
        total = average_pool(x, windows)
        return average_pool(x * x, windows) / (total + (total.array == 0))

    def plan(shape):
        if len(shape) != 4 or p.global_pooling:
            return shape[:2], 0
        out = geometry(shape).out
        places = 6 * sum(map(operator.mul, ksize, out))     # of taps, in 64-bit integers
        return (*shape[:2], *out), math.prod(shape[:2]) * out[0] * shape[3] + places
    return planned(forward, plan)


def spp(layer, blobs):
    """Pooling over 1 x 1, 2 x 2, 4 x 4, ... windows of the whole image, one after the other.

    He et al. 2014, "Spatial pyramid pooling", arXiv:1406.4729.
    """
    p = layer.spp_param
    if not 1 <= p.pyramid_height <= 16:
        raise DataError(f'pyramid_height from 1 to 16 expected, got {p.pyramid_height}')

    def forward(x):
        expect_image(x)
        if min(x.shape[2:]) < 1 << p.pyramid_height - 1:
            raise DataError(f'an image of at least {1 << p.pyramid_height - 1} pixels a side '
                            f'expected, got {x.shape}')
        parts = []
        for level in range(p.pyramid_height):
            kernel = [-(-n // (1 << level)) for n in x.shape[2:]]
            pad = [(k * (1 << level) - n + 1) // 2 for k, n in zip(kernel, x.shape[2:])]
            part = pooling(message('LayerParameter', {
                'top': layer.top, 'pooling_param': message('PoolingParameter', {
                    'pool': p.pool, 'kernel_h': kernel[0], 'kernel_w': kernel[1],
                    'stride_h': kernel[0], 'stride_w': kernel[1],
                    'pad_h': pad[0], 'pad_w': pad[1]})}), blobs)(x)
            parts.append(F.reshape(part, (len(x), part.size // max(len(x), 1))))
        return F.concat(parts, 1)
    return forward


def average_pool(x, windows):
    """Averages that count the padding, but nothing behind it."""
    return average_windows(x, windows, count_inside(windows, margin=windows.pad))


def mask_of(x, y, windows):
    """Where in its plane each maximum lies, row by row, as floats: what `Upsample` takes."""
    xp = x.xp
    tap = winners(x.array, y.array, windows).astype('int32')
    first = [xp.arange(out) * s - p for out, s, p in zip(windows.out, windows.stride, windows.pad)]
    row, column = first[0][:, None] + tap // windows.ksize[1], first[1] + tap % windows.ksize[1]
    return as_variable((row * windows.size[1] + column).astype(x.dtype))


def lrn(layer, blobs):
    p = layer.lrn_param
    n = p.local_size
    if n % 2 == 0 or n > 511:
        raise DataError(f'local_size: an odd number up to 511 expected, got {n}')

    def forward(x):
        if p.norm_region == 'ACROSS_CHANNELS':
            return F.local_response_normalization(x, n, p.k, p.alpha / n, p.beta)
        expect_image(x)
        windows = Windows(x.shape[2:], (n, n), (1, 1), (n // 2,) * 2, (1, 1), x.shape[2:])
        # Caffe has no k here
        return x * (1 + p.alpha * average_pool(x * x, windows)) ** -p.beta
    return forward


def im2col(layer, blobs):
    p = layer.convolution_param
    ksize, stride, pad, dilate = (spatial(p, name, default) for name, default in (
        ('kernel_size', None), ('stride', 1), ('pad', 0), ('dilation', 1)))

    def forward(x):
        if canonical(p.axis, x.ndim) != 1:
            raise DataError(f'axis 1 expected, got {p.axis}')
        return F.im2col(x, ksize, stride, pad, dilate=dilate)

    def plan(shape):
        out = map(get_conv_outsize, shape[2:], ksize, stride, pad, (False,) * 2, dilate)
        return ((shape[0], math.prod(shape[1:2]) * math.prod(ksize), *out),
                padded_size(shape, pad))
    return planned(forward, plan)


def padded_size(shape, pad):
    """How many numbers an image has with its padding."""
    return math.prod(shape[1:2]) * math.prod(n + 2 * q for n, q in zip(shape[2:], pad))

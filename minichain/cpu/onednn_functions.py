"""Convolution, pooling and local response normalization by oneDNN; read onednn.py before.

Results (N, C, *size) are ordinary arrays whose channels lie side by side in memory. NumPy keeps
that order from operand to result, so that the next layer need not rearrange anything. Operands in
any order are taken. What the library cannot do, or only slowly, raises ``Refused``. Windows are
those of functions/windows.py.
"""
import ctypes
import functools

import numpy as np

from minichain.cpu.onednn import (
    BIAS,
    GRADIENT,
    INFERENCE,
    RESULT,
    SOURCE,
    SOURCES,
    TRAINING,
    WEIGHTS,
    WORKSPACE,
    Primitive,
    Refused,
    attributes,
    channels_last,
    channels_last_layout,
    empty_channels_last,
    engine,
    free_layout,
    plain_layout,
    pointers,
    reorder,
    sizes,
)

MAXIMUM, MEAN = 0x1ff, 0x2ff   # kinds of pooling
_DIRECT, _ACROSS_CHANNELS = 1, 0xaff
_LOWEST = np.finfo(np.float32).min   # what the library takes for the maximum of nothing


def _geometry(windows, kernel=False):
    """Return step, window if asked for, dilation, padding before and after, for the library."""
    before = windows.pad
    after = [max(0, e - n - p) for e, n, p in zip(windows.extent, windows.size, before)]
    fitting = tuple((n + p + q - d * (k - 1) - 1) // s + 1 for n, k, s, p, d, q in zip(
        windows.size, windows.ksize, windows.stride, before, windows.dilate, after))
    if min(before) < 0 or len(fitting) > 3 or fitting != windows.out:
        raise Refused('windows that the library cannot describe')
    lists = (windows.stride, *[windows.ksize] * kernel, [d - 1 for d in windows.dilate], before,
             after)
    return tuple(map(sizes, lists))


def _layouts(shape, out_channels, windows, groups):
    """Return the shape of the filters, and the layouts of x, W and y."""
    filters = out_channels // groups, shape[1] // groups, *windows.ksize
    filters = filters if groups == 1 else (groups, *filters)
    return filters, channels_last_layout(shape), free_layout(filters), channels_last_layout(
        (shape[0], out_channels, *windows.out))


@functools.lru_cache(256)
def convolution(shape, out_channels, windows, groups, bias=True, relu=False, add=False):
    """Return (primitive, reorder of W) of a convolution of images of a shape.

    Args:
        bias, relu, add: whether b is added; then what was in y before; then ReLU applied.
    """
    filters, x, W, y = _layouts(shape, out_channels, windows, groups)
    b = plain_layout((out_channels,)) if bias else None
    primitive = Primitive('convolution_forward', (SOURCE, WEIGHTS, *[BIAS] * bias, RESULT),
                          engine(), TRAINING, _DIRECT, x, W, b, y, *_geometry(windows),
                          attributes(relu, add))
    return primitive, reorder(plain_layout(filters), primitive.layouts[WEIGHTS])


@functools.lru_cache(256)
def _source_gradient(shape, out_channels, windows, groups):
    filters, x, W, y = _layouts(shape, out_channels, windows, groups)
    forward, _ = convolution(shape, out_channels, windows, groups, False)
    primitive = Primitive('convolution_backward_data',
                          (SOURCE + GRADIENT, WEIGHTS, RESULT + GRADIENT), engine(), _DIRECT, x, W,
                          y, *_geometry(windows), forward.description, attributes())
    return primitive, reorder(plain_layout(filters), primitive.layouts[WEIGHTS])


@functools.lru_cache(256)
def _weights_gradient(shape, out_channels, windows, groups):
    filters, x, W, y = _layouts(shape, out_channels, windows, groups)
    forward, _ = convolution(shape, out_channels, windows, groups, False)
    primitive = Primitive('convolution_backward_weights',
                          (SOURCE, WEIGHTS + GRADIENT, RESULT + GRADIENT), engine(), _DIRECT, x, W,
                          None, y, *_geometry(windows), forward.description, attributes())
    return primitive, reorder(primitive.layouts[WEIGHTS + GRADIENT], plain_layout(filters))


def _expect_gain(windows, channels, *images):
    """Refuse what is faster than to rearrange images: products of columns as they lie, Winograd.

    Args:
        channels: the smaller number of channels of one group, in or out.
    """
    if channels >= 16 and set(windows.ksize) <= {1, 3} and set(
            windows.stride + windows.dilate) == {1} and all(x.flags.c_contiguous for x in images):
        raise Refused('the plain path is faster')


def arranged(primitive, rearrange, W, name='filters'):
    """Return the filters W in the order in which a primitive expects them.

    Args:
        name: of the workspace that they go to; None: new memory.
    """
    result = primitive.layouts[WEIGHTS].empty(name)
    rearrange({SOURCE: np.ascontiguousarray(W), RESULT: result})
    return result


def convolve(x, W, b, windows, groups):
    """Return y (N, O, *out); operands as of ``convolve`` in convolution_arrays.py."""
    _expect_gain(windows, min(W.shape[1], len(W) // groups), x)
    primitive, rearrange = convolution(x.shape, len(W), windows, groups, b is not None)
    y = empty_channels_last((len(x), len(W), *windows.out))
    arrays = {SOURCE: channels_last(x), WEIGHTS: arranged(primitive, rearrange, W), RESULT: y}
    if b is not None:
        arrays[BIAS] = np.ascontiguousarray(b, np.float32)
    primitive(arrays)
    return y


def deconvolve(y, W, b, windows, groups):
    """Return x (N, C, *size), to which every y adds its window; b (C,) or None is added."""
    _expect_gain(windows, min(W.shape[1], len(W) // groups), y)
    shape = len(y), W.shape[1] * groups, *windows.size
    primitive, rearrange = _source_gradient(shape, len(W), windows, groups)
    x = empty_channels_last(shape)
    primitive({RESULT + GRADIENT: channels_last(y), WEIGHTS: arranged(primitive, rearrange, W),
               SOURCE + GRADIENT: x})
    if b is not None:
        x += b.reshape(-1, *[1] * len(windows.size))
    return x


def convolve_weight(x, y, windows, groups):
    """Return W (O, C / groups, *ksize): sum over all windows of what they see, times y."""
    _expect_gain(windows, min(x.shape[1], y.shape[1]) // groups, x, y)
    primitive, rearrange = _weights_gradient(x.shape, y.shape[1], windows, groups)
    W = np.empty((y.shape[1], x.shape[1] // groups, *windows.ksize), np.float32)
    ordered = primitive.layouts[WEIGHTS + GRADIENT].empty('filters')
    primitive({SOURCE: channels_last(x), RESULT + GRADIENT: channels_last(y, 'gradient'),
               WEIGHTS + GRADIENT: ordered})
    rearrange({SOURCE: ordered, RESULT: W})
    return W


@functools.lru_cache(256)
def _pooling(shape, windows, kind, training):
    """Return the primitive of pooling of images; in training, it notes where the maxima are."""
    y = channels_last_layout((*shape[:2], *windows.out))
    noted = [WORKSPACE] if training and kind == MAXIMUM else []
    return Primitive('pooling_forward', (SOURCE, RESULT, *noted), engine(),
                     TRAINING if training else INFERENCE, kind, channels_last_layout(shape), y,
                     *_geometry(windows, True), attributes())


@functools.lru_cache(256)
def _pooling_gradient(shape, windows, kind):
    y = channels_last_layout((*shape[:2], *windows.out))
    return Primitive('pooling_backward', (SOURCE + GRADIENT, RESULT + GRADIENT,
                                          *[WORKSPACE] * (kind == MAXIMUM)),
                     engine(), kind, channels_last_layout(shape), y, *_geometry(windows, True),
                     _pooling(shape, windows, kind, True).description, attributes())


def max_windows(x, windows, y=None, places=None):
    """Return the maximum of x (N, C, *size) over windows, (N, C, *out).

    Args:
        y: the array to write into, channels last; None: a new one.
        places: memory of the workspace, which is filled for the backward primitive, or None.
    """
    y = empty_channels_last((*x.shape[:2], *windows.out)) if y is None else y
    arrays = {SOURCE: channels_last(x), RESULT: y}
    if places is not None:
        arrays[WORKSPACE] = places
    _pooling(x.shape, windows, MAXIMUM, places is not None)(arrays)
    # The library has no NaN come out of a maximum, and its own number where there is only -inf.
    if np.isnan(x.max()) or y.min() == _LOWEST:
        raise Refused('a maximum of NaN or of nothing')
    return y


def max_windows_gradient(x, gy, windows):
    """Return gx (N, C, *size): gy (N, C, *out) added to where the first maximum is."""
    gx = empty_channels_last(x.shape)
    primitive = _pooling_gradient(x.shape, windows, MAXIMUM)
    places = primitive.layouts[WORKSPACE].empty('places')
    max_windows(x, windows, None, places)
    primitive({RESULT + GRADIENT: channels_last(gy), SOURCE + GRADIENT: gx, WORKSPACE: places})
    return gx


def mean_windows(x, windows, y=None):
    """Return the mean of x (N, C, *size) over windows, padding counted as zeros, (N, C, *out)."""
    y = empty_channels_last((*x.shape[:2], *windows.out)) if y is None else y
    _pooling(x.shape, windows, MEAN, False)({SOURCE: channels_last(x), RESULT: y})
    return y


def mean_windows_gradient(gy, windows):
    """Return gx (N, C, *size): every gy (N, C, *out) shared out over its window."""
    gx = empty_channels_last((*gy.shape[:2], *windows.size))
    _pooling_gradient(gx.shape, windows, MEAN)({RESULT + GRADIENT: channels_last(gy),
                                                SOURCE + GRADIENT: gx})
    return gx


def _normalization_arguments(n, k, alpha, beta):
    n = n // 2 * 2 + 1
    return ctypes.c_int64(n), ctypes.c_float(alpha * n), ctypes.c_float(beta), ctypes.c_float(k)


@functools.lru_cache(64)
def _normalization(shape, training, *numbers):
    layout = channels_last_layout(shape)
    return Primitive('lrn_forward', (SOURCE, RESULT, *[WORKSPACE] * training), engine(),
                     TRAINING if training else INFERENCE, _ACROSS_CHANNELS, layout, layout,
                     *_normalization_arguments(*numbers), attributes())


@functools.lru_cache(64)
def _normalization_gradient(shape, *numbers):
    layout = channels_last_layout(shape)
    return Primitive('lrn_backward', (SOURCE, SOURCE + GRADIENT, RESULT + GRADIENT, WORKSPACE),
                     engine(), _ACROSS_CHANNELS, layout, layout, layout,
                     *_normalization_arguments(*numbers),
                     _normalization(shape, True, *numbers).description, attributes())


def normalize(x, n, k, alpha, beta, y=None):
    """Return x / (k + alpha * sum of x ** 2 over n neighbouring channels) ** beta, (N, C, H, W).

    Args:
        y: the array to write into, channels last; None: a new one.
    """
    y = empty_channels_last(x.shape) if y is None else y
    _normalization(x.shape, False, n, k, alpha, beta)({SOURCE: channels_last(x), RESULT: y})
    return y


def normalize_gradient(x, gy, *numbers):
    """Return the gradient of :func:`normalize` by x, times gy."""
    x, y, gx = channels_last(x), empty_channels_last(x.shape), empty_channels_last(x.shape)
    primitive = _normalization_gradient(x.shape, *numbers)
    rest = primitive.layouts[WORKSPACE].empty('places')
    _normalization(x.shape, True, *numbers)({SOURCE: x, RESULT: y, WORKSPACE: rest})
    primitive({SOURCE: x, RESULT + GRADIENT: channels_last(gy, 'gradient'),
               SOURCE + GRADIENT: gx, WORKSPACE: rest})
    return gx


@functools.lru_cache(64)
def _concatenation(shapes):
    layouts = [channels_last_layout(shape) for shape in shapes]
    y = channels_last_layout((shapes[0][0], sum(shape[1] for shape in shapes), *shapes[0][2:]))
    return Primitive('concat', [SOURCES + i for i in range(len(shapes))] + [RESULT], engine(), y,
                     len(shapes), 1, pointers(layouts), attributes())


def concatenate(xs, y):
    """Write images xs, a list of (N, C_i, *size), side by side into y (N, C, *size)."""
    arrays = {SOURCES + i: channels_last(x, f'images {i}') for i, x in enumerate(xs)}
    _concatenation(tuple([x.shape for x in xs]))({**arrays, RESULT: y})

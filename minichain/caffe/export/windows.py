"""Convolution and pooling as layers of Caffe, whose windows may lie elsewhere than ours."""
import numpy as np

from minichain.caffe.export.network import CannotExport
from minichain.caffe.geometry import pooled_length
from minichain.functions.average_pooling import AveragePooling, Unpooling, count_inside
from minichain.functions.convolution import Convolution, Deconvolution
from minichain.functions.max_pooling import MaxPooling
from minichain.functions.windows import get_conv_outsize, get_deconv_outsize


def geometry(windows):
    """Return the fields of a convolution or pooling that say where its windows lie."""
    fields = {}
    for name, values, default in (('kernel', windows.ksize, 0), ('stride', windows.stride, 1),
                                  ('pad', windows.pad, 0)):
        if set(values) != {default}:
            fields.update({f'{name}_h': values[0], f'{name}_w': values[1]})
    return fields


def convolution_fields(windows, outputs, groups, bias_term):
    axes = len(windows.size)
    if axes == 1:
        raise CannotExport('Caffe has it for two axes or more; give the input an axis of length '
                           '1, and the weights too')
    fields = {'num_output': outputs, 'bias_term': bias_term, 'group': groups}
    if axes == 2:
        fields.update(geometry(windows))
    else:
        fields.update(kernel_size=list(windows.ksize), stride=list(windows.stride),
                      pad=list(windows.pad))
    if set(windows.dilate) != {1}:
        fields['dilation'] = list(windows.dilate)
    return fields


def convolution(net, step):
    W, *b = step.weights()
    windows = step.function.windows
    out = tuple(get_conv_outsize(n, k, s, p, False, d) for n, k, s, p, d, _ in zip(*windows))
    if out != windows.out:
        raise CannotExport(f'it has {windows.out} windows, Caffe {out}: it leaves out those '
                           'beyond the padding. Use cover_all=False, or a larger pad')
    return net.add('Convolution', [step.bottom()], weights=[W, *b], owner=step.operands[1],
                   convolution_param=convolution_fields(
                       windows, len(W), step.function.groups, bool(b)))


def deconvolution(net, step):
    W, *b = step.weights()
    windows, groups = step.function.windows, step.function.groups
    return deconvolved(net, step, windows, [W, *b], W.shape[1] * groups, groups,
                       owner=step.operands[1])


def unpooling(net, step):
    """The same, of each channel alone and with equal weights."""
    windows, divisor, channels = step.function.windows, step.function.divisor, step.shape()[1]
    if np.ndim(divisor):
        raise CannotExport('it divides by another number at each position')
    W = np.full((channels, 1, *windows.ksize), 1 / (1 if divisor is None else divisor))
    return deconvolved(net, step, windows, [W], channels, channels)


def deconvolved(net, step, windows, weights, outputs, groups, owner=None):
    """Add a Deconvolution and cut off what it has more than ``windows.size``."""
    out = tuple(get_deconv_outsize(n, k, s, p, False, d) for n, k, s, p, d in zip(
        windows.out, windows.ksize, windows.stride, windows.pad, windows.dilate))
    if any(n > m for n, m in zip(windows.size, out)):
        raise CannotExport(f"its result has the size {windows.size}, Caffe's {out} at most. Leave "
                           'out outsize, or pad the result less')
    y = net.add('Deconvolution', [step.bottom()], weights=weights, owner=owner,
                convolution_param=convolution_fields(windows, outputs, groups, len(weights) == 2))
    return cut(net, y, out, windows.size)


def cut(net, x, size, wanted):
    """Cut off rows, columns, ... behind."""
    for axis, (n, m) in enumerate(zip(size, wanted), 2):
        x = net.cut(x, n, axis, 0, m)
    return x


def pooled(net, step, method):
    """Add a Pooling of the windows of the function; return it and the windows that Caffe takes.

    Caffe rounds their number up: what it has too many is cut off.
    """
    windows = step.function.windows
    if len(windows.size) != 2:
        raise CannotExport('Caffe pools over two axes; give the input an axis of length 1')
    if set(windows.dilate) != {1} or any(p >= k for p, k in zip(windows.pad, windows.ksize)):
        raise CannotExport(f'windows without dilation and pad below ksize expected, got {windows}')
    out = tuple(pooled_length(n, k, s, p) for n, k, s, p, _, _ in zip(*windows))
    if any(n > m for n, m in zip(windows.out, out)):
        raise CannotExport(f'it has {windows.out} windows, Caffe {out}: it leaves out those that '
                           'begin behind the image. Use cover_all=False, or a smaller pad')
    y = net.add('Pooling', [step.bottom()],
                pooling_param={'pool': method, **geometry(windows)})
    return cut(net, y, out, windows.out), windows


def max_pooling(net, step):
    return pooled(net, step, 'MAX')[0]


def average_pooling(net, step):
    y, windows = pooled(net, step, 'AVE')
    # Caffe divides by the positions in the image and the padding, but not behind it.
    divisor = 1 if step.function.divisor is None else step.function.divisor
    ratio = np.broadcast_to(count_inside(windows, margin=windows.pad) / divisor, windows.out)
    if (ratio == ratio.flat[0]).all():
        return net.power(y, scale=float(ratio.flat[0]))
    return net.add('Scale', [y], weights=[ratio], scale_param={'axis': 2, 'num_axes': 2})


CONVERTERS = {
    Convolution: convolution, Deconvolution: deconvolution, Unpooling: unpooling,
    MaxPooling: max_pooling, AveragePooling: average_pooling,
}

"""Convolution of images with channels last, and what follows it, by filters laid out before.

A pixel is a row of a matrix. Windows of one position are one product, which reads the images as
they are and may write its columns into the pixels of wider results. Of other windows a kernel
copies what they see into rows (im2row.py), MOST bytes at a time, and products follow. Where cuDNN
is installed and ``config.use_cudnn`` allows, the faster way is taken (fastest.py).
"""
import functools
import math

from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.gpu import cublaslt, cudnn, cudnn_convolution, fastest
from minichain.gpu.casts import as_stored
from minichain.gpu.channelwise import add
from minichain.gpu.convolution import cudnn_serves
from minichain.gpu.gemm import gemm
from minichain.gpu.im2row import im2row, row_width

MOST = 1 << 25   # bytes of rows at a time: few enough to stay in the second cache of a large GPU


class Filters:
    """Filters as products want them: a matrix for every group, a row for every filter.

    Args:
        W: (O, C / groups, kh, kw), float32. b: (O,), float32, or None.
        windows: :class:`~minichain.functions.windows.Windows` of two axes.
        groups: into how many parts channels are cut.
        dtype: of images and results: float32, or uint16 for bfloat16.
        relu: whether max(., 0) of the results is wanted.
    Attributes:
        matrices: (groups, O / groups, width) of that dtype.
        for_cudnn: W (O, kh, kw, C / groups) and b, which there must be one if ReLU follows; the
            same memory, where no zeros fill rows up.
    """

    def __init__(self, W, b, windows, groups, dtype, relu):
        xp, (O, channels, kh, kw) = get_array_module(W), W.shape
        self.windows, self.groups, self.relu = windows, groups, relu
        count, self.shape = kh * kw * channels, (O, kh, kw, channels)
        width = count if windows.pointwise else row_width(count, dtype.itemsize)
        matrix = xp.zeros((O, width), 'float32')
        matrix[:, :count] = W.transpose(0, 2, 3, 1).reshape(O, count)
        self.matrices = as_stored(matrix, dtype).reshape(groups, O // groups, width)
        self.b = None if b is None else as_stored(b, dtype)
        self.for_cudnn = (
            xp.ascontiguousarray(self.matrices.reshape(O, width)[:, :count]).reshape(self.shape),
            xp.zeros(O, dtype) if relu and b is None else self.b)

    @property
    def epilogue(self):
        """Name of what follows the products, as :func:`~minichain.gpu.gemm.gemm` has it."""
        return '_'.join(['relu'] * self.relu + ['bias'] * (self.b is not None)) or None


def convolve(x, filters, y, first=0, begin=0, addend=None):
    """Fill O channels of results, from ``first`` on.

    Args:
        x: images, (N, H, W, at least begin + C), float32 or bfloat16.
        filters: :class:`Filters`.
        y: (N, OH, OW, at least first + O), of the dtype of x.
        begin: the first of the C channels of x that filters see.
        addend: (N, OH, OW, O), of the dtype of x, is added before ReLU; None: nothing.
    """
    by_products = functools.partial(_by_products, x, filters, y, first, begin, addend)
    parted = addend is not None and addend.shape != y.shape     # which our kernel does not add
    # What cuDNN takes at one address it may refuse at another that is no multiple of 16 bytes.
    shifted = (begin | first) * x.itemsize % 16
    if parted or shifted or not cudnn_serves(x, filters.windows):
        by_products()
        return
    by_cudnn = functools.partial(_by_cudnn, x, filters, y, first, begin, addend)
    if config.use_cudnn == 'always':
        by_cudnn()
        return
    windows = filters.windows
    key = (f'channels last {x.dtype} {x.shape} {filters.shape} {y.shape[3]} {filters.epilogue}'
           f'{" sum" * (addend is not None)} {windows.stride} {windows.pad} {windows.dilate} '
           f'{filters.groups} {config.precision} cublasLt {cublaslt.version()} '
           f'cuDNN {cudnn.version()}')
    fastest.run(key, (by_products, by_cudnn))


def _by_cudnn(x, filters, y, first, begin, addend):
    windows, (W, b), plain = filters.windows, filters.for_cudnn, addend is None
    x = x[..., begin:begin + filters.groups * W.shape[3]]
    how = cudnn_convolution.Convolution(windows.stride, windows.pad, windows.dilate,
                                        filters.groups)
    cudnn_convolution.convolution_forward(x, W, y[..., first:first + len(W)], how, b=b,
                                          relu=filters.relu and plain, layout='NHWC')
    if not plain:
        add(y, addend, y, filters.relu)


def _by_products(x, filters, y, first, begin, addend):
    channels, each = filters.shape[3], filters.matrices.shape[1]
    pixels = y.reshape(-1, y.shape[3])
    others = None if addend is None else addend.reshape(-1, addend.shape[3])
    for group, W in enumerate(filters.matrices):
        start = group * each
        out = pixels[:, first + start:first + start + each]
        b = None if filters.b is None else filters.b[start:start + each]
        more = None if others is None else others[:, start:start + each]
        for rows, part in _rows(x, filters, begin + group * channels):
            gemm(rows, W, out[part], trans_b=True, epilogue=filters.epilogue, bias=b,
                 **({} if more is None else {'addend': more[part], 'beta': 1}))


def _rows(x, filters, begin):
    """Yield (matrix of what windows see of a group's channels, slice of the windows)."""
    channels, width = filters.shape[3], filters.matrices.shape[2]
    if filters.windows.pointwise:
        yield x.reshape(-1, x.shape[3])[:, begin:begin + channels], slice(None)
        return
    windows = len(x) * math.prod(filters.windows.out)
    count = min(windows, max(1, MOST // (width * x.itemsize)))
    room = get_array_module(x).empty((count, width), x.dtype)
    for start in range(0, windows, count):
        rows = room[:min(count, windows - start)]
        im2row(x, rows, filters.windows, start, begin, channels)
        yield rows, slice(start, start + len(rows))

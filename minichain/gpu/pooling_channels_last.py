"""Pooling of images with channels last: see ``kernels/pooling_channels_last.cu``.

Arrays are float32 or bfloat16. How many windows there are, the results say: windows may reach
beyond the padding.
"""
from minichain.gpu.grids import planes
from minichain.gpu.launcher import kernel, storage


def launch(name, x, y, ksize, stride, pad, first, relu, begin, channels, counts_padding):
    (N, H, W, x_width), (_, OH, OW, width) = x.shape, y.shape
    C = x_width - begin if channels is None else channels
    kernel(f'{name}_{storage(x)}')(
        x, y, N, C, x_width, begin, width, first, H, W, OH, OW, *ksize, *stride, *pad,
        int(counts_padding), int(relu), **planes(N * OH, OW * -(-C * x.itemsize // 16)))


def max_pooling_channels_last(x, y, ksize, stride, pad, first=0, relu=False, begin=0,
                              channels=None):
    """Find the largest of what each window sees; padding is -infinity, NaN the largest.

    Args:
        x: images, (N, H, W, at least begin + C).
        y: (N, OH, OW, at least first + C), of which C channels from ``first`` on are filled.
        ksize, stride, pad: pairs of ints.
        relu: whether to store max(., 0).
        begin, channels: the C channels of x that are seen; None: those from ``begin`` on.
    """
    launch('max_pooling_channels_last', x, y, ksize, stride, pad, first, relu, begin, channels, 0)


def mean_pooling_channels_last(x, y, ksize, stride, pad, first=0, relu=False, begin=0,
                               channels=None, counts_padding=True):
    """Compute the mean of what each window sees; other arguments as of the maximum.

    Args:
        counts_padding: count places in the padding, which are 0, too; not those beyond it.
    """
    launch('mean_pooling_channels_last', x, y, ksize, stride, pad, first, relu, begin, channels,
           counts_padding)

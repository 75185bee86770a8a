"""Pooling of images with channels last: see ``kernels/pooling_channels_last.cu``.

Arrays are float32 or bfloat16. How many windows there are, the results say: windows may reach
beyond the padding.
"""
from minichain.gpu.grids import planes
from minichain.gpu.launcher import kernel, storage


def launch(name, x, y, ksize, stride, pad, first, counts_padding, relu):
    (N, H, W, C), (_, OH, OW, width) = x.shape, y.shape
    kernel(f'{name}_{storage(x)}')(
        x, y, N, C, width, first, H, W, OH, OW, *ksize, *stride, *pad, int(counts_padding),
        int(relu), **planes(N * OH, OW * -(-C * x.itemsize // 16)))


def max_pooling_channels_last(x, y, ksize, stride, pad, first=0, relu=False):
    """Find the largest of what each window sees; padding is -infinity, NaN the largest.

    Args:
        x: images, (N, H, W, C).
        y: (N, OH, OW, width), of which C channels from ``first`` on are filled.
        ksize, stride, pad: pairs of ints.
        relu: whether to store max(., 0).
    """
    launch('max_pooling_channels_last', x, y, ksize, stride, pad, first, False, relu)


def mean_pooling_channels_last(x, y, ksize, stride, pad, first=0, counts_padding=True, relu=False):
    """Compute the mean of what each window sees; other arguments as of the maximum.

    Args:
        counts_padding: count places in the padding, which are 0, too; not those beyond it.
    """
    launch('mean_pooling_channels_last', x, y, ksize, stride, pad, first, counts_padding, relu)

"""Depthwise convolution: every channel is filtered by itself."""
from minichain.errors import InvalidType
from minichain.functions.convolution import convolve
from minichain.functions.reshape import reshape, transpose
from minichain.type_check import expect_ndim


def depthwise_convolution_2d(x, W, b=None, stride=1, pad=0):
    """Convolution of each channel with its own M filters; no sum over channels.

    Args:
        x: images, (N, C, H, W), float.
        W: filters, (M, C, kh, kw), float.
        b: bias, (C * M,); None adds nothing.
        stride, pad: int or pair of ints.
    Returns:
        (N, C * M, OH, OW); channel c * M + m is channel c under its filter m.
    Raises:
        InvalidType: shapes do not fit, or the window is larger than the padded image.
    Chollet 2017, "Xception", arXiv:1610.02357.
    """
    label = 'depthwise_convolution_2d'
    expect_ndim(label, 4, x=x, W=W)
    m, c, kh, kw = W.shape
    if x.shape[1] != c:
        raise InvalidType(f'{label}: W.shape[1] == x.shape[1] expected, got x {x.shape}, '
                          f'W {W.shape}')
    W = reshape(transpose(W, (1, 0, 2, 3)), (c * m, 1, kh, kw))
    return convolve(label, 2, x, W, b, stride, pad, False, 1, c)

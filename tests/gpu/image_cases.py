"""Arguments for the functions on images that run by kernels, as test_dispatch.py wants them."""
import numpy as np

from minichain.functions.windows import slide
from minichain.image_encoder import to_planes

random = np.random.default_rng(1)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def of_convolution():
    """Yield (x, W, b, y, windows, groups): strides, paddings, dilation, groups, 1 x 1, vectors."""
    for shape, O, ksize, stride, pad, dilate, groups, cover_all in (
            ((2, 4, 7, 6), 6, 3, 1, 1, 1, 1, False), ((3, 4, 6, 5), 6, 3, 2, 1, 1, 2, True),
            ((2, 4, 7, 9), 8, (3, 2), (1, 2), (0, 1), 2, 4, False),
            ((3, 6, 5, 4), 4, 1, 1, 0, 1, 2, False), ((2, 3, 5, 5), 40, 1, 2, 0, 1, 1, False),
            ((4, 6, 1, 1), 4, 1, 1, 0, 1, 1, False), ((3, 2, 4, 4), 5, 4, 1, 0, 1, 1, False),
            ((2, 6, 9, 1), 12, (2, 1), 1, 0, 1, 6, False), ((2, 3, 6, 5), 3, 3, 2, 1, 1, 3, True)):
        windows = slide('test', shape[2:], ksize, stride, pad, cover_all, dilate)
        yield (normal(*shape), normal(O, shape[1] // groups, *windows.ksize), normal(O),
               normal(shape[0], O, *windows.out), windows, groups)


MEANS = [(slide('test', (7, 6), ksize, stride), ksize[0] * ksize[1])   # others: test_images.py
         for ksize, stride in (((2, 2), 2), ((7, 6), 1), ((2, 3), (3, 1)))]
# Of batch normalization: shapes of x and of gamma, axes of the statistics.
CHANNELS = [((3, 4, 5, 2), (4,), (0, 2, 3)), ((6, 5), (5,), (0,)), ((3, 4, 5), (4, 5), (0,)),
            ((2, 3, 5), (5,), (0, 1)), ((3, 7), (3,), (1,)), ((2, 3, 4, 2), (3, 4), (0, 3))]
CONVOLUTIONS = list(of_convolution())
CASES = {
    'convolution_arrays.convolve': [
        ((x, W, bias, windows, groups), None) for x, W, b, _, windows, groups in CONVOLUTIONS
        for bias in (b, None)] + [
        ((x[:, :, ::-1], W[::-1], b[::-1], windows, groups), None)
        for x, W, b, _, windows, groups in CONVOLUTIONS[1:2]],
    'convolution_arrays.deconvolve': [
        ((y, W, bias, windows, groups), None) for x, W, _, y, windows, groups in CONVOLUTIONS
        for bias in (normal(x.shape[1]), None)],
    'convolution_arrays.convolve_weight': [
        ((x, y, windows, groups), None) for x, _, _, y, windows, groups in CONVOLUTIONS],
    'average_pooling.mean_of_windows': [
        ((x, *how), None) for how in MEANS
        for x in (normal(2, 3, 7, 6), normal(2, 3, 6, 7)[:, ::-1].swapaxes(2, 3))],
    'average_pooling.mean_gradient': [((normal(2, 3, *how[0].out), *how), None) for how in MEANS],
    'local_response_normalization.normalize': [
        ((normal(*shape), n, 1.5, .3, beta), None) for n, beta in ((5, .75), (4, .5), (1, 1.2))
        for shape in ((2, 7, 3, 2), (3, 4), (2, 19, 5))],
    'local_response_normalization.gradient': [
        ((normal(*shape), normal(*shape), n, 1.5, .3, beta), None)
        for n, beta in ((5, .75), (4, .5), (1, 1.2))
        for shape in ((2, 7, 3, 2), (3, 4), (2, 19, 5))],
    'batch_normalization.normalize_batch': [
        ((x := normal(*shape) + 3, gamma := normal(*kept), normal(*kept), axes, .1),
         (x, gamma, normal(*shape)))
        for shape, kept, axes in CHANNELS],
    'batch_normalization.normalize_by': [
        ((normal(*shape) + 3, *normal(3, *kept), normal(*kept) ** 2, axes, .1), None)
        for shape, kept, axes in CHANNELS],
    to_planes.name: [
        ((normal(3), normal(3), random.integers(0, 256, (2, 5, 7, 3)).astype(np.uint8), reverse),
         None) for reverse in (False, True)],
    'layer_normalization.standardize': [
        ((x := normal(*shape) + 3, .1), (x, normal(*shape)))
        for shape in ((4, 7), (2, 3, 5), (1, 1))] + [
        ((x := normal(5, 4).T, .1), (x, normal(5, 4).T))],
}

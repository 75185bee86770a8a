"""Where Caffe's windows and axes lie, and how much a file may make a computation take."""
import math

from minichain.errors import DataError

MAX_LENGTH = 1 << 16            # of a kernel, stride, pad or dilation
MAX_SPATIAL_AXES = 8


def spatial(p, name, default=None, ndim=2):
    """A size that Caffe's messages give as `pad: 1`, `pad: 1 pad: 2`, or `pad_h: 1 pad_w: 2`.

    Args:
        p: Message of kind ConvolutionParameter or PoolingParameter.
        name: 'kernel_size', 'stride', 'pad' or 'dilation'.
        default: where nothing is given; None refuses that.
        ndim: number of spatial axes.
    Returns:
        (height, width), or as many ints as there are axes.
    Raises:
        DataError: nothing given, both forms, another number of them, or one that is not possible.
    """
    if name == 'dilation' and not {'hole', 'hole_h', 'hole_w'}.isdisjoint(p):
        name = 'hole'       # what the fork of DeepLab's first version calls it
    values = p[name] if name in p else []
    values = values if isinstance(values, list) else [values]
    stem = name.removesuffix('_size')
    single = [p[f'{stem}_{axis}'] for axis in 'hw' if f'{stem}_{axis}' in p]
    if not values and len(single) == 1 and default is not None:
        single = [p.get(f'{stem}_{axis}', default) for axis in 'hw']
    values = values or single or [default] * ndim
    least = 0 if name == 'pad' else 1
    if len(values) == 1 and not single:
        values = values * ndim
    if len(values) != ndim or not all(v is not None and least <= v <= MAX_LENGTH for v in values):
        raise DataError(f'{name}: one number in {least}..{MAX_LENGTH}, or one for each of {ndim} '
                        f'axes, expected, got {values[:MAX_SPATIAL_AXES + 1]}')
    return tuple(values)


def expect_image(x, ndim=2):
    """Raises unless x is a batch of images that are not empty, (N, C, H, W)."""
    if x.ndim != ndim + 2 or 0 in x.shape[1:]:
        shape = '(N, C, H, W)' if ndim == 2 else f'(N, C and {ndim} spatial axes)'
        raise DataError(f'an input {shape}, not empty, expected, got {x.shape}')


def canonical(axis, ndim, allow_end=False):
    """An axis that may count from the end as one that counts from the start."""
    if not -ndim - allow_end <= axis < ndim + allow_end:
        raise DataError(f'axis {axis} does not exist in an input of {ndim} axes')
    return axis if axis >= 0 else axis + ndim + allow_end


def pooled_length(length, kernel, stride, pad, floor=False):
    """Number of Caffe's pooling windows along an axis.

        ceil((length + 2 pad - kernel) / stride) + 1

    less one where the last window would begin behind the image and the padding before it.
    With ``floor``, an option of newer versions, it rounds down.
    """
    reach = length + 2 * pad - kernel
    windows = (reach // stride if floor else -(-reach // stride)) + 1
    if (windows - 1) * stride >= length + pad:
        windows -= 1
    return windows


def planned(forward, plan):
    """A layer's function with a plan, by which a `Room` can refuse it before anything is taken.

    Args:
        forward: function of the bottoms; its first result is larger than the bottoms together, or
            it needs more than that on the way.
        plan: function of the shapes of the bottoms -> (shape of a result, how many numbers are
            needed on the way).
    """
    forward.plan = plan
    return forward


class Room:
    """How many numbers one call of a network may take: a file says sizes that nobody has to keep.

    What is in use at a time, what a single layer needs on the way, and what all layers together
    go through are limited by the size of what the user gives, and never below what the largest
    public networks take.

    Args:
        inputs: arrays that the user gives.
    """

    def __init__(self, inputs):
        samples = max((x.shape[0] for x in inputs if x.ndim), default=0)
        pixels = max((x.size // (max(x.shape[1], 1) if x.ndim > 2 else 1) for x in inputs),
                     default=0)
        self.in_use = max(1 << 26, samples << 22, 512 * pixels)
        self.on_the_way = max(1 << 27, 2048 * pixels)
        self.in_total = max(1 << 32, samples << 26, pixels << 17)

    def expect(self, shape, count, in_use, read, on_the_way):
        """Raises unless there is room for the results of a layer.

        Args:
            shape: of each of its results.
            count: how many of them.
            in_use: numbers in all blobs that are kept already.
            read: numbers in its bottoms, as often as they are bottoms.
            on_the_way: numbers that it needs besides.
        Raises:
            DataError: too much would be taken.
        """
        size = count * math.prod(shape)
        self.in_total -= size + read + on_the_way
        if in_use + size > self.in_use or on_the_way > self.on_the_way or self.in_total < 0:
            raise DataError(f'reads {read} numbers for a result of the shape {shape}, with '
                            f'{on_the_way} on the way and {in_use} in other blobs. For inputs of '
                            'this size that is too much: the file may be damaged')

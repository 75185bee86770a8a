"""Rectifiers, elementwise and piecewise linear: relu and its leaky, clipped and random kin."""
from minichain.autograd import Primitive, as_array, as_variable
from minichain.backend import get_array_module
from minichain.configuration import config, thread_state
from minichain.cpu import rectifier
from minichain.errors import InvalidArgument
from minichain.functions._axis import after_first_axis, expect_axis
from minichain.functions._elementwise import Elementwise
from minichain.functions.broadcast import sum_to
from minichain.functions.concat import concat
from minichain.type_check import expect_same_dtype, expect_shape, refuse_former


class ReLU(Elementwise):
    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return rectifier.rectify(x),

    def backward(self, indexes, grads):
        y, gy = as_array(self.get_retained_outputs()[0]), grads[0]
        if thread_state.on_arrays and rectifier.serves(gy, y):
            return rectifier.gradient(gy, y),
        return gy * (y > 0),


class ClippedReLU(Elementwise):
    label = 'clipped_relu'

    def __init__(self, z):
        self.z = z

    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return get_array_module(x).clip(x, 0, self.z),

    def backward(self, indexes, grads):
        y = as_array(self.get_retained_outputs()[0])
        return grads[0] * ((y > 0) & (y < self.z)),


class LeakyReLU(Elementwise):
    label = 'leaky_relu'

    def __init__(self, slope):
        self.slope = slope

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return x * _slopes(x > 0, x.dtype, self.slope),

    def backward(self, indexes, grads):
        x = as_array(self.get_retained_inputs()[0])
        return grads[0] * _slopes(x > 0, x.dtype, self.slope),


class PReLU(Primitive):
    """W broadcasts against x: the public function has reshaped it."""

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x, W = arrays
        return x * _slopes(x >= 0, x.dtype, W),

    def backward(self, indexes, grads):
        x, W = self.get_retained_inputs()
        gy, = grads
        positive = as_array(x) >= 0
        return (gy * _slopes(positive, x.dtype, W) if 0 in indexes else None,
                sum_to(gy * x * ~positive, W.shape) if 1 in indexes else None)


def _slopes(positive, dtype, slope):
    """Return 1 where ``positive``, else ``slope``; several times faster than ``where``."""
    positive = positive.astype(dtype)
    return slope * (1 - positive) + positive


def relu(x):
    """max(x, 0), elementwise; x float, any shape.

    Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """
    return ReLU().apply((x,))[0]


def clipped_relu(x, z=20.0):
    """min(max(x, 0), z), elementwise.

    Args:
        x: float, any shape.
        z: the upper limit, positive.
    Raises:
        InvalidArgument: ``z`` is not positive.
    """
    if not z > 0:
        raise InvalidArgument(f'clipped_relu: z > 0 expected, got {z}')
    return ClippedReLU(float(z)).apply((x,))[0]


def relu6(x):
    """min(max(x, 0), 6), elementwise; x float, any shape."""
    return clipped_relu(x, 6.)


def leaky_relu(x, slope=0.2):
    """x where x > 0, else slope x, elementwise; x float, any shape."""
    return LeakyReLU(slope).apply((x,))[0]


def prelu(x, W):
    """x where x >= 0, else W x: a leaky rectifier that learns its slopes.

    Args:
        x: float, (N, ...).
        W: one slope, shape (), or one for each position of the axes of ``x`` after the first that
            it has, same dtype: (C,) for one slope a channel.
    Raises:
        InvalidType: ``W`` has another shape than these axes.
    He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.
    """
    return PReLU().apply((x, after_first_axis('prelu', x, W)))[0]


def rrelu(x, l=1. / 8, u=1. / 3, *, r=None, return_r=False, **former):
    """x where x >= 0, else r x with random r in training, (l + u) / 2 in test mode.

    Args:
        x: float, any shape.
        l, u: limits of the uniform distribution of the slopes r.
        r: slopes to use in training instead of drawn ones, an array like ``x``.
        return_r: also return the slopes.
    Returns:
        y, or (y, r) with ``return_r``; both like ``x``.
    Raises:
        InvalidArgument: not l < u.
    Xu et al. 2015, "Empirical evaluation of rectified activations", arXiv:1505.00853.
    """
    if former:
        refuse_former('rrelu', former)
    if not l < u:
        raise InvalidArgument(f'rrelu: l < u expected, got l = {l} and u = {u}')
    xp = get_array_module(x)
    if not config.train:
        r = xp.full(x.shape, (l + u) / 2, x.dtype)
    elif r is None:
        r = xp.random.uniform(l, u, x.shape).astype(x.dtype)
    else:
        expect_shape('rrelu', x.shape, r=r)
        expect_same_dtype('rrelu', x=x, r=r)
    y = PReLU().apply((x, as_array(r)))[0]
    return (y, r) if return_r else y


def crelu(x, axis=1):
    """relu of x and of -x side by side: (max(x, 0), max(-x, 0)) joined along ``axis``.

    Shang et al. 2016, "Understanding and improving convolutional neural networks via concatenated
    rectified linear units", arXiv:1603.05201.
    """
    x = as_variable(x)
    return relu(concat((x, -x), expect_axis('crelu', axis, x.ndim)))

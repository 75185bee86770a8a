"""Initializers that draw from normal distributions of mean zero."""
from minichain.errors import InvalidArgument
from minichain.initializers.random import RandomInitializer, get_fans, root


class Normal(RandomInitializer):
    """Normal with standard deviation ``scale``; arguments as in RandomInitializer."""

    def __init__(self, scale=.05, dtype=None, *, rng=None):
        super().__init__(scale, dtype, rng=rng)

    def __call__(self, array):
        self.draw_normal(array, self.scale)


class LeCunNormal(RandomInitializer):
    """Normal with standard deviation  scale sqrt(1 / fan_in).

    LeCun et al. 1998, "Efficient backprop", doi:10.1007/3-540-49430-8_2.
    """

    def __call__(self, array):
        fan_in, _ = get_fans(array.shape)
        self.draw_normal(array, self.scale * root(1, fan_in))


class GlorotNormal(RandomInitializer):
    """Normal with standard deviation  scale sqrt(2 / (fan_in + fan_out)).

    Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks".
    """

    def __call__(self, array):
        fan_in, fan_out = get_fans(array.shape)
        self.draw_normal(array, self.scale * root(2, fan_in + fan_out))


class HeNormal(RandomInitializer):
    """Normal with standard deviation  scale sqrt(2 / fan).

    Args:
        scale: factor.
        dtype: None means ``config.dtype``.
        fan_option: 'fan_in' keeps the size of activations, 'fan_out' that of gradients.
        rng: ``numpy.random.RandomState`` or Generator; None means the global state.
    Raises:
        InvalidArgument: another ``fan_option``.
    He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.
    """

    def __init__(self, scale=1., dtype=None, fan_option='fan_in', *, rng=None):
        super().__init__(scale, dtype, rng=rng)
        if fan_option not in ('fan_in', 'fan_out'):
            raise InvalidArgument("HeNormal: fan_option 'fan_in' or 'fan_out' expected, got "
                                  f'{fan_option!r}')
        self.fan_option = fan_option

    def __call__(self, array):
        fan_in, fan_out = get_fans(array.shape)
        fan = fan_in if self.fan_option == 'fan_in' else fan_out
        self.draw_normal(array, self.scale * root(2, fan))

"""Initializers that draw from uniform distributions around zero."""
from minichain.initializers.random import RandomInitializer, get_fans, root


class Uniform(RandomInitializer):
    """Uniform over [-scale, scale); arguments as in RandomInitializer."""

    def __init__(self, scale=.05, dtype=None, *, rng=None):
        super().__init__(scale, dtype, rng=rng)

    def __call__(self, array):
        self.draw_uniform(array, self.scale)


class LeCunUniform(RandomInitializer):
    """Uniform within  scale sqrt(3 / fan_in).

    LeCun et al. 1998, "Efficient backprop", doi:10.1007/3-540-49430-8_2.
    """

    def __call__(self, array):
        fan_in, _ = get_fans(array.shape)
        self.draw_uniform(array, self.scale * root(3, fan_in))


class GlorotUniform(RandomInitializer):
    """Uniform within  scale sqrt(6 / (fan_in + fan_out)).

    Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks".
    """

    def __call__(self, array):
        fan_in, fan_out = get_fans(array.shape)
        self.draw_uniform(array, self.scale * root(6, fan_in + fan_out))


class HeUniform(RandomInitializer):
    """Uniform within  scale sqrt(6 / fan_in).

    He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.
    """

    def __call__(self, array):
        fan_in, _ = get_fans(array.shape)
        self.draw_uniform(array, self.scale * root(6, fan_in))

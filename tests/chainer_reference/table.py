"""How a case is written: seeded inputs, a call, and what is to be compared.

The tables import neither Chainer nor minichain, so that both run exactly the same cases. Inputs
are drawn from numpy's RandomState (its stream is frozen, so every NumPy makes the same arrays)
with a seed that follows from the id of the case and the position of the input: cases can be
added, moved and removed without touching the others.
"""

import zlib
from dataclasses import dataclass, field, replace

import numpy as np


def random_for(*words):
    """Return the RandomState that belongs to these words (strings and ints) and to no others."""
    return np.random.RandomState(zlib.crc32('/'.join(map(str, words)).encode()))


def uniform(shape, dtype, *words, low=-1.0, high=1.0):
    """Return the array of this shape, uniform in [low, high), that belongs to these words."""
    return np.asarray(random_for(*words).uniform(low, high, shape), dtype)


@dataclass(frozen=True)
class Input:
    """One input of a case: how its array is made, and whether it is handed over as a Variable."""

    make: object
    variable: bool = True

    def raw(self):
        """Return the same input, handed over as a plain array."""
        return replace(self, variable=False)

    def boxed(self):
        """Return the same input, handed over as a Variable."""
        return replace(self, variable=True)


def real(*shape, low=-1.0, high=1.0, dtype='float64'):
    """Floats, uniform in [low, high)."""
    return Input(lambda random: np.asarray(random.uniform(low, high, shape), dtype))


def positive(*shape, low=0.3, high=2.0, dtype='float64'):
    """Floats well above zero."""
    return real(*shape, low=low, high=high, dtype=dtype)


def spread(*shape, low=-1.0, high=1.0, dtype='float64'):
    """Floats of which no two are equal or nearly so: for maxima."""
    def make(random):
        size = int(np.prod(shape))
        return np.asarray(random.permutation(np.linspace(low, high, size)), dtype).reshape(shape)
    return Input(make)


def symmetric(*shape, shift=3.0, dtype='float64'):
    """Symmetric positive definite matrices along the last two axes."""
    def make(random):
        a = random.uniform(-1, 1, shape)
        return np.asarray(np.round(a @ np.swapaxes(a, -1, -2), 6) + shift * np.eye(shape[-1]),
                          dtype)
    return Input(make)


def integers(*shape, high, low=0, dtype='int32'):
    """Integers in [low, high), a plain array unless boxed: labels and indices."""
    return Input(lambda random: np.asarray(random.randint(low, high, shape), dtype), False)


def given(values, dtype='float64'):
    """These very values: a Variable if floating, else a plain array."""
    return Input(lambda random: np.array(values, dtype), np.dtype(dtype).kind == 'f')


def flags(*shape):
    """Booleans, a plain array."""
    return Input(lambda random: random.randint(0, 2, shape).astype(bool), False)


@dataclass(frozen=True)
class Case:
    """One call of one function.

    Attributes:
        id: `function-variant`, unique.
        name: the name in chainer.functions, or a heading such as `operator` for what is no
            function.
        inputs: one Input each.
        call: called with (functions, *inputs); returns arrays, Variables or nests of them.
        double: whether second gradients are compared too, where Chainer has them.
        config: configuration entries for the call, such as {'train': False}.
        tolerance: relative to the larger of 1 and the largest expected number; None means what
            the narrowest floating dtype allows.
        seed: seed of numpy's global state before the call, for functions that draw from it.
        refused: whether the call is to end in an error.
    """

    id: str
    name: str
    inputs: tuple
    call: object
    double: bool = True
    config: dict = field(default_factory=dict)
    tolerance: float | None = None
    seed: int | None = None
    refused: bool = False

    def arrays(self):
        """Return the input arrays, the same on every machine."""
        return [each.make(random_for(self.id, position))
                for position, each in enumerate(self.inputs)]


def case(name, variant, inputs, call=None, *, double=True, config=None, tolerance=None, seed=None,
         refused=False,
         **arguments):
    """Return the Case `name-variant`; its call is functions.name(*inputs, **arguments)."""
    if call is None:
        def call(functions, *operands):
            return getattr(functions, name)(*operands, **arguments)
    elif arguments:
        raise TypeError(f'{name}-{variant}: give a call or arguments, not both')
    return Case(f'{name}-{variant}' if variant else name, name, tuple(inputs), call, double,
                config or {}, tolerance,
                seed, refused)


@dataclass(frozen=True)
class LinkCase:
    """One link, filled with seeded values and called in test and in training mode.

    Attributes:
        id: `link-variant`, unique.
        name: the name in chainer.links, or a heading such as `chain`.
        inputs: one Input each.
        build: called with (library); returns the link.
        call: called with (library, link, *inputs); returns arrays, Variables or nests of them.
        modes: values of config.train to call it in, in this order.
        config: configuration entries for building and calling.
        tolerance: as in Case.
        keep: whether parameters and averages keep their initial values instead of seeded ones.
    """

    id: str
    name: str
    inputs: tuple
    build: object
    call: object
    modes: tuple = (False, True)
    config: dict = field(default_factory=dict)
    tolerance: float | None = None
    keep: bool = False

    def arrays(self):
        """Return the input arrays, the same on every machine."""
        return [each.make(random_for(self.id, position))
                for position, each in enumerate(self.inputs)]


def link_case(name, variant, inputs, *arguments, build=None, call=None, modes=(False, True),
              config=None, tolerance=None, keep=False, **options):
    """Return the LinkCase `name-variant`; it builds links.name(*arguments, **options)."""
    def build_by_name(library):
        return getattr(library.links, name)(*arguments, **options)

    def call_it(library, link, *operands):
        return link(*operands)

    return LinkCase(f'{name}-{variant}' if variant else name, name, tuple(inputs),
                    build or build_by_name, call or call_it, modes, config or {}, tolerance, keep)


@dataclass(frozen=True)
class OptimizerCase:
    """Five steps of an optimizer from seeded parameters along seeded gradients.

    Attributes:
        id: `optimizer-variant`, unique.
        name: the name in chainer.optimizers or chainer.optimizer_hooks.
        build: called with (library); returns the optimizer.
        prepare: called with (library, optimizer, target) after setup: hooks, hyperparameters of
            single parameters.
        dtype: of the parameters.
        seed: seed of numpy's global state before the steps.
    """

    id: str
    name: str
    build: object
    prepare: object = None
    dtype: str = 'float64'
    seed: int | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class InitializerCase:
    """Arrays that an initializer makes after numpy's global state was seeded with 0.

    Attributes:
        id: `initializer-variant`, unique.
        name: the name in chainer.initializers.
        build: called with (library); returns the initializer.
        shape, dtype: of the array.
        statistics: whether only mean, deviation and range are compared: for arrays too large to
            keep.
    """

    id: str
    name: str
    build: object
    shape: tuple
    dtype: str = 'float32'
    statistics: bool = False
    refused: bool = False

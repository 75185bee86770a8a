"""Sequential: a list of links and functions called one after another."""
import inspect

from minichain.chain import ChainList
from minichain.errors import InvalidType
from minichain.link import Link


class Sequential(ChainList):
    """Calls its items one after another; plain functions are allowed between links.

    A tuple that one item returns becomes the positional arguments of the next.

    In paths and files the links are numbered as Chainer numbers them, without the functions, and
    each link after the first goes right behind the place that the first has among all items:
    links A, B, C have the paths /0, /2, /1, while those of relu, A, B have /0, /1.
    """

    def _named_children(self):
        links, behind = [], None
        for i, layer in enumerate(self._children):
            if isinstance(layer, Link):
                behind = i + 1 if behind is None else behind
                links.insert(behind, layer)
        return ((str(i), link) for i, link in enumerate(links))

    def insert(self, index, layer):
        if not callable(layer):
            raise InvalidType(f'Sequential: link or function expected, got '
                              f'{type(layer).__name__}')
        self._children.insert(index, layer)
        self._rename()

    def forward(self, *xs):
        for layer in self._children:
            xs = layer(*xs)
            xs = xs if isinstance(xs, tuple) else (xs,)
        return xs if len(xs) != 1 else xs[0]

    def __add__(self, other):
        return Sequential(*self, *other)

    def flatten(self):
        """Return a Sequential whose items are no Sequentials."""
        flat = Sequential()
        for layer in self:
            flat.extend(layer.flatten() if isinstance(layer, Sequential) else [layer])
        return flat

    def count_by_layer_type(self, type_name):
        """Return how many items have the class or function name ``type_name``."""
        return sum(_layer_name(layer) == type_name for layer in self)

    def remove_by_layer_type(self, type_name):
        """Remove all items whose class or function name is ``type_name``."""
        for layer in [layer for layer in self if _layer_name(layer) == type_name]:
            self.remove(layer)


def _layer_name(layer):
    return layer.__name__ if inspect.isroutine(layer) else type(layer).__name__


def repeat(link, n_repeat, mode='init'):
    """Return a Sequential of ``n_repeat`` copies of ``link``.

    Args:
        n_repeat: how many; 0 or less gives an empty Sequential.
        mode: as of ``Link.copy``; 'init' draws new initial values.
    """
    return Sequential(*(link.copy(mode) for _ in range(n_repeat)))


Link.repeat = repeat

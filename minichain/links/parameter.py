"""A link that is one parameter."""
from minichain import variable
from minichain.functions.identity import identity
from minichain.link import Link


class Parameter(Link):
    """A trained array that ``link()`` returns.

    Args:
        array: initial value, of any shape.
    Attributes:
        W: the parameter.
    """

    def __init__(self, array):
        super().__init__()
        with self.init_scope():
            self.W = variable.Parameter(array)

    def forward(self):
        """Return the array as a Variable."""
        return identity(self.W)

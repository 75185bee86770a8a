"""What functions of one float array, element by element, have in common: the check at the door."""
from minichain.autograd import Primitive
from minichain.type_check import expect_float


class Elementwise(Primitive):
    """A function of one float array, element by element."""

    label = property(lambda self: type(self).__name__.lower())

    def check_type_forward(self, in_types):
        x, = in_types
        if x.dtype.kind != 'f':
            expect_float(self.label, x=x)

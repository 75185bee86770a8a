"""Functions that hand values on unchanged: identity, and copy to another device."""
from minichain.autograd import Primitive
from minichain.backend import get_device, get_device_from_array


class Identity(Primitive):
    def forward(self, arrays):
        return arrays

    def backward(self, indexes, grads):
        return [grads[i] for i in indexes]


class Copy(Primitive):
    def __init__(self, device):
        self.device = device

    def forward(self, arrays):
        self.source = get_device_from_array(*arrays)
        return self.device.send(arrays[0]),

    def backward(self, indexes, grads):
        return copy(grads[0], self.source),


def identity(*inputs):
    """Return the operands as they are, behind a node of their own in the graph.

    Args:
        inputs: any number of Variables and arrays.
    Returns:
        the Variable if one operand was given, else a tuple of Variables.
    """
    outputs = Identity().apply(inputs) if inputs else ()
    return outputs[0] if len(outputs) == 1 else outputs


def copy(x, dst):
    """Copy ``x`` to another device; the gradient comes back to where ``x`` is.

    Args:
        x: Variable or array, any shape and dtype.
        dst: Device, or what :func:`minichain.get_device` accepts: 'cpu', 'cuda:0', -1, 0, ...
    Raises:
        DeviceError: there is no such GPU.
    """
    return Copy(get_device(dst)).apply((x,))[0]

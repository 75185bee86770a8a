"""Variables that last: Parameter, which a Link owns and an Optimizer updates, and data moves."""
import copy

import numpy as np

from minichain import backend, configuration, initializer, type_check
from minichain.autograd import Variable, VariableNode, as_variable  # noqa: F401  Chainer's path
from minichain.errors import InvalidArgument, InvalidType


class Parameter(Variable):
    """A Variable that a Link owns and an Optimizer updates.

    Args:
        initializer: array (the value itself), number, or Initializer; None fills with NaN, so
            that a forgotten initialization shows.
        shape: tuple of ints, or an int; None postpones initialization until
            :meth:`initialize`, with the shape of the first data.
        name: attribute name inside the owning link.
    Attributes:
        update_rule: the optimizer's rule for this parameter, or None.
        is_initialized: whether it has an array.
    """

    update_rule = None

    def __init__(self, initializer=None, shape=None, name=None):
        self._device = backend.CpuDevice()
        if backend.is_array(initializer) and shape is None:
            super().__init__(initializer, name=name)
            self._device = backend.get_device_from_array(initializer)
            self.initializer = None
            return
        super().__init__(name=name)
        self.initializer = initializer
        if shape is not None:
            self.initialize(shape)

    is_initialized = property(lambda self: self.array is not None)
    device = property(lambda self: self._device)
    xp = property(lambda self: self._device.xp)

    @property
    def dtype(self):
        if self.array is not None:
            return self.array.dtype
        return np.dtype(getattr(self.initializer, 'dtype', None) or configuration.get_dtype())

    @property
    def shape(self):
        return None if self.array is None else self.array.shape

    @property
    def size(self):
        return 0 if self.array is None else self.array.size

    def initialize(self, shape):
        """Allocate the array with ``shape``, a tuple of ints or an int, and fill it.

        Raises:
            InvalidArgument: a length is no whole number, or negative.
        """
        lengths = shape if isinstance(shape, (tuple, list)) else (shape,)
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in lengths):
            raise InvalidArgument(f'parameter {self.name or ""}: a shape of whole numbers of 0 or '
                                  f'more expected, got {shape}. Check the sizes given to its link')
        fill = initializer.get_initializer(self.initializer, default=float('nan'))
        self.array = initializer.generate_array(fill, shape, device=self._device)

    def update(self):
        """Let the update rule change the value along the gradient."""
        if self.update_rule is not None:
            self.update_rule.update(self)


def duplicate(variable):
    """Return a leaf with the same array, gradient and attributes: ``copy.copy``."""
    clone = type(variable).__new__(type(variable))
    clone._array, clone._grad, clone._node = variable._array, variable._grad, None
    clone.name, clone.requires_grad = variable.name, variable.requires_grad
    if isinstance(variable, Parameter):
        vars(clone).update(vars(variable))
    return clone


def duplicate_deeply(variable, memo):
    """Return a leaf with copies of array, gradient and attributes: ``copy.deepcopy``."""
    clone = duplicate(variable)
    clone._array, clone._grad = copy.deepcopy((variable.array, variable.grad), memo)
    if isinstance(variable, Parameter):
        vars(clone).update(copy.deepcopy(vars(variable), memo))
    return clone


def get_state(variable):
    """Return what ``pickle`` keeps: array, gradient and attributes, nothing of the graph."""
    attributes = vars(variable) if isinstance(variable, Parameter) else {}
    return variable.array, variable.grad, variable.name, variable.requires_grad, attributes


def set_state(variable, state):
    """Be the leaf whose :func:`get_state` this was."""
    variable._node = None
    variable._array, variable._grad, variable.name, variable.requires_grad, attributes = state
    if isinstance(variable, Parameter):
        vars(variable).update(attributes)


def zerograd(variable):
    """Set the gradient to zeros."""
    variable.grad = variable.xp.zeros_like(variable.array)


def to_device(variable, device):
    """Move array and gradient to ``device``, in place; the history is cut."""
    device = backend.get_device(device)
    gradient = variable.grad
    variable.unchain()
    variable.grad = None
    if variable.array is not None:
        variable.array = device.send(variable.array)
    variable.grad = device.send(gradient)
    if isinstance(variable, Parameter):
        variable._device = device


def copydata(variable, other):
    """Copy the value of ``other`` into this variable, in place and across devices.

    Raises:
        InvalidType: the shapes differ.
    """
    if other.array is None:
        if variable.array is not None:
            other.initialize(variable.shape)
        else:
            return
    if variable.array is None:
        variable.initialize(other.shape)
    if variable.shape != other.shape:
        raise InvalidType(f'copydata to {variable.name or "a variable"}: shape {variable.shape} '
                          f'expected, got {other.shape}')
    backend.copyto(variable.array, other.array)


def addgrad(variable, other):
    """Add the gradient of ``other`` to the gradient of this variable, across devices."""
    if other.grad is None:
        return
    if variable.array is None:
        variable.initialize(other.shape)
    gradient = variable.device.send(other.grad)
    type_check.expect_gradient(variable.name, variable.array, gradient)
    variable.grad = gradient.copy() if variable.grad is None else variable.grad + gradient


Variable.__copy__ = duplicate
Variable.__deepcopy__ = duplicate_deeply
Variable.__getstate__ = get_state
Variable.__setstate__ = set_state
Variable.zerograd = zerograd
Variable.to_device = to_device
Variable.to_cpu = lambda variable: to_device(variable, 'cpu')
Variable.to_gpu = lambda variable, device=None: to_device(variable, device or 0)
Variable.copydata = copydata
Variable.addgrad = addgrad

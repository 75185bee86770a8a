"""Function: Chainer's old way to write a function, on arrays in both directions.

Its backward is not made of functions, so it cannot be differentiated again. New functions derive
from FunctionNode.
"""
import weakref

import numpy as np

from minichain.autograd import FunctionNode, as_variable


class FunctionAdapter(FunctionNode):
    """The node of the graph that stands for one call of a :class:`Function`.

    Attributes:
        function: the Function.
    """

    def __init__(self, function):
        self.function = function

    label = property(lambda self: self.function.label)

    def check_type_forward(self, in_types):
        self.function.check_type_forward(in_types)

    def forward(self, inputs):
        self.retain_inputs(tuple(range(len(inputs))))   # unless the function says otherwise
        return self.function.forward(inputs)

    def backward(self, target_input_indexes, grad_outputs):
        in_data = tuple(x.data if i in self._retained_inputs else None
                        for i, x in enumerate(self.inputs))
        out_grads = tuple(None if g is None else g.array for g in grad_outputs)
        gradients = self.function.backward(in_data, out_grads)
        return tuple(None if gradients[i] is None else as_variable(gradients[i])
                     for i in target_input_indexes)


class Function:
    """A differentiable function on arrays; call an instance to apply it, each instance once.

    Subclasses define :meth:`forward` and :meth:`backward`, or the two for CPU and GPU.

    Attributes:
        inputs, outputs, rank: of the node that the call left in the graph.
        label: name in messages and graph drawings.
        node: that node. ``variable.creator`` is the Function, ``creator_node`` the node.
        output_data: tuple of arrays that :meth:`retain_outputs` kept, None for others.
    """

    _owned_node = None
    _node_reference = staticmethod(lambda: None)

    def __call__(self, *inputs):
        """Apply the function; returns a Variable, or a tuple of them if there are several."""
        node = self.node
        if node.inputs is not None:   # called a second time
            node = self._owned_node = FunctionAdapter(self)
        self._node_reference = weakref.ref(node)
        outputs = node.apply(inputs)
        self._owned_node = None   # the graph holds it now, or nobody does
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def node(self):
        node = self._node_reference()
        if node is None:
            node = self._owned_node = FunctionAdapter(self)
            self._node_reference = weakref.ref(node)
        return node

    label = property(lambda self: type(self).__name__)
    inputs = property(lambda self: self.node.inputs)
    outputs = property(lambda self: self.node.outputs)
    rank = property(lambda self: self.node.rank)
    local_function_hooks = property(lambda self: self.node.local_function_hooks)

    @property
    def output_data(self):
        kept = self.node._output_arrays
        return tuple(kept.get(i) for i in range(len(self.node.outputs)))

    def check_type_forward(self, in_types):
        """Raise InvalidType if the operands do not fit; see ``type_check.expect``."""

    def forward(self, inputs):
        """Compute a tuple of result arrays from a tuple of operand arrays."""
        on_cpu = all(isinstance(x, np.ndarray) for x in inputs)
        return self.forward_cpu(inputs) if on_cpu else self.forward_gpu(inputs)

    def forward_cpu(self, inputs):
        """:meth:`forward` on NumPy arrays."""
        raise NotImplementedError(f'{self.label} has no forward for these arrays')

    def forward_gpu(self, inputs):
        """:meth:`forward` on CuPy arrays."""
        raise NotImplementedError(f'{self.label} has no forward for these arrays')

    def backward(self, inputs, grad_outputs):
        """Return a tuple of gradient arrays, one (or None for zero) for each operand.

        Args:
            inputs: tuple of operand arrays, None for those that were not retained.
            grad_outputs: tuple of gradient arrays, None for zero.
        """
        arrays = [x for x in (*inputs, *grad_outputs) if x is not None]
        on_cpu = all(isinstance(x, np.ndarray) for x in arrays)
        return (self.backward_cpu if on_cpu else self.backward_gpu)(inputs, grad_outputs)

    def backward_cpu(self, inputs, grad_outputs):
        """:meth:`backward` on NumPy arrays; no gradient flows unless it is defined."""
        return (None,) * len(inputs)

    backward_gpu = backward_cpu

    def retain_inputs(self, indexes):
        """Call in ``forward``: keep only these operands for ``backward``; default: all."""
        self.node.retain_inputs(indexes)

    def retain_outputs(self, indexes, retain_after_backward=False):
        """Call in ``forward``: keep these results in ``output_data``."""
        self.node.retain_outputs(indexes)

    def unchain(self):
        """Detach the function from the graph."""
        self.node.unchain()

    def add_hook(self, hook, name=None):
        """Call ``hook`` around forward and backward of this function."""
        self.node.add_hook(hook, name)

    def delete_hook(self, name):
        """Remove a hook that :meth:`add_hook` added."""
        self.node.delete_hook(name)

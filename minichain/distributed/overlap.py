"""The tape says when a gradient is complete: functions put into the graph of a loss.

    parameter <- Arrival <- all functions that use it <- ... <- Share <- the loss

The gradient passes ``Share`` first: there it is multiplied by this rank's weight, once, where it
is a single number. A function runs when all that consumed its output have run; so ``Arrival``,
put between a parameter and its users, gets the whole gradient of the parameter, and its place in
the order of the backward pass makes that as early as can be.
"""
import weakref

from minichain.autograd import Primitive, VariableNode, as_array


class Share(Primitive):
    """The identity; the gradient is multiplied by ``weight``.

    Args:
        weight: of the loss on this rank; those of all ranks add up to 1.
        begins: called with the function before this one, when the backward pass begins.
    """

    def __init__(self, weight, begins):
        self.weight, self._begins = weight, begins

    def forward(self, inputs):
        return inputs

    def backward(self, indexes, grad_outputs):
        self._begins(self.inputs[0].creator_node)
        return grad_outputs[0] * self.weight,


class Arrival(Primitive):
    """Takes the complete gradient of a parameter out of the backward pass.

    Args:
        node: of the parameter.
        rank: of the function in the order of the backward pass.
        arrived: called with the gradient, an array.
    """

    def __init__(self, node, rank, arrived):
        self.inputs, self.rank, self._targets, self._arrived = (node,), rank, (0,), arrived

    def backward(self, indexes, grad_outputs):
        if grad_outputs[0] is not None:
            self._arrived(as_array(grad_outputs[0]))
        return None,


def watch(function, params, arrived):
    """Put an Arrival between each parameter and the functions that use it.

    Args:
        function: the last one of a graph, or None.
        params: Parameters; their own ``grad`` stays as it is in the backward pass.
        arrived: called with the index of a parameter and its gradient, when this is complete.
    """
    index_of = {param.node: index for index, param in enumerate(params)}
    users, seen, stack = {}, {function}, [function]
    while stack:
        function = stack.pop()
        if function is None or function.inputs is None:     # a leaf, or unchained
            continue
        for position, node in enumerate(function.inputs):
            if node in index_of:
                users.setdefault(node, []).append((function, position))
            elif node.creator_node not in seen:
                seen.add(node.creator_node)
                stack.append(node.creator_node)
    for node, uses in users.items():
        # After the last of its users, before all that comes later.
        rank = min(function.rank for function, _ in uses) - .5
        index = index_of[node]
        arrival = Arrival(node, rank, lambda gradient, index=index: arrived(index, gradient))
        passed = VariableNode(params[index], arrival, rank)
        passed.data = node.data
        arrival.outputs = weakref.ref(passed),
        for function, position in uses:
            function.inputs = (*function.inputs[:position], passed,
                               *function.inputs[position + 1:])

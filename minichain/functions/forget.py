"""Memory for time: forget what a function computed inside, compute it again on the way back."""
from minichain.autograd import FunctionNode, Variable, as_array, as_variable, grad
from minichain.configuration import config, force_backprop_mode
from minichain.errors import InvalidType
from minichain.functions.identity import identity


def _outputs(func, xs):
    ys = func(*xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    for y in ys:
        if not isinstance(y, Variable):
            raise InvalidType(f'forget: func that returns Variables expected, got '
                              f'{type(y).__name__}')
    return ys


def _leaves(ys, xs):
    """Return the Variables other than ``xs`` from which ``ys`` were computed: parameters."""
    found, seen, stack = [], {x.node for x in xs}, [y.node for y in ys]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if node.creator_node is not None:
                stack.extend(node.creator_node.inputs or ())
            elif node.requires_grad and node.get_variable_or_none() is not None:
                found.append(node.get_variable_or_none())
    return found


class Forget(FunctionNode):
    """Operands: those of the function, then the parameters that it uses."""

    def __init__(self, func, results, count):
        self.func, self.results, self.count = func, results, count

    def forward(self, arrays):
        self.retain_inputs(tuple(range(len(arrays))))
        results, self.results = self.results, None
        return results

    def backward(self, indexes, grad_outputs):
        inputs, record = self.get_retained_inputs(), config.enable_backprop
        parameters = inputs[self.count:]
        # The operands are cut off from their past while gradients are computed, so that none runs
        # through them, and joined to it again if gradients of these gradients may be wanted.
        xs = [identity(x) if record else Variable(x.array) for x in inputs[:self.count]]
        pasts = [x.creator_node for x in xs]
        for x in xs:
            x.unchain()
        with force_backprop_mode():
            pairs = [(y, gy) for y, gy in zip(_outputs(self.func, xs), grad_outputs)
                     if gy is not None]
            gradients = grad([y for y, _ in pairs], [*xs, *parameters], [gy for _, gy in pairs],
                             enable_double_backprop=record)
        for x, past in zip(xs, pasts):
            x.node.creator_node = past
        return tuple(gradients)


def forget(func, *xs):
    """Call ``func`` without keeping what it computes inside; backward calls it once more.

    Args:
        func: callable(*Variables) that returns a Variable or a tuple of them, the same every
            time that it is called. Gradients of parameters that it uses are found too.
        xs: operands, Variables or arrays.
    Returns:
        what ``func`` returns.
    Raises:
        InvalidType: ``func`` returns something else.
    """
    operands = [as_variable(x) for x in xs]
    inside = [Variable(as_array(x), requires_grad=x.requires_grad) for x in operands]
    ys = _outputs(func, inside)
    if not config.enable_backprop:
        return ys if len(ys) > 1 else ys[0]
    function = Forget(func, tuple(y.array for y in ys), len(xs))
    outputs = function.apply((*operands, *_leaves(ys, inside)))
    return outputs if len(outputs) > 1 else outputs[0]

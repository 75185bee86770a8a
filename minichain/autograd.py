"""The tape: how minichain records a computation and runs it backwards.

This file is the whole engine; read it from top to bottom. Applying a function to variables
leaves nodes behind, linked from every result back to its operands:

    x.node <--- function <--- y.node          y = f(x)

Strong references point backwards only. A function refers to its outputs weakly, so a graph dies
by reference count with the last variable that depends on it. Nodes remember shapes and dtypes;
an array stays alive only where a function retains it.
"""
import heapq
import weakref

import numpy as np

from minichain import backend, type_check
from minichain.configuration import config, thread_state, using_config


class VariableNode:
    """What the graph remembers of a variable: its type and the function that made it.

    Attributes:
        creator_node: the FunctionNode that computed it; None for a leaf.
        rank: length of the longest path from a leaf; orders the backward pass.
        data: the array, if some function retained it for its backward, else None.
        shape, dtype, requires_grad, name: as of the variable.
    """

    __slots__ = ('creator_node', 'rank', 'data', 'shape', 'dtype', 'requires_grad', 'name',
                 '_variable', '__weakref__')

    def __init__(self, variable, creator_node=None, rank=0):
        array = variable._array
        self.creator_node, self.rank, self.data = creator_node, rank, None
        self.shape = None if array is None else array.shape
        self.dtype = None if array is None else array.dtype
        self.requires_grad, self.name = variable.requires_grad, variable._name
        self._variable = weakref.ref(variable)

    # What the user calls the creator: of an old-style Function, that and not its adapter.
    creator = property(lambda self: getattr(self.creator_node, 'function', self.creator_node))
    label = property(lambda self: f'{self.name or ""}{self.shape or ""}, {self.dtype}'.strip(', '))

    def get_variable(self):
        """Return the variable of this node, rebuilt from the retained array if it is gone."""
        variable = self._variable()
        if variable is None:
            variable = _result(self.data, self.requires_grad)
            variable._node, variable.name = self, self.name
            self._variable = weakref.ref(variable)
        return variable

    def get_variable_or_none(self):
        """Return the variable of this node if somebody still holds it."""
        return self._variable()

    def unchain(self):
        """Forget the function that computed this node."""
        self.creator_node = None


class Variable:
    """An array that knows how it was computed.

    Args:
        data: NumPy or CuPy array, or None for a parameter of yet unknown shape.
        name: label in error messages and graph drawings.
        grad: initial gradient array, same shape and dtype as ``data``.
        requires_grad: if False, the backward pass stops here.
    Attributes:
        array: the value (``data`` is another name for it).
        grad: the gradient array, or None. Gradients of leaves add up until cleared.
        grad_var: the gradient as a Variable; it has a history under ``enable_double_backprop``.
        creator, creator_node, rank, node: the place in the graph.
        xp, device, shape, ndim, size, dtype: of the array.

    Operators (``+``, ``@``, ``x[i]``, ``reshape``, ...) are attached at the end of
    ``functions/operators.py``, moves between devices and copies in ``variable.py``.
    """

    __slots__ = ('_array', '_grad', '_node', '_name', 'requires_grad', '__weakref__')
    __array_priority__ = 200   # ndarray + Variable calls Variable.__radd__

    def __init__(self, data=None, *, name=None, grad=None, requires_grad=True, **former):
        if data is not None:
            type_check.expect_array('Variable', data)
        if former:
            type_check.refuse_former('Variable', former)
        self._array, self._node, self.name = data, None, name
        self.requires_grad, self.grad = requires_grad, grad

    @property
    def array(self):
        return self._array

    @array.setter
    def array(self, array):
        self._array = array
        if self._node is not None:
            fresh = VariableNode(self)
            self._node.shape, self._node.dtype = fresh.shape, fresh.dtype
            self._node.data = None if self._node.data is None else array

    data = array

    @property
    def node(self):
        if self._node is None:
            self._node = VariableNode(self)
        return self._node

    def _set_name(self, name):
        self._name = name
        if self._node is not None:
            self._node.name = name

    name = property(lambda self: self._name, _set_name)

    @property
    def grad(self):
        return as_array(self._grad)

    @grad.setter
    def grad(self, gradient):
        if gradient is not None and self._array is not None:
            type_check.expect_gradient(self.name, self._array, as_array(gradient))
        self._grad = gradient

    def _grad_as_variable(self):
        self._grad = None if self._grad is None else as_variable(self._grad)
        return self._grad

    grad_var = property(_grad_as_variable, grad.fset)

    creator_node = property(lambda self: None if self._node is None else self._node.creator_node)
    creator = property(lambda self: self.node.creator)
    rank = property(lambda self: self.node.rank)
    label = property(lambda self: self.node.label)
    xp = property(lambda self: backend.get_array_module(self._array))
    device = property(lambda self: backend.get_device_from_array(self._array))
    shape = property(lambda self: self._array.shape)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    dtype = property(lambda self: self._array.dtype)

    def backward(self, retain_grad=False, enable_double_backprop=False, loss_scale=None):
        """Add d(self)/d(leaf) to the ``grad`` of every leaf this variable depends on.

        Args:
            retain_grad: also store the gradients of intermediate variables.
            enable_double_backprop: record the backward pass itself, so that the gradients can be
                differentiated again.
            loss_scale: factor on the starting gradient, against underflow in float16.
        Raises:
            InvalidArgument: ``grad`` is unset and the variable has more than one element.
        """
        if self._grad is None:
            type_check.expect_one_element('backward', self)
            self.grad = self.xp.full_like(self._array, loss_scale or 1)
        seed = self.grad_var if enable_double_backprop else self.grad
        gradients = backprop({self.node: seed}, retain_grad, record=enable_double_backprop)
        taken = {id(seed)}
        for node, gradient in gradients.items():
            variable = node.get_variable_or_none()
            if variable is None or variable is self:
                continue
            if node.creator_node is None and variable._grad is not None:
                earlier = variable.grad_var if enable_double_backprop else variable.grad
                gradient = earlier + gradient
            elif not isinstance(gradient, Variable) and (
                    gradient.base is not None or id(gradient) in taken):
                gradient = gradient.copy()   # a view, or shared: optimizers change it in place
            taken.add(id(gradient))
            variable._grad = gradient if enable_double_backprop else _plain(gradient)

    def cleargrad(self):
        """Forget the gradient."""
        self._grad = None

    def unchain(self):
        """Cut this variable from its past; its value stays."""
        self.node.unchain()

    def unchain_backward(self):
        """Free the whole graph behind this variable: truncated backprop through time."""
        for function in _functions_behind([self.node]):
            function.unchain()


def as_variable(x):
    """Wrap an array as a constant (no gradient); return a Variable as it is."""
    return x if isinstance(x, Variable) else Variable(x, requires_grad=False)


def as_array(x):
    """Return the array of a Variable; return anything else as it is."""
    return x._array if isinstance(x, Variable) else x


def as_result(x):
    """Return an operand that a function passes on unchanged, in the form that its caller wants."""
    return x if thread_state.on_arrays else as_variable(x)


def _plain(y):
    return np.asarray(y) if isinstance(y, np.generic) else as_array(y)   # of 0 axes: a scalar


def _result(array, requires_grad):
    """Return a Variable past the checks of its constructor."""
    variable = Variable.__new__(Variable)
    variable._array, variable.requires_grad = array, requires_grad
    variable._grad = variable._node = variable._name = None
    return variable


class FunctionNode:
    """One application of a differentiable function: a node of the graph.

    Subclasses write :meth:`forward` on arrays and :meth:`backward` on Variables. Because
    ``backward`` is itself made of functions, gradients have gradients.

    Attributes:
        inputs: VariableNodes of the operands (strong).
        outputs: weak references to the VariableNodes of the results.
        rank: the largest rank among the inputs.
        label: name in messages and graph drawings.
    """

    inputs = outputs = None
    rank, on_arrays = 0, False
    label = property(lambda self: type(self).__name__)
    local_function_hooks = {}   # filled by function_hook.py
    _retained_inputs, _retained_outputs, _output_arrays = (), (), {}

    def apply(self, inputs):
        """Compute the outputs and, if wanted, record this node.

        Args:
            inputs: sequence of Variables and arrays.
        Returns:
            tuple of Variables. (Of arrays, while a backward formula runs on arrays.)
        Raises:
            InvalidType: operands do not fit. NotFinite: NaN came out, in debug mode.
            InvalidArgument: this node was recorded before.
        """
        if thread_state.on_arrays and not any(isinstance(x, Variable) for x in inputs):
            return tuple(_plain(y) for y in self.forward(tuple(inputs)))
        variables, arrays, requires_grad = [], [], False
        for x in inputs:   # loops, here and below: on Python 3.11 comprehensions take longer
            x = x if isinstance(x, Variable) else as_variable(x)
            variables.append(x)
            arrays.append(x._array)
            requires_grad = requires_grad or x.requires_grad
        arrays = tuple(arrays)
        type_check.check_operands(self, arrays)
        hooks = self._hooks() if thread_state.function_hooks or self.local_function_hooks else ()
        for hook in hooks:
            hook.forward_preprocess(self, arrays)
        results = self.forward(arrays)
        for hook in hooks:
            hook.forward_postprocess(self, arrays)
        type_check.check_results(self, results)
        outputs = []
        for y in results:
            outputs.append(_result(y if type(y) is np.ndarray else _plain(y), requires_grad))
        if requires_grad and config.enable_backprop:
            self._record(variables, arrays, outputs)
        return tuple(outputs)

    def _hooks(self):
        return (*thread_state.function_hooks.values(), *self.local_function_hooks.values())

    def _record(self, variables, arrays, outputs):
        if self.outputs is not None:
            type_check.expect_unused(self)
        nodes, targets, references, rank = [], [], [], 0
        for i, x in enumerate(variables):
            node = x._node or x.node
            nodes.append(node)
            if node.requires_grad:
                targets.append(i)
            rank = node.rank if node.rank > rank else rank
        for y in outputs:
            y._node = node = VariableNode(y, self, rank + 1)
            references.append(weakref.ref(node))
        self.rank, self._targets = rank, tuple(targets)
        self.inputs, self.outputs = tuple(nodes), tuple(references)
        for i in self._retained_inputs:
            nodes[i].data = arrays[i]
        if self._retained_outputs:
            self._output_arrays = {i: outputs[i]._array for i in self._retained_outputs}

    def check_type_forward(self, in_types):
        """Raise InvalidType if the operands do not fit; see ``type_check.expect``."""

    def forward(self, inputs):
        """Compute a tuple of result arrays from a tuple of operand arrays."""
        on_cpu = all(isinstance(x, np.ndarray) for x in inputs)
        return self.forward_cpu(inputs) if on_cpu else self.forward_gpu(inputs)

    def forward_cpu(self, inputs):
        """:meth:`forward` on NumPy arrays, for a function that has two bodies."""
        raise NotImplementedError(f'{self.label} has no forward for these arrays')

    forward_gpu = forward_cpu

    def backward(self, target_input_indexes, grad_outputs):
        """Return gradients for the operands in ``target_input_indexes``, or for all.

        ``grad_outputs`` and the result hold Variables; None stands for zero. Without an override
        no gradient flows.
        """
        return (None,) * len(target_input_indexes)

    def retain_inputs(self, indexes):
        """Call in ``forward``: keep these operands for ``backward``."""
        self._retained_inputs = indexes

    def retain_outputs(self, indexes):
        """Call in ``forward``: keep these results for ``backward``."""
        self._retained_outputs = indexes

    def get_retained_inputs(self):
        """Return the operands kept by :meth:`retain_inputs`."""
        if thread_state.on_arrays:
            return tuple([self.inputs[i].data for i in self._retained_inputs])
        return tuple([self.inputs[i].get_variable() for i in self._retained_inputs])

    def get_retained_outputs(self):
        """Return the results kept by :meth:`retain_outputs`."""
        if thread_state.on_arrays:
            return tuple([self._output_arrays[i] for i in self._retained_outputs])
        return tuple([self._output(i) for i in self._retained_outputs])

    def _output(self, i):
        node = self.outputs[i]()
        if node is None:   # nobody holds this output: a new node takes the dead one's place, so
            # that a gradient of second order finds its way back here
            node = VariableNode(_result(self._output_arrays[i], True), self, self.rank + 1)
            self.outputs = (*self.outputs[:i], weakref.ref(node), *self.outputs[i + 1:])
        node.data = self._output_arrays[i]
        return node.get_variable()

    def unchain(self):
        """Detach this function from both sides of the graph."""
        for node in filter(None, (reference() for reference in self.outputs)):
            node.unchain()
        self.inputs = None


class Primitive(FunctionNode):
    """A function whose backward formula runs on plain arrays and on Variables alike.

    All functions of the library are primitives. When the backward pass is not recorded, gradients,
    retained operands and whatever the formula computes from them are arrays, and functions called
    on arrays return arrays. ``check_type_forward`` is given the arrays themselves.
    """

    on_arrays = True


def backprop(gradients, keep_all=False, keep=(), useful=None, record=False):
    """Walk the graph from late to early, turning output gradients into input gradients.

    A heap hands out functions by falling rank, so a function runs only after every function that
    consumed its outputs: the gradients it receives are complete.

    Args:
        gradients: dict from VariableNode to its gradient, an array (a Variable if ``record``).
        keep_all, keep: whether to return intermediate gradients too, all or of these nodes.
        useful: nodes to go through; None means all that require a gradient.
        record: record the pass, so that its results have a history.
    Returns:
        dict from VariableNode to gradient, for the leaves and whatever was kept.
    """
    gradients, kept, summed, pending, seen = dict(gradients), {}, set(), [], set()
    hooks, convert = thread_state.function_hooks, as_variable if record else _plain
    closely = record or config.debug

    def schedule(function):
        if function is not None and function not in seen:
            seen.add(function)
            heapq.heappush(pending, (-function.rank, len(seen), function))

    for node in gradients:
        schedule(node.creator_node)
    with (using_config('enable_backprop', record),
          using_config('on_arrays', not record, thread_state)):
        while pending:
            function = heapq.heappop(pending)[-1]
            inputs, grad_outputs = function.inputs, []
            if inputs is None:
                continue   # unchained
            for reference in function.outputs:
                node = reference()
                gradient = gradients.pop(node, None)
                grad_outputs.append(gradient)
                if (keep_all or node in keep) and gradient is not None:
                    kept[node] = gradient
            targets = function._targets if useful is None else tuple([
                i for i, node in enumerate(inputs) if node in useful])
            if record or hooks or function.local_function_hooks or not function.on_arrays:
                results = _run_backward(function, targets, grad_outputs, record)
            else:
                results = function.backward(targets, tuple(grad_outputs))
            results = type_check.place_gradients(function, targets, results)
            for i in targets:
                node, gradient = inputs[i], results[i]
                if gradient is None:
                    continue
                if (closely or type(gradient) is not np.ndarray or gradient.shape != node.shape
                        or gradient.dtype is not node.dtype):
                    gradient = type_check.check_gradient(function, i, convert(gradient))
                if node not in gradients:
                    gradients[node] = gradient
                    schedule(node.creator_node)
                elif node in summed:   # the sum is our own array
                    gradients[node] += gradient
                else:
                    gradients[node] = convert(gradients[node] + gradient)
                    summed.add(node)
    return {**gradients, **kept}


def _run_backward(function, targets, grad_outputs, record):
    """Return what ``function.backward`` does, where hooks look on or it wants Variables."""
    hooks, on_arrays = function._hooks(), function.on_arrays and not record
    data = tuple([x.data for x in function.inputs]), tuple(map(as_array, grad_outputs))
    with using_config('on_arrays', False, thread_state):
        for hook in hooks:
            hook.backward_preprocess(function, *data)
        if not on_arrays:
            grad_outputs = [g if g is None else as_variable(g) for g in grad_outputs]
        with using_config('on_arrays', on_arrays, thread_state):
            results = function.backward(targets, tuple(grad_outputs))
        for hook in hooks:
            hook.backward_postprocess(function, *data)
    return results


def _functions_behind(nodes):
    """Return the set of all functions that ``nodes`` depend on."""
    functions, stack = set(), list(nodes)
    while stack:
        function = stack.pop().creator_node
        if function is not None and function not in functions and function.inputs is not None:
            functions.add(function)
            stack.extend(function.inputs)
    return functions


def _nodes_leading_to(inputs, outputs):
    """Return the nodes between ``outputs`` and ``inputs``, both included."""
    useful = set(inputs)
    for function in sorted(_functions_behind(outputs), key=lambda function: function.rank):
        if not useful.isdisjoint(function.inputs):
            useful.update(reference() for reference in function.outputs)
    return useful


def grad(outputs, inputs, grad_outputs=None, grad_inputs=None, set_grad=False, retain_grad=False,
         enable_double_backprop=False, loss_scale=None):
    """Return d(outputs)/d(inputs) as a list of Variables, None where nothing flows.

    Args:
        outputs, inputs: lists or tuples of Variables.
        grad_outputs: starting gradients, a Variable (or None for ones) for each output.
        grad_inputs: Variables to which the gradients are added, one (or None) for each input.
        set_grad: also store the gradients in the inputs. retain_grad: also in what lies between.
        enable_double_backprop: the gradients can be differentiated again.
        loss_scale: value of the starting gradients that are not given, instead of 1.
    Raises:
        InvalidType: no lists. InvalidArgument: the lengths differ.
    """
    grad_outputs = type_check.match_gradients('outputs', outputs, grad_outputs)
    grad_inputs = type_check.match_gradients('inputs', inputs, grad_inputs)
    seeds = {}
    for y, gy in zip(outputs, grad_outputs):
        seed = y.xp.full_like(y.array, loss_scale or 1) if gy is None else gy
        seed = as_variable(seed) if enable_double_backprop else as_array(seed)
        seeds[y.node] = seeds[y.node] + seed if y.node in seeds else seed
    nodes = [x.node for x in inputs]
    found = backprop(seeds, retain_grad, set(nodes), _nodes_leading_to(nodes, list(seeds)),
                     record=enable_double_backprop)
    found = {node: as_variable(gradient) for node, gradient in found.items()}
    results = []
    for node, start in zip(nodes, grad_inputs):
        both = [gradient for gradient in (found.get(node), start) if gradient is not None]
        results.append(both[0] + both[1] if len(both) == 2 else both[0] if both else None)
    stored = found if retain_grad else dict(zip(nodes, results)) if set_grad else {}
    for node in stored:
        if node.get_variable_or_none() is not None:
            node.get_variable().grad_var = stored[node]
    return results

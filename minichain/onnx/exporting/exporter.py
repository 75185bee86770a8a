"""export: models as ONNX files that other programs run."""
import contextlib
import inspect
import itertools
from collections.abc import Iterable

from minichain._atomic import write_atomically
from minichain.autograd import as_variable
from minichain.backend import is_array
from minichain.configuration import no_backprop_mode
from minichain.errors import InvalidArgument
from minichain.link import Link
from minichain.onnx.exporting.batch import resized
from minichain.onnx.exporting.conversion import convert
from minichain.onnx.exporting.graph import Graph
from minichain.onnx.exporting.model_proto import build, serialize
from minichain.onnx.exporting.refusal import CannotExport
from minichain.onnx.exporting.rewriting import needs_rewriting, rewrite, takes_tensors
from minichain.onnx.net import OnnxFunction
from minichain.tracing import named_leaves, owner, trace
from minichain.type_check import is_text

OLDEST = 13   # operator set of ONNX 1.8
# Batch sizes of the two traces, and what values the second sees. The other sizes are for models
# with an axis as long as one of the first, where code may leave out a reshape or a broadcast; the
# tamer values are for inputs that must not be mixed, such as boxes.
ATTEMPTS = (((2, 3), 'shifted'), ((2, 3), 'scaled'), ((5, 7), 'scaled'))


def export(model, example_inputs, path=None, *, input_names=None, output_names=None, opset=17,
           batch_axis=0, chain=None, metadata=None):
    """Write a model as an ONNX file: run it twice on examples and convert what it did.

    It is exported as in test mode: no dropout, batch normalization with its averages. Links that
    keep a state (LSTM, GRU) begin without one. What depends on the values of the inputs outside
    of functions - NumPy on ``.array``, loops, ifs - cannot be followed; constants that came from
    inputs are noticed and refused. So give examples that look like real inputs, not all alike.

    An OnnxFunction that cannot be followed so, or has loops, ifs or inputs that are no floats, is
    written as it was read, with the weights of now: its file says the opset and the batch axis.

    Args:
        model: a Link, or any callable that is given Variables.
        example_inputs: array; a tuple of arguments; or a dict of keyword arguments. An argument
            may be a nest of tuples, lists and dicts of arrays, each of which becomes an input.
        path: file to write; None only returns the model.
        input_names: one for each array; None takes those of the parameters of ``forward``.
        output_names: one for each array in the result; None: 'output', or 'output_0', ..., or the
            keys of a dict.
        opset: version of ONNX's operators, 13 or newer; 17 is read by programs from 2022 on.
        batch_axis: the axis that may have any length in the file, of all inputs; dict from input
            name to axis or None; None writes the shapes of the examples.
        chain: the Link whose paths name the weights; None: ``model``, or that whose method it is.
        metadata: dict from text to text that the file is to carry.
    Returns:
        onnx.ModelProto. Weights are initializers named by their path, such as 'conv1/W'.
    Raises:
        CannotExport: (an InvalidArgument) one report of all functions that have no ONNX form.
        InvalidArgument: arguments do not fit, or the model fails with another batch size.
        FileError: the file cannot be written.
    """
    from onnx import defs, helper
    newest = defs.onnx_opset_version()
    if isinstance(opset, bool) or not isinstance(opset, int) or not OLDEST <= opset <= newest:
        raise InvalidArgument(f'export: opset {OLDEST} to {newest}, the newest that the installed '
                              f'onnx knows, expected, got {opset!r}')
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(
            is_text(text) for pair in metadata.items() for text in pair):
        raise InvalidArgument('export: metadata: a dict from text to text expected, got '
                              f'{metadata!r:.200}')
    chain = owner(model) if chain is None else chain
    code, arguments, names = _call(model, example_inputs)
    leaves = list(itertools.chain.from_iterable(
        named_leaves(argument, name) for argument, name in zip(arguments, names)))
    own_names = [name for name, _ in leaves]
    input_names = _expect_names('input_names', input_names, own_names)
    whole = isinstance(model, OnnxFunction) and _is_whole(model, example_inputs, own_names)
    if whole and needs_rewriting(model):
        with no_backprop_mode():
            code(*arguments)        # fails if they do not fit
        proto = _as_read(model, example_inputs, own_names, input_names, output_names)
    else:
        axes = _batch_axes(batch_axis, input_names, [array for _, array in leaves])
        try:
            proto = _as_traced(code, arguments, axes, chain, input_names, output_names, opset)
        except CannotExport:
            if not whole:
                raise
            proto = _as_read(model, example_inputs, own_names, input_names, output_names)
    helper.set_model_props(proto, metadata)
    data = serialize(proto)
    if path is not None:
        write_atomically(path, data)
    return proto


def _as_traced(code, arguments, axes, chain, input_names, output_names, opset):
    """Return the ModelProto of what the code does with the examples."""
    traces, rows = _two_traces(code, arguments, axes, chain, input_names)
    first_rows = next(((name, axis) for name, axis in zip(input_names, axes)
                       if axis is not None), None)
    output_names = _expect_names('output_names', output_names,
                                 [name for name, _ in traces[0].outputs])
    if not output_names or set(input_names) & set(output_names):
        raise InvalidArgument(f'export: outputs, of other names than the inputs {input_names}, '
                              f'expected, got {output_names}. Give output_names')
    for one in traces:
        one.outputs = [(name, number) for name, (_, number) in zip(output_names, one.outputs)]
    graph = Graph(traces, rows, opset, first_rows)
    convert(graph)
    return build(graph, type(code if chain is None else chain).__name__)


def _as_read(net, examples, own_names, input_names, output_names):
    """Return the ModelProto of an OnnxFunction as its file says it."""
    inputs = own_names if isinstance(examples, dict) else net.input_names
    called = dict(zip(inputs, input_names)) if input_names != own_names else {}
    called.update(zip(net.output_names, _expect_names('output_names', output_names,
                                                      list(net.output_names))))
    return rewrite(net, called)


def _is_whole(net, examples, own_names):
    """Return whether the examples are all inputs of an OnnxFunction, tensors, and nothing else."""
    return takes_tensors(net) and len(own_names) == len(net.input_names) and (
        not isinstance(examples, dict) or set(own_names) == set(net.input_names))


def _call(model, example_inputs):
    """Return a function of positional arguments, the arguments, and their names."""
    if isinstance(example_inputs, dict):
        names = list(example_inputs)
        return (lambda *given: model(**dict(zip(names, given))),
                list(example_inputs.values()), names)
    arguments = (list(example_inputs) if isinstance(example_inputs, (tuple, list))
                 else [example_inputs])
    function = model.forward if isinstance(model, Link) else model
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    names = [p.name for p in parameters
             if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:len(arguments)]
    names += [f'input_{i}' for i in range(len(names), len(arguments))]
    return model, arguments, names


def _expect_names(label, names, defaults):
    if names is None:
        return defaults
    given = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if not all(is_text(name) and name for name in given) or not (
            len(given) == len(set(given)) == len(defaults)):
        raise InvalidArgument(f'export: {label}: {len(defaults)} different names expected, in '
                              f'place of {defaults}, got {names!r:.200}')
    return given


def _batch_axes(batch_axis, names, arrays):
    """Return the batch axis of every input, or None."""
    if not arrays:
        raise InvalidArgument('export: at least one array expected in example_inputs, got none')
    if isinstance(batch_axis, dict):
        unknown = set(batch_axis) - set(names)
        if unknown:
            raise InvalidArgument(f'export: batch_axis for inputs {names} expected, got '
                                  f'{sorted(unknown)}')
        axes = [batch_axis.get(name) for name in names]
    else:
        axes = [batch_axis] * len(names)
    lengths = {}
    for name, array, axis in zip(names, arrays, axes):
        if axis is None:
            continue
        if not 0 <= axis < array.ndim or not array.shape[axis]:
            raise InvalidArgument(f'export: {name} of shape {array.shape} has no batch axis '
                                  f'{axis} with an example in it. batch_axis=None exports fixed '
                                  'shapes, a dict gives the axis by input')
        lengths[name] = array.shape[axis]
    if len(set(lengths.values())) > 1:
        raise InvalidArgument(f'export: one batch size expected, got {lengths}. batch_axis=None '
                              'exports fixed shapes, a dict gives the axis by input')
    return axes


def _two_traces(code, arguments, axes, chain, names):
    """Return two traces that agree, and their batch sizes."""
    for rows, values in ATTEMPTS:
        first = _trace(code, arguments, axes, rows[0], 'same', chain, names)
        try:
            second = _trace(code, arguments, axes, rows[1], values, chain, names)
            _expect_same_steps([first, second])
            return [first, second], rows
        except InvalidArgument as error:
            refusal = error
    raise refusal


def _trace(code, arguments, axes, rows, values, chain, names):
    """Run the code on examples of another batch size."""
    remaining = iter(axes)

    def other(nest):
        if isinstance(nest, dict):
            return {key: other(value) for key, value in nest.items()}
        if isinstance(nest, (tuple, list)):
            return type(nest)(map(other, nest))
        array = getattr(nest, 'array', nest)
        if not is_array(array):
            return nest
        return as_variable(resized(array, next(remaining), rows, values))
    given, kinds = [other(argument) for argument in arguments], []

    def watched(*given):
        outputs = code(*given)
        kinds.append(type(outputs).__name__)
        return outputs
    try:
        with _without_states(chain):
            result = trace(watched, given, None, chain)
    except Exception as error:
        fixed = set(axes) == {None}
        advice = '' if fixed else ('. If it is made for one batch size, batch_axis=None exports '
                                   'this one')
        raise InvalidArgument(f'export: the model fails with '
                              f'{"" if fixed else f"a batch of {rows} and "}the {values} values '
                              f'of the examples: {type(error).__name__}: {error}{advice}'
                              ) from error
    if not result.outputs:
        raise InvalidArgument('export: the model should return Variables or arrays, or tuples, '
                              f'lists and dicts of them; it returned {kinds[0]}')
    result.inputs = [(name, number) for name, (_, number) in zip(names, result.inputs)]
    return result


@contextlib.contextmanager
def _without_states(chain):
    """Let recurrent links begin without a state, and give them back theirs behind."""
    links = [] if chain is None else [
        link for link in chain.links() if hasattr(link, 'reset_state')]
    saved = [dict(vars(link)) for link in links]
    try:
        for link in links:
            link.reset_state()
        yield
    finally:
        for link, attributes in zip(links, saved):
            vars(link).update(attributes)


def _expect_same_steps(traces):
    """Raise CannotExport unless the traces have the same functions."""
    steps = [[(type(a.function), a.operands, a.results, a.path) for a in one.applications]
             for one in traces]
    if steps[0] == steps[1] and [n for _, n in traces[0].outputs] == [
            n for _, n in traces[1].outputs]:
        return
    at, labels = next(((i, (a, b)) for i, (a, b) in enumerate(zip(*(
        one.applications for one in traces))) if steps[0][i] != steps[1][i]), (None, None))
    where = 'at its end' if at is None else (
        f'at step {at} ({" or ".join(a.caller or a.function.label for a in labels)}, in '
        f'{labels[0].path or "the model"})')
    raise CannotExport(
        f'export: the model takes another path {where} when called with another batch size and '
        'other values. A loop over the batch, or an if that looks at values, has no form in '
        'ONNX; batch_axis=None exports one fixed size')

"""An ONNX model as a Chain: inputs by position or name, any value by name, weights to train.

``graph`` has read the file and ``operators`` knows what operators do; here they become steps.
"""
import collections
import itertools
import json
import warnings

import numpy as np

from minichain.autograd import Variable, as_array, as_variable
from minichain.backend import CpuDevice, is_array
from minichain.chain import Chain
from minichain.errors import DataError, InvalidArgument, InvalidType, MinichainError
from minichain.image import Preprocessing, prepare_for
from minichain.onnx.budget import Budget, current, spending
from minichain.onnx.graph import Graph, Node, function_key, names_needed, read_model
from minichain.onnx.operators import CONTROL, OPERATORS, SETTINGS
from minichain.onnx.operators.signatures import check_signature
from minichain.protobuf import aligned
from minichain.type_check import as_names
from minichain.variable import Parameter

# Model functions that call each other may multiply; no model needs so many nodes, or so deep.
MAX_NODES = 100_000
MAX_CALLS = 32
# Bodies that one call of the network may run: a damaged loop has no end.
MAX_RUNS = 1 << 15
# The attribute under which a node has the model function that it calls; no file can name it so.
FUNCTION = ('function',)
# What an operator may raise on a damaged model; it becomes a DataError that names the node.
UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError,
         ValueError)


class OnnxFunction(Chain):
    """A network read from an ONNX file.

        net = minichain.onnx.load('resnet50.onnx')
        y, = net(x)
        features, = net(x, outputs=['flatten_473'])

    The weights are Parameters under the names of the file, so that it can be trained further;
    statistics of batch normalization and other settings that are floats are persistent values.
    They stay in the file until they are used. Dropout and batch normalization follow the file:
    without a training mode in it they do what they do at inference.

    Args:
        source: path of the file, its bytes, an onnx.ModelProto, a file opened in binary mode, or
            what ``graph.read_model`` made of one of these.
            External data are read from the folder of the file only, so they need the path.
        strict: False accepts operators that are not supported; asking for what needs them fails.
    Attributes:
        input_names: names of the inputs that must be given, in the file's order.
        output_names: names of the outputs, in the file's order.
        value_names: names of all values that can be asked for.
        opsets: dict, domain -> version of its operator set.
        metadata: dict, text -> text, what the writer of the file noted.
        producer: name of the program that wrote the file, maybe ''.
        preprocessing: minichain.image.Preprocessing that `prepare` applies, as the metadata
            describe it under 'preprocessing', or None. It may be set.
        preprocessing_damage: str, why what the metadata say there cannot be taken, or None.
        image_channels: how many channels the first input has, None if the file does not say it.
        source: name of the file.
    Raises:
        FileError: a file is missing or cannot be read.
        DataError: it is no ONNX model or damaged; or it needs operators that are not supported:
            all of them are named, with their counts.
    """

    def __init__(self, source, strict=True):
        super().__init__()
        model = read_model(source)
        self.source, self.opsets, self.metadata = model.source, model.opsets, model.metadata
        self.preprocessing, self.preprocessing_damage = described(model.metadata, self.source)
        self.producer = model.producer
        self._nodes_left = MAX_NODES
        self._graph = self._inline(model.graph, model.functions, {}, 0)
        self._inputs = self._graph.inputs
        self.input_names, self.output_names = tuple(self._inputs), tuple(self._graph.outputs)
        self.image_channels = channels_of(self._graph)
        made = [name for node in self._graph.nodes for name in node.outputs if name]
        self.value_names = (*self._inputs, *self._graph.initializers, *made)
        if self._graph.free:
            raise DataError(f'{self.source}: nothing makes {", ".join(sorted(self._graph.free))}. '
                            'The file is damaged.')
        unknown = collections.Counter(
            f'{node.domain and node.domain + "."}{node.op_type}'
            for node in self._graph.depth_first() if find(node) is None)
        if unknown and strict:
            lines = '\n'.join(f'  {name}: {count}' for name, count in unknown.most_common())
            raise DataError(f'{self.source}: {unknown.total()} nodes need {len(unknown)} '
                            f'operators that are not supported:\n{lines}\nPass strict=False to '
                            'use the others.')
        for node in self._graph.depth_first():
            if not node.domain and node.op_type in OPERATORS and FUNCTION not in node.attributes:
                check_signature(node, self.source)
        self._size = size_of(self._graph)
        settings, self._repeated = settings_of(self._graph), collections.Counter()
        for graph in self._graph.graphs():
            for name, array in graph.initializers.items():
                if array.dtype.kind == 'f':
                    self._add_initializer(graph, name, array, name in settings)

    def _add_initializer(self, graph, name, array, setting):
        key = name or '_'
        while hasattr(self, key):   # a value may be called as a method is, or as one in a body
            self._repeated[name] += 1
            number = self._repeated[name]
            key = f'{name}_' if number == 1 else f'{name}_{number}'
        graph.keys[name] = key
        if setting:
            self.add_persistent(key, array)
        else:
            with self.init_scope():
                setattr(self, key, Parameter(array))

    def _inline(self, graph, functions, attributes, depth):
        """A graph with references to attributes resolved, and model functions as bodies."""
        if depth > MAX_CALLS:
            raise DataError(f'{self.source}: functions call each other more than {MAX_CALLS} '
                            'deep.')
        self._nodes_left -= len(graph.nodes) if depth else 0
        if self._nodes_left < 0:
            raise DataError(f'{self.source}: bodies and functions written out have more than '
                            f'{MAX_NODES} nodes.')
        nodes = []
        for node in graph.nodes:
            values = {name: self._inline_value(value, functions, attributes, depth)
                      for name, value in node.attributes.items()}
            values.update((name, attributes[outer]) for name, outer in node.references.items()
                          if outer in attributes)
            key = function_key(node)
            if key in functions and not (node.domain == '' and node.op_type in OPERATORS):
                body, defaults = functions[key]
                body = self._inline(body, functions, {**defaults, **values}, depth + 1)
                values = {FUNCTION: body}
            nodes.append(Node(node.op_type, node.domain, node.opset, node.name, node.inputs,
                              node.outputs, values, {}, node.index, '', node.producer))
        return Graph(graph.name, nodes, graph.initializers, graph.inputs, graph.outputs,
                     self.source, graph.output_types)

    def _inline_value(self, value, functions, attributes, depth):
        if isinstance(value, Graph):
            return self._inline(value, functions, attributes, depth + 1)
        if isinstance(value, list) and value and isinstance(value[0], Graph):
            return [self._inline(body, functions, attributes, depth + 1) for body in value]
        return value

    def forward(self, *args, outputs=None, **inputs):
        """Computes outputs of the network, or any of its values.

        Args:
            args: the inputs in the order of `input_names`; or one dict, name -> input. An input
                is an array or Variable; a list of them where the file says sequence.
            outputs: names of the values to compute; None takes `output_names`. Only what they
                need is computed.
            inputs: inputs by name, or ``inputs=`` a dict of them, as a CaffeFunction takes it. A
                value in the middle of the network may be given, too; what makes it does not run.
        Returns:
            tuple of Variables, in the order of ``outputs``; a sequence is a list of Variables, an
            optional value that is empty is None.
        Raises:
            InvalidArgument: too many inputs, one that is missing, a name that is unknown.
            InvalidType: an input of another dtype or number of axes than the file says.
            DataError: a node cannot be computed: the model is damaged or the inputs do not fit.
        """
        if isinstance(inputs.get('inputs'), dict) and 'inputs' not in self.value_names:
            inputs = {**inputs.pop('inputs'), **inputs}
        if len(args) == 1 and isinstance(args[0], dict):
            inputs, args = {**args[0], **inputs}, ()
        wanted = (self.output_names if outputs is None
                  else as_names(self.source, 'outputs', outputs))
        values = self._bind(args, inputs, wanted)
        given = [as_array(value) for name in (*inputs, *self.input_names[:len(args)])
                 for value in flat(values[name])]
        # infinities and NaN are values like others in ONNX
        with np.errstate(all='ignore'), spending(Budget(given, self._size)):
            results = self._run(self._graph, values, wanted, itertools.count())
        return tuple(map(as_output, results))

    def prepare(self, source):
        """Makes network input of an image as `preprocessing` says.

        Args:
            source: image, uint8 (H, W, 3), RGB, or the path of one.
        Returns:
            float32 (C, H, W); stack them, or add an axis, for a batch.
        Raises:
            DataError: the metadata describe it wrongly, and it was not set.
            InvalidArgument: the network's preprocessing is not known, or makes another number of
                channels than the input has.
        """
        if self.preprocessing is None and self.preprocessing_damage:
            raise DataError(self.preprocessing_damage)
        return prepare_for(self, source, self.image_channels)

    def _bind(self, args, inputs, wanted):
        names = ', '.join(self.input_names) or 'none'
        if len(args) > len(self.input_names):
            raise InvalidArgument(f'{self.source}: {len(self.input_names)} inputs expected '
                                  f'({names}), got {len(args)}')
        given = dict(zip(self.input_names, args))
        for name, value in inputs.items():
            if name in given:
                raise InvalidArgument(f'{self.source}: the input {name!r} is given twice')
            given[name] = value
        known = set(self.value_names)
        for name in (*given, *wanted):
            if name not in known:
                raise InvalidArgument(f'{self.source}: no value {name!r}; the inputs are {names}, '
                                      f'the outputs {", ".join(self.output_names)}; value_names '
                                      'lists all')
        values = {name: self._check_input(name, value) for name, value in given.items()}
        return {**self._initializers(self._graph, values), **values}

    def _initializers(self, graph, given=()):
        """The values that a graph comes with, as far as others are not given in their place."""
        return {name: ready(self, graph.keys[name]) if name in graph.keys else array
                for name, array in graph.initializers.items() if name not in given}

    def _check_input(self, name, value):
        dtype, shape = self._inputs.get(name, (None, None))
        if value is None:
            if dtype is not None:
                raise InvalidArgument(f'{self.source}: input {name!r}: {dtype} '
                                      f'{"" if shape is None else show(shape)} expected, got None')
            return None
        if isinstance(value, (list, tuple)) and dtype is None:
            return [item if item is None else self._as_value(name, item) for item in value]
        value = self._as_value(name, value)
        texts = value.dtype.kind in 'OU'
        if dtype is not None and value.dtype != dtype and not (texts and dtype.kind == 'O'):
            raise InvalidType(f'{self.source}: input {name!r}: {dtype} expected, got '
                              f'{value.dtype}. Convert it with x.astype({dtype.name!r}).')
        if shape is not None and len(shape) != value.ndim:
            raise InvalidType(f'{self.source}: input {name!r}: {len(shape)} axes '
                              f'{show(shape)} expected, got the shape {value.shape}')
        return value

    def _as_value(self, name, value):
        """Floats as Variables, all else as arrays."""
        if not isinstance(value, (Variable, np.generic)) and not is_array(value):
            array = None if hasattr(value, 'dtype') else np.asarray(value)
            if array is None or array.dtype.kind == 'O':
                raise InvalidType(f'{self.source}: input {name!r}: an array of NumPy or CuPy, or '
                                  f'a Variable, expected, got {type(value).__module__}.'
                                  f'{type(value).__qualname__}')
            value = array
        if isinstance(value, Variable):
            if value.array is None:
                raise InvalidArgument(f'{self.source}: input {name!r}: a Variable with an array '
                                      'expected, its array is None')
            return value if value.dtype.kind == 'f' else value.array
        value = np.asarray(value) if isinstance(value, np.generic) else value
        return as_variable(value) if value.dtype.kind == 'f' else value

    def _run(self, graph, values, wanted, runs):
        """Runs the nodes that the wanted values need; values are dropped after their last use."""
        key = wanted, frozenset(values)
        if graph.plan is None or graph.plan[0] != key:
            graph.plan = key, plan(graph, values, wanted)
        _, steps = graph.plan
        budget, held = current(), set()
        for node, reads, made, done in steps:
            results = self._step(node, reads, values, runs, made)
            for place, name in made:
                if place < len(results):
                    values[name] = results[place]
                    held.add(name)
            for name in done:
                value = values.pop(name, None)
                if name in held:
                    budget.release(value)
        for name in held.intersection(values):      # who called holds what it keeps of them
            budget.release(values[name])
        missing = [name for name in wanted if name not in values]
        if missing:
            raise InvalidArgument(f'{self.source}: the input {missing[0]!r} is missing; expected '
                                  f'are {", ".join(self.input_names)}')
        return [values[name] for name in wanted]

    def _step(self, node, reads, values, runs, made):
        missing = [name for name in reads if name not in values]
        if missing:
            raise InvalidArgument(f'{self.source}: {node} needs {missing[0]!r}, which is not '
                                  f'given; the inputs are {", ".join(self.input_names)}')
        inputs = [values[name] if name else None for name in node.inputs]
        operator = find(node)
        try:
            if FUNCTION in node.attributes:
                results = self._call(operator, inputs, {}, runs)
            elif operator is None:
                raise DataError('this operator is not supported')
            elif not node.domain and node.op_type in CONTROL:
                def run(body, *inputs):
                    return self._call(body, inputs, values, runs)
                results = operator(node, run, *inputs)
            else:
                results = operator(node, *inputs)
            results = results if isinstance(results, tuple) else (results,)
            current().step(inputs, results)
            for place, _ in made:
                if place < len(results):
                    current().hold(results[place])
        except MinichainError as error:
            raise type(error)(f'{self.source}: {node}{shapes(inputs)}: {error}') from error
        except UNFIT as error:
            raise DataError(f'{self.source}: {node}{shapes(inputs)} cannot be computed: '
                            f'{type(error).__name__}: {error}. The inputs do not fit, or the '
                            'model is damaged.') from error
        return [self._send(result) for result in results]

    def _send(self, value):
        """Float constants go to the network's device; integers stay where shapes are made."""
        if isinstance(value, np.generic):   # NumPy's results of no axes
            value = np.asarray(value)
        if isinstance(self.device, CpuDevice) or not isinstance(value, np.ndarray) \
                or value.dtype.kind != 'f':
            return value
        return self.device.send(value)

    def _call(self, body, inputs, outer, runs):
        """Runs a body: of a control flow operator, which also sees the values around it."""
        if len(inputs) > len(body.inputs):
            raise DataError(f'a body with {len(inputs)} inputs expected, it has '
                            f'{len(body.inputs)}')
        if next(runs) >= MAX_RUNS:
            raise DataError(f'bodies ran {MAX_RUNS} times without an end')
        values = {name: outer[name] for name in body.free if name in outer}
        values.update(self._initializers(body))
        values.update(dict.fromkeys(body.inputs))
        values.update(zip(body.inputs, inputs))
        return tuple(self._run(body, values, tuple(body.outputs), runs))


def load(source, strict=True):
    """Reads an ONNX model; see `OnnxFunction`, which this makes."""
    return OnnxFunction(source, strict)


def described(metadata, source):
    """(Preprocessing that metadata describe as minichain's exporter does, None), or (None, why).

    Others may note something else there. Only what looks like a description that is damaged has a
    reason, of which it warns; else that is None, too.
    """
    text = metadata.get('preprocessing', '')
    try:
        return Preprocessing.from_dict(json.loads(text)), None
    except (ValueError, RecursionError) as error:
        if not text.lstrip().startswith('{'):
            return None, None
        damage = (f"{source}: its metadata, the field 'preprocessing', do not describe how to "
                  f'prepare images: {str(error):.500}. Set net.preprocessing, or name it with '
                  '--preprocessing.')
    warnings.warn(damage, stacklevel=4)
    return None, damage


def channels_of(graph):
    """How many channels the first input of a graph has, if it is one for images, else None."""
    name, (_, shape) = next(iter(graph.inputs.items()), (None, (None, None)))
    if shape is None or len(shape) != 4:
        return None
    if isinstance(shape[1], int):
        return shape[1] or None
    for node in graph.nodes:
        W = graph.initializers.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if not node.domain and node.op_type == 'Conv' and node.inputs[0] == name and (
                W is not None and W.ndim == 4):
            return W.shape[1] * node.get('group', 1)
    return None


def find(node):
    """What computes a node: an operator, or the graph of a function; None if nothing does."""
    return node.attributes.get(FUNCTION) or OPERATORS.get(
        (node.domain, node.op_type) if node.domain else node.op_type)


def size_of(graph):
    """How many elements a file holds: initializers, and tensors among the attributes."""
    arrays = {id(array): array.size for part in graph.graphs()
              for array in part.initializers.values()}
    for node in graph.depth_first():
        arrays.update((id(value), value.size) for value in node.attributes.values()
                      if isinstance(value, np.ndarray))
    return sum(arrays.values())


def flat(value):
    """The tensors that a value consists of."""
    return [item for item in value if item is not None] if isinstance(value, list) else (
        [] if value is None else [value])


def settings_of(graph):
    """Names of floats that are no weights: only operators read them that never train them."""
    roles = collections.defaultdict(list)
    for node in graph.depth_first():
        first = SETTINGS.get(node.op_type) if not node.domain else None
        for place, name in enumerate(node.inputs):
            roles[name].append(first is not None and place >= first)
    return {name for name, are in roles.items() if all(are)}


def plan(graph, given, wanted):
    """The nodes that the wanted values depend on, in order, as far as they are not given.

    Returns:
        list of (node, names that it reads, [(place, name) of each output to keep], names to drop
        after it).
    """
    pending, steps, used = {name for name in wanted if name not in given}, [], set(wanted)
    for node in reversed(graph.nodes):
        if pending.intersection(node.outputs):
            made = [(place, name) for place, name in enumerate(node.outputs)
                    if name and name not in given]
            reads = names_needed(node)
            done = {*reads, *(name for _, name in made)}.difference(used)
            steps.append((node, reads, made, tuple(done)))
            used.update(reads)
            pending.update(name for name in reads if name not in given)
    return steps[::-1]


def ready(link, key):
    """What a link holds, its array where matrix products can use it."""
    value = getattr(link, key)
    if isinstance(value, Variable):
        if not getattr(value.array.flags, 'aligned', True):
            value.array = aligned(value.array)
    elif not getattr(value.flags, 'aligned', True):
        setattr(link, key, aligned(value))
        value = getattr(link, key)
    return value


def as_output(value):
    if isinstance(value, (list, tuple)):
        return [as_output(item) for item in value]
    return value if value is None else as_variable(value)


def shapes(inputs):
    """The shapes of a node's inputs, for messages."""
    known = [show(value.shape) for value in inputs if hasattr(value, 'shape')]
    return f' with {", ".join(known)}' if known else ''


def show(shape):
    return f'({", ".join("?" if dim is None else str(dim) for dim in shape)})'

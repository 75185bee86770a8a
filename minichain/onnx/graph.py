"""What an ONNX file says, in plain objects: nodes in an order in which they can run.

``schema`` and ``tensors`` know the file format; ``net`` runs what is described here.
"""
import collections
import os

from minichain.errors import DataError, FileError, InvalidType
from minichain.onnx.schema import DTYPES, NEWEST, SCHEMA, dtype_of
from minichain.onnx.tensors import Tensor, read_tensor
from minichain.protobuf import Message, Reader, map_file

# The largest public networks have some ten thousand nodes of a dozen fields each.
MAX_FIELDS = 2_000_000
# The default domain has two names.
DOMAINS = {'ai.onnx': '', 'ai.onnx.ml': 'ai.onnx.ml'}
VALUES = {'FLOAT': 'f', 'INT': 'i', 'STRING': 's', 'TENSOR': 't', 'GRAPH': 'g', 'FLOATS': 'floats',
          'INTS': 'ints', 'STRINGS': 'strings', 'TENSORS': 'tensors', 'GRAPHS': 'graphs',
          'TYPE_PROTO': 'tp', 'SPARSE_TENSOR': 'sparse_tensor'}


class Node:
    """One application of an operator.

    Attributes:
        op_type, domain: the operator; '' is ONNX's own domain.
        opset: version of the domain's operator set.
        name: maybe ''.
        inputs, outputs: names of values; '' is one that is left out.
        attributes: dict of float, int, str, ndarray, `Graph`, or lists of them.
        references: dict, name of an attribute -> name of the attribute of the function around.
        index: position in the graph's file.
        overload: which of the model's functions of that name, mostly ''.
        producer: name of the program that wrote the file, mostly known.
    """

    def __init__(self, op_type, domain, opset, name, inputs, outputs, attributes, references,
                 index, overload='', producer=''):
        self.op_type, self.domain, self.opset, self.name = op_type, domain, opset, name
        self.inputs, self.outputs = inputs, outputs
        self.attributes, self.references, self.index = attributes, references, index
        self.overload, self.producer = overload, producer

    def __str__(self):
        return f'node {self.index} {self.name!r} ({self.domain and self.domain + "."}' \
               f'{self.op_type})'

    def get(self, name, default=None):
        """An attribute, or the default if the node does not have it."""
        return self.attributes.get(name, default)

    def require(self, name):
        """An attribute that the operator cannot do without.

        Raises:
            DataError: the node does not have it.
        """
        if name not in self.attributes:
            raise DataError(f'the attribute {name!r} is missing')
        return self.attributes[name]


class Graph:
    """A graph, or the body of a function or of a control flow operator.

    Attributes:
        name: maybe ''.
        nodes: list of `Node`, each after those that make its inputs.
        initializers: dict, name -> ndarray.
        inputs: dict, name -> (dtype or None, shape or None); names and numbers in the shape.
            Initializers that the file lists as inputs, too, are left out.
        outputs: list of names.
        output_types: dict, name -> (dtype or None, shape or None), as of the inputs.
        free: names that the graph takes from the graph around it.
        keys: dict, name of an initializer -> attribute of the link that holds it.
        plan: what `net` did last with it.
    """

    def __init__(self, name, nodes, initializers, inputs, outputs, where, output_types=None):
        self.name, self.initializers, self.inputs = name, initializers, inputs
        self.outputs, self.output_types = outputs, output_types or {}
        self.keys, self.plan = {}, None
        self.nodes, self.free = sort(nodes, {*initializers, *inputs}, where)
        made = {*initializers, *inputs}.union(*(node.outputs for node in self.nodes))
        self.free |= {name for name in outputs if name not in made}

    def depth_first(self):
        """Yields all nodes, those of bodies inside nodes too."""
        for graph in self.graphs():
            yield from graph.nodes

    def graphs(self):
        """Yields the graph itself and all bodies inside its nodes."""
        yield self
        for node in self.nodes:
            for body in bodies_of(node):
                yield from body.graphs()


class Model:
    """A whole file.

    Attributes:
        graph: `Graph`.
        functions: dict, (domain, op_type, overload) -> (`Graph`, dict of default attributes).
        opsets: dict, domain -> version.
        metadata: dict, text -> text, what its writer noted.
        producer: name of its writer, maybe ''.
        source: the file, for messages.
        files: paths of the other files that hold its data, sorted.
    """

    def __init__(self, graph, functions, opsets, metadata, source, files, producer):
        self.graph, self.functions, self.files = graph, functions, files
        self.opsets, self.metadata, self.source = opsets, metadata, source
        self.producer = producer


def read_model(source):
    """Reads an ONNX model.

    Args:
        source: path of a file, its bytes, an onnx.ModelProto, or a file opened in binary mode,
            which is read to its end. A Model is returned as it is.
    Returns:
        Model.
    Raises:
        InvalidType: the source is something else.
        FileError: the file is missing or cannot be read.
        DataError: it is no ONNX model, damaged, or cut off.
    """
    if isinstance(source, Model):
        return source
    if hasattr(source, 'SerializeToString'):
        try:
            data = memoryview(bytearray(source.SerializeToString()))
        except ValueError as error:     # protobuf's limit of 2 GiB
            raise DataError(f'ModelProto: {error}. Save it with external data and load the '
                            'file.') from error
        name, folder = 'ModelProto', None
    elif isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, 'read'):
        source = read_to_end(source) if hasattr(source, 'read') else source
        data, name, folder = memoryview(bytearray(source)), 'ONNX model', None
    elif not isinstance(source, (str, os.PathLike)):
        raise InvalidType('an ONNX model: the path of a file, its bytes, a file opened in binary '
                          f'mode, or an onnx.ModelProto expected, got {type(source).__name__}')
    else:
        data = map_file(source, 'an ONNX model')
        name = os.fspath(source)
        folder = os.path.dirname(os.path.abspath(name))
    reader = Reader(name, data, SCHEMA, 'ONNX model', {'Tensor': read_tensor}, MAX_FIELDS)
    return Builder(name, folder).model(reader.message('ModelProto', 0, len(data), 'model'))


def read_to_end(file):
    """The bytes of an open file."""
    try:
        data = file.read()
    except (OSError, UnicodeError) as error:
        raise FileError(f'ONNX model: the open file cannot be read: {error}') from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidType("ONNX model: a file opened in binary mode, open(path, 'rb'), expected, "
                          f'its read() gives {type(data).__name__}')
    return data


class Builder:
    """Turns the messages of one file into plain objects."""

    def __init__(self, source, folder):
        self.source, self.folder, self.opsets, self.producer = source, folder, {}, ''
        self.locations = set()      # of files beside the model that hold its data

    def model(self, message):
        if 'graph' not in message or not message.opset_import and not message.functions:
            raise DataError(f'{self.source}: no ONNX model: a graph and opset_import expected'
                            f'{", they are missing" if not message.unknown else ""}.')
        functions, self.producer = {}, message.producer_name
        for body in message.functions:
            self.opsets = self.read_opsets(body)
            defaults = {entry.name: self.attribute(entry, body.name)
                        for entry in body.attribute_proto}
            graph = Graph(body.name, self.nodes(body.node, body.name), {},
                          dict.fromkeys(body.input, (None, None)), body.output,
                          f'{self.source}: function {body.name!r}')
            functions[domain_of(body), body.name, body.overload] = graph, defaults
        self.check_calls(functions)
        self.opsets = self.read_opsets(message)
        metadata = {bytes(entry.key).decode(errors='replace'):
                    bytes(entry.value).decode(errors='replace')
                    for entry in message.metadata_props}
        graph = self.graph(message.graph, 'graph')
        files = [os.path.join(self.folder, location) for location in sorted(self.locations)]
        return Model(graph, functions, self.opsets, metadata, self.source, files, self.producer)

    def array_of(self, tensor):
        array = tensor.load_external(self.folder)
        if tensor.location is not None:
            self.locations.add(tensor.location)
        return array

    def check_calls(self, functions):
        """Refuses functions that call themselves, at any distance."""
        calls = {key: {function_key(node) for node in graph.depth_first()}
                 .intersection(functions) for key, (graph, _) in functions.items()}
        callers = {key: [] for key in functions}
        for key, called in calls.items():
            for each in called:
                callers[each].append(key)
        leaves = [key for key, called in calls.items() if not called]
        while leaves:
            leaf = leaves.pop()
            del calls[leaf]
            for key in callers[leaf]:
                calls[key].remove(leaf)
                if not calls[key]:
                    leaves.append(key)
        if calls:
            names = ', '.join(sorted(name for _, name, _ in calls))
            raise DataError(f'{self.source}: functions that call each other in a circle: '
                            f'{names:.1000}.')

    def read_opsets(self, message):
        opsets = {}
        for entry in message.opset_import:
            domain = domain_of(entry)
            if opsets.setdefault(domain, entry.version) != entry.version:
                raise DataError(f'{self.source}: two versions of the operators of {domain!r}: '
                                f'{opsets[domain]} and {entry.version}.')
        if not 1 <= opsets.get('', 1) <= NEWEST:
            raise DataError(f"{self.source}: ONNX's operators of version 1 to {NEWEST} are known, "
                            f'the model wants {opsets[""]}.')
        return {'': 1, **opsets}

    def graph(self, message, where, is_body=False):
        where = f'{where} {message.name!r}' if message.name else where
        initializers = {}
        self.expect_different([tensor.name for tensor in message.initializer], 'initializer',
                              where)
        self.expect_different([value.name for value in message.input], 'input', where)
        if not is_body:     # its outputs are known by their places
            self.expect_different([value.name for value in message.output], 'output', where)
        for tensor in message.initializer:
            if '\0' in tensor.name:     # no file of weights could hold it
                raise DataError(f'{self.source}: {where}: an initializer with a name that has no '
                                f'NUL in it expected, got {tensor.name!r:.200}.')
            initializers[tensor.name] = self.array_of(tensor)
        if message.sparse_initializer:
            raise DataError(f'{self.source}: {where}: sparse initializers are not supported.')
        inputs = {value.name: self.value_type(value.type, where) for value in message.input
                  if value.name not in initializers}
        return Graph(message.name, self.nodes(message.node, where), initializers, inputs,
                     [value.name for value in message.output], f'{self.source}: {where}',
                     {value.name: self.value_type(value.type, where) for value in message.output
                      if value.type.tensor_type.elem_type in DTYPES})

    def expect_different(self, names, what, where):
        """Refuses a name that is there twice: which one is meant nobody knows."""
        for name, count in collections.Counter(names).items():
            if count > 1 and name:
                raise DataError(f'{self.source}: {where}: the {what} {name!r:.200} is there '
                                'twice.')

    def value_type(self, message, where):
        """(dtype, shape) of a TypeProto that is a tensor, else (None, None)."""
        tensor = message.tensor_type
        if 'tensor_type' not in message or not tensor.elem_type:
            return None, None
        dtype = dtype_of(tensor.elem_type, f'{self.source}: {where}')
        if 'shape' not in tensor:
            return dtype, None
        return dtype, tuple(dim.dim_value if 'dim_value' in dim else dim.dim_param or None
                            for dim in tensor.shape.dim)

    def nodes(self, messages, where):
        nodes = []
        for index, message in enumerate(messages):
            place = f'{where}, node {index} ({message.op_type})'
            self.expect_different([entry.name for entry in message.attribute], 'attribute', place)
            attributes = {entry.name: self.attribute(entry, place)
                          for entry in message.attribute if not entry.ref_attr_name}
            references = {entry.name: entry.ref_attr_name
                          for entry in message.attribute if entry.ref_attr_name}
            domain = domain_of(message)
            nodes.append(Node(message.op_type, domain, self.opsets.get(domain, 1), message.name,
                              message.input, message.output, attributes, references, index,
                              message.overload, self.producer))
        return nodes

    def attribute(self, message, where):
        """The value of an AttributeProto, of the type that it states or that its fields show."""
        kind = message.type
        if kind not in VALUES:
            kind = next((kind for kind, field in VALUES.items() if field in message), None)
            if kind is None:
                raise DataError(f'{self.source}: {where}: the attribute {message.name!r} has no '
                                'value.')
        return self.plain(getattr(message, VALUES[kind]), where)

    def plain(self, value, where):
        if isinstance(value, list):
            return [self.plain(item, where) for item in value]
        if isinstance(value, Tensor):
            return self.array_of(value)
        if isinstance(value, bytes):
            return value.decode('utf-8', 'replace')
        if isinstance(value, Message):
            if value.kind == 'GraphProto':
                return self.graph(value, where, is_body=True)
            if value.kind == 'TypeProto':
                return self.value_type(value, where)
            raise DataError(f'{self.source}: {where}: sparse tensors are not supported.')
        return value


def bodies_of(node):
    """The graphs among the attributes of a node."""
    for value in node.attributes.values():
        for body in value if isinstance(value, list) else [value]:
            if isinstance(body, Graph):
                yield body


def function_key(node):
    """Under which a model has the function that a node calls, if it has it."""
    return node.domain, node.op_type, node.overload


def domain_of(message):
    return DOMAINS.get(message.domain, message.domain)


def sort(nodes, known, where):
    """Nodes in an order in which each can run, and the names that no node makes.

    ONNX asks for this order; some files do not keep it.

    Raises:
        DataError: a value is made twice, or nodes need each other's values.
    """
    makers = {}
    for node in nodes:
        for name in filter(None, node.outputs):
            if name in makers or name in known:
                raise DataError(f'{where}: {node} makes {name!r}, which is there already.')
            makers[name] = node
    free, order, state = set(), [], {}
    for first in nodes:
        stack = [first]
        while stack:
            node = stack[-1]
            if state.get(id(node)) == 'done':
                stack.pop()
                continue
            needed = names_needed(node)
            pending = [makers[name] for name in needed
                       if name in makers and state.get(id(makers[name])) != 'done']
            if not pending:
                free.update(name for name in needed if name not in makers and name not in known)
                state[id(node)] = 'done'
                order.append(node)
                stack.pop()
            elif state.get(id(node)) == 'open':
                raise DataError(f'{where}: {node} needs a value that is made from its own.')
            else:
                state[id(node)] = 'open'
                stack.extend(pending)
    return order, free


def names_needed(node):
    """The values that a node reads, also those that bodies inside it take from outside."""
    names = [name for name in node.inputs if name]
    for body in bodies_of(node):
        names += sorted(body.free)
    return names

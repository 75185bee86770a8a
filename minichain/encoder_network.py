"""The networks that an ImageEncoder may look with, of Caffe and of ONNX, asked in one way.

Each has

- ``net``, the Link; ``source``, what messages call it; ``prototxt``, its path or None; ``files``,
  the paths of the weights and, of ONNX, of external data;
- ``names`` of the values that it computes; ``default_layer()``, that whose values are features;
- ``preprocessing`` and ``preprocessing_origin``, as of CaffeFunction, 'file': its metadata;
- ``preprocessing_damage``, why what the file says of that cannot be taken, or None;
- ``size``, (height, width) of its input, and ``channels``, None if that is not known;
- ``look(x, layer)``, the values of a layer, a Variable, for inputs (N, C, H, W), float32;
- ``takes_batches(x, layer)``, whether it computes any number of images at once.
"""
import os

from minichain import caffe, onnx
from minichain.autograd import Variable, as_array
from minichain.caffe.network import find_input_shape, read_network
from minichain.errors import DataError, InvalidArgument, InvalidType, MinichainError
from minichain.functions.cast import cast
from minichain.functions.concat import concat
from minichain.image import CUSTOMS, Preprocessing
from minichain.onnx.graph import read_model

# What may stand behind the scores of the classes: it turns them into a verdict or a loss.
CAFFE_VERDICTS = ('Accuracy', 'Flatten', 'Reshape', 'Silence', 'Softmax', 'SoftmaxWithLoss',
                  'Split')
ONNX_VERDICTS = ('ArgMax', 'Cast', 'Flatten', 'Hardmax', 'Identity', 'LogSoftmax', 'Reshape',
                 'Softmax', 'Squeeze')
CUSTOMARY_SIDE = 224
LARGEST_SIDE, LARGEST_BATCH = 8192, 1024     # what says more is no statement of an input
NAMES_SHOWN = 40


def open_network(weights, prototxt=None):
    """Return the network of a file: CaffeNetwork or OnnxNetwork.

    Args:
        weights: path of a caffemodel, or of an ONNX file, known by its name or first byte.
        prototxt: as of ImageEncoder.
    Raises:
        FileError, DataError: as of what reads it.
        InvalidArgument: a prototxt of an ONNX file; or ``weights`` is no path.
    """
    if not isinstance(weights, (str, bytes, os.PathLike)):
        raise InvalidArgument('weights: the path of a caffemodel or an ONNX file expected, got '
                              f'{type(weights).__name__}')
    weights = os.fsdecode(weights)
    if not is_onnx(weights):
        return CaffeNetwork(weights, prototxt)
    if prototxt:
        raise InvalidArgument(f'{weights}: an ONNX file describes its network itself; leave out '
                              '--prototxt')
    return OnnxNetwork(weights)


def is_onnx(path):
    """Return whether a file is an ONNX model: its name or how it begins says so."""
    if path.lower().endswith('.onnx'):
        return True
    try:
        if not os.path.isfile(path):    # whoever opens a pipe may wait for ever
            return False
        with open(path, 'rb') as file:
            return file.read(1) == b'\x08'      # a number; Caffe has a name
    except (OSError, ValueError):
        return False    # the reader says why


def files_of(weights):
    """Return the paths of all files that hold a network: of ONNX, its external data too.

    Raises:
        FileError: one of them cannot be read.
    """
    try:
        return [weights, *(read_model(weights).files if is_onnx(os.fsdecode(weights)) else ())]
    except DataError:       # no network; whoever loads it says why
        return [weights]


class CaffeNetwork:
    """A caffemodel; see the top of the file."""

    preprocessing_damage = None     # a damaged line is refused where it is read

    def __init__(self, weights, prototxt=None):
        self.prototxt = (find_prototxt(weights) if prototxt is None else prototxt) or None
        network = read_network(weights, self.prototxt)
        self.net = caffe.load(network)
        self.source, self.files = network.source, [weights]
        self._layers = [(layer.type, layer.bottom, layer.top) for layer in network.layers
                        if layer.bottom]
        shape = find_input_shape(network.layers)
        self.size, self.channels = (shape[2:], shape[1]) if shape else (None, None)
        self.names = [name for name in self.net.blob_names if name not in self.net.input_names]
        self.preprocessing = self.net.preprocessing
        self.preprocessing_origin = self.net.preprocessing_origin

    def default_layer(self):
        """'fc7' if there is one, else what the classifier reads, else the last blob."""
        if 'fc7' in self.net.blob_names:
            return 'fc7'
        judged = False
        for kind, bottoms, tops in reversed(self._layers):
            if kind in CAFFE_VERDICTS:
                judged = True
            elif tops:
                return bottoms[0] if judged and kind == 'InnerProduct' else tops[0]
            else:
                break
        raise DataError(f'{self.source}: no layer whose values could be features. Name one with '
                        '--layer')

    def look(self, x, layer):
        values, = self.net(inputs={self.net.input_names[0]: x}, outputs=[layer])
        return values

    def takes_batches(self, x, layer):
        return True


class OnnxNetwork:
    """An ONNX model of one input (N, C, H, W) of floats; see the top of the file."""

    prototxt = None

    def __init__(self, weights):
        model = read_model(weights)
        self.net = onnx.load(model, strict=False)   # what is unknown may lie behind the layer
        self.source, self._graph, self.files = model.source, model.graph, [weights, *model.files]
        inputs = self._graph.inputs
        self._dtype, shape = next(iter(inputs.values()), (None, None))
        if len(inputs) != 1 or self._dtype is None or self._dtype.kind != 'f' or (
                shape is None or len(shape) != 4 or shape[1] not in (1, 3)):
            found = ', '.join(f'{name} {dtype} {shape}' for name, (dtype, shape) in inputs.items())
            raise DataError(f'{self.source}: a network for images expected, with one input of '
                            f'floats, (N, 3, H, W) or (N, 1, H, W); it has {found or "none"}')
        self.names = [name for node in self._graph.nodes for name in node.outputs if name]
        self.size = shape[2:] if all(_is_count(side, LARGEST_SIDE) for side in shape[2:]) else None
        self._number = shape[0] if _is_count(shape[0], LARGEST_BATCH) else None
        self._any_number = self._number is None or None     # None: not known yet
        self.channels = shape[1]
        self.preprocessing, self.preprocessing_origin = self.net.preprocessing, 'file'
        self.preprocessing_damage = self.net.preprocessing_damage
        if self.preprocessing is None and not self.preprocessing_damage:
            self.preprocessing_origin = 'custom'
            custom = CUSTOMS['torch'] if shape[1] == 3 else {'channels': 'grey', 'scale': 1 / 255}
            self.preprocessing = Preprocessing(self.size or (CUSTOMARY_SIDE,) * 2, **custom)

    def default_layer(self):
        """'fc7' if there is one, else what the last product with a matrix reads if only a bias
        and verdicts come after it, else what is judged."""
        if 'fc7' in self.names:
            return 'fc7'
        maker = {name: node for node in self._graph.nodes for name in node.outputs}
        name = self._graph.outputs[0] if self._graph.outputs else None
        while name in maker and maker[name].op_type in ONNX_VERDICTS:
            name = maker[name].inputs[0]
        if name not in maker:
            raise DataError(f'{self.source}: no value that could be features. Name one with '
                            '--layer')
        terms = maker[name].inputs if maker[name].op_type == 'Add' else [name]
        products = [maker[term] for term in terms
                    if term in maker and maker[term].op_type in ('Gemm', 'MatMul')]
        return products[0].inputs[0] if len(products) == 1 else name

    def look(self, x, layer):
        if not self.takes_batches(x, layer):
            return self._look_in_parts(x, layer)
        return self._look(x, layer)

    def takes_batches(self, x, layer):
        """Return whether it computes the same for these inputs at once as in its own number.

        Files that say a number of images often mean it as an example; others reshape to it. That
        is tried once, on the first inputs of another number.
        """
        if self._any_number is None and len(x) != self._number:
            self._any_number = self._agrees(x, layer)
        return self._any_number or len(x) == self._number

    def _agrees(self, x, layer):
        try:
            together = as_array(self._look(x, layer))
        except MinichainError:
            return False
        apart = as_array(self._look_in_parts(x, layer))
        small = 1e-4 * float(abs(apart).max()) if apart.size else 0
        return together.shape == apart.shape and bool(
            self.net.xp.allclose(together, apart, 1e-3, small))

    def _look_in_parts(self, x, layer):
        count, parts, xp = self._number, [], self.net.xp
        for begin in range(0, len(x), count):
            part = x[begin:begin + count]
            n = len(part)
            rest = xp.repeat(part[-1:], count - n, axis=0)
            parts.append(self._look(xp.concatenate((part, rest)), layer)[:n])
        return concat(parts, axis=0)

    def _look(self, x, layer):
        values, = self.net(cast(x, self._dtype), outputs=[layer])
        if not isinstance(values, Variable) or not values.ndim or values.dtype.kind not in 'fiub':
            raise InvalidType(f'{self.source}: layer {layer!r} gives no numbers for each image. '
                              'Choose another one with --layer')
        return values


def _is_count(dim, most):
    return isinstance(dim, int) and 1 <= dim <= most


def find_prototxt(weights):
    """Return the path of the prototxt that has the name of the weights, or None."""
    path = os.path.splitext(weights)[0] + '.prototxt'
    return path if os.path.isfile(path) else None


def expect_layer(network, layer):
    """Raise InvalidArgument unless a network computes a layer; the message names some."""
    if layer not in network.names:
        there, left = network.names[-NAMES_SHOWN:], len(network.names) - NAMES_SHOWN
        raise InvalidArgument(f'{network.source}: no layer {layer!r}; there are '
                              f'{"..., " if left > 0 else ""}{", ".join(there)}')

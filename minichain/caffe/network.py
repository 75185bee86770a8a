"""From files to one plain description of a network, whichever format and generation they are of.

Binary or text, new `layer` or old `layers`, `input:` fields or Input layers: all become a
`Network` of new-style layers for the test phase, with the weights in them. Read ``schema`` first.
"""

import json
import os

from minichain.caffe import prototxt, schema, wire
from minichain.errors import DataError, InvalidArgument
from minichain.image import CUSTOMS, Preprocessing
from minichain.protobuf import decode_text, map_file

V1_TYPES = {
    'ABSVAL': 'AbsVal', 'ACCURACY': 'Accuracy', 'ARGMAX': 'ArgMax', 'BNLL': 'BNLL',
    'CONCAT': 'Concat', 'CONTRASTIVE_LOSS': 'ContrastiveLoss', 'CONVOLUTION': 'Convolution',
    'CROP': 'Crop', 'DATA': 'Data', 'DECONVOLUTION': 'Deconvolution', 'DROPOUT': 'Dropout',
    'DUMMY_DATA': 'DummyData', 'ELTWISE': 'Eltwise', 'EUCLIDEAN_LOSS': 'EuclideanLoss',
    'EXP': 'Exp', 'FLATTEN': 'Flatten', 'HDF5_DATA': 'HDF5Data', 'HDF5_OUTPUT': 'HDF5Output',
    'HINGE_LOSS': 'HingeLoss', 'IM2COL': 'Im2col', 'IMAGE_DATA': 'ImageData',
    'INFOGAIN_LOSS': 'InfogainLoss', 'INNER_PRODUCT': 'InnerProduct', 'LRN': 'LRN',
    'MEMORY_DATA': 'MemoryData', 'MULTINOMIAL_LOGISTIC_LOSS': 'MultinomialLogisticLoss',
    'MVN': 'MVN', 'POOLING': 'Pooling', 'POWER': 'Power', 'RELU': 'ReLU',
    'SIGMOID': 'Sigmoid', 'SIGMOID_CROSS_ENTROPY_LOSS': 'SigmoidCrossEntropyLoss',
    'SILENCE': 'Silence', 'SLICE': 'Slice', 'SOFTMAX': 'Softmax',
    'SOFTMAX_LOSS': 'SoftmaxWithLoss', 'SPLIT': 'Split', 'TANH': 'TanH',
    'THRESHOLD': 'Threshold', 'WINDOW_DATA': 'WindowData'}

# Starts of files that people hold for caffemodels.
FOREIGN = {
    b'\x89HDF': 'an HDF5 file. Save it as binary protobuf in Caffe (snapshot_format: BINARYPROTO)',
    b'version https://git-lfs': 'a Git LFS pointer, not the file itself. Run `git lfs pull`',
    b'PK\x03\x04': 'a zip archive. Unpack it first',
    b'\x1f\x8b': 'a gzip file. Unpack it first',
    b'<': 'a web page, not the file itself. Download it again',
}
WHITESPACE = b'\t\n\r\f\v'
CONTROL = bytes(set(range(32)) - set(WHITESPACE))

# Inputs of networks for ImageNet are squares with such sides.
IMAGENET_SIDES = range(200, 321)
PREPROCESSING_MARK = '# preprocessing:'
# Where a preprocessing was read: in that line, in a layer, nowhere.
ORIGINS = ('line', 'transform_param', 'custom')


class Network:
    """A network as its files describe it.

    Attributes:
        name: the network's own name, maybe ''.
        layers: Messages of kind LayerParameter in the file's order, weights in `blobs`; inputs are
            layers of type Input.
        preprocessing: minichain.image.Preprocessing, or None where nothing is known.
        preprocessing_origin: where that was read, one of ORIGINS, or None.
        source: the file that named the layers, for messages.
        unused: names of layers of the caffemodel whose weights no layer of the prototxt takes.
    """

    def __init__(self, name, layers, preprocessing, origin, source, unused=()):
        self.name, self.layers, self.unused = name, layers, unused
        self.preprocessing, self.preprocessing_origin = preprocessing, origin
        self.source = source


def read_network(caffemodel, prototxt=None):
    """Reads a network from a caffemodel, or from a prototxt with the weights of a caffemodel.

    Weights go to the layer of the same name; those of layers that the prototxt does not have are
    left out, as are layers of the training phase only.

    Args:
        caffemodel: path of a binary (or text) NetParameter; or a Network, which is returned.
        prototxt: path of the network's description; None takes the one inside the caffemodel.
    Returns:
        Network.
    Raises:
        FileError: a file is missing or cannot be read.
        DataError: a file is no network, damaged, or cut off.
    """
    if isinstance(caffemodel, Network):
        return caffemodel
    model, comment = read_message(caffemodel, weights_only=prototxt is not None)
    trained = upgrade(model, caffemodel)
    weights = {layer.name: layer.blobs for layer in trained if layer.blobs}
    source, layers = caffemodel, trained
    if prototxt is not None:
        source = prototxt
        model, comment = read_message(prototxt)
        layers = upgrade(model, prototxt)
        for layer in layers:
            if layer.name in weights:
                layer['blobs'] = weights[layer.name]
    state = model.state
    described, named = layers, {layer.name for layer in layers}
    unused = tuple(name for name in weights if name not in named)
    layers = [layer for layer in layers
              if is_included(layer, state.level, set(state.stage), source)]
    # What the test phase does counts first, then training, then what a caffemodel remembers.
    transforms = [layer.transform_param for layer in (*layers, *described, *trained)]
    preprocessing, origin = find_preprocessing(comment, transforms, layers, source)
    return Network(model.name, layers, preprocessing, origin, os.fsdecode(source), unused)


def read_message(path, weights_only=False):
    """Reads a file, binary or text: (NetParameter, text of its preprocessing or None)."""
    data = map_file(path, wire.EXPECTED)
    head = bytes(data[:4096])
    for start, what in FOREIGN.items():
        if head.startswith(start):
            raise DataError(f'{path}: a caffemodel or prototxt expected, this is {what}.')
    comment = None
    if any(byte in CONTROL for byte in head):
        message = wire.read_binary(path, weights_only)
    else:
        message = prototxt.read_text(path)
        lines = decode_text(bytes(data[:65_536])).splitlines()
        comment = next((line[len(PREPROCESSING_MARK):] for line in lines
                        if line.startswith(PREPROCESSING_MARK)), None)
    if not message.layer and not message.layers:
        unknown = ', '.join(map(str, message.unknown))
        raise DataError(f'{path}: no layers found: this is no Caffe network'
                        f'{f" (it has the fields {unknown})" if unknown else ""}. '
                        'A deploy.prototxt or a .caffemodel is expected.')
    return message, comment


def upgrade(message, path):
    """The layers of a NetParameter in the new style, its `input` fields as layers of type Input.

    Raises:
        DataError: both generations in one file, or the oldest one, or inputs without their shapes.
    """
    if message.layer and message.layers:
        raise DataError(f'{path}: both `layer` and `layers`; a network has one of them.')
    misspelt = [name for name in message.unknown if isinstance(name, str)]
    if misspelt:
        raise DataError(f'{path}: unknown fields of a network: {", ".join(misspelt)}. Are they '
                        'misspelt?')
    if any('\0' in layer.name for layer in (*message.layer, *message.layers)):
        raise DataError(f'{path}: a layer with a zero byte in its name. The file is damaged.')
    layers = list(map(make_input, message.input, input_shapes(message, path)))
    for index, old in enumerate(message.layers):
        if 'layer' in old:
            raise DataError(f'{path}: layer {index} is of the oldest format, V0. Convert the '
                            "file with Caffe's upgrade_net_proto_binary or ..._text.")
        fields = {name: value for name, value in old.items()
                  if name in schema.FIELDS['LayerParameter']}
        kind = old.type if 'type' in old else ''
        fields['type'] = V1_TYPES.get(kind, str(kind))
        fields['param'] = [schema.message('ParamSpec', {'name': name}) for name in old.param]
        layers.append(schema.message('LayerParameter', fields, old.unknown))
    return layers + message.layer


def input_shapes(message, path):
    """The shape of each `input`, or None for all when the file gives none."""
    count, dims = len(message.input), message.input_dim
    if message.input_shape:
        shapes = [shape.dim for shape in message.input_shape]
    elif dims:
        shapes = [dims[first:first + 4] for first in range(0, len(dims), 4)]
    else:
        return [None] * count
    if (len(shapes) != count or not message.input_shape and len(dims) != 4 * count
            or any(dim < 0 for shape in shapes for dim in shape)):
        raise DataError(f'{path}: {count} inputs with as many shapes, none negative, expected, '
                        f'got {shapes!s:.200}.')
    return shapes


def make_input(name, shape):
    shapes = [] if shape is None else [schema.message('BlobShape', {'dim': shape})]
    return schema.message('LayerParameter', {
        'name': name, 'type': 'Input', 'top': [name],
        'input_param': schema.message('InputParameter', {'shape': shapes})})


def is_included(layer, level, stages, path):
    """Whether a layer's include and exclude rules let it into the test phase.

    Raises:
        DataError: a rule with a field that Caffe does not have.
    """
    unknown = [name for rule in (*layer.include, *layer.exclude) for name in rule.unknown]
    if unknown:
        raise DataError(f'{path}: layer {layer.name!r:.80}: a rule with the unknown fields '
                        f'{", ".join(map(str, unknown))}; there are '
                        f'{", ".join(schema.FIELDS["NetStateRule"])}. Is it misspelt?')
    def meets(rule):
        return (('phase' not in rule or rule.phase == 'TEST')
                and ('min_level' not in rule or rule.min_level <= level)
                and ('max_level' not in rule or level <= rule.max_level)
                and stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage))
    if layer.include:
        return any(map(meets, layer.include))
    return not any(map(meets, layer.exclude))


def find_input_shape(layers):
    """The (N, C, H, W) that the files state for the first image-like input, or None."""
    for layer in layers:
        for shape in layer.input_param.shape:
            if len(shape.dim) == 4:
                return tuple(shape.dim)
        if 'memory_data_param' in layer:
            memory = layer.memory_data_param
            return (memory.batch_size, memory.channels, memory.height, memory.width)
    return None


def find_preprocessing(comment, transforms, layers, source):
    """What the files say about the preparation of images, else Caffe's custom, and its origin.

    In this order: a line `# preprocessing: {...}` of the prototxt (JSON of `Preprocessing`); the
    `transform_param` of a data layer; for squares of three channels and about ImageNet's size BGR
    in 0..255 minus (104, 117, 123). The size is that of the input, to which the whole image is
    warped. None where the files say too little, which is safer than a guess.

    Returns:
        (Preprocessing, one of ORIGINS), or (None, None).
    """
    origin = 'transform_param'
    if comment is not None:
        try:
            return Preprocessing.from_dict(json.loads(comment)), 'line'
        except (ValueError, RecursionError) as error:
            raise DataError(f'{source}: the line "{PREPROCESSING_MARK}" is damaged: '
                            f'{error}') from error
    shape = find_input_shape(layers)
    transform = next(filter(None, transforms), schema.message('TransformationParameter'))
    size = shape[2:] if shape else (transform.crop_size,) * 2
    channels = shape[1] if shape else 1 if transform.force_gray else 3
    mean = tuple(transform.mean_value)
    if len(mean) == 1:
        mean *= channels
    elif not mean and 'scale' not in transform:
        if channels != 3 or size[0] != size[1] or size[0] not in IMAGENET_SIDES:
            return None, None
        mean, origin = CUSTOMS['caffe']['mean'], 'custom'
    try:
        return Preprocessing(size, {1: 'grey', 3: 'BGR'}.get(channels), mean or None,
                             transform.scale), origin
    except InvalidArgument:
        return None, None   # no size known, or one that no image has

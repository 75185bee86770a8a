"""A Caffe network as a Chain: any blob by name, only what is asked for is computed.

``network`` has read the files and ``layers`` knows what layers do; here they become a list of
steps.
"""

import numpy as np

from minichain import image
from minichain.autograd import as_variable
from minichain.caffe.geometry import Room
from minichain.caffe.layers import BOTTOMS, LAYERS, TOPS
from minichain.caffe.layers.weights import Statistics
from minichain.caffe.network import read_network
from minichain.caffe.schema import ENUMS, FIELDS
from minichain.chain import Chain
from minichain.errors import DataError, InvalidArgument, MinichainError
from minichain.link import Link
from minichain.protobuf import Message, aligned
from minichain.type_check import as_names, refuse_former
from minichain.variable import Parameter

# Layers without tops, or whose work is not for a network that is used.
IDLE_TYPES = ('HDF5Output', 'Silence')


class Step:
    """One layer, ready to run: `forward` takes the bottoms, and as keywords its weights.

    Attributes:
        weights: dict, keyword -> (link, name of the attribute that holds it there).
    """

    def __init__(self, layer, index):
        self.name, self.type, self.index = layer.name, layer.type, index
        self.bottoms, self.tops = layer.bottom, layer.top
        self.forward = self.problem = None
        self.weights = {}

    def __str__(self):
        return f'layer {self.index} {self.name!r:.100} ({self.type:.100})'


class CaffeFunction(Chain):
    """A network read from Caffe's files.

        net = CaffeFunction('squeezenet.caffemodel', 'deploy.prototxt')
        x = net.prepare(minichain.image.load('photo.jpg'))[None]
        features, = net(inputs={'data': x}, outputs=['pool10'])

    The weights are Parameters under the names of Caffe's layers (`/conv1/W`, `/conv1/b`), so that
    it can be trained further. They stay in the file until they are used. Dropout follows
    ``config.train``; batch normalization always uses the statistics of the file.

    Args:
        caffemodel: path of the weights, binary or text; or a Network that was read.
        prototxt: path of the network's description, which a caffemodel alone also has, as it was
            for training. None takes that one.
        strict: False accepts layers that are not supported; asking for what needs them fails.
    Attributes:
        preprocessing: minichain.image.Preprocessing that `prepare` applies; None if the files
            say too little. It may be set.
        preprocessing_origin: where the files say that: 'line', the line `# preprocessing:` of the
            prototxt, 'transform_param', or 'custom': nowhere, it is what most networks of Caffe
            for inputs of this size take; None where nothing is known.
        input_names: names of the blobs that no layer computes.
        blob_names: names of all blobs, in the order of computation.
        layers: list of (name, [bottom blobs], [top blobs]), in the same order.
        unusable: dict, name of a layer that cannot be used -> why; without strict=False none.
        source: path of the file that describes the layers.
    Raises:
        FileError: a file is missing or cannot be read.
        DataError: a file is no Caffe network or damaged; or it has layers that are not supported,
            or layers without their weights: all of them are named.
    """

    def __init__(self, caffemodel, prototxt=None, strict=True):
        super().__init__()
        network = read_network(caffemodel, prototxt)
        self.preprocessing, self.source = network.preprocessing, network.source
        self.preprocessing_origin = network.preprocessing_origin
        self._steps, problems, shared = [], [], {}
        self.input_names = self.blob_names = ()     # before layers, which may be called so
        for index, layer in enumerate(network.layers):
            if brings_data(layer) or layer.type in IDLE_TYPES:
                continue
            step = Step(layer, index)
            try:
                forward, weights = build(layer)
                step.weights = self._add_weights(layer, weights, shared)
                step.forward = forward
            except DataError as error:
                step.problem = str(error)
                problems.append(step)
            self._steps.append(step)
        if problems and strict:
            advice = 'Pass strict=False to use the others.'
            if network.unused:
                advice += (' The caffemodel has weights for layers that the prototxt does not '
                           f'have: {", ".join(network.unused)!s:.500}. Do the names differ?')
            raise DataError(self._report(problems, len(network.layers), advice))
        self.unusable = {step.name: step.problem for step in problems}
        inputs = [top for layer in network.layers if brings_data(layer) for top in layer.top]
        made = dict.fromkeys(inputs)
        for step in self._steps:
            inputs += [blob for blob in step.bottoms if blob not in made]
            made.update(dict.fromkeys(step.bottoms + step.tops))
        self.input_names, self.blob_names = tuple(dict.fromkeys(inputs)), tuple(made)

    layers = property(lambda self: [(step.name, list(step.bottoms), list(step.tops))
                                    for step in self._steps])

    def _add_weights(self, layer, weights, shared):
        """A child link with the weights under the layer's name; returns {keyword: (link, name)}.

        Weights that `param { name: ... }` shares with an earlier layer are that layer's.

        Args:
            shared: dict, name of the parameter -> (link, name), to which this layer's are added.
        """
        link, name, places = Link(), layer.name, {}
        labels = [spec.name for spec in layer.param] + [''] * len(weights)
        for (key, weight), label in zip(weights.items(), labels):
            array = weight.array if isinstance(weight, Statistics) else weight
            if label in shared:
                owner, attribute = places[key] = shared[label]
                if getattr(owner, attribute).shape != array.shape:
                    raise DataError(f'{key} {array.shape} is shared as {label!r} with an earlier '
                                    f'layer, where it is {getattr(owner, attribute).shape}')
                continue
            places[key] = link, key
            if label:
                shared[label] = link, key
            if isinstance(weight, Statistics):
                link.add_persistent(key, array)
            else:
                with link.init_scope():
                    setattr(link, key, Parameter(array))
        if not link._params and not link._persistent:
            return places
        if name in self._children:
            raise DataError('an earlier layer of the same name has weights, too')
        while hasattr(self, name) or not name:      # a layer may be called as a method is
            name += '_'
        self.add_link(name, link)
        return places

    def _report(self, steps, count, advice):
        lines = [f'  {step}: {step.problem}' for step in steps[:100]]
        return (f'{self.source}: {len(steps)} of {count} layers cannot be used:\n'
                + '\n'.join(lines) + f'\n{advice}')

    def forward(self, inputs, outputs, disable=(), **former):
        """Computes blobs of the network.

        Args:
            inputs: dict, name of a blob -> array or Variable, float32, (N, C, H, W) for images. A
                blob in the middle of the network may be given, too: the layer that makes it does
                not run, those that change it in place do.
            outputs: list of names of blobs. Of a blob that several layers change in place the last
                value is meant, as in Caffe.
            disable: names of layers that hand on their first bottom unchanged.
        Returns:
            tuple of Variables, in the order of ``outputs``.
        Raises:
            InvalidArgument: a name that the network does not have, or an input that is missing.
            DataError: a layer that is needed is not supported, or would take far more memory than
                networks for inputs of this size do.
        """
        refuse_former(type(self).__name__, former)
        outputs, disable = (as_names(self.source, name, value) for name, value in (
            ('outputs', outputs), ('disable', disable)))
        self._check_names(inputs, outputs, disable)
        steps = self._needed(set(inputs), set(outputs))
        unusable = [step for step in steps if step.forward is None and step.name not in disable]
        if unusable:
            raise DataError(self._report(unusable, len(self._steps), 'Ask for blobs before them, '
                                         'or give their tops as inputs.'))
        last_use = {blob: step for step in steps for blob in step.bottoms}
        blobs = {name: as_variable(value) for name, value in inputs.items()}
        for name, blob in blobs.items():
            if blob.array is None:
                raise InvalidArgument(f'{self.source}: input {name!r}: an array expected, got '
                                      'None')
        room = Room(blobs.values())
        for step in steps:
            missing = [blob for blob in step.bottoms if blob not in blobs]
            if missing:
                raise InvalidArgument(f'{self.source}: {step} needs the blob {missing[0]!r}; no '
                                      'layer before it makes it. Give it in inputs; the network '
                                      f'has the inputs {", ".join(self.input_names) or "none"}.')
            bottoms = [blobs[blob] for blob in step.bottoms]
            if step.name in disable:
                tops = bottoms[:1] * len(step.tops)
            else:
                tops = self._run(step, bottoms, room, blobs)
            for blob in step.bottoms:
                if last_use[blob] is step and blob not in outputs:
                    blobs.pop(blob, None)
            blobs.update((name, top) for name, top in zip(step.tops, tops)
                         if name not in inputs or name in step.bottoms)
        return tuple(blobs[name] for name in outputs)

    def _check_names(self, inputs, outputs, disable):
        if not isinstance(inputs, dict):
            raise InvalidArgument(f'{self.source}: inputs, a dict {{name: array}}, expected, got '
                                  f'{type(inputs).__name__}')
        layers = [step.name for step in self._steps]
        for names, known, what in ((inputs, self.blob_names, 'blob'),
                                   (outputs, self.blob_names, 'blob'), (disable, layers, 'layer')):
            unknown = [name for name in names if name not in known]
            if unknown:
                raise InvalidArgument(f'{self.source}: no {what} {unknown[0]!r}; there are '
                                      f'{", ".join(known)}')

    def _needed(self, given, wanted):
        """The steps that the wanted blobs depend on, in order, as far as the given ones."""
        needed = []
        for step in reversed(self._steps):
            if wanted.intersection(step.tops) - given.difference(step.bottoms):
                needed.append(step)
                wanted = wanted.difference(step.tops).union(step.bottoms)
        return needed[::-1]

    def _run(self, step, bottoms, room, blobs):
        weights = {key: ready(getattr(link, name)) for key, (link, name) in step.weights.items()}
        try:
            shape, count, on_the_way = (bottoms[0].shape if bottoms else ()), 1, 0
            if hasattr(step.forward, 'plan'):
                shape, on_the_way = step.forward.plan(*(x.shape for x in bottoms))
                count = len(step.tops)
                if min(shape[1:], default=1) < 1:
                    raise DataError(f'the result would have the shape {shape}, which is empty')
            in_use = sum({id(x): x.size for x in blobs.values()}.values())
            room.expect(shape, count, in_use, sum(x.size for x in bottoms), on_the_way)
            tops = step.forward(*bottoms, **weights)
        except MinichainError as error:
            shapes = ', '.join(f'{blob} {x.shape}' for blob, x in zip(step.bottoms, bottoms))
            raise type(error)(f'{self.source}: {step} with {shapes}: {error}') from error
        return tops if isinstance(tops, (tuple, list)) else (tops,)

    def prepare(self, source):
        """Makes network input of an image as `preprocessing` says.

        Args:
            source: image, uint8 (H, W, 3), RGB, or the path of one.
        Returns:
            float32 (C, H, W); stack them, or add an axis, for a batch.
        Raises:
            InvalidArgument: the network's preprocessing is not known.
        """
        return image.prepare_for(self, source)


def load(caffemodel, prototxt=None, strict=True):
    """Reads a Caffe network; see `CaffeFunction`, which this makes."""
    return CaffeFunction(caffemodel, prototxt, strict)


def brings_data(layer):
    """Whether a layer's tops are inputs of the network: `Data`, `HDF5Data`, `DenseImageData`, ...
    """
    return layer.type == 'Input' or layer.type.endswith('Data') and not layer.bottom


def build(layer):
    """What a layer computes: (function of the bottoms and weights, dict of its weights).

    Raises:
        DataError: the type, an option or a field is not supported, or the weights do not fit.
    """
    if layer.type not in LAYERS:
        raise DataError('this type is not supported')
    for blobs, limits, name in ((layer.bottom, BOTTOMS, 'bottom'), (layer.top, TOPS, 'top')):
        least, most = limits.get(layer.type, (1, 1))
        if not least <= len(blobs) <= most:
            count = least if least == most else f'at least {least}'
            raise DataError(f'{count} {name} expected, got {len(blobs)}')
    misspelt = [name for name in layer.unknown if isinstance(name, str)]
    if misspelt:
        raise DataError(f'unknown fields {", ".join(misspelt)}. Are they misspelt?')
    for name, value in layer.items():
        if name.endswith('_param') and isinstance(value, Message):
            if value.unknown:
                raise DataError(f'{name} has unknown fields {", ".join(map(str, value.unknown))}')
            for key, option in value.items():
                kind = FIELDS[value.kind][key].type
                if kind in ENUMS and option not in ENUMS[kind]:
                    raise DataError(f'{name}.{key} has the unknown value {option!r}')
    blobs = [np.asarray(blob, np.float32) for blob in layer.pop('blobs', ())]
    built = LAYERS[layer.type](layer, blobs)
    return built if isinstance(built, tuple) else (built, {})


def ready(weight):
    """A weight; the array of a Parameter is brought to where matrix products can use it."""
    if isinstance(weight, Parameter) and not getattr(weight.array.flags, 'aligned', True):
        weight.array = aligned(weight.array)
    return weight

"""Images -> feature vectors: a Caffe network, cut at one of its layers, never trained.

`description` is what config.json keeps of it, `from_description` makes the same encoder again and
refuses other weights.
"""
import hashlib
import os

import numpy as np

import minichain.caffe
from minichain import backend
from minichain.caffe.network import read_network
from minichain.configuration import no_backprop_mode, using_config
from minichain.errors import DataError, FileError, InvalidArgument, InvalidType, NotFinite
from minichain.gpu import images as by_kernels
from minichain.gpu.dispatch import fused
from minichain.image import Preprocessing

# What may stand behind the scores of the classes: it turns them into a verdict or a loss.
VERDICTS = ('Accuracy', 'Flatten', 'Reshape', 'Silence', 'Softmax', 'SoftmaxWithLoss', 'Split')


class ImageEncoder:
    """A trained Caffe network that looks at images.

        encoder = ImageEncoder('squeezenet.caffemodel')
        features = encoder.compute([encoder.prepare(image)])

    Args:
        weights: path of the caffemodel.
        prototxt: path of the network's description; None takes the file beside the weights that
            has their name and ends in .prototxt, if there is one, else, as False always does, the
            description inside the caffemodel.
        layer: the blob whose values are the features. None takes 'fc7' if there is one, else what
            the classifier reads: the bottom of the last InnerProduct, or of the softmax where no
            InnerProduct precedes it (SqueezeNet's 'pool10').
        device: where it computes, as in ``get_device``.
        preprocessing: minichain.image.Preprocessing; None takes what the files say.
        registered: what is known of these weights, with `name` and `preprocessing` (maybe None),
            such as weights.registry.Entry. For an input of its size that counts more than what
            the files hint at, and less than a line `# preprocessing:` in them. None: they are no
            public ones.
    Attributes:
        layer, preprocessing: as settled.
        preparation: str, the preprocessing in words, and who says that it is this one.
        description: dict for JSON: weights, prototxt (absolute paths, prototxt may be None),
            sha256, prototxt_sha256 (of both files), layer, preprocessing.
        key: the description without the paths: what features depend on, for a feature cache.
    Raises:
        FileError, DataError: the files are missing or damaged, or do not tell how to prepare
            images.
        InvalidArgument: there is no such layer; the message lists those there are.
        DeviceError: there is no such device.
    """

    def __init__(self, weights, prototxt=None, layer=None, device='cpu', preprocessing=None,
                 registered=None):
        self.device = backend.get_device(device)
        if prototxt is None:
            prototxt = find_prototxt(weights)
        prototxt = prototxt or None
        self.net = minichain.caffe.load(weights, prototxt)
        self.preprocessing, who = settle_preprocessing(self.net, preprocessing, registered)
        if self.preprocessing is None:
            raise DataError(
                f'{self.net.source}: how to prepare images is not known. Put a line like this at '
                'the top of the .prototxt and name it with --prototxt: # preprocessing: '
                '{"size": [224, 224], "channels": "BGR", "mean": [104, 117, 123]}')
        self.preparation = f'{describe_preprocessing(self.preprocessing)}; {who}'
        self.layer = find_layer(weights, prototxt, self.net.blob_names) if layer is None else layer
        if self.layer not in self.net.blob_names or self.layer in self.net.input_names:
            computed = [name for name in self.net.blob_names if name not in self.net.input_names]
            raise InvalidArgument(f'{self.net.source}: no layer {self.layer!r}; there are '
                                  f'{", ".join(computed)}')
        self.key = {
            'sha256': sha256_of(weights),
            'prototxt_sha256': prototxt and sha256_of(prototxt),
            'layer': self.layer, 'preprocessing': self.preprocessing.to_dict()}
        self.description = {
            'weights': os.path.abspath(weights),
            'prototxt': prototxt and os.path.abspath(prototxt), **self.key}
        self.net.to_device(self.device)

    @classmethod
    def from_description(cls, description, weights=None, device='cpu'):
        """Make the encoder that a model was trained with.

        Args:
            description: of the encoder then.
            weights: where the caffemodel is now, its prototxt beside it under the same name if it
                is not where it was; None: where it was.
            device: as in ``get_device``.
        Raises:
            DataError: a file is another one than then, by sha256; or the description is damaged.
            FileError: a file is missing.
        """
        check_description(description)
        weights = weights or description['weights']
        prototxt = description['prototxt']
        if prototxt and not os.path.isfile(prototxt):
            prototxt = find_prototxt(weights) or prototxt
        expect_digest(weights, description['sha256'], 'Name the file with --weights')
        if prototxt:
            expect_digest(prototxt, description['prototxt_sha256'], 'Put the file beside the '
                          'weights, under their name with the ending .prototxt')
        return cls(weights, prototxt or False, description['layer'], device,
                   Preprocessing.from_dict(description['preprocessing']))

    def prepare(self, image):
        """Make of an image, uint8 (H, W, 3), RGB, what :meth:`compute` takes.

        Returns:
            network input, float32 (C, H, W). If it goes to a GPU pixels, uint8 (H, W, C), which
            take a quarter of the time on their way, unless there are margins around the image.
        """
        if self.device.xp is np or self.preprocessing.resize == 'pad':
            return self.preprocessing.apply(image)
        return self.preprocessing.pixels(image)

    def compute(self, prepared):
        """Look at images; the values of a convolutional layer are averaged over positions.

        Args:
            prepared: list of n results of :meth:`prepare`.
        Returns:
            features, (n, D), float32, a NumPy array.
        Raises:
            InvalidType: the layer's values are neither (N, D) nor (N, C, H, W).
            NotFinite: a feature is NaN or infinite.
        """
        x = self.device.send(np.stack(prepared))
        if x.dtype == np.uint8:
            x = network_input(x, self.preprocessing)
        with using_config('train', False), no_backprop_mode():
            values, = self.net(inputs={self.net.input_names[0]: x}, outputs=[self.layer])
        values = values.array
        if values.ndim == 4:
            values = values.mean(axis=(2, 3))
        if values.ndim != 2 or len(values) != len(prepared):
            raise InvalidType(f'{self.net.source}: layer {self.layer!r} gives shape '
                              f'{values.shape} for {len(prepared)} images, (N, D) or (N, C, H, W) '
                              'expected. Choose another one with --layer')
        features = backend.to_cpu(values).astype(np.float32, copy=False)
        if not np.isfinite(features).all():
            raise NotFinite(f'{self.net.source}: layer {self.layer!r} gives values that are not '
                            'finite. Check the weights and the preprocessing')
        return features


@fused(by_kernels.to_planes)
def to_planes(mean, factor, pixels, reverse):
    """Return (pixels - mean) * factor, float32 (N, C, H, W), of arrays.

    Args:
        mean, factor: one a channel of the result, (C,), float32.
        pixels: uint8 (N, H, W, C).
        reverse: whether to read the channels backwards.
    """
    values = (pixels[..., ::-1] if reverse else pixels).astype(np.float32)
    return backend.get_array_module(mean).ascontiguousarray(
        ((values - mean) * factor).transpose(0, 3, 1, 2))


def network_input(pixels, preprocessing):
    """Return float32 (N, C, H, W): what ``preprocessing.apply`` would have made of images.

    Args:
        pixels: results of its method ``pixels``, uint8 (N, H, W, C), on any device.
    """
    number, send = pixels.shape[3], backend.get_device_from_array(pixels).send
    mean = np.asarray(preprocessing.mean or [0] * number, np.float32)
    factor = preprocessing.scale / np.asarray(preprocessing.std or [1] * number)
    return to_planes(send(mean), send(factor.astype(np.float32)), pixels,
                     preprocessing.channels == 'BGR')


def settle_preprocessing(net, preprocessing, registered):
    """Return (Preprocessing or None, who says so), by the arguments of :class:`ImageEncoder`."""
    if preprocessing is not None:
        return preprocessing, 'as it was named'
    if net.preprocessing_origin == 'line':
        return net.preprocessing, f'as {net.source} says'
    published = registered and registered.preprocessing
    if published and (net.preprocessing is None or net.preprocessing.size == published.size):
        return published, f'as published for {registered.name}'
    if net.preprocessing_origin == 'transform_param':
        return net.preprocessing, f'as a transform_param in {net.source} says'
    return net.preprocessing, (
        'a guess, the custom of ImageNet: neither the files say it nor the registry of public '
        'weights for this input. A line "# preprocessing:" at the top of the prototxt would')


def describe_preprocessing(preprocessing):
    """Return a Preprocessing in words, such as '227 x 227 BGR, crop, mean 104 117 123'."""
    def numbers(name):
        values = getattr(preprocessing, name)
        return [] if values is None else [f'{name} ' + ' '.join(f'{v:g}' for v in values)]
    size = ' x '.join(map(str, preprocessing.size))
    scale = [] if preprocessing.scale == 1 else [f'scale {preprocessing.scale:g}']
    return ', '.join([f'{size} {preprocessing.channels}', preprocessing.resize, *numbers('mean'),
                      *scale, *numbers('std')])


def find_prototxt(weights):
    """Return the path of the prototxt that has the name of the weights, or None."""
    path = os.path.splitext(os.fspath(weights))[0] + '.prototxt'
    return path if os.path.isfile(path) else None


def find_layer(weights, prototxt, blob_names):
    """Return the name of the blob whose values are the features, where none is named."""
    if 'fc7' in blob_names:
        return 'fc7'
    layers = [layer for layer in read_network(weights, prototxt).layers if layer.bottom]
    judged = False
    while layers and layers[-1].type in VERDICTS:
        judged = True
        layers.pop()
    if not layers or not layers[-1].top:
        raise DataError(f'{prototxt or weights}: no layer whose values could be features. Name '
                        'one with --layer')
    is_classifier = judged and layers[-1].type == 'InnerProduct'
    return layers[-1].bottom[0] if is_classifier else layers[-1].top[0]


def check_description(description):
    """Raise DataError unless ``description`` is one that an ImageEncoder has."""
    kinds = {'weights': str, 'prototxt': (str, type(None)), 'sha256': str,
             'prototxt_sha256': (str, type(None)), 'layer': str, 'preprocessing': dict}
    if not isinstance(description, dict) or set(description) != set(kinds):
        found = sorted(description) if isinstance(description, dict) else description
        raise DataError(f'encoder: an object with {", ".join(kinds)} expected, got '
                        f'{found!r:.200}')
    for name, kind in kinds.items():
        if not isinstance(description[name], kind):
            raise DataError(f'encoder: {name} is of the wrong type: {description[name]!r:.100}')
    if (description['prototxt'] is None) != (description['prototxt_sha256'] is None):
        raise DataError('encoder: prototxt and prototxt_sha256 both, or neither, expected')
    Preprocessing.from_dict(description['preprocessing'])


def expect_digest(path, digest, advice):
    """Raise unless the file at ``path`` has the sha256 ``digest``.

    Raises:
        FileError: it is missing.
        DataError: it has another one; the message shows both.
    """
    try:
        found = sha256_of(path)
    except FileError as error:
        raise FileError(f'{error}. {advice}; its sha256 is {digest}') from error
    if found != digest:
        raise DataError(f'{path}: the file that the model was trained with expected, sha256 '
                        f'{digest}, got another one, sha256 {found}. Features of another network '
                        f'mean nothing to the model. {advice}')


def sha256_of(path):
    """Return the sha256 of a file as 64 hexadecimal digits.

    Raises:
        FileError: it is missing or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise FileError(f'{os.fspath(path)}: a file expected, this is none')
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except (OSError, ValueError) as error:      # ValueError: a NUL in the path
        if isinstance(error, FileError):
            raise
        reason = getattr(error, 'strerror', None) or error
        raise FileError(f'{os.fspath(path)}: cannot be read ({reason})') from error
    return digest.hexdigest()

"""Images -> feature vectors: a network of Caffe or ONNX, cut at one of its layers, never trained.

`description` is what config.json keeps of it, `from_description` makes the same encoder again and
refuses other weights.
"""
import hashlib
import os

import numpy as np

from minichain import backend
from minichain.configuration import no_backprop_mode, using_config
from minichain.encoder_network import expect_layer, files_of, find_prototxt, open_network
from minichain.errors import DataError, FileError, InvalidType, NotFinite
from minichain.gpu import images as by_kernels
from minichain.gpu.dispatch import fused
from minichain.image import Preprocessing, expect_channels, read_preprocessing


class ImageEncoder:
    """A trained network that looks at images.

        encoder = ImageEncoder('squeezenet.caffemodel')
        features = encoder.compute([encoder.prepare(image)])

    Args:
        weights: path of the caffemodel or ONNX file.
        prototxt: path of a Caffe network's description; None takes the file beside the weights
            that has their name and ends in .prototxt, if there is one, else, as False always
            does, the description inside the caffemodel.
        layer: the blob, or value of the ONNX file, whose values are the features. None takes
            'fc7' if there is one, else what the classifier reads: the bottom of the last
            InnerProduct, or of the softmax where no InnerProduct precedes it (SqueezeNet's
            'pool10'); of ONNX, whose classifiers mostly end without a softmax, what the last
            product with a matrix reads if it makes the output.
        device: where it computes, as in ``get_device``.
        preprocessing: minichain.image.Preprocessing, or a text as ``read_preprocessing`` takes
            it; None takes what the files say.
        registered: what is known of these weights, with `name` and `preprocessing` (maybe None),
            such as weights.registry.Entry. For an input of its size that counts more than what
            the files hint at, and less than a line `# preprocessing:`, or such metadata, in them.
            None: they are no public ones.
    Attributes:
        layer, preprocessing: as settled.
        preparation: str, the preprocessing in words, and who says that it is this one.
        description: dict for JSON: weights, prototxt (absolute paths, prototxt may be None),
            sha256, prototxt_sha256 (of both files; of weights and their external data, one after
            the other, where an ONNX file has such), layer, preprocessing.
        key: the description without the paths: what features depend on, for a feature cache.
    Raises:
        FileError, DataError: the files are missing or damaged, or do not tell how to prepare
            images.
        InvalidArgument: there is no such layer; the message lists those there are. Or a text that
            describes no preprocessing.
        DeviceError: there is no such device.
    """

    def __init__(self, weights, prototxt=None, layer=None, device='cpu', preprocessing=None,
                 registered=None):
        self.device = backend.get_device(device)
        self.network = open_network(weights, prototxt)
        self.net, weights = self.network.net, os.fsdecode(weights)
        if isinstance(preprocessing, str):
            preprocessing = read_preprocessing(preprocessing, self.network.size)
        self.preprocessing, who = settle_preprocessing(self.network, preprocessing, registered)
        if self.preprocessing is None:
            raise DataError(
                self.network.preprocessing_damage
                or f'{self.network.source}: how to prepare images is not known. Name it with '
                '--preprocessing, or put a line like this at the top of the .prototxt and name '
                'that with --prototxt: # preprocessing: '
                '{"size": [224, 224], "channels": "BGR", "mean": [104, 117, 123]}')
        expect_channels(self.preprocessing, self.network.channels, self.network.source)
        self.preparation = f'{describe_preprocessing(self.preprocessing)}; {who}'
        self.layer = self.network.default_layer() if layer is None else layer
        expect_layer(self.network, self.layer)
        prototxt = self.network.prototxt
        self.key = {
            'sha256': sha256_of(*self.network.files),
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
            weights: where the weights are now, a prototxt beside them under the same name if it
                is not where it was; None: where they were.
            device: as in ``get_device``.
        Raises:
            DataError: a file is another one than then, by sha256; or the description is damaged.
            FileError: a file is missing.
        """
        check_description(description)
        weights = weights or description['weights']
        prototxt = description['prototxt']
        if prototxt and not os.path.isfile(prototxt):
            prototxt = find_prototxt(os.fsdecode(weights)) or prototxt
        expect_digest(weights, description['sha256'], 'Name the file with --weights', files_of)
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
            values = self.network.look(x, self.layer).array
        if values.ndim == 4:
            values = values.mean(axis=(2, 3))
        if values.ndim != 2 or len(values) != len(prepared):
            raise InvalidType(f'{self.network.source}: layer {self.layer!r} gives shape '
                              f'{values.shape} for {len(prepared)} images, (N, D) or (N, C, H, W) '
                              'expected. Choose another one with --layer')
        features = backend.to_cpu(values).astype(np.float32, copy=False)
        if not np.isfinite(features).all():
            raise NotFinite(f'{self.network.source}: layer {self.layer!r} gives values that are '
                            'not finite. Check the weights and the preprocessing')
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


def settle_preprocessing(network, preprocessing, registered):
    """Return (Preprocessing or None, who says so), by the arguments of :class:`ImageEncoder`."""
    says, origin = network.preprocessing, network.preprocessing_origin
    if preprocessing is not None:
        return preprocessing, 'as it was named'
    if origin in ('line', 'file'):
        return says, f'as {network.source} says'
    published = registered and registered.preprocessing
    if published and (says is None or says.size == published.size):
        return published, f'as published for {registered.name}'
    if origin == 'transform_param':
        return says, f'as a transform_param in {network.source} says'
    return says, ('a guess, the custom of ImageNet: neither the files say it nor the registry of '
                  'public weights for this input. --preprocessing would')


def describe_preprocessing(preprocessing):
    """Return a Preprocessing in words, such as '227 x 227 BGR, crop, mean 104 117 123'."""
    def numbers(name):
        values = getattr(preprocessing, name)
        return [] if values is None else [f'{name} ' + ' '.join(f'{v:g}' for v in values)]
    size = ' x '.join(map(str, preprocessing.size))
    scale = [] if preprocessing.scale == 1 else [f'scale {preprocessing.scale:g}']
    return ', '.join([f'{size} {preprocessing.channels}', preprocessing.resize, *numbers('mean'),
                      *scale, *numbers('std')])


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


def expect_digest(path, digest, advice, files=lambda path: [path]):
    """Raise unless the file at ``path``, or its ``files``, have the sha256 ``digest``.

    Raises:
        FileError: it is missing.
        DataError: it has another one; the message shows both.
    """
    try:
        found = sha256_of(*files(path))
    except FileError as error:
        raise FileError(f'{str(error).rstrip(".")}. {advice}; its sha256 is {digest}') from error
    if found != digest:
        raise DataError(f'{path}: the file that the model was trained with expected, sha256 '
                        f'{digest}, got another one, sha256 {found}. Features of another network '
                        f'mean nothing to the model. {advice}')


def sha256_of(*paths):
    """Return the sha256 of a file, or of several one after another, as 64 hexadecimal digits.

    Raises:
        FileError: it is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
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

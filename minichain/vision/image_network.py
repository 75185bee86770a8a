"""ImageNetwork: what all architectures for images have in common. A network is a table of layers.

``functions`` names the layers in the order of computation, which is all that a network has to
write down; read ``vgg.py`` for an example.
"""
import os

import numpy as np
from PIL import Image

from minichain.autograd import as_variable
from minichain.chain import Chain
from minichain.configuration import no_backprop_mode, using_config
from minichain.errors import InvalidArgument
from minichain.functions.mean import mean
from minichain.functions.reshape import reshape
from minichain.link import Link
from minichain.links.convolution import Convolution2D
from minichain.links.linear import Linear
from minichain.type_check import refuse_former
from minichain.vision import weight_files
from minichain.vision.preparation import CENTRE, as_picture, prepare_as_in_chainer, ten_crops


class ImageNetwork(Chain):
    """Base of the networks that classify images; every layer has a name.

    Attributes:
        functions: dict, name of a layer -> list of links and functions that follow each other.
            The last layer of the main path is 'prob', the probabilities of the classes.
        branches: dict, name of a layer -> the layer that it starts from; all others start where
            the layer before them ends.
        head: names of the links, attributes of the network, that know the number of classes; the
            last one is the main one's.
        feature_layer: the layer that ``extract`` gives if none is named.
        preprocessing: minichain.image.Preprocessing that ``prepare`` applies; it may be set.
        optional: paths, as 'loss1', below which a file of weights may have more or less.
    """

    branches, optional = {}, ()
    head, feature_layer, preprocessing = (), 'prob', None

    @property
    def functions(self):
        raise NotImplementedError(f'{type(self).__name__} defines no functions')

    @property
    def available_layers(self):
        """Names of all layers, in the order of computation."""
        return list(self.functions)

    @property
    def classifier(self):
        """The link that gives the scores of the classes."""
        return getattr(self, self.head[-1])

    def forward(self, x, layers=None, **former):
        """Compute layers by name, and what they need, and nothing else.

        Args:
            x: prepared images, (N, C, H, W).
            layers: names; None means ['prob'].
        Returns:
            dict from name to Variable, in the order of computation.
        Raises:
            InvalidArgument: there is no such layer.
        """
        refuse_former(type(self).__name__, former)
        functions = self.functions
        wanted = self._expect_layers(['prob'] if layers is None else layers, functions)
        sources, before = {}, None
        for name in functions:
            sources[name] = before = self.branches.get(name, before)
            before = name
        needed = set()
        for name in wanted:
            while name is not None and name not in needed:
                needed.add(name)
                name = sources[name]
        order = [name for name in functions if name in needed]
        last_use = {sources[name]: name for name in order}
        values = {None: as_variable(x)}
        for name in order:
            source = sources[name]
            values[name] = self._run(functions[name], values[source])
            if last_use[source] == name and source not in wanted:
                del values[source]
        return {name: values[name] for name in order if name in wanted}

    def _expect_layers(self, names, functions):
        if isinstance(names, str):
            raise InvalidArgument(f'layers: a list of names expected, got {names!r}. Write '
                                  f'[{names!r}]')
        unknown = [name for name in names if name not in functions]
        if unknown:
            raise InvalidArgument(f'{type(self).__name__} has no layer {unknown[0]!r}; there are '
                                  f'{", ".join(functions)}')
        return set(names)

    def _run(self, functions, x):
        for function in functions:
            if isinstance(function, Link) and is_frozen(function):
                # A frozen layer does the same at every step: batch normalization inside it uses
                # its averages, and leaves them alone, instead of the statistics of the batch.
                with using_config('train', False):
                    x = function(x)
            else:
                x = function(x)
        return x

    def features(self, layer, x):
        """Return the values of one layer, in test mode and without gradients.

            net.features('fc7', net.prepare('photo.jpg')[None])

        Args:
            layer: its name; ``available_layers`` lists them.
            x: prepared images, (N, C, H, W), on the network's device.
        Returns:
            Variable. Use ``net(x, layers=[layer])`` for one with gradients.
        """
        if not isinstance(layer, str):
            raise InvalidArgument(f'features: the name of one layer expected, got {layer!r:.200}. '
                                  'net(x, layers=[...]) computes several')
        with using_config('train', False), no_backprop_mode():
            return self(x, layers=[layer])[layer]

    def prepare(self, image):
        """Make network input of an image as ``preprocessing`` says.

        Args:
            image: path, PIL image, or array of 0..255: uint8 (H, W, 3), RGB, or Chainer's
                (3, H, W), (1, H, W), (H, W).
        Returns:
            float32 (C, H, W); stack them, or add an axis, for a batch.
        """
        return self.preprocessing.apply(np.asarray(as_picture(image)))

    def extract(self, images, layers=None, size=None, **former):
        """Compute layers for images, prepared as by Chainer's ``prepare``.

        Dropout and batch normalization obey ``config.train``, as in Chainer.

        Args:
            images: list of images, as of :meth:`prepare`.
            layers: names; None means the network's ``feature_layer``.
            size: (width, height) that images are resized to; None means that of
                ``preprocessing``.
        Returns:
            dict from name to Variable.
        """
        refuse_former('extract', former)
        size = self.preprocessing.size[::-1] if size is None else size
        return self(self.device.send(self._batch(images, size)),
                    layers=[self.feature_layer] if layers is None else layers)

    def predict(self, images, oversample=True):
        """Return the probabilities of the classes, in test mode and without gradients.

        Args:
            images: list of images, as of :meth:`prepare`.
            oversample: average over ten crops, corners and centre and their mirror images, of
                the image at ``preprocessing.resize_to``, instead of the centre alone.
        Returns:
            Variable, (N, classes).
        """
        size = self.preprocessing.size
        side = self.preprocessing.resize_to or max(size)
        x = ten_crops(self._batch(images, (side, side)), size)
        with using_config('train', False), no_backprop_mode():
            y = self(self.device.send(x if oversample else x[CENTRE::10]))['prob']
            return mean(reshape(y, (len(images), -1, *y.shape[1:])), axis=1)

    def _batch(self, images, size):
        if isinstance(images, (str, os.PathLike, Image.Image)):
            raise InvalidArgument(f'{type(self).__name__}: a list of images expected, got one '
                                  f'{type(images).__name__}. Write [image]')
        if len(images) == 0:
            raise InvalidArgument(f'{type(self).__name__}: at least one image expected, got none')
        return np.stack([prepare_as_in_chainer(image, size, self.preprocessing)
                         for image in images])

    def replace_head(self, n_classes):
        """Put new last layers, for ``n_classes`` classes, in place of the old ones.

        Call it before ``optimizer.setup``, which must see the new parameters. Returns self.
        """
        expect_classes('replace_head', n_classes)
        for name in self.head:
            old, nobias = getattr(self, name), getattr(self, name).b is None
            if isinstance(old, Convolution2D):
                new = Convolution2D(old.in_channels, n_classes, old.ksize, old.stride, old.pad,
                                    nobias, dilate=old.dilate, groups=old.groups)
            else:
                new = Linear(old.in_size, n_classes, nobias)
            with self.init_scope():
                setattr(self, name, new.to_device(self.device))
        return self

    def freeze(self, until=None):
        """Exclude layers from training; returns self.

        Their parameters get no gradients, and batch normalization inside them uses its averages
        and does not change them, also while training. What ``replace_head`` makes later is
        trained: ``net.freeze().replace_head(5)`` trains the new head alone, the other way around
        nothing would be trained. With ``until`` the order does not matter.

        Args:
            until: name of the first layer that stays as it is; None freezes all layers.
        """
        self._expect_layers([] if until is None else [until], self.functions)
        for name in self.functions:
            if name == until:
                break
            self._set_trainable(name, False)
        return self

    def unfreeze(self, *layers):
        """Train layers again, those named, or all of them; returns self."""
        self._expect_layers(layers, self.functions)
        for name in layers or self.functions:
            self._set_trainable(name, True)
        return self

    def _set_trainable(self, layer, trainable):
        for function in self.functions[layer]:
            if isinstance(function, Link):
                for parameter in function.params():
                    parameter.requires_grad = trainable
                    if not trainable:
                        parameter.cleargrad()

    def load(self, path, partial=False):
        """Read weights by name from a file of Caffe, ONNX, or Chainer.

        ``preprocessing`` stays: set it where the weights learned from other images, as those of
        torchvision, which are for RGB.

        Args:
            path: file whose name ends in .caffemodel, .onnx or .npz.
            partial: load what fits; otherwise every value must be in the file and in the
                network, in the same shape.
        Returns:
            ``serializers.LoadReport``: what matched, was missing, unused or of wrong shape.
        Raises:
            FileError: the file is missing.
            DataError: it does not fit, and nothing was loaded; or it is damaged.
            InvalidArgument: another ending.
        """
        return weight_files.load(self, path, partial)

    def caffe_layer(self, path):
        """Return the names of the Caffe layers whose blobs one link takes, as a tuple.

        Args:
            path: of the link, as 'res2/a/conv1'. For batch normalization two names are expected:
                of the BatchNorm and the Scale layer.
        """
        return (path,)

    def torchvision_layer(self, path):
        """Return the name of torchvision's module for one link; ONNX files often keep them."""
        return path.replace('/', '.')


def expect_classes(label, n_classes):
    """Raises InvalidArgument unless it is a number of classes."""
    if isinstance(n_classes, bool) or not isinstance(n_classes, (int, np.integer)) \
            or n_classes < 1:
        raise InvalidArgument(f'{label}: n_classes: a number of classes expected, got '
                              f'{n_classes!r}')


def is_frozen(link):
    """Whether a link has parameters and none of them is trained."""
    parameters = list(link.params())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)

"""Architectures by name: ``models.resnet50()`` is a network with new weights.

    import models
    net = models.vgg16(n_classes=15, pretrained_model='VGG_ILSVRC_16_layers.caffemodel')

Every network is a ``minichain.vision.ImageNetwork``. NAMES lists them; each file is read when one
of its networks is asked for.
"""
import importlib
import sys
import types

_NETWORKS = {   # name -> module, class, what it is made with
    'alexnet': ('models.alexnet', 'AlexNet', {}),
    'caffenet': ('models.alexnet', 'CaffeNet', {}),
    'googlenet': ('minichain.vision.googlenet', 'GoogLeNet', {}),
    'inception_v3': ('models.inception_v3', 'InceptionV3', {}),
    'mobilenet_v2': ('models.mobilenet_v2', 'MobileNetV2', {}),
    'resnet50': ('minichain.vision.resnet', 'ResNet50Layers', {}),
    'resnet101': ('minichain.vision.resnet', 'ResNet101Layers', {}),
    'resnet152': ('minichain.vision.resnet', 'ResNet152Layers', {}),
    'squeezenet1_0': ('models.squeezenet', 'SqueezeNet', {'version': '1.0'}),
    'squeezenet1_1': ('models.squeezenet', 'SqueezeNet', {'version': '1.1'}),
    'vgg16': ('minichain.vision.vgg', 'VGG16Layers', {}),
    'vgg19': ('minichain.vision.vgg', 'VGG19Layers', {}),
    **{f'efficientnet_b{number}': ('models.efficientnet', 'EfficientNet', {'variant': number})
       for number in range(8)},
}
NAMES = tuple(sorted(_NETWORKS))


def __getattr__(name):
    if name not in _NETWORKS:
        raise AttributeError(f"models has no '{name}'. There are: {', '.join(NAMES)}")
    module, class_name, settings = _NETWORKS[name]

    def make(n_classes=1000, pretrained_model=None, **options):
        image_network = importlib.import_module('minichain.vision.image_network')
        image_network.expect_classes(name, n_classes)
        maker = getattr(importlib.import_module(module), class_name)
        if module.startswith('minichain.'):     # Chainer's networks take weights themselves
            return maker(pretrained_model, n_classes=n_classes, **options)
        if pretrained_model is None:
            return maker(n_classes=n_classes, **settings, **options)
        net = maker(**settings, **options)
        net.load(pretrained_model)
        return net if n_classes == 1000 else net.replace_head(n_classes)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""Make the network ``{module}.{class_name}``.

    Args:
        n_classes: the last layer is a new one if this is not 1000.
        pretrained_model: path of its weights, .caffemodel, .onnx or .npz; None draws them.
        options: further arguments of the class.
    """
    return make


def __dir__():
    return sorted({*globals(), *NAMES})


class _Models(types.ModuleType):
    """``models.alexnet`` stays the function when the file of that name has been imported."""

    def __setattr__(self, name, value):
        if name not in NAMES or not isinstance(value, types.ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Models

"""Networks that classify images, with Chainer's names: ``minichain.links`` shows them too.

Read ``image_network`` for what they have in common, then ``vgg``, ``googlenet``, ``resnet``; other
architectures are in ``models/``. ``weight_files`` reads their weights.
"""
from minichain.vision.googlenet import GoogLeNet
from minichain.vision.image_network import ImageNetwork
from minichain.vision.resnet import ResNet50Layers, ResNet101Layers, ResNet152Layers, ResNetLayers
from minichain.vision.vgg import VGG16Layers, VGG19Layers, VGGLayers

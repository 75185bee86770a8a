"""Chainer's module paths and names, where a room of this library is another than in Chainer."""
import importlib
import sys
import types

ALIASES = {   # Chainer's path below the package -> ours
    'backends': 'backend',
    'backends.cuda': 'cuda',
    'exporters': 'caffe.export',
    'exporters.caffe': 'caffe.export',
    'function_node': 'autograd',
    'links.caffe': 'caffe',
    'links.caffe.caffe_function': 'caffe',
    'links.model': 'links',
    'links.model.classifier': 'links.classifier',
    'links.model.vision': 'vision',
    'links.model.vision.googlenet': 'vision.googlenet',
    'links.model.vision.resnet': 'vision.resnet',
    'links.model.vision.vgg': 'vision.vgg',
    'serializer': 'serializers.base',
    'utils': 'compat',
    'utils.argument': 'compat',
    'utils.conv': 'functions.windows',
    'utils.type_check': 'type_check',
}
NAMES = {   # room -> names that Chainer has there too, and where they are
    'link': ('chain', 'Chain ChainList'),
    'optimizer': ('optimizer_hooks', 'GradientClipping GradientHardClipping GradientLARS '
                                     'GradientNoise Lasso WeightDecay'),
}


class Alias(types.ModuleType):
    """A module whose names are those of another, which is imported when one is asked for."""

    def __init__(self, name, target):
        super().__init__(name, f'Another name of {target}.')
        self.__dict__['_target'] = target
        self.__path__ = []

    def __getattr__(self, name):
        below = f'{self.__name__}.{name}'
        if below in sys.modules:
            return sys.modules[below]
        if name == '__all__':
            return dir(self)
        if name.startswith('__') and name != '__version__':
            raise AttributeError(name)   # what the import system asks of a module
        return getattr(importlib.import_module(self._target), name)

    def __dir__(self):
        names = dir(importlib.import_module(self._target))
        return [name for name in names if not name.startswith('_')]


def install():
    """Make ``minichain.<Chainer's path>`` importable."""
    for path, target in ALIASES.items():
        name = f'minichain.{path}'
        sys.modules[name] = Alias(name, f'minichain.{target}')
        parent, _, last = name.rpartition('.')
        if parent in sys.modules and not isinstance(sys.modules[parent], Alias):
            setattr(sys.modules[parent], last, sys.modules[name])
    for room, (home, names) in NAMES.items():
        for name in names.split():
            setattr(sys.modules[f'minichain.{room}'], name,
                    getattr(sys.modules[f'minichain.{home}'], name))

"""Chainer's module paths and names, where a room of this library is another than in Chainer."""
import importlib
import importlib.abc
import importlib.machinery
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
FOLDERS = {   # room -> Chainer's folders in it, of modules that have one or two of its names
    'functions': 'activation array connection evaluation loss math noise normalization pooling '
                 'rnn util',
    'links': 'activation connection loss normalization rnn',
}
MODULES = {   # room -> Chainer's modules in it that have another name here
    'datasets': 'cifar concatenated_dataset dict_dataset fashion_mnist image_dataset '
                'kuzushiji_mnist mnist ptb transform_dataset tuple_dataset',
    'function_hooks': 'debug_print timer',
    'iterators': 'multiprocess_iterator multithread_iterator order_samplers serial_iterator',
    'link_hooks': 'timer',
    'optimizer_hooks': 'gradient_clipping gradient_hard_clipping gradient_lars gradient_noise '
                       'lasso weight_decay',
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


class Folder(types.ModuleType):
    """One of Chainer's folders within a room: its names are modules."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return importlib.import_module(f'{self.__name__}.{name}')


class ModuleInFolder(Alias):
    """A module in such a folder: the names of the room, and of the room's file of that name."""

    def __getattr__(self, name):
        last = self.__name__.rpartition('.')[2]
        below = sys.modules.get(f'{self._target}.{last}')
        return getattr(below, name) if name in vars(below or object) else super().__getattr__(name)


class FolderFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``minichain.<room>.<folder>`` and ``minichain.<room>.<folder>.<module>``."""

    def find_spec(self, name, path=None, target=None):
        root, *path = name.split('.')
        if root != 'minichain' or len(path) not in (2, 3):
            return None
        if path[1] not in FOLDERS.get(path[0], '').split():
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        root, room, _, *module = spec.name.split('.')
        return ModuleInFolder(spec.name, f'{root}.{room}') if module else Folder(spec.name)

    def exec_module(self, module):
        """Nothing is left to do."""


def install():
    """Make ``minichain.<Chainer's path>`` importable."""
    sys.meta_path.append(FolderFinder())
    modules = {f'{room}.{module}': room for room, names in MODULES.items()
               for module in names.split()}
    for path, target in (ALIASES | modules).items():
        name = f'minichain.{path}'
        sys.modules[name] = Alias(name, f'minichain.{target}')
        parent, _, last = name.rpartition('.')
        if parent in sys.modules and not isinstance(sys.modules[parent], Alias):
            setattr(sys.modules[parent], last, sys.modules[name])
    for room, (home, names) in NAMES.items():
        for name in names.split():
            setattr(sys.modules[f'minichain.{room}'], name,
                    getattr(sys.modules[f'minichain.{home}'], name))

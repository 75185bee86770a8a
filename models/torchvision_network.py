"""Networks whose links stand for torchvision's modules, so that its weights load by name."""
import os

from minichain.serializers.npz import open_model
from minichain.vision.image_network import ImageNetwork
from minichain.vision.weight_files import Entries, Entry, fill, values

# What torchvision calls our attributes.
NAMES = {'W': 'weight', 'b': 'bias', 'gamma': 'weight', 'beta': 'bias',
         'avg_mean': 'running_mean', 'avg_var': 'running_var'}


class TorchvisionNetwork(ImageNetwork):
    """An ImageNetwork whose npz files may also be ``numpy.savez(path, **state_dict)``.

    ONNX files are read by these names too, where normalization was left as it is, as by
    ``torch.onnx.export(..., training=TrainingMode.PRESERVE, do_constant_folding=False)``: what was
    folded into convolutions has lost its name.
    """

    def torchvision_layer(self, path):
        """Return the name of torchvision's module for the link at ``path``."""
        return path.replace('/', '.')

    def torchvision_names(self):
        """Return a dict: name in torchvision's ``state_dict`` -> our path, as 'fc/W'."""
        return {f'{self.torchvision_layer(os.path.dirname(name))}.{NAMES[attribute]}': name
                for name, _, attribute in values(self) if attribute in NAMES}

    def load(self, path, partial=False):
        if os.fspath(path).lower().endswith('.npz'):
            with open_model(path) as npz:
                names = self.torchvision_names()
                if not names.keys().isdisjoint(npz):
                    return fill(self, os.fspath(path), translated(names, npz), partial)
        return super().load(path, partial)


def translated(names, npz):
    """Entries under our names of a file with torchvision's; what is no weight is passed over."""
    return Entries(
        {names[name]: Entry(npz.header(name).shape, lambda name=name: npz[name])
         for name in npz if name in names},
        [name for name in npz if name not in names and name.split('.')[-1] in NAMES.values()])

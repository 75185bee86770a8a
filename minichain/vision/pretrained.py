"""Where Chainer keeps the weights of its networks, and networks made with weights."""
import os

from minichain.dataset.download import get_dataset_directory
from minichain.errors import FileError
from minichain.serializers import save_npz

FOLDER = 'pfnet/chainer/models'


def find_pretrained(name):
    """Return the path of a file of weights in the folder where Chainer keeps them.

    Args:
        name: of the npz file; a caffemodel of the same name will do.
    Raises:
        FileError: neither is there; the message says what to do.
    """
    folder = get_dataset_directory(FOLDER, create_directory=False)
    stem = os.path.join(folder, os.path.splitext(name)[0])
    for path in (f'{stem}.npz', f'{stem}.caffemodel'):
        if os.path.isfile(path):
            return path
    raise FileError(f'{stem}.npz: no such file of weights, nor {os.path.basename(stem)}'
                    ".caffemodel beside it. Put one there, name one with pretrained_model='...' "
                    '(.npz, .caffemodel, .onnx), or begin untrained with pretrained_model=None')


def initializer(pretrained_model, draw):
    """Return what fills new weights: ``draw``, or 0 where weights are going to be read."""
    return draw if pretrained_model is None else 0


def finish(net, pretrained_model, file_name=None, n_classes=1000):
    """Give a network that was made for 1000 classes its weights, then its own classes.

    Args:
        net: ImageNetwork.
        pretrained_model: path of weights; 'auto' finds ``file_name``; None changes nothing.
        file_name: of Chainer's npz file.
        n_classes: 1000 keeps the head.
    """
    if pretrained_model is not None:
        net.load(find_pretrained(file_name) if pretrained_model == 'auto' else pretrained_model)
    if n_classes != 1000:
        net.replace_head(n_classes)


def convert(net, path_npz):
    """Write the weights of a network as Chainer's npz file, atomically."""
    save_npz(path_npz, net, compression=False)

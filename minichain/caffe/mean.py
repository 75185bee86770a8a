"""Mean images, as Caffe's tools write them: imagenet_mean.binaryproto and its kin."""
import numpy as np

from minichain.caffe import wire
from minichain.errors import DataError
from minichain.protobuf import map_file

MAX_NUMBERS = 1 << 26
NUMPY_MARK = b'\x93NUMPY'


def load_mean(path):
    """Reads the mean image of a training set.

        mean = load_mean('imagenet_mean.binaryproto')
        net.preprocessing = Preprocessing((227, 227), 'BGR', mean.mean((1, 2)).tolist())

    Caffe itself subtracts the mean pixel by pixel, cut as the image is; the mean of each channel,
    which `Preprocessing` takes, is what its own Python examples use.

    Args:
        path: of a binaryproto, or of a .npy file.
    Returns:
        float32 (C, H, W), in the order of the channels that the network was trained with, BGR for
        Caffe's own networks.
    Raises:
        FileError: the file is missing or cannot be read.
        DataError: it is damaged, or no mean image.
    """
    data = map_file(path, 'a mean image')
    if bytes(data[:len(NUMPY_MARK)]) == NUMPY_MARK:
        mean = _read_npy(path)
    else:
        mean = wire.read_blob(path)
    shape = mean.shape
    while mean.ndim > 3 and len(mean) == 1:
        mean = mean[0]
    if mean.ndim != 3 or not 0 < mean.size <= MAX_NUMBERS or mean.dtype.kind != 'f':
        raise DataError(f'{path}: a mean image (C, H, W) of floats, at most {MAX_NUMBERS} '
                        f'numbers, expected, got {mean.dtype} {shape}.')
    with np.errstate(over='ignore'):
        mean = np.array(mean, np.float32)
    if not np.isfinite(mean).all():
        raise DataError(f'{path}: a mean image of finite numbers expected. Is the file damaged?')
    return mean


def _read_npy(path):
    try:    # mapped, so that a header that lies takes no memory
        return np.load(path, mmap_mode='r', allow_pickle=False, max_header_size=4096)
    except Exception as error:      # NumPy evaluates the header, which fails in many ways
        raise DataError(f'{path}: a .npy file that cannot be read: {error!s:.200}') from error

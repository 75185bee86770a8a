"""cuDNN's classic C interface through ctypes: handle, descriptors, pooling, normalization.

Optional: ``pip install nvidia-cudnn-cu13`` (or cu12) brings the library. Convolutions stand in
cudnn_convolution.py. Arrays are CuPy's; images are (N, C, H, W) with layout 'NCHW' and
(N, H, W, C) with 'NHWC'; float32, or bfloat16 held as uint16.
"""
import ctypes
import functools
import threading
from ctypes import c_double, c_float, c_int, c_size_t, c_uint, c_void_p

import numpy as np

from minichain.backend import import_cupy
from minichain.errors import DeviceError, InvalidArgument, InvalidType
from minichain.gpu.libraries import Handle, declare, open_library, stream_address
from minichain.gpu.precision import cudnn_deterministic, is_bfloat16

FLOAT32, BFLOAT16 = 0, 9                # cudnnDataType_t
LAYOUTS = {'NCHW': 0, 'NHWC': 1}        # cudnnTensorFormat_t
# cudnnPoolingMode_t; the maximum that repeats is another one.
POOLING = {'max': 0, 'average': 1, 'average_without_pad': 2}
_REPEATABLE_MAX, _PROPAGATE_NAN, _ACROSS_CHANNELS = 3, 1, 0

_FIND = (c_void_p,) * 8 + (c_int, c_void_p, c_void_p, c_void_p, c_size_t)
_GUESS = (c_void_p,) * 5 + (c_int, c_void_p, c_void_p)
_SIZE = (c_void_p,) * 5 + (c_int, c_void_p)
_CONVOLVE = (c_void_p,) * 7 + (c_int, c_void_p, c_size_t) + (c_void_p,) * 3
PROTOTYPES = {
    'cudnnCreate': (c_void_p,),
    'cudnnSetStream': (c_void_p, c_void_p),
    **{f'cudnn{verb}{kind}Descriptor': (c_void_p,) for verb in ('Create', 'Destroy')
       for kind in ('Tensor', 'Filter', 'Convolution', 'Activation', 'Pooling', 'LRN')},
    'cudnnSetTensor4dDescriptorEx': (c_void_p, c_int) + (c_int,) * 8,
    'cudnnSetFilter4dDescriptor': (c_void_p, c_int, c_int) + (c_int,) * 4,
    'cudnnSetConvolution2dDescriptor': (c_void_p,) + (c_int,) * 8,
    'cudnnSetConvolutionGroupCount': (c_void_p, c_int),
    'cudnnSetConvolutionMathType': (c_void_p, c_int),
    'cudnnGetConvolution2dForwardOutputDim': (c_void_p,) * 7,
    'cudnnFindConvolutionForwardAlgorithmEx': _FIND,
    'cudnnFindConvolutionBackwardDataAlgorithmEx': _FIND,
    'cudnnFindConvolutionBackwardFilterAlgorithmEx': _FIND,
    'cudnnGetConvolutionForwardAlgorithm_v7': _GUESS,
    'cudnnGetConvolutionBackwardDataAlgorithm_v7': _GUESS,
    'cudnnGetConvolutionBackwardFilterAlgorithm_v7': _GUESS,
    'cudnnGetConvolutionForwardWorkspaceSize': _SIZE,
    'cudnnGetConvolutionBackwardDataWorkspaceSize': _SIZE,
    'cudnnGetConvolutionBackwardFilterWorkspaceSize': _SIZE,
    'cudnnConvolutionForward': _CONVOLVE,
    'cudnnConvolutionBackwardData': _CONVOLVE,
    'cudnnConvolutionBackwardFilter': _CONVOLVE,
    # as forward, then a second factor, z that is added, bias, activation, y; each with descriptor
    'cudnnConvolutionBiasActivationForward':
        (c_void_p,) * 7 + (c_int, c_void_p, c_size_t) + (c_void_p,) * 8,
    'cudnnSetActivationDescriptor': (c_void_p, c_int, c_int, c_double),
    'cudnnSetPooling2dDescriptor': (c_void_p,) + (c_int,) * 8,
    'cudnnGetPooling2dForwardOutputDim': (c_void_p,) * 6,
    'cudnnPoolingForward': (c_void_p,) * 8,
    'cudnnPoolingBackward': (c_void_p,) * 12,
    'cudnnSetLRNDescriptor': (c_void_p, c_uint, c_double, c_double, c_double),
    'cudnnLRNCrossChannelForward': (c_void_p, c_void_p, c_int) + (c_void_p,) * 6,
    'cudnnLRNCrossChannelBackward': (c_void_p, c_void_p, c_int) + (c_void_p,) * 10,
}


def version():
    """Return the version of cuDNN as an int, 10000 * major + 100 * minor + patch.

    Raises:
        DeviceError: it is not there.
    """
    function = open_library('cudnn').cudnnGetVersion
    function.restype = c_size_t
    return function()


def _reason(library, status):
    """Return what the library says about a status, and about the last error."""
    library.cudnnGetErrorString.restype = ctypes.c_char_p
    words, more = library.cudnnGetErrorString(c_int(status)), ctypes.create_string_buffer(1024)
    library.cudnnGetLastErrorString(more, c_size_t(len(more)))
    detail = f': {more.value.decode(errors="replace")}' if more.value else ''
    return f'{words.decode()} ({status}){detail}'


class Cudnn:
    """cuDNN on one GPU: its handle, which one call has at a time.

    Args:
        library: ctypes.CDLL, or what has the same functions.
    Raises:
        DeviceError: a function is missing, or there is no GPU.
    """

    def __init__(self, library):
        self.library = declare(library, 'cudnn', PROTOTYPES, functools.partial(_reason, library))
        self.handle = Handle(library.cudnnCreate, None)
        self.plans = {}
        self.lock = threading.RLock()

    def descriptor(self, kind):
        """Return a new descriptor; kind: 'Tensor', 'Filter', 'Convolution', ..."""
        return Handle(getattr(self.library, f'cudnnCreate{kind}Descriptor'),
                      getattr(self.library, f'cudnnDestroy{kind}Descriptor'))

    def tensor(self, x, layout):
        """Return the descriptor of images, whose strides may be any."""
        tensor, order = self.descriptor('Tensor'), [layout.index(axis) for axis in 'NCHW']
        self.library.cudnnSetTensor4dDescriptorEx(
            tensor, dtype_number(x), *(x.shape[axis] for axis in order),
            *(x.strides[axis] // x.dtype.itemsize for axis in order))
        return tensor

    def call(self, name, stream, *arguments):
        """Put an operation on a stream, None for a question: cudnn<name>(handle, *arguments)."""
        with self.lock:
            if stream is not None:
                self.library.cudnnSetStream(self.handle, stream)
            getattr(self.library, f'cudnn{name}')(self.handle, *arguments)


@functools.cache
def library_of(device):
    """Return the :class:`Cudnn` of the GPU with a number, which must be the current one."""
    return Cudnn(open_library('cudnn'))


def dtype_number(x):
    """Return the number of cudnnDataType_t for an array."""
    return BFLOAT16 if is_bfloat16(x.dtype) else FLOAT32


def check_arrays(name, layout, *arrays):
    """Return the device of images, filters and vectors of one dtype on one GPU.

    Raises:
        InvalidArgument: the layout.
        InvalidType: dtypes, numbers of axes or of elements.
        DeviceError: they are on different GPUs.
    """
    if layout not in LAYOUTS:
        raise InvalidArgument(f"{name}: layout={layout!r}; expected 'NCHW' or 'NHWC'")
    cupy = import_cupy()
    shown = ', '.join(f'{type(x).__name__} {x.dtype} {x.shape}' for x in arrays)
    if not all(isinstance(x, cupy.ndarray) and x.ndim in (1, 4) and 0 < x.size < 2 ** 31
               and (x.dtype == np.float32 or is_bfloat16(x.dtype)) for x in arrays) or len(
            {x.dtype for x in arrays}) > 1:
        raise InvalidType(f'{name}: {shown}; expected CuPy arrays, all float32 or all bfloat16 '
                          'held as uint16, of four axes (a bias of one) and fewer than 2^31 '
                          'elements, none empty')
    devices = {x.device.id for x in arrays}
    if len(devices) > 1:
        raise DeviceError(f'{name}: arrays are on GPUs {sorted(devices)}; expected one GPU')
    return arrays[0].device


def in_layout(sizes, layout):
    """Return (n, c, h, w) in the order of a layout."""
    return tuple(sizes['NCHW'.index(axis)] for axis in layout)


def sizes_from(function, *descriptors):
    """Return (n, c, h, w) that a function of the library works out."""
    sizes = (c_int * 4)()
    function(*descriptors, *(ctypes.byref(sizes, 4 * i) for i in range(4)))
    return tuple(sizes)


def factor(value):
    """Return a number in the form in which the library takes factors of float32 and bfloat16."""
    return ctypes.byref(c_float(value))


def _pooling(name, x, y, others, mode, ksize, stride, pad, layout):
    """Return (device, library, descriptors of pooling, x and y) of checked arguments."""
    if mode not in POOLING:
        raise InvalidArgument(f'{name}: mode={mode!r}; expected one of '
                              f'{", ".join(map(repr, POOLING))}')
    device = check_arrays(name, layout, x, y, *others)
    with device:
        cudnn = library_of(device.id)
        number = _REPEATABLE_MAX if mode == 'max' and cudnn_deterministic() else POOLING[mode]
        pooling = cudnn.descriptor('Pooling')
        cudnn.library.cudnnSetPooling2dDescriptor(
            pooling, number, _PROPAGATE_NAN, *ksize, *pad, *stride)
        x_tensor, y_tensor = cudnn.tensor(x, layout), cudnn.tensor(y, layout)
        expected = in_layout(sizes_from(
            cudnn.library.cudnnGetPooling2dForwardOutputDim, pooling, x_tensor), layout)
        if y.shape != expected:
            raise InvalidType(f'{name}: y has shape {y.shape}; of x {x.shape} with ksize={ksize}, '
                              f'stride={stride}, pad={pad} it must have {expected}')
    return device, cudnn, pooling, x_tensor, y_tensor


def pooling_forward(x, y, ksize, stride, pad, mode='max', layout='NCHW', stream=None):
    """Store in y the maximum or the mean of what windows of x see.

    Args:
        x, y: images; windows that go beyond the padding are left out (no cover_all).
        ksize, stride, pad: (vertical, horizontal).
        mode: 'max'; 'average', padding counted as zeros; 'average_without_pad'.
        layout: 'NCHW' or 'NHWC'.
        stream: CuPy stream or its address; None: CuPy's current one.
    Returns:
        y.
    Raises:
        InvalidArgument, InvalidType: the arguments do not fit.
        DeviceError: the library is not there, or failed.
    """
    device, cudnn, pooling, x_tensor, y_tensor = _pooling(
        'pooling_forward', x, y, (), mode, ksize, stride, pad, layout)
    with device:
        cudnn.call('PoolingForward', stream_address(stream), pooling, factor(1), x_tensor,
                   x.data.ptr, factor(0), y_tensor, y.data.ptr)
    return y


def pooling_backward(x, y, gy, gx, ksize, stride, pad, mode='max', layout='NCHW', stream=None):
    """Store in gx the gradient of :func:`pooling_forward`, whose x and y are given with gy."""
    device, cudnn, pooling, x_tensor, y_tensor = _pooling(
        'pooling_backward', x, y, (gy, gx), mode, ksize, stride, pad, layout)
    _same_shapes('pooling_backward', (x, gx), (y, gy))
    with device:
        cudnn.call('PoolingBackward', stream_address(stream), pooling, factor(1), y_tensor,
                   y.data.ptr, cudnn.tensor(gy, layout), gy.data.ptr, x_tensor, x.data.ptr,
                   factor(0), cudnn.tensor(gx, layout), gx.data.ptr)
    return gx


def _normalization(cudnn, n, k, alpha, beta):
    if not (n in range(1, 16, 2) and k >= 1e-5 and beta >= 0.01):
        raise InvalidArgument(f'local response normalization: n={n}, k={k}, beta={beta}; cuDNN '
                              'wants n odd and below 16, k >= 1e-5 and beta >= 0.01')
    normalization = cudnn.descriptor('LRN')
    # cuDNN divides its alpha by n; of an even n it would take one channel less than Chainer.
    cudnn.library.cudnnSetLRNDescriptor(normalization, n, alpha * n, beta, k)
    return normalization


def local_response_normalization_forward(x, y, n=5, k=2, alpha=1e-4, beta=0.75, layout='NCHW',
                                         stream=None):
    """Store in y:  x / (k + alpha * sum of x^2 over n channels around) ** beta.

    Args:
        x, y: images of one shape.
        n, k, alpha, beta: of the formula, as Chainer's.
        layout, stream: as of :func:`pooling_forward`.
    Returns:
        y.
    Raises:
        InvalidArgument, InvalidType, DeviceError: as of :func:`pooling_forward`.
    """
    name = 'local_response_normalization_forward'
    device = check_arrays(name, layout, x, y)
    _same_shapes(name, (x, y))
    with device:
        cudnn = library_of(device.id)
        cudnn.call('LRNCrossChannelForward', stream_address(stream),
                   _normalization(cudnn, n, k, alpha, beta), _ACROSS_CHANNELS, factor(1),
                   cudnn.tensor(x, layout), x.data.ptr, factor(0), cudnn.tensor(y, layout),
                   y.data.ptr)
    return y


def local_response_normalization_backward(x, y, gy, gx, n=5, k=2, alpha=1e-4, beta=0.75,
                                          layout='NCHW', stream=None):
    """Store in gx the gradient of :func:`local_response_normalization_forward`."""
    name = 'local_response_normalization_backward'
    device = check_arrays(name, layout, x, y, gy, gx)
    _same_shapes(name, (x, y), (x, gy), (x, gx))
    with device:
        cudnn = library_of(device.id)
        arguments = [part for array in (y, gy, x) for part in (
            cudnn.tensor(array, layout), array.data.ptr)]
        cudnn.call('LRNCrossChannelBackward', stream_address(stream),
                   _normalization(cudnn, n, k, alpha, beta), _ACROSS_CHANNELS, factor(1),
                   *arguments, factor(0), cudnn.tensor(gx, layout), gx.data.ptr)
    return gx


def _same_shapes(name, *pairs):
    for first, second in pairs:
        if first.shape != second.shape:
            raise InvalidType(f'{name}: arrays of shapes {first.shape} and {second.shape} are to '
                              'be of one shape')

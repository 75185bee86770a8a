"""Convolution by cuDNN: three passes, each by the algorithm that was fastest when it was tried.

A kind of convolution is measured when it is first met, unless a graph is being captured; the
choice is remembered on disk for this GPU and this version of cuDNN.
"""
import ctypes
import functools
from ctypes import c_float, c_int, c_size_t
from typing import NamedTuple

from minichain.backend import import_cupy
from minichain.configuration import config
from minichain.errors import DeviceError, InvalidType
from minichain.gpu import cudnn as binding
from minichain.gpu.libraries import stream_address, workspace_of
from minichain.gpu.precision import cudnn_deterministic
from minichain.gpu.remembered import Remembered
from minichain.gpu.sources import cache_folder

_CROSS_CORRELATION, _RELU, _IDENTITY = 1, 1, 5
_AS_IEEE, _DEFAULT, _TENSOR_CORES = 3, 0, 1   # cudnnMathType_t; the default lets TF32 in
_IMPLICIT_PRECOMPUTED = 1                     # the algorithm that adds a bias and no ReLU
ALGORITHMS = {'Forward': 8, 'BackwardData': 6, 'BackwardFilter': 7}   # how many there are


class Convolution(NamedTuple):
    """How windows slide: pairs (vertical, horizontal), and the number of groups of channels."""

    stride: tuple = (1, 1)
    pad: tuple = (0, 0)
    dilate: tuple = (1, 1)
    groups: int = 1


PLAIN = Convolution()


class Performance(ctypes.Structure):
    """cudnnConvolution...AlgoPerf_t: what became of an algorithm that was tried."""

    _fields_ = [('algorithm', c_int), ('status', c_int), ('time', c_float), ('memory', c_size_t),
                ('deterministic', c_int), ('math', c_int), ('reserved', c_int * 3)]


def convolution_forward(x, W, y, convolution=PLAIN, *, b=None, relu=False, layout='NCHW',
                        alpha=1.0, beta=0.0, stream=None, workspace=None):
    """Store  y = alpha * convolution of x and W + beta * y,  or with a bias
    y = alpha * convolution + b, and of that max(., 0) if ``relu``.

    Args:
        x: images (N, C, H, W), or (N, H, W, C) with layout 'NHWC'; float32, or bfloat16 as uint16.
            Channels may be a slice of those of wider images.
        W: (O, C / groups, kh, kw), or (O, kh, kw, C / groups); contiguous.
        y: (N, O, oh, ow), or (N, oh, ow, O).
        convolution: :class:`Convolution`.
        b: (O,) or None; with it beta must be 0, and relu needs it.
        layout: 'NCHW' or 'NHWC'.
        stream, workspace: as of :func:`minichain.gpu.gemm.gemm`.
    Returns:
        y. ``config.precision`` tells how float32 is multiplied; sums are float32. With
        ``config.deterministic`` or ``cudnn_deterministic`` only algorithms that repeat are used.
    Raises:
        InvalidArgument, InvalidType: the arguments do not fit.
        DeviceError: cuDNN is not there, failed, or has no algorithm within the workspace.
    """
    if relu and b is None or beta and b is not None:
        raise InvalidType(f'convolution_forward: relu={relu}, beta={beta} and '
                          f'b {"missing" if b is None else "given"}; relu needs b, and with b '
                          'there is no beta')
    return _run('Forward', x, W, y, y, convolution, layout, alpha, beta, stream, workspace, b,
                relu)


def convolution_backward_data(W, gy, gx, convolution=PLAIN, *, layout='NCHW', alpha=1.0,
                              beta=0.0, stream=None, workspace=None):
    """Store  gx = alpha * gradient of the images + beta * gx;  see :func:`convolution_forward`."""
    return _run('BackwardData', gx, W, gy, gx, convolution, layout, alpha, beta, stream, workspace)


def convolution_backward_filter(x, gy, gW, convolution=PLAIN, *, layout='NCHW', alpha=1.0,
                                beta=0.0, stream=None, workspace=None):
    """Store  gW = alpha * gradient of the weights + beta * gW;  see :func:`convolution_forward`.

    gW has the dtype of x: a sum in float32, rounded to bfloat16 if the images are.
    """
    return _run('BackwardFilter', x, gW, gy, gW, convolution, layout, alpha, beta, stream,
                workspace)


def _run(kind, x, W, y, out, convolution, layout, alpha, beta, stream, workspace, b=None,
         relu=False):
    name = f'convolution of kind {kind}'
    device = binding.check_arrays(name, layout, x, W, y, *(() if b is None else (b,)))
    if not W.flags.c_contiguous or b is not None and (
            b.shape != W.shape[:1] or not b.flags.c_contiguous):
        raise InvalidType(f'{name}: W {W.shape} with strides {W.strides} and b '
                          f'{None if b is None else b.shape}; expected both contiguous, b '
                          f'{W.shape[:1]}')
    with device:
        cudnn, stream = binding.library_of(device.id), stream_address(stream)
        memory, size = workspace_of(device, stream, workspace)
        key = _key(kind, x, W, y, convolution, layout, size, b is not None and not relu)
        with cudnn.lock:
            plan = cudnn.plans.get(key)
            if plan is None:
                plan = Plan(cudnn, kind, x, W, y, convolution, layout, key)
            inputs = [array.data.ptr for array in (x, W, y)]
            if plan.algorithm is None:
                trial = out if not beta else import_cupy().empty_like(out)
                plan.choose(inputs, trial.data.ptr, memory, size, stream, device.id)
            if plan.measured:   # a guess made during a capture is to be replaced by a measurement
                cudnn.plans[key] = plan
            if b is None:
                plan.run(inputs, alpha, beta, memory, size, stream)
            else:
                plan.run_with_bias(inputs, b, relu, alpha, memory, size, stream)
    return out


def _key(kind, x, W, y, convolution, layout, size, precomputed):
    """Return everything on which the choice may depend, as text."""
    shapes = ' '.join(f'{array.shape}{array.strides}' for array in (x, W, y))
    math = _math(x)
    return (f'{kind} {layout} {x.dtype} {shapes} {tuple(convolution)} math {math} '
            f'{"deterministic" if cudnn_deterministic() else "any"} workspace {size}'
            f'{" precomputed" * precomputed}')


def _math(x):
    if binding.dtype_number(x) == binding.BFLOAT16:
        return _TENSOR_CORES
    return _AS_IEEE if config.precision == 'float32' else _DEFAULT


@functools.cache
def remembered():
    """Return the :class:`~minichain.gpu.remembered.Remembered` algorithms of this machine."""
    return Remembered(cache_folder('algorithms') / 'cudnn.json')


class Plan:
    """A kind of convolution as cuDNN wants it described, and the algorithm chosen for it."""

    def __init__(self, cudnn, kind, x, W, y, convolution, layout, key):
        self.cudnn, self.kind, self.layout, self.key = cudnn, kind, layout, key
        self.x, self.y = cudnn.tensor(x, layout), cudnn.tensor(y, layout)
        self.W = cudnn.descriptor('Filter')
        order = [layout.index(axis) for axis in 'NCHW']
        cudnn.library.cudnnSetFilter4dDescriptor(
            self.W, binding.dtype_number(W), binding.LAYOUTS[layout],
            *(W.shape[axis] for axis in order))
        self.convolution, self.math = cudnn.descriptor('Convolution'), _math(x)
        stride, pad, dilate, groups = convolution
        cudnn.library.cudnnSetConvolution2dDescriptor(
            self.convolution, *pad, *stride, *dilate, _CROSS_CORRELATION, binding.FLOAT32)
        cudnn.library.cudnnSetConvolutionGroupCount(self.convolution, groups)
        cudnn.library.cudnnSetConvolutionMathType(self.convolution, self.math)
        expected = binding.in_layout(binding.sizes_from(
            cudnn.library.cudnnGetConvolution2dForwardOutputDim, self.convolution, self.x, self.W),
            layout)
        channels = layout.index('C')
        if y.shape != expected or x.shape[channels] != W.shape[channels] * groups:
            raise InvalidType(f'convolution of x {x.shape} with W {W.shape}, {convolution}, '
                              f'layout {layout}: y has shape {y.shape}; expected {expected} and '
                              f'{W.shape[channels] * groups} channels of x')
        # The order in which this pass takes operands: two that it reads, one that it writes.
        self.order = {'Forward': (0, 1, 2), 'BackwardData': (1, 2, 0),
                      'BackwardFilter': (0, 2, 1)}[kind]
        self.algorithm, self.measured = None, False

    def _operands(self, addresses):
        """Return (descriptor, address) of the three operands in the order of this pass."""
        described = self.x, self.W, self.y
        return [(described[i], addresses[i]) for i in self.order]

    def _descriptors(self):
        first, second, result = ((self.x, self.W, self.y)[i] for i in self.order)
        return first, second, self.convolution, result

    def choose(self, addresses, trial, workspace, size, stream, device):
        """Choose an algorithm: what is remembered, else measured, else guessed.

        Args:
            addresses: of x, W and y.
            trial: address of memory for results of measurements, as large as what is computed.
            workspace, size: address and bytes.
            stream: address.
            device: number.
        """
        runtime = import_cupy().cuda.runtime
        name = runtime.getDeviceProperties(device)['name'].decode()
        key = f'{name} cuDNN {binding.version()} {self.key}'
        if self._take(remembered().get(key), size):
            self.measured = True
            return
        capturing = runtime.streamIsCapturing(stream)
        tried = self._guess() if capturing else self._measure(
            addresses, trial, workspace, size, stream)
        for candidate in tried:
            math = candidate.math if self.math != _AS_IEEE else _AS_IEEE
            fits = not candidate.status and candidate.memory <= size and (
                candidate.deterministic or not cudnn_deterministic()) and (
                candidate.algorithm == _IMPLICIT_PRECOMPUTED or 'precomputed' not in self.key)
            if fits and self._take((candidate.algorithm, math), size):
                if not capturing:
                    remembered().put(key, (self.algorithm, math))
                    self.measured = True
                return
        raise DeviceError(f'cuDNN has no algorithm within {size} bytes of workspace for '
                          f'{self.key}')

    def _take(self, choice, size):
        """Take (algorithm, math) if it is one and fits the workspace; return whether it does."""
        if (choice is None or len(choice) != 2 or not 0 <= choice[0] < ALGORITHMS[self.kind]
                or choice[1] not in range(4)):
            return False
        library, needed = self.cudnn.library, c_size_t()
        try:
            library.cudnnSetConvolutionMathType(self.convolution, choice[1])
            self.cudnn.call(f'GetConvolution{self.kind}WorkspaceSize', None, *self._descriptors(),
                            choice[0], ctypes.byref(needed))
        except DeviceError:
            return False
        if needed.value <= size:
            self.algorithm = choice[0]
        return needed.value <= size

    def _measure(self, addresses, trial, workspace, size, stream):
        (first, a), (second, b), (result, _) = self._operands(addresses)
        return self._results(
            f'FindConvolution{self.kind}AlgorithmEx', stream,
            (first, a, second, b, self.convolution, result, trial), (workspace, size))

    def _guess(self):
        return self._results(f'GetConvolution{self.kind}Algorithm_v7', None, self._descriptors())

    def _results(self, name, stream, before, after=()):
        results, found = (Performance * (2 * ALGORITHMS[self.kind]))(), c_int()
        self.cudnn.call(name, stream, *before, len(results), ctypes.byref(found), results, *after)
        return results[:found.value]

    def run(self, addresses, alpha, beta, workspace, size, stream):
        """Put the convolution on a stream."""
        (first, a), (second, b), (result, out) = self._operands(addresses)
        self.cudnn.call(f'Convolution{self.kind}', stream, binding.factor(alpha), first, a, second,
                        b, self.convolution, self.algorithm, workspace, size, binding.factor(beta),
                        result, out)

    def run_with_bias(self, addresses, b, relu, alpha, workspace, size, stream):
        """Put the convolution, with bias and ReLU in the same kernel, on a stream."""
        x, W, y = addresses
        activation, bias = self.cudnn.descriptor('Activation'), self.cudnn.descriptor('Tensor')
        self.cudnn.library.cudnnSetActivationDescriptor(
            activation, _RELU if relu else _IDENTITY, 1, 0.0)
        self.cudnn.library.cudnnSetTensor4dDescriptorEx(
            bias, binding.dtype_number(b), 1, b.size, 1, 1, b.size, 1, 1, 1)
        self.cudnn.call('ConvolutionBiasActivationForward', stream, binding.factor(alpha), self.x,
                        x, self.W, W, self.convolution, self.algorithm, workspace, size,
                        binding.factor(0), self.y, y, bias, b.data.ptr, activation, self.y, y)

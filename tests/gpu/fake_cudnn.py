"""A cuDNN in Python: it holds what it is told, and computes on the CPU's memory by plain loops."""
import ctypes
import itertools

import numpy as np

from tests.gpu.c_interface import FakeLibrary, Objects
from tests.gpu.fake_cublaslt import memory, numbers

KINDS = ('Tensor', 'Filter', 'Convolution', 'Activation', 'Pooling', 'LRN')
_IMAGE = 'const cudnnTensorDescriptor_t {0}Desc, const void *{0}, '
_WEIGHTS = 'const cudnnFilterDescriptor_t {0}Desc, const void *{0}, '
_PERFORMANCE = 'const int requestedAlgoCount, int *returnedAlgoCount, cudnn{}AlgoPerf_t *results'
_WINDOWS = 'const cudnnConvolutionDescriptor_t convDesc, '
_SPACE = 'void *workSpace, size_t workSpaceSizeInBytes'
_PASSES = {'Forward': (_IMAGE.format('x'), _WEIGHTS.format('w'), _IMAGE.format('y')),
           'BackwardData': (_WEIGHTS.format('w'), _IMAGE.format('dy'), _IMAGE.format('dx')),
           'BackwardFilter': (_IMAGE.format('x'), _IMAGE.format('dy'), _WEIGHTS.format('dw'))}


def _descriptors_of(parts):
    first, second, result = (part.split(',')[0] + ', ' for part in parts)
    return first + second + _WINDOWS + result


def _header():
    yield 'cudnnStatus_t cudnnCreate(cudnnHandle_t *handle);'
    yield 'cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId);'
    for kind in KINDS:
        yield f'cudnnStatus_t cudnnCreate{kind}Descriptor(cudnn{kind}Descriptor_t *desc);'
        yield f'cudnnStatus_t cudnnDestroy{kind}Descriptor(cudnn{kind}Descriptor_t desc);'
    for kind, parts in _PASSES.items():
        operands = parts[0] + parts[1] + _WINDOWS
        algorithm = f'cudnnConvolution{kind}Algo_t algo, '
        yield (f'cudnnStatus_t cudnnFindConvolution{kind}AlgorithmEx(cudnnHandle_t handle, '
               f'{operands}{parts[2]}{_PERFORMANCE}, {_SPACE});')
        yield (f'cudnnStatus_t cudnnGetConvolution{kind}Algorithm_v7(cudnnHandle_t handle, '
               f'{_descriptors_of(parts)}{_PERFORMANCE});')
        yield (f'cudnnStatus_t cudnnGetConvolution{kind}WorkspaceSize(cudnnHandle_t handle, '
               f'{_descriptors_of(parts)}{algorithm}size_t *sizeInBytes);')
        yield (f'cudnnStatus_t cudnnConvolution{kind}(cudnnHandle_t handle, const void *alpha, '
               f'{operands}{algorithm}{_SPACE}, const void *beta, {parts[2][:-2]});')


HEADER = '\n'.join(_header()) + """
cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t
    dataType, int n, int c, int h, int w, int nStride, int cStride, int hStride, int wStride);
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filterDesc, cudnnDataType_t
    dataType, cudnnTensorFormat_t format, int k, int c, int h, int w);
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convDesc, int pad_h,
    int pad_w, int u, int v, int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
    cudnnDataType_t computeType);
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convDesc, int groups);
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convDesc,
    cudnnMathType_t mathType);
cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t convDesc,
    const cudnnTensorDescriptor_t inputTensorDesc, const cudnnFilterDescriptor_t filterDesc,
    int *n, int *c, int *h, int *w);
cudnnStatus_t cudnnConvolutionBiasActivationForward(cudnnHandle_t handle, const void *alpha1,
    const cudnnTensorDescriptor_t xDesc, const void *x, const cudnnFilterDescriptor_t wDesc,
    const void *w, const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionFwdAlgo_t algo,
    void *workSpace, size_t workSpaceSizeInBytes, const void *alpha2,
    const cudnnTensorDescriptor_t zDesc, const void *z, const cudnnTensorDescriptor_t biasDesc,
    const void *bias, const cudnnActivationDescriptor_t activationDesc,
    const cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activationDesc,
    cudnnActivationMode_t mode, cudnnNanPropagation_t reluNanOpt, double coef);
cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t poolingDesc, cudnnPoolingMode_t
    mode, cudnnNanPropagation_t maxpoolingNanOpt, int windowHeight, int windowWidth,
    int verticalPadding, int horizontalPadding, int verticalStride, int horizontalStride);
cudnnStatus_t cudnnGetPooling2dForwardOutputDim(const cudnnPoolingDescriptor_t poolingDesc,
    const cudnnTensorDescriptor_t inputTensorDesc, int *n, int *c, int *h, int *w);
cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t poolingDesc,
    const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta,
    const cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t
    poolingDesc, const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y,
    const cudnnTensorDescriptor_t dyDesc, const void *dy, const cudnnTensorDescriptor_t xDesc,
    const void *x, const void *beta, const cudnnTensorDescriptor_t dxDesc, void *dx);
cudnnStatus_t cudnnSetLRNDescriptor(cudnnLRNDescriptor_t normDesc, unsigned lrnN, double lrnAlpha,
    double lrnBeta, double lrnK);
cudnnStatus_t cudnnLRNCrossChannelForward(cudnnHandle_t handle, cudnnLRNDescriptor_t normDesc,
    cudnnLRNMode_t lrnMode, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x,
    const void *beta, const cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t cudnnLRNCrossChannelBackward(cudnnHandle_t handle, cudnnLRNDescriptor_t normDesc,
    cudnnLRNMode_t lrnMode, const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y,
    const cudnnTensorDescriptor_t dyDesc, const void *dy, const cudnnTensorDescriptor_t xDesc,
    const void *x, const void *beta, const cudnnTensorDescriptor_t dxDesc, void *dx);
"""
BAD_PARAMETER, NOT_SUPPORTED = 2000, 3000
DTYPES = {0: 'f4', 9: 'u2'}


def factors(*addresses):
    return [ctypes.c_float.from_address(address).value for address in addresses]


class Cudnn:
    """The behaviour.

    Attributes:
        results: what a measurement finds: (algorithm, status, bytes, deterministic, math), ...
    """

    def __init__(self):
        self.objects, self.stream, self.ran = Objects(), None, []
        self.results = [(5, 0, 1 << 40, 0, 1), (0, 0, 64, 0, 1), (1, 0, 4096, 1, 0)]
        for kind in KINDS:
            setattr(self, f'cudnnCreate{kind}Descriptor', self.objects.create)
            setattr(self, f'cudnnDestroy{kind}Descriptor', self.objects.destroy)
        for kind, order in {'Forward': (0, 1, 2), 'BackwardData': (1, 2, 0),
                            'BackwardFilter': (0, 2, 1)}.items():
            self._add_passes(kind, order)

    def cudnnCreate(self, where):
        self.objects.create(where)

    def cudnnSetStream(self, handle, stream):
        self.stream = stream

    def _add_passes(self, kind, order):
        def find(handle, first, a, second, b, windows, result, out, count, found, results,
                 workspace, size):
            memory(out, 'f4', (1,), (1,))[...] = np.nan   # a measurement leaves rubbish there
            return self._report(count, found, results, self.results)

        def guess(handle, first, second, windows, result, count, found, results):
            return self._report(count, found, results, self.results[::-1])

        def size(handle, first, second, windows, result, algorithm, needed):
            sizes = {each[0]: each[2] for each in self.results}
            if algorithm not in sizes:
                return NOT_SUPPORTED
            ctypes.c_size_t.from_address(needed).value = sizes[algorithm]
            return 0

        def run(handle, alpha, first, a, second, b, windows, algorithm, workspace, size, beta,
                result, out):
            self.ran.append((kind, algorithm, self.objects[windows]['math'], workspace, size,
                             self.stream))
            alpha, beta = factors(alpha, beta)
            operands = [None] * 3
            for i, address, descriptor in zip(order, (a, b, out), (first, second, result)):
                operands[i] = self._images(descriptor, address)
            convolve(kind, *operands, self.objects[windows], alpha, beta)
            return 0

        setattr(self, f'cudnnFindConvolution{kind}AlgorithmEx', find)
        setattr(self, f'cudnnGetConvolution{kind}Algorithm_v7', guess)
        setattr(self, f'cudnnGetConvolution{kind}WorkspaceSize', size)
        setattr(self, f'cudnnConvolution{kind}', run)

    @staticmethod
    def _report(count, found, results, tried):
        assert count >= len(tried)
        for i, (algorithm, status, size, deterministic, math) in enumerate(tried):
            start = results + 48 * i
            for offset, value in ((0, algorithm), (4, status), (24, deterministic), (28, math)):
                ctypes.c_int.from_address(start + offset).value = value
            ctypes.c_float.from_address(start + 8).value = i + 1
            ctypes.c_size_t.from_address(start + 16).value = size
        ctypes.c_int.from_address(found).value = len(tried)
        return 0

    def _images(self, handle, address):
        facts = self.objects[handle]
        return memory(address, DTYPES[facts['dtype']], facts['shape'], facts['strides'])

    def cudnnSetTensor4dDescriptorEx(self, handle, dtype, *sizes):
        self.objects[handle].update(dtype=dtype, shape=sizes[:4], strides=sizes[4:])

    def cudnnSetFilter4dDescriptor(self, handle, dtype, layout, k, c, h, w):
        strides = (c * h * w, h * w, w, 1) if layout == 0 else (c * h * w, 1, w * c, c)
        self.objects[handle].update(dtype=dtype, shape=(k, c, h, w), strides=strides)

    def cudnnSetConvolution2dDescriptor(self, handle, *numbers):
        *geometry, mode, compute = numbers
        assert (mode, compute) == (1, 0)
        self.objects[handle].update(pad=geometry[:2], stride=geometry[2:4], dilate=geometry[4:])

    def cudnnSetConvolutionGroupCount(self, handle, groups):
        self.objects[handle]['groups'] = groups

    def cudnnSetConvolutionMathType(self, handle, math):
        self.objects[handle]['math'] = math

    def cudnnGetConvolution2dForwardOutputDim(self, windows, x, W, *where):
        facts, W = self.objects[windows], self.objects[W]
        x, sizes = self.objects[x]['shape'], [self.objects[x]['shape'][0], W['shape'][0]]
        for i in range(2):
            reach = facts['dilate'][i] * (W['shape'][i + 2] - 1) + 1
            sizes.append((x[i + 2] + 2 * facts['pad'][i] - reach) // facts['stride'][i] + 1)
        self._write_sizes(sizes, where)

    @staticmethod
    def _write_sizes(sizes, where):
        for size, address in zip(sizes, where):
            ctypes.c_int.from_address(address).value = size

    def cudnnConvolutionBiasActivationForward(
            self, handle, alpha, x_descriptor, x, W_descriptor, W, windows, algorithm, workspace,
            size, alpha2, z_descriptor, z, bias_descriptor, bias, activation, y_descriptor, y):
        alpha, alpha2 = factors(alpha, alpha2)
        mode = self.objects[activation]['mode']
        assert alpha2 == 0 and (mode == 1 or algorithm == 1)
        self.ran.append(('Forward', algorithm, self.objects[windows]['math'], workspace, size,
                         self.stream))
        y = self._images(y_descriptor, y)
        convolve('Forward', self._images(x_descriptor, x), self._images(W_descriptor, W), y,
                 self.objects[windows], alpha, 0)
        y += self._images(bias_descriptor, bias)
        if mode == 1:
            np.maximum(y, 0, out=y)

    def cudnnSetActivationDescriptor(self, handle, mode, nan, coefficient):
        self.objects[handle].update(mode=mode)

    def cudnnSetPooling2dDescriptor(self, handle, mode, nan, *numbers):
        self.objects[handle].update(mode=mode, ksize=numbers[:2], pad=numbers[2:4],
                                    stride=numbers[4:])

    def cudnnGetPooling2dForwardOutputDim(self, pooling, x, *where):
        facts, x = self.objects[pooling], self.objects[x]['shape']
        self._write_sizes([*x[:2], *(
            (x[i + 2] + 2 * facts['pad'][i] - facts['ksize'][i]) // facts['stride'][i] + 1
            for i in range(2))], where)

    def cudnnPoolingForward(self, handle, pooling, alpha, x_descriptor, x, beta, y_descriptor, y):
        x, y = self._images(x_descriptor, x), self._images(y_descriptor, y)
        assert factors(alpha, beta) == [1, 0]
        for place, seen, _ in pooling_windows(x, y, self.objects[pooling]):
            y[place] = seen.max() if self.objects[pooling]['mode'] in (0, 3) else seen.mean()

    def cudnnPoolingBackward(self, handle, pooling, alpha, y_descriptor, y, gy_descriptor, gy,
                             x_descriptor, x, beta, gx_descriptor, gx):
        x, y, gy, gx = (self._images(*each) for each in (
            (x_descriptor, x), (y_descriptor, y), (gy_descriptor, gy), (gx_descriptor, gx)))
        assert factors(alpha, beta) == [1, 0]
        gx[...] = 0
        for place, seen, taps in pooling_windows(x, y, self.objects[pooling]):
            assert seen.max() == y[place]
            gx[place[:2]][taps] += gy[place] * (seen == y[place])

    def cudnnSetLRNDescriptor(self, handle, n, alpha, beta, k):
        self.objects[handle].update(n=n, alpha=alpha / n, beta=beta, k=k)

    def cudnnLRNCrossChannelForward(self, handle, lrn, mode, alpha, x_descriptor, x, beta,
                                    y_descriptor, y):
        assert mode == 0 and factors(alpha, beta) == [1, 0]
        facts, x = self.objects[lrn], self._images(x_descriptor, x)
        self._images(y_descriptor, y)[...] = x * lrn_scale(x, facts) ** -facts['beta']

    def cudnnLRNCrossChannelBackward(self, handle, lrn, mode, alpha, y_descriptor, y,
                                     gy_descriptor, gy, x_descriptor, x, beta, gx_descriptor, gx):
        assert mode == 0 and factors(alpha, beta) == [1, 0]
        x, y, gy, gx = (self._images(*each) for each in (
            (x_descriptor, x), (y_descriptor, y), (gy_descriptor, gy), (gx_descriptor, gx)))
        facts = self.objects[lrn]
        scale = lrn_scale(x, facts)
        gx[...] = gy * scale ** -facts['beta'] - 2 * facts['alpha'] * facts['beta'] * x * (
            channel_sums(gy * y / scale, facts['n']))


def channel_sums(x, n):
    return sum(np.pad(x, ((0, 0), (n // 2, n // 2), (0, 0), (0, 0)))[:, i:i + x.shape[1]]
               for i in range(n))


def lrn_scale(x, facts):
    return facts['k'] + facts['alpha'] * channel_sums(x.astype('d') ** 2, facts['n'])


def pooling_windows(x, y, facts):
    """Yield (place in y, what its window sees, where that is in the plane of x)."""
    for place in np.ndindex(*y.shape):
        taps = tuple(slice(max(0, o * s - p), o * s - p + k) for o, s, p, k in zip(
            place[2:], facts['stride'], facts['pad'], facts['ksize']))
        yield place, x[place[:2]][taps], taps


def convolve(kind, x, W, y, facts, alpha, beta):
    """One of the three passes, tap by tap; arrays are views in the order N C H W."""
    target = {'Forward': y, 'BackwardData': x, 'BackwardFilter': W}[kind]
    x_values, W_values, y_values = (numbers(array).astype('d') for array in (x, W, y))
    result = np.zeros(target.shape)
    groups, (sy, sx), (ph, pw), (dy, dx) = (facts[name] for name in (
        'groups', 'stride', 'pad', 'dilate'))
    channels, outputs = W.shape[1], W.shape[0] // groups
    for g, i, j, oh, ow in itertools.product(range(groups), *map(range, W.shape[2:]),
                                             *map(range, y.shape[2:])):
        h, w = oh * sy - ph + i * dy, ow * sx - pw + j * dx
        if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
            inner, outer = (slice(g * n, (g + 1) * n) for n in (channels, outputs))
            seen, taps = x_values[:, inner, h, w], W_values[outer, :, i, j]
            made = y_values[:, outer, oh, ow]
            if kind == 'Forward':
                result[:, outer, oh, ow] += seen @ taps.T
            elif kind == 'BackwardData':
                result[:, inner, h, w] += made @ taps
            else:
                result[outer, :, i, j] += made.T @ seen
    result = alpha * result + (beta * numbers(target) if beta else 0)
    if target.dtype == 'u2':
        result = (result.astype('f4').view('u4') >> 16).astype('u2')
    target[...] = result


def library(behaviour):
    """Return the fake library of a :class:`Cudnn`."""
    fake = FakeLibrary(HEADER, behaviour)
    words = ctypes.c_char_p(b'CUDNN_STATUS_BAD')

    def last_error(where, size):
        ctypes.memmove(where, b'shapes differ\0', 14)

    callbacks = (ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int)(
                     lambda status: ctypes.cast(words, ctypes.c_void_p).value),
                 ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)(last_error))
    fake._callbacks += [words, *callbacks]
    for name, callback in zip(('cudnnGetErrorString', 'cudnnGetLastErrorString'), callbacks):
        setattr(fake, name, ctypes.CFUNCTYPE(ctypes.c_int)(
            ctypes.cast(callback, ctypes.c_void_p).value))
    return fake

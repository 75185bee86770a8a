"""A cublasLt in Python: column-major products on the CPU's memory, through the C interface."""
import ctypes

import numpy as np

from tests.gpu.c_interface import FakeLibrary, Objects

HEADER = """
cublasStatus_t cublasLtCreate(cublasLtHandle_t* lightHandle);
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* matmulDesc,
    cublasComputeType_t computeType, cudaDataType_t scaleType);
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc);
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc,
    cublasLtMatmulDescAttributes_t attr, const void* buf, size_t sizeInBytes);
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matLayout, cudaDataType type,
    uint64_t rows, uint64_t cols, int64_t ld);
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout);
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t matLayout,
    cublasLtMatrixLayoutAttribute_t attr, const void* buf, size_t sizeInBytes);
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* pref);
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref);
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
    cublasLtMatmulPreferenceAttributes_t attr, const void* buf, size_t sizeInBytes);
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle,
    cublasLtMatmulDesc_t operationDesc, cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc,
    cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc, cublasLtMatmulPreference_t
    preference, int requestedAlgoCount, cublasLtMatmulHeuristicResult_t heuristicResultsArray[],
    int* returnAlgoCount);
cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc,
    const void* alpha, const void* A, cublasLtMatrixLayout_t Adesc, const void* B,
    cublasLtMatrixLayout_t Bdesc, const void* beta, const void* C, cublasLtMatrixLayout_t Cdesc,
    void* D, cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t* algo, void* workspace,
    size_t workspaceSizeInBytes, cudaStream_t stream);
"""
# Name and type of what attributes hold, by their number in the header.
OPERATION = {3: ('transpose_a', 'i4'), 4: ('transpose_b', 'i4'), 7: ('epilogue', 'u4'),
             8: ('bias', 'u8'), 11: ('mask', 'u8'), 12: ('mask_width', 'i8')}
LAYOUT = {5: ('batch', 'i4'), 6: ('stride', 'i8')}
PREFERENCE = {1: ('workspace', 'u8'), 3: ('reductions', 'u4'), 5: ('align_a', 'u4'),
              6: ('align_b', 'u4'), 7: ('align_c', 'u4'), 8: ('align_d', 'u4')}
INVALID_VALUE, NOT_SUPPORTED = 7, 15
DTYPES = {0: 'f4', 14: 'u2'}
ALGORITHM = bytes(range(64))


def memory(address, dtype, shape, strides):
    """Return an array at an address; strides in elements."""
    dtype = np.dtype(dtype)
    last = sum((n - 1) * stride for n, stride in zip(shape, strides)) + 1
    flat = np.frombuffer((ctypes.c_char * (last * dtype.itemsize)).from_address(address), dtype)
    return np.lib.stride_tricks.as_strided(flat, shape, [s * dtype.itemsize for s in strides])


def numbers(array):
    return (array.astype('u4') << 16).view('f4') if array.dtype == 'u2' else array


class CublasLt:
    """The behaviour. ``refuses``: epilogues for which there is no algorithm."""

    def __init__(self):
        self.objects, self.refuses, self.preferences = Objects(), set(), []

    def cublasLtCreate(self, where):
        self.objects.create(where)

    def cublasLtMatmulDescCreate(self, where, compute, scale):
        self.objects.create(where, compute=compute, scale=scale, transpose_a=0, transpose_b=0,
                            epilogue=1)

    def cublasLtMatrixLayoutCreate(self, where, dtype, rows, columns, width):
        self.objects.create(where, dtype=dtype, rows=rows, columns=columns, width=width,
                            batch=1, stride=0)

    def cublasLtMatmulPreferenceCreate(self, where):
        self.objects.create(where)

    def _destroy(self, handle):
        self.objects.destroy(handle)

    cublasLtMatmulDescDestroy = cublasLtMatrixLayoutDestroy = _destroy
    cublasLtMatmulPreferenceDestroy = _destroy

    def _set(self, table, handle, attribute, value, size):
        name, dtype = table[attribute]
        if size != np.dtype(dtype).itemsize:
            return INVALID_VALUE
        self.objects[handle][name] = int(memory(value, dtype, (1,), (1,))[0])
        return 0

    def cublasLtMatmulDescSetAttribute(self, *arguments):
        return self._set(OPERATION, *arguments)

    def cublasLtMatrixLayoutSetAttribute(self, *arguments):
        return self._set(LAYOUT, *arguments)

    def cublasLtMatmulPreferenceSetAttribute(self, *arguments):
        return self._set(PREFERENCE, *arguments)

    def cublasLtMatmulAlgoGetHeuristic(self, handle, operation, a, b, c, d, preference, count,
                                       results, found):
        self.preferences.append(dict(self.objects[preference]))
        ctypes.c_int.from_address(found).value = 0
        if self.objects[operation]['epilogue'] in self.refuses:
            return NOT_SUPPORTED
        assert count == 1
        assert self._fits(operation, a, b, d)
        ctypes.memmove(results, ALGORITHM, 64)
        ctypes.c_size_t.from_address(results + 64).value = 4096
        ctypes.c_int.from_address(results + 72).value = 0
        ctypes.c_float.from_address(results + 76).value = 1.5
        ctypes.memset(results + 80, 0xee, 16)   # reserved: the last byte that it may write
        ctypes.c_int.from_address(found).value = 1
        return 0

    def _fits(self, operation, a, b, d):
        a, b, d = (self.objects[x] for x in (a, b, d))
        m, k = (a['rows'], a['columns'])[::-1 if self.objects[operation]['transpose_a'] else 1]
        k2, n = (b['rows'], b['columns'])[::-1 if self.objects[operation]['transpose_b'] else 1]
        return k == k2 and (m, n) == (d['rows'], d['columns']) and all(
            x['width'] >= x['rows'] for x in (a, b, d))

    def _matrices(self, address, handle):
        x = self.objects[handle]
        return memory(address, DTYPES[x['dtype']], (x['batch'], x['rows'], x['columns']),
                      (x['stride'], 1, x['width']))

    def cublasLtMatmul(self, handle, operation, alpha, a, a_layout, b, b_layout, beta, c, c_layout,
                       d, d_layout, algorithm, workspace, size, stream):
        assert ctypes.string_at(algorithm, 64) == ALGORITHM
        assert self._fits(operation, a_layout, b_layout, d_layout)
        assert c != d or c_layout == d_layout or self.objects[c_layout] == self.objects[d_layout]
        facts = self.objects[operation]
        a, b, c, d = (self._matrices(*x) for x in (
            (a, a_layout), (b, b_layout), (c, c_layout), (d, d_layout)))
        x, y = numbers(a), numbers(b)
        x = x.transpose(0, 2, 1) if facts['transpose_a'] else x
        y = y.transpose(0, 2, 1) if facts['transpose_b'] else y
        alpha, beta = (ctypes.c_float.from_address(value).value for value in (alpha, beta))
        result = alpha * np.einsum('bmk,bkn->bmn', x, y)
        if beta:
            result = result + beta * numbers(c)
        result, vector = self._epilogue(facts, x, y, result, d)
        if vector is not None:
            self._write(memory(facts['bias'], d.dtype, vector.shape, (1,)), vector)
        self._write(d, result)

    def _epilogue(self, facts, x, y, result, d):
        """Return the result and the vector to be written, or None."""
        value, rows = facts['epilogue'], result.shape[1]
        if value & 4:
            bias = numbers(memory(facts['bias'], d.dtype, (rows,), (1,)))
            result = result + bias[:, None]
        if value & 128:
            assert facts['mask_width'] % 128 == 0 and facts['mask_width'] >= rows
            mask = memory(facts['mask'], 'u1', (result.shape[2], facts['mask_width'] // 8),
                          (facts['mask_width'] // 8, 1))
        if value & 2:
            if value & 128:
                mask[...] = 0
                for i, j in np.argwhere(result[0] > 0):
                    mask[j, i // 8] |= 1 << i % 8
            result = np.maximum(result, 0)
        if value & 8:
            bits = [[mask[j, i // 8] >> i % 8 & 1 for j in range(result.shape[2])]
                    for i in range(rows)]
            result = result * np.array(bits)
        vector = {16 | 136: lambda: result[0].sum(axis=1), 256: lambda: x[0].sum(axis=1),
                  512: lambda: y[0].sum(axis=0)}.get(value)
        return result, vector and vector()

    @staticmethod
    def _write(target, values):
        values = np.asarray(values, 'f4')
        if target.dtype == 'u2':   # tests use numbers that bfloat16 holds exactly
            assert not (values.copy().view('u4') & 0xffff).any()
            values = (np.ascontiguousarray(values).view('u4') >> 16).astype('u2')
        target[...] = values


def library(behaviour):
    """Return the fake library of a :class:`CublasLt`; the name of a status is of other types."""
    fake = FakeLibrary(HEADER, behaviour)
    name = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int)(
        lambda status: ctypes.cast(_NAMES[status], ctypes.c_void_p).value)
    fake._callbacks.append(name)
    fake.cublasLtGetStatusName = ctypes.CFUNCTYPE(ctypes.c_char_p)(
        ctypes.cast(name, ctypes.c_void_p).value)
    return fake


_NAMES = {value: ctypes.c_char_p(text) for value, text in {
    INVALID_VALUE: b'CUBLAS_STATUS_INVALID_VALUE', NOT_SUPPORTED: b'CUBLAS_STATUS_NOT_SUPPORTED',
    14: b'CUBLAS_STATUS_INTERNAL_ERROR'}.items()}

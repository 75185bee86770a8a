"""cublasLt, NVIDIA's library of matrix products, through ctypes; gemm.py has the function to call.

CuPy has no binding to it, and refuses the one it has (cuBLAS) while a graph is captured. Here
stream and workspace are arguments of every call, so that a product may stand in a graph; what is
fused with it is part of its description; an algorithm is asked for once per kind of product.
"""
import ctypes
import functools
import threading
from ctypes import c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import NamedTuple

from minichain.errors import DeviceError
from minichain.gpu.libraries import Handle, declare, open_library


class Epilogue(NamedTuple):
    """What is done to the product before it is stored.

    Attributes:
        value: number of cublasLtEpilogue_t. The library sees rows as columns, so its A is our b.
        bias: 'read' or 'written' if there is a vector, else ''.
        of_rows: whether the vector has an element for every row of out, not for every column.
        mask: 'read' or 'written' if there is a bit for every element of out, else ''.
    """

    value: int
    bias: str = ''
    of_rows: bool = False
    mask: str = ''


EPILOGUES = {
    None: Epilogue(1),
    'relu': Epilogue(2),
    'bias': Epilogue(4, 'read'),
    'relu_bias': Epilogue(6, 'read'),
    'relu_mask': Epilogue(130, mask='written'),
    'relu_mask_bias': Epilogue(134, 'read', mask='written'),
    'drelu': Epilogue(136, mask='read'),
    'drelu_bias_gradient': Epilogue(152, 'written', mask='read'),
    'bias_gradient_b': Epilogue(256, 'written'),
    'bias_gradient_a': Epilogue(512, 'written', of_rows=True),
}
FLOAT32, BFLOAT16 = 0, 14                        # cudaDataType_t
COMPUTE_FLOAT32, COMPUTE_TF32 = 68, 77           # cublasComputeType_t
_TRANSPOSE_A, _TRANSPOSE_B, _EPILOGUE, _BIAS, _MASK, _MASK_WIDTH = 3, 4, 7, 8, 11, 12
_BATCH, _BATCH_STRIDE = 5, 6                      # of a layout
_MAX_WORKSPACE, _REDUCTIONS, _ALIGNMENTS = 1, 3, (5, 6, 7, 8)   # of a preference; A B C D
# Sums split over K are added up in float32, by a step of their own and in a fixed order, or are
# not split. The other schemes add in the type of out, or in the order in which blocks arrive.
_REPEATABLE = 2
_ALL_REDUCTIONS = 7


class Algorithm(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t: an algorithm, and what it takes."""

    _fields_ = [('algorithm', c_uint64 * 8), ('workspace', c_size_t), ('status', c_int),
                ('waves', c_float), ('reserved', c_int * 4)]


_SET = (c_void_p, c_int, c_void_p, c_size_t)
PROTOTYPES = {
    'cublasLtCreate': (c_void_p,),
    'cublasLtMatmulDescCreate': (c_void_p, c_int, c_int),
    'cublasLtMatmulDescDestroy': (c_void_p,),
    'cublasLtMatmulDescSetAttribute': _SET,
    'cublasLtMatrixLayoutCreate': (c_void_p, c_int, c_uint64, c_uint64, c_int64),
    'cublasLtMatrixLayoutDestroy': (c_void_p,),
    'cublasLtMatrixLayoutSetAttribute': _SET,
    'cublasLtMatmulPreferenceCreate': (c_void_p,),
    'cublasLtMatmulPreferenceDestroy': (c_void_p,),
    'cublasLtMatmulPreferenceSetAttribute': _SET,
    # handle, operation, layouts of A B C D, preference, how many, results, how many came
    'cublasLtMatmulAlgoGetHeuristic': (c_void_p,) * 7 + (c_int, c_void_p, c_void_p),
    # handle, operation, alpha, A, its layout, B, its, beta, C, its, D, its, algorithm, workspace,
    # its bytes, stream
    'cublasLtMatmul': (c_void_p,) * 14 + (c_size_t, c_void_p),
}


class Matrix(NamedTuple):
    """An operand as it lies in memory.

    Attributes:
        type: number of cudaDataType_t.
        rows, columns: as the caller sees them; each row is contiguous.
        width: elements from one row to the next.
        batch, stride: number of matrices, and elements from one to the next.
        alignment: largest power of two, at most 256, that divides the address in bytes.
    """

    type: int
    rows: int
    columns: int
    width: int
    batch: int
    stride: int
    alignment: int


class Product(NamedTuple):
    """Everything on which the choice of an algorithm may depend."""

    a: Matrix
    b: Matrix
    out: Matrix
    trans_a: bool
    trans_b: bool
    compute: int
    epilogue: Epilogue
    bias_alignment: int
    mask_alignment: int
    mask_width: int
    deterministic: bool
    workspace: int
    addend: Matrix | None = None     # None: out


@functools.cache
def library_of(device):
    """Return the :class:`CublasLt` of the GPU with a number, which must be the current one."""
    return CublasLt(open_library('cublasLt'))


def version():
    """Return the version of cublasLt as an int, 10000 * major + 100 * minor + patch.

    Raises:
        DeviceError: it is not there.
    """
    return open_library('cublasLt').cublasLtGetVersion()


def _reason(library, status):
    """Return the library's name of a status."""
    name = library.cublasLtGetStatusName
    name.argtypes, name.restype = (c_int,), ctypes.c_char_p
    return f'{name(status).decode()} ({status})'


class CublasLt:
    """cublasLt on one GPU: its handle, and a plan for each kind of product that was asked for.

    Args:
        library: ctypes.CDLL, or what has the same functions.
    Raises:
        DeviceError: a function is missing, or there is no GPU.
    """

    def __init__(self, library):
        self.library = declare(library, 'cublasLt', PROTOTYPES,
                               functools.partial(_reason, library))
        self.handle = Handle(self.library.cublasLtCreate, None)
        self.plans = {}
        self.lock = threading.Lock()

    def multiply(self, product, addresses, alpha, beta, workspace, stream):
        """Put a product on a stream.

        Args:
            product: :class:`Product`.
            addresses: of a, b, out, bias, mask and addend; the last three may be None.
            alpha, beta: numbers.
            workspace: address of as many bytes as product tells.
            stream: address of a CUDA stream.
        Raises:
            DeviceError: no algorithm, or the library failed.
        """
        a, b, out, bias, mask, addend = addresses
        alpha, beta = c_float(alpha), c_float(beta)
        with self.lock:   # the description holds addresses, so one product at a time has it
            plan = self.plans.get(product)
            if plan is None:
                plan = self.plans[product] = Plan(self.library, self.handle, product, bias, mask)
            plan.point_to(bias, mask)
            self.library.cublasLtMatmul(
                self.handle, plan.operation, ctypes.byref(alpha), b, plan.b, a, plan.a,
                ctypes.byref(beta), out if addend is None else addend, plan.addend, out, plan.out,
                ctypes.byref(plan.choice.algorithm), workspace, product.workspace, stream)


class Plan:
    """A kind of product as the library wants it described, and the algorithm that it chose.

    The library's matrices are stored by columns: to it, ours are transposed. So it is asked for

        out^T = op(b)^T @ op(a)^T

    where its A is our b and its B our a, both with the transposition that we were told.
    """

    def __init__(self, library, handle, product, bias, mask):
        self.library = library
        self.operation = describe_operation(library, product)
        self.a, self.b, self.addend, self.out = (
            describe_matrix(library, matrix, product.out.batch)
            for matrix in (product.a, product.b, product.addend or product.out, product.out))
        self.point_to(bias, mask)   # the choice depends on how they are aligned
        self.choice, found = Algorithm(), c_int()
        try:
            library.cublasLtMatmulAlgoGetHeuristic(
                handle, self.operation, self.b, self.a, self.addend, self.out,
                describe_preference(library, product), 1,
                ctypes.byref(self.choice), ctypes.byref(found))
        except DeviceError as error:
            raise DeviceError(f'{error}. {_refusal(product)}') from None
        if not found.value or self.choice.status:
            raise DeviceError(_refusal(product))

    def point_to(self, bias, mask):
        """Tell where the operands of the epilogue are; None: there is none."""
        set_operation = self.library.cublasLtMatmulDescSetAttribute
        if bias is not None:
            _set(set_operation, self.operation, _BIAS, c_void_p(bias))
        if mask is not None:
            _set(set_operation, self.operation, _MASK, c_void_p(mask))


def describe_operation(library, product):
    """Return the library's description of what is computed."""
    operation = Handle(library.cublasLtMatmulDescCreate, library.cublasLtMatmulDescDestroy,
                       product.compute, FLOAT32)
    attributes = [(_TRANSPOSE_A, c_int32(product.trans_b)),
                  (_TRANSPOSE_B, c_int32(product.trans_a)),
                  (_EPILOGUE, c_uint32(product.epilogue.value))]
    if product.epilogue.mask:
        attributes.append((_MASK_WIDTH, c_int64(product.mask_width)))
    for attribute, value in attributes:
        _set(library.cublasLtMatmulDescSetAttribute, operation, attribute, value)
    return operation


def describe_matrix(library, matrix, batch):
    """Return the library's description of an operand; batch: number of products, 0: only one."""
    layout = Handle(library.cublasLtMatrixLayoutCreate, library.cublasLtMatrixLayoutDestroy,
                    matrix.type, matrix.columns, matrix.rows, matrix.width)
    if batch:
        _set(library.cublasLtMatrixLayoutSetAttribute, layout, _BATCH, c_int32(batch))
        _set(library.cublasLtMatrixLayoutSetAttribute, layout, _BATCH_STRIDE,
             c_int64(matrix.stride))
    return layout


def describe_preference(library, product):
    """Return the library's description of which algorithms will do."""
    preference = Handle(library.cublasLtMatmulPreferenceCreate,
                        library.cublasLtMatmulPreferenceDestroy)
    put = functools.partial(_set, library.cublasLtMatmulPreferenceSetAttribute, preference)
    put(_MAX_WORKSPACE, c_uint64(product.workspace))
    put(_REDUCTIONS, c_uint32(_REPEATABLE if product.deterministic else _ALL_REDUCTIONS))
    for attribute, matrix in zip(_ALIGNMENTS, (product.b, product.a, product.addend or product.out,
                                               product.out)):
        put(attribute, c_uint32(matrix.alignment))
    return preference


def _set(function, handle, attribute, value):
    function(handle, attribute, ctypes.byref(value), ctypes.sizeof(value))


def _refusal(product):
    name = next(name for name, epilogue in EPILOGUES.items() if epilogue == product.epilogue)
    return (f'cublasLt has no algorithm for {product.a} @ {product.b} -> {product.out}, epilogue='
            f'{name!r}, trans_a={product.trans_a}, trans_b={product.trans_b}. Ask for the product '
            'alone, with epilogue=None, and compute the rest from it')

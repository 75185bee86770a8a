"""Matrix products on a GPU with what follows them fused in; on NumPy arrays, what they mean."""
import numpy as np

from minichain.backend import import_cupy
from minichain.configuration import config
from minichain.errors import DeviceError, InvalidArgument, InvalidType
from minichain.gpu import cublaslt
from minichain.gpu.cublaslt import BFLOAT16, EPILOGUES, FLOAT32
from minichain.gpu.launcher import MACHINES
from minichain.gpu.libraries import stream_address, workspace_of
from minichain.gpu.precision import from_bfloat16, is_bfloat16, round_to_tf32, to_bfloat16
from minichain.gpu.simulator import Simulator
from minichain.gpu.simulator.tape import perform


def gemm(a, b, out, *, trans_a=False, trans_b=False, alpha=1.0, beta=0.0, addend=None,
         epilogue=None, bias=None, mask=None, stream=None, workspace=None):
    """Store a matrix product, with what follows it fused into the same kernel:

        out = epilogue(alpha * op(a) @ op(b) + beta * addend),   op(x) = x or its transpose.

    ===================== =========================================================================
    epilogue              what it does
    ===================== =========================================================================
    None                  nothing
    'bias'                + bias (columns of out,)
    'relu', 'relu_bias'   max(., 0), after the bias
    'relu_mask',          the same; mask tells where the result is positive
    'relu_mask_bias'
    'drelu'               0 where mask is not set
    'drelu_bias_gradient' the same; bias (columns,) = sum of the result over its rows
    'bias_gradient_a'     nothing; bias (rows,) = sum over K of op(a)
    'bias_gradient_b'     nothing; bias (columns,) = sum over K of op(b)
    ===================== =========================================================================

    With gradient ``gy (N, O)`` of ``y = x @ W.T + b``, one call makes both of gW and gb:
    ``gemm(gy, x, gW, trans_a=True, epilogue='bias_gradient_a', bias=gb)``.

    Args:
        a, b: (rows, columns), or (batch, rows, columns); float32, or bfloat16 as uint16, on one
            GPU, or both NumPy arrays. Rows contiguous; they may be slices of wider ones. In a
            batch of products a matrix without the axis serves all.
        out: (rows, columns) or (batch, rows, columns); float32 or bfloat16, the latter only of
            bfloat16 operands. Must not overlap the others.
        trans_a, trans_b: whether an operand is to be transposed.
        alpha, beta: numbers. With beta = 0 the addend is never read.
        addend: array like out, which it must not overlap; None: what is in out.
        epilogue: a name of the table. With a batch, one of the first four, and one bias for all.
        bias: vector of out's dtype, read or written as the table says.
        mask: uint8 array of :func:`mask_shape`. The order of its bits is the library's affair.
        stream: CuPy stream, or its address; None: CuPy's current one.
        workspace: CuPy array, whose memory the library may overwrite; None: one of 32 MiB that
            this stream has. Two products that use the same one must not run at once: give
            graphs that are captured on one stream and replayed side by side their own.
    Returns:
        out. ``config.precision`` tells how float32 arrays are multiplied (tf32 under 'bf16', which
        asks for less); bfloat16 is multiplied exactly and added up in float32. With
        ``config.deterministic`` two runs of the same version of the library on the same kind of
        GPU agree in every bit.
    Raises:
        InvalidType: shapes, dtypes, layout or overlap of the arrays.
        InvalidArgument: the name of the epilogue.
        DeviceError: the library is not there, or has no algorithm for these arguments.
    """
    arrays = a, b, out, bias, mask, addend
    memory = [_memory(x) for x in arrays]
    if all(x is None or isinstance(x, np.ndarray) for x in memory):
        describe(*memory, trans_a, trans_b, epilogue, 0)
        perform(specification, *memory[:3], trans_a, trans_b, alpha, beta, epilogue, *memory[3:])
        return out
    device = _device(arrays)
    with device:
        stream = stream_address(stream)
        memory, size = workspace_of(device, stream, workspace)
        product = describe(*arrays, trans_a, trans_b, epilogue, size)
        addresses = [None if x is None else _address(x) for x in arrays]
        cublaslt.library_of(device.id).multiply(product, addresses, alpha, beta, memory, stream)
    return out


def mask_shape(rows, columns):
    """Return the shape of the uint8 mask for an ``out`` (rows, columns): 128 bits at a time."""
    return rows, -(-columns // 128) * 16


def describe(a, b, out, bias, mask, addend, trans_a, trans_b, epilogue, workspace):
    """Check the arguments of :func:`gemm`, and return them as a :class:`~cublaslt.Product`.

    Args:
        workspace: int, bytes.
    Raises:
        InvalidType, InvalidArgument: see there.
    """
    if epilogue not in EPILOGUES:
        raise InvalidArgument(f'gemm: epilogue={epilogue!r}; expected one of '
                              f'{", ".join(map(repr, EPILOGUES))}')
    what = EPILOGUES[epilogue]
    left, right, result = (_matrix(name, x) for name, x in (('a', a), ('b', b), ('out', out)))
    m, k = (left.rows, left.columns)[::-1 if trans_a else 1]
    other_k, n = (right.rows, right.columns)[::-1 if trans_b else 1]
    shapes = (f'a {a.shape}{" transposed" if trans_a else ""} @ '
              f'b {b.shape}{" transposed" if trans_b else ""} -> out {out.shape}')
    if k != other_k or (m, n) != (result.rows, result.columns):
        raise InvalidType(f'gemm: {shapes} does not fit: (M, K) @ (K, N) -> (M, N) expected')
    if {left.batch, right.batch} - {0, result.batch}:
        raise InvalidType(f'gemm: {shapes} does not fit: as many matrices in each expected, or no '
                          'such axis in an operand that serves all')
    if result.batch and (what.mask or what.bias == 'written'):
        raise InvalidType(f'gemm: epilogue={epilogue!r} of a batch of products; expected '
                          "None, 'relu', 'bias' or 'relu_bias'. Run one product at a time")
    if left.type != right.type or result.type == BFLOAT16 != left.type:
        raise InvalidType(f'gemm: {a.dtype} @ {b.dtype} -> {out.dtype}; expected operands of one '
                          'dtype, and out float32, or as the operands')
    _check_vector(bias, what, out, m, n, epilogue)
    _check_mask(mask, what, m, n, epilogue)
    if result.batch > 1 and not result.stride:
        raise InvalidType(f'gemm: the matrices of out {out.shape} are one, its strides are '
                          f'{out.strides}; expected memory for each')
    for name, x in (('a', a), ('b', b)):
        if _overlap(x, out):
            raise InvalidType(f'gemm: out shares memory with {name}; expected an array of its own')
    other = None if addend is None else _matrix('addend', addend)
    if addend is not None and ((addend.shape, addend.dtype) != (out.shape, out.dtype)
                               or _overlap(addend, out)):
        raise InvalidType(f'gemm: addend is {addend.dtype} {addend.shape}; expected as out, '
                          f'{out.dtype} {out.shape}, and apart from it')
    exact = left.type == BFLOAT16 or config.precision == 'float32'
    compute = cublaslt.COMPUTE_FLOAT32 if exact else cublaslt.COMPUTE_TF32
    return cublaslt.Product(
        left, right, result, bool(trans_a), bool(trans_b), compute, what,
        0 if bias is None else _alignment(_address(bias)),
        0 if mask is None else _alignment(_address(mask)),
        0 if mask is None else 8 * mask.shape[1], bool(config.deterministic), workspace, other)


def _matrix(name, x):
    """Return how an operand lies in memory."""
    if x.ndim not in (2, 3) or not x.size:
        raise InvalidType(f'gemm: {name} has shape {x.shape}; expected (rows, columns) or (batch, '
                          'rows, columns), none of them 0')
    if x.dtype != np.float32 and not is_bfloat16(x.dtype):
        raise InvalidType(f'gemm: {name} has dtype {x.dtype}; expected float32, or uint16 that '
                          'holds bfloat16')
    size = x.dtype.itemsize
    rows, columns = x.shape[-2:]
    row_stride, stride = x.strides[-2:]
    row_stride = row_stride if rows > 1 else columns * size   # of one row it means nothing
    batch_stride = x.strides[0] if x.ndim == 3 and len(x) > 1 else rows * row_stride
    if (columns > 1 and stride != size or row_stride < columns * size or batch_stride < 0
            or row_stride % size or batch_stride % size or _address(x) % size):
        raise InvalidType(f'gemm: {name} {x.shape} has strides {x.strides}; expected contiguous '
                          f'rows of {size}-byte elements, one after another. Of a transposed view '
                          f'give the array itself and trans_{name}=True; else copy it first')
    return cublaslt.Matrix(
        FLOAT32 if x.dtype == np.float32 else BFLOAT16, rows, columns, row_stride // size,
        len(x) if x.ndim == 3 else 0, batch_stride // size if x.ndim == 3 else 0,
        _alignment(_address(x)))


def _check_vector(bias, what, out, m, n, epilogue):
    if (bias is not None) != bool(what.bias):
        raise InvalidType(f'gemm: bias {"missing" if bias is None else "given"} with epilogue='
                          f'{epilogue!r}')
    if bias is None:
        return
    shape = (m if what.of_rows else n,)
    if bias.shape != shape or bias.dtype != out.dtype or not bias.flags.c_contiguous:
        raise InvalidType(f'gemm: bias is {bias.dtype} {bias.shape} with strides {bias.strides}; '
                          f'expected contiguous {out.dtype} {shape}, as out')


def _check_mask(mask, what, m, n, epilogue):
    if (mask is not None) != bool(what.mask):
        raise InvalidType(f'gemm: mask {"missing" if mask is None else "given"} with epilogue='
                          f'{epilogue!r}')
    if mask is not None and (mask.shape != mask_shape(m, n) or mask.dtype != np.uint8
                             or not mask.flags.c_contiguous or _address(mask) % 16):
        raise InvalidType(f'gemm: mask is {mask.dtype} {mask.shape} with strides {mask.strides} '
                          f'at address {_address(mask):#x}; expected contiguous uint8 '
                          f'{mask_shape(m, n)}, aligned to 16 bytes')


def _overlap(x, out):
    """Return whether two operands share an element; slices of the same rows need not."""
    start, out_start = _address(x), _address(out)
    end, out_end = (address + array.dtype.itemsize + sum(
        (n - 1) * stride for n, stride in zip(array.shape, array.strides))
        for address, array in ((start, x), (out_start, out)))
    if end <= out_start or out_end <= start:
        return False
    width = out.strides[-2]
    if width and x.ndim == out.ndim == 2 and x.strides[0] == width:
        first, second = (start - out_start) % width, out.shape[1] * out.dtype.itemsize
        return first < second or first + x.shape[1] * x.dtype.itemsize > width
    return True


def _memory(x):
    """Return the NumPy array that holds one on which kernels are simulated; else ``x`` itself."""
    machine = MACHINES.get(type(x))
    return machine.memory(x) if isinstance(machine, Simulator) else x


def _alignment(address):
    return min(address & -address or 256, 256)


def _address(x):
    return x.ctypes.data if isinstance(x, np.ndarray) else x.data.ptr


def _device(arrays):
    """Return the GPU on which all arrays are."""
    cupy = import_cupy()
    given = [x for x in arrays if x is not None]
    foreign = [type(x).__name__ for x in given if not isinstance(x, cupy.ndarray)]
    if foreign:
        raise InvalidType(f'gemm: arrays on a GPU met {", ".join(foreign)}; move them with '
                          'to_gpu, or give NumPy arrays alone')
    if len({x.device.id for x in given}) > 1:
        raise DeviceError('gemm: arrays are on GPUs '
                          f'{", ".join(str(x.device.id) for x in given)}; expected one GPU')
    return given[0].device


def specification(a, b, out, trans_a=False, trans_b=False, alpha=1.0, beta=0.0, epilogue=None,
                  bias=None, mask=None, addend=None):
    """Compute :func:`gemm` of NumPy arrays, whose arguments it takes; this is what gemm means."""
    what, tf32 = EPILOGUES[epilogue], config.precision != 'float32'
    x, y = (_value(array, tf32) for array in (a, b))
    x = x.swapaxes(-1, -2) if trans_a else x
    y = y.swapaxes(-1, -2) if trans_b else y
    result = np.float32(alpha) * (x @ y)
    if beta:
        result += np.float32(beta) * _value(out if addend is None else addend)
    if what.bias == 'read':
        result += _value(bias)
    if epilogue and epilogue.startswith('relu'):
        positive = result > 0
        result = np.where(positive, result, np.float32(0))
        if mask is not None:
            bits = np.packbits(positive, axis=1, bitorder='little')
            mask[...] = 0
            mask[:, :bits.shape[1]] = bits
    elif what.mask == 'read':
        positive = np.unpackbits(mask, axis=1, count=result.shape[1], bitorder='little')
        result = np.where(positive, result, np.float32(0))
    if what.bias == 'written':
        summed = {'bias_gradient_a': (x, 1), 'bias_gradient_b': (y, 0)}.get(epilogue, (result, 0))
        _store(bias, summed[0].sum(axis=summed[1]))
    _store(out, result)


def _value(array, tf32=False):
    if array.dtype != np.float32:
        return from_bfloat16(array)
    return round_to_tf32(array) if tf32 else array


def _store(target, values):
    if target.dtype == np.float32:
        target[...] = values
    else:
        target.view(np.uint16)[...] = to_bfloat16(values)

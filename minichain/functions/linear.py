"""Affine map of rows: one matrix product, and two for its gradients."""
from minichain.autograd import Primitive, as_array
from minichain.configuration import thread_state
from minichain.functions.broadcast import sum_to
from minichain.functions.cast import cast
from minichain.functions.matmul import matmul, multiplied
from minichain.functions.reshape import reshape
from minichain.gpu import products
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_array, expect_float, expect_ndim, expect_shape


@fused(products.affine, libraries=('cublasLt',), accepts=products.are_matrices)
def affine(x, W, b):
    """Return x @ W.T + b of arrays; b may be None."""
    y = multiplied(x, W.T)
    if b is not None:
        y += b
    return y


@fused(products.rounded, libraries=('cublasLt',), accepts=products.are_matrices)
def operands(x, W):
    """Return matrices as products read them."""
    return x, W


class Linear(Primitive):
    rounded = None      # x and W, where products read copies of them

    def check_type_forward(self, in_types):
        x, W = in_types[:2]
        expect_ndim('linear', 2, x=x, W=W)
        expect_shape('linear', (None, W.shape[1]), x=x)
        expect_float('linear', x=x)
        if len(in_types) == 3:
            expect_shape('linear', (W.shape[0],), b=in_types[2])

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x, W, *b = arrays
        read = operands(x, W)
        if read[0].dtype != x.dtype:
            self.rounded = read
        return affine(*read, b[0] if b else None),

    def backward(self, indexes, grads):
        x, W = self.get_retained_inputs()
        gy, = grads
        if self.rounded is not None and thread_state.on_arrays:
            results = *products.affine_gradients(gy, *self.rounded, indexes), None
            return [sum_to(gy, self.inputs[2].shape) if i == 2 else results[i] for i in indexes]
        return [matmul(gy, W) if i == 0 else
                matmul(gy, x, transa=True) if i == 1 else
                sum_to(gy, self.inputs[2].shape) for i in indexes]


def linear(x, W, b=None, n_batch_axes=1):
    """Affine map of rows:  y = x W^T + b.

    Args:
        x: (N..., I...), float. The axes behind the batch axes are flattened to I.
        W: (O, I), float, used in the dtype of ``x``.
        b: (O,), float, or None.
        n_batch_axes: number of leading axes of ``x`` that are kept.
    Returns:
        (N..., O), dtype of ``x``.
    Raises:
        InvalidType: lengths do not fit, or operands are not float.
    """
    expect_array('linear', as_array(x))
    batch = x.shape[:n_batch_axes]
    if x.ndim != 2 or n_batch_axes != 1:
        rows = 1
        for length in batch:
            rows *= length
        x = reshape(x, (rows, -1) if 0 not in x.shape else (rows, W.shape[1]))
    operands = [each if each.dtype == x.dtype else cast(each, x.dtype)
                for each in ((W,) if b is None else (W, b))]
    y = Linear().apply((x, *operands))[0]
    return y if n_batch_axes == 1 else reshape(y, (*batch, W.shape[0]))

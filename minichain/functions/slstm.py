"""LSTM units with two inputs: slstm. The unit with one input is in lstm.py."""
from minichain.autograd import as_variable
from minichain.errors import InvalidType
from minichain.functions.hyperbolic import tanh
from minichain.functions.lstm import split_gates
from minichain.functions.sigmoid import sigmoid
from minichain.type_check import expect_float, expect_same_dtype, expect_shape


def slstm(c_prev1, c_prev2, x1, x2):
    """LSTM unit that joins two branches of a tree.

        c = tanh(a1) s(i1) + tanh(a2) s(i2) + c_prev1 s(f1) + c_prev2 s(f2)
        h = s(o1 + o2) tanh(c)

    Args:
        c_prev1, c_prev2: cell states of both branches, (N, H), float.
        x1, x2: gate inputs of both branches, (N, 4H), same dtype; a, i, f, o are interleaved.
    Returns:
        (c, h): new cell state and output, each (N, H).
    Raises:
        InvalidType: shapes or dtypes do not fit.
    Zhu et al. 2015, "Long short-term memory over tree structures", arXiv:1503.04881.
    """
    expect_float('slstm', c_prev1=c_prev1)
    expect_same_dtype('slstm', c_prev1=c_prev1, c_prev2=c_prev2, x1=x1, x2=x2)
    if c_prev1.ndim < 2:
        raise InvalidType(f'slstm: c_prev1 of shape (N, H) expected, got {c_prev1.shape}')
    N, H, *rest = c_prev1.shape
    expect_shape('slstm', c_prev1.shape, c_prev2=c_prev2)
    expect_shape('slstm', (N, 4 * H, *rest), x1=x1, x2=x2)
    a1, i1, f1, o1 = split_gates(as_variable(x1))
    a2, i2, f2, o2 = split_gates(as_variable(x2))
    c = (tanh(a1) * sigmoid(i1) + tanh(a2) * sigmoid(i2)
         + sigmoid(f1) * c_prev1 + sigmoid(f2) * c_prev2)
    return c, sigmoid(o1 + o2) * tanh(c)

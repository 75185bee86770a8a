"""LSTM unit of a tree's node with any number of children."""
from minichain.errors import InvalidType
from minichain.functions.hyperbolic import tanh
from minichain.functions.sigmoid import sigmoid
from minichain.functions.split import split_axis
from minichain.type_check import expect_float, expect_ndim, expect_same_dtype, expect_shape


def tree_lstm(*inputs):
    """LSTM unit with a forget gate for each of K children.

        c = tanh(a) s(i) + sum_k c_k s(f_k),   h = s(o) tanh(c)

    Args:
        inputs: the cell states of the children, (N, H) each, float; last the gate inputs,
            (N, (3 + K) H), same dtype, in blocks a, i, o, f_1 ... f_K.
    Returns:
        (c, h): new cell state and output, each (N, H).
    Raises:
        InvalidType: no child is given, or shapes or dtypes do not fit.
    Tai et al. 2015, "Improved semantic representations from tree-structured long short-term
    memory networks", arXiv:1503.00075.
    """
    if len(inputs) < 2:
        raise InvalidType('tree_lstm: at least one cell state and the gate inputs expected, got '
                          f'{len(inputs)} operands')
    *cells, x = inputs
    named = {f'c{k}': c for k, c in enumerate(cells, 1)}
    expect_float('tree_lstm', x=x)
    expect_same_dtype('tree_lstm', x=x, **named)
    expect_ndim('tree_lstm', 2, **named)
    N, H = cells[0].shape
    expect_shape('tree_lstm', (N, H), **named)
    expect_shape('tree_lstm', (N, (3 + len(cells)) * H), x=x)
    a, i, o, *forget = split_axis(x, 3 + len(cells), axis=1)
    c = tanh(a) * sigmoid(i)
    for cell, f in zip(cells, forget):
        c = c + sigmoid(f) * cell
    return c, sigmoid(o) * tanh(c)

"""One step of an LSTM after its matrix product, fused: see ``kernels/lstm.cu``.

Gates lie in blocks i, f, o, a of H columns, as in functions/lstm_sequence.py. Cells and their
gradients are float32; the other arrays float32 or bfloat16.
"""
from minichain.gpu.launcher import BLOCK, blocks_for, kernel, storage


def launch(name, gates, *arrays, rows, width):
    kernel(f'{name}_{storage(gates)}')(gates, *arrays, rows, width,
                                       grid=(blocks_for(width), min(rows, 65535)), block=BLOCK)


def lstm_forward(gates, c_previous, c, h):
    """Compute the next cells and outputs:  c = c_previous s(f) + s(i) tanh(a),  h = s(o) tanh(c).

    Args:
        gates: inputs of the gates, (N, 4H), replaced by their values.
        c_previous: cells before, (N, H), float32.
        c, h: filled; (N, H), float32 and dtype of ``gates``. ``c`` may be ``c_previous``.
    """
    rows, width = h.shape
    launch('lstm_forward', gates, c_previous, c, h, rows=rows, width=width)


def lstm_backward(gates, c_previous, c, gh, gc, ggates):
    """Compute gradients of the inputs of the gates and of the cells before.

    Args:
        gates: values of the gates, (N, 4H).
        c_previous, c: cells before and after, (N, H), float32.
        gh: gradient of the outputs, (N, H), dtype of ``gates``.
        gc: gradient of ``c`` without what comes by ``gh``, (N, H), float32; replaced by that of
            ``c_previous``.
        ggates: filled, (N, 4H), dtype of ``gates``; may be ``gates``.
    """
    rows, width = gh.shape
    launch('lstm_backward', gates, c_previous, c, gh, gc, ggates, rows=rows, width=width)

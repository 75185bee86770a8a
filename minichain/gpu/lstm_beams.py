"""One step of an LSTM for captions that continue others: see ``kernels/lstm_beams.cu``."""
from minichain.gpu.launcher import BLOCK, blocks_for, kernel, storage


def lstm_continue(inputs, input_rows, before, rows_before, images, cells, h, count, per_image):
    """Compute cells and outputs of rows that continue rows of the step before:

        gates = inputs[input_rows] + before[rows_before] + images[row // per_image]
        c = c_before[rows_before] s(2 f) + s(2 i) tanh(a),   h = s(2 o) tanh(c)

    Args:
        inputs: (R, at least 4H), float32, of whose first 4H columns gates i, f, o, a are made.
        input_rows: which row of it each row takes, (N,), int32, from 0 to R - 1.
        before: (N, at least 4H), float32, of which the last 4H columns are added.
        rows_before: which row each row continues, (N,), int32, from 0 to N - 1.
        images: (images, 4H), float32, added to ``per_image`` rows each; 0: not at all.
        cells: (2, N, H), float32: read where [count % 2], written in the other half.
        h: filled, (N, H), float32 or bfloat16.
        count: number of the step, (1,), int32.
    """
    rows, width = h.shape
    kernel(f'lstm_continue_{storage(h)}')(
        inputs, input_rows, before, rows_before, images, cells, h, count, rows, width,
        inputs.shape[1], before.shape[1], per_image,
        grid=(blocks_for(width), min(rows, 65535)), block=BLOCK)

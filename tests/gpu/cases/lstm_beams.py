"""Kernels of lstm_beams.cu: the formulas of Gers et al. for rows picked by index, in float64."""
import numpy as np

from minichain.gpu.lstm_beams import lstm_continue
from tests.gpu.registry import reference

# Rows, width, rows an image, number of the step.
SIZES = [(4, 5, 2, 0), (1, 1, 0, 3), (3, 257, 0, 1), (35, 70, 5, 8)]


@reference('lstm_continue', lstm_continue, SIZES, registers=64)
def forward(random, store, rows, width, per_image, count):
    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)
    table, before = normal(rows + 3, 4 * width + 1), normal(rows, 4 * width + 7)
    images = normal(rows // per_image if per_image else 1, 4 * width)
    cells = normal(2, rows, width)
    input_rows = random.integers(0, len(table), rows).astype(np.int32)
    rows_before = random.integers(0, rows, rows).astype(np.int32)
    cells[(count + 1) % 2] = np.nan     # is not read
    gates = (table[input_rows, :4 * width].astype(np.float64)
             + before[rows_before, -4 * width:].astype(np.float64))
    if per_image:
        gates += np.repeat(images, per_image, axis=0)
    i, f, o, a = np.split(gates, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-2 * gate)) for gate in (i, f, o))
    c = cells[count % 2][rows_before] * f + i * np.tanh(a)
    after = cells.astype(np.float64)
    after[(count + 1) % 2] = c
    arguments = {'inputs': table, 'input_rows': input_rows, 'before': before,
                 'rows_before': rows_before, 'images': images, 'cells': cells,
                 'h': store(np.full((rows, width), np.nan)), 'count': np.array([count], np.int32),
                 'per_image': per_image}
    return arguments, {'cells': after, 'h': o * np.tanh(c)}

"""Single convolutions on a device, forward and backward."""
import numpy as np

from benchmarks import conv
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import CAPTURED, Case, add_case, captured, make_table
from benchmarks.variants import PLAIN, PREPARED
from minichain.functions.windows import slide
from minichain.gpu.casts import as_float32, as_stored, storage_dtype
from minichain.gpu.convolution_channels_last import Filters, convolve
from minichain.gpu.depthwise_channels_last import depthwise_channels_last

BATCH = 64
PRECISIONS = 'float32', 'tf32', 'bf16'


def with_channels_last(layer, arrays, device):
    """Return a function: forward as in a prepared network, of what it has laid out before."""
    x, W, b, gy = (device.send(array) for array in arrays)
    windows = slide('convolution', x.shape[2:], layer.ksize, layer.stride, layer.pad)
    x, b, dtype = as_stored(x.transpose(0, 2, 3, 1)), as_stored(b), storage_dtype()
    y = device.xp.empty((*gy.shape[:1], *gy.shape[2:], len(W)), dtype)
    if layer.groups > 1 == W.shape[1]:
        W = as_stored(W[:, 0].transpose(1, 2, 0))

        def function():
            depthwise_channels_last(x, W, b, y, windows, len(b) // layer.groups)
    else:
        filters = Filters(W, device.send(arrays[2]), windows, layer.groups, dtype, False)

        def function():
            convolve(x, filters, y)
    function.read = lambda: np.ascontiguousarray(as_float32(y).get().transpose(0, 3, 1, 2))
    return function


def make_case(layer, backward, precision, options, bench):
    """Return the Case of a layer."""
    arrays = layer.make_arrays()

    def ours(dtype='float32'):
        return conv.ours(layer, [array.astype(dtype) for array in arrays], backward, bench.device)

    def graph():
        function = ours()
        return captured(lambda _: function(), bench.device.send(arrays[2]))()
    place, reason = place_of(options.device)
    if reason:
        peers = missing(reason, FORMS, options)
    else:
        from benchmarks.gpu import torch_steps
        peers = forms(lambda: torch_steps.convolution(
            layer, arrays, backward, precision, place), place, options)
    size, times = 2 if precision == 'bf16' else 4, 3 if backward else 1
    moved = size * (arrays[0].size + arrays[1].size + arrays[3].size) * (2.5 if backward else 1)
    prepared = {} if backward else {
        PREPARED: lambda: with_channels_last(layer, arrays, bench.device)}
    return Case(f'{layer.name}, forward{" + backward" * backward}', layer.shapes, precision,
                {PLAIN: ours, CAPTURED: graph, **prepared, **peers}, lambda: ours('float64')(),
                [(layer.operations() * times, moved)], rounds=9)


def run(options, bench):
    """Return the table."""
    table = make_table('Convolutions, forward and with the gradients of x, W and b', FORMS)
    for layer in conv.LAYERS:
        layer = layer._replace(batch=1, side=layer.side // 4, channels=min(layer.channels, 8),
                               out=8) if options.quick else layer._replace(batch=BATCH)
        for backward in (False, True):
            for precision in PRECISIONS[:1] if options.quick else PRECISIONS:
                add_case(table, FORMS, lambda layer=layer, backward=backward,
                         precision=precision: make_case(layer, backward, precision, options,
                                                        bench), options, bench)
    table.note('torch: channels_last tensors, of bfloat16 under bf16. minichain: float32 '
               'arrays, whose products are those of tf32 then. prepared: as in a network from '
               'minichain.inference.prepare: channels last, bfloat16 under bf16, without the way '
               'there and back')
    return table

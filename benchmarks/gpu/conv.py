"""Single convolutions on a device, forward and backward."""
from benchmarks import conv
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import CAPTURED, Case, add_case, captured, make_table
from benchmarks.variants import PLAIN

BATCH = 64
PRECISIONS = 'float32', 'tf32', 'bf16'


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
    return Case(f'{layer.name}, forward{" + backward" * backward}', layer.shapes, precision,
                {PLAIN: ours, CAPTURED: graph, **peers}, lambda: ours('float64')(),
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
               'arrays, whose products are those of tf32 then')
    return table

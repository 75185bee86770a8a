"""How much memory of a device does a step of learning take, beside PyTorch's?"""
from benchmarks.frame import find_peer, missing, verdict
from benchmarks.gpu import caption_step
from benchmarks.gpu.caption_step import PRECISIONS, SIZES, STEPS
from benchmarks.gpu.peers import place_of
from benchmarks.gpu.rows import GpuTable
from benchmarks.variants import PLAIN
from minichain.configuration import using_config

BARS = .9, .7


def run(options, bench):
    """Return the table."""
    table = GpuTable('Memory that a step of learning to caption has taken from the device, after '
                     'three of them', ['case', 'shapes', 'precision', 'minichain MiB', 'torch MiB',
                                       'ratio', 'bar'])
    place, reason = place_of(options.device)
    if reason:
        table.note(f'torch: {reason}')
    for name, (units, n_vocabulary, batch, _) in SIZES.items():
        if options.quick:
            units, n_vocabulary, batch = units // 32, n_vocabulary // 80, batch // 16
        size = units, n_vocabulary, batch
        for precision in PRECISIONS:
            def ours(size=size, precision=precision):
                functions, _ = caption_step.our_functions(*size, bench.device, table)
                with using_config('precision', precision):
                    function = functions[PLAIN]()
                    for _ in range(3):
                        function()
            try:
                mine = bench.clock.memory(ours) / 2 ** 20
                theirs = None if reason else memory_of_torch(place, *size, precision, options)
            except Exception as error:      # out of memory and what a library says of it
                table.failures.append(f'memory, {name}, {precision}: {error}')
                continue
            ratio = None if theirs is None else mine / theirs
            table.add(name, f'h{units} V{n_vocabulary} N{batch} T{STEPS}', precision, mine,
                      missing('torch')[0] if theirs is None else theirs, ratio,
                      None if ratio is None else ', '.join(verdict(ratio, bar) for bar in BARS))
    table.note('Both as their pools have it: weights, gradients, moments and what a step keeps '
               'for its way back, with what pools keep for later')
    return table


def memory_of_torch(place, units, n_vocabulary, batch, precision, options):
    """Return the MiB that PyTorch's pool took for the eager step; None on a CPU."""
    torch = find_peer('torch')
    if place == 'cpu':
        return None
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    function = caption_step.torch_functions(units, n_vocabulary, batch, precision,
                                            options)['torch']()
    for _ in range(3):
        function()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_reserved() - before) / 2 ** 20

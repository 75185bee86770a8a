"""What does the tape cost on a device? Small arrays: the host's time, unless a graph saves it."""
from benchmarks import tape
from benchmarks.comparison import TORCH
from benchmarks.frame import find_peer
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import CAPTURED, Case, add_case, captured, make_table
from benchmarks.variants import PLAIN


def run(options, bench):
    """Return the table."""
    table = make_table(f'Forward + backward of {tape.OPERATIONS:,} operations on 4 x 4 arrays: '
                       'milliseconds are microseconds an operation', FORMS)
    place, reason = place_of(options.device)
    xp = bench.device.xp

    def update(batch):
        return tape.ours(batch)
    theirs = missing(reason, FORMS, options) if reason else forms(
        lambda: tape.with_torch(find_peer('torch'), place), place, options)
    add_case(table, FORMS, Case(
        'y = y * x, y = y + x', '4x4', 'float32',
        {PLAIN: lambda: lambda: tape.ours(xp.full((4, 4), .5, 'float32')),
         CAPTURED: captured(update, xp.full((4, 4), .5, 'float32')), **theirs},
        lambda: tape.ours(xp.full((4, 4), .5, 'float64')), bars={TORCH: (1.25, .8)}),
        options, bench)
    return table

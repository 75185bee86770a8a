"""What a device reaches at best, measured first: matrix products of each precision, a copy."""
import dataclasses

from benchmarks.timing import quantile
from minichain.configuration import using_config
from minichain.errors import DeviceError
from minichain.gpu.gemm import gemm
from minichain.gpu.precision import to_bfloat16

PRECISIONS = 'float32', 'tf32', 'bf16'
TRIALS = 7
SIDE, NUMBERS = 8192, 1 << 28       # of a square matrix; float32 numbers of a copied array: 1 GiB
SMALL_SIDE, FEW_NUMBERS = 32, 1 << 12


@dataclasses.dataclass(frozen=True)
class GpuCeilings:
    """What the device reaches at best.

    Attributes:
        copy: bytes a second, read and written bytes added up.
        products: dict precision -> floating point operations a second; without those that cannot
            be measured.
        notes: why something is not here.
    """

    copy: float
    products: dict
    notes: tuple = ()

    def __str__(self):
        found = [f'copy {self.copy / 1e9:,.0f} GB/s read and written']
        found += [f'{precision} product {rate / 1e12:,.1f} TFLOP/s'
                  for precision, rate in self.products.items()]
        return '\n'.join([f'ceilings: {", ".join(found)}', *self.notes])

    def floor(self, phases, precision):
        """Return the least seconds in which the device can do some work, and what bounds it.

        Args:
            phases: list of (operations, bytes) that follow each other; within one of them products
                and memory can work at the same time.
            precision: of the products.
        Returns:
            (seconds, 'product' or 'memory'); None, None if nothing is to be done, or if it is not
            known how fast products are.
        """
        peak = self.products.get(precision)
        if not any(work for phase in phases for work in phase) or (
                peak is None and any(operations for operations, _ in phases)):
            return None, None
        pairs = [(operations / peak if operations else 0., moved / self.copy)
                 for operations, moved in phases]
        bound = 'product' if sum(a for a, b in pairs if a > b) > sum(
            b for a, b in pairs if b >= a) else 'memory'
        return sum(map(max, pairs)), bound


def least_seconds(clock, function):
    """Return the median seconds of a call among the quicker half of some trials."""
    clock.seconds(function, 1)
    found = sorted(clock.seconds(function, 1) for _ in range(TRIALS))
    return quantile(found[:TRIALS // 2 + 1], .5)


def copy_rate(clock, numbers):
    """Return the bytes that a copy of an array reads and writes in a second."""
    xp = clock.device.xp
    source, target = xp.ones(numbers, 'float32'), xp.zeros(numbers, 'float32')

    def copy():
        target[...] = source
    return 2 * source.nbytes / least_seconds(clock, copy)


def measure(clock, small=False):
    """Measure the ceilings of a device.

    Args:
        clock: of the device.
        small: small arrays; the answer then means nothing.
    """
    xp = clock.device.xp
    side, numbers = (SMALL_SIDE, FEW_NUMBERS) if small else (SIDE, NUMBERS)
    rate, products, notes = copy_rate(clock, numbers), {}, []
    a = xp.asarray(((xp.arange(side * side) * 40503) % 4093).reshape(side, side), 'float32')
    a = a * (1 / 4093) - xp.asarray(.5, 'float32')     # numbers whose bits change everywhere
    for precision in PRECISIONS:
        x = to_bfloat16(a) if precision == 'bf16' else a
        out = xp.empty_like(x)
        try:
            with using_config('precision', precision):
                seconds = least_seconds(clock, lambda x=x, out=out: gemm(x, x, out))
        except DeviceError as error:
            notes.append(f'{precision} product: not measured: {error}')
        else:
            products[precision] = 2 * side ** 3 / seconds
    return GpuCeilings(rate, products, tuple(notes))

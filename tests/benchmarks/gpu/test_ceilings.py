import pytest

from benchmarks.gpu import ceilings
from benchmarks.gpu.ceilings import GpuCeilings, measure
from benchmarks.gpu.clock import clock_of
from minichain.errors import DeviceError

CEILINGS = GpuCeilings(1e9, {'float32': 1e12})


@pytest.mark.parametrize('phases, seconds, bound', [
    ([(2e12, 1e9)], 2, 'product'), ([(1e12, 3e9)], 3, 'memory'),
    ([(2e12, 1e9), (0, 5e9)], 7, 'memory'), ([(4e12, 1e9), (0, 3e9)], 7, 'product'),
    ([(0, 1e9)] * 3, 3, 'memory'), ([], None, None), ([(0, 0)], None, None)])
def test_phases_follow_each_other_and_each_is_bound_by_the_slower_part(phases, seconds, bound):
    assert CEILINGS.floor(phases, 'float32') == (seconds, bound)


def test_without_a_ceiling_of_products_there_is_a_floor_for_memory_alone():
    assert CEILINGS.floor([(1, 1e9)], 'bf16') == (None, None)
    assert CEILINGS.floor([(0, 1e9)], 'bf16') == (1, 'memory')


def test_ceilings_are_measured_with_the_device_s_clock(monkeypatch):
    clock = clock_of('sim')
    monkeypatch.setattr(clock, 'seconds', lambda function, n: [function(), .5][1])
    found = measure(clock, small=True)
    assert found.copy == 2 * 4 * ceilings.FEW_NUMBERS / .5
    assert found.products == dict.fromkeys(ceilings.PRECISIONS, 2 * 32 ** 3 / .5)
    assert 'bf16 product' in str(found)


def test_a_product_that_cannot_be_measured_is_left_out_with_the_reason(monkeypatch):
    def refuse(*_):
        raise DeviceError('no library')
    monkeypatch.setattr(ceilings, 'gemm', refuse)
    found = measure(clock_of('sim'), small=True)
    assert found.products == {} and found.copy > 0
    assert 'tf32 product: not measured: no library' in str(found)


def test_of_trials_the_quicker_half_counts():
    times = iter([0, 9, 1, 8, 2, 7, 3, 6])      # the first warms up
    clock = type('Clock', (), {'seconds': lambda self, function, n: next(times)})()
    assert ceilings.least_seconds(clock, None) in (2, 3)

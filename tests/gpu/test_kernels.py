"""Every kernel against its formula: in three schedules, under sanitizers, and on a GPU if any."""
from unittest import mock

import pytest

from minichain.backend import cuda_available, import_cupy
from minichain.gpu.simulator import ORDERS, Simulator, simulation
from minichain.gpu.simulator.builder import missing
from minichain.gpu.sources import file_of_kernels
from tests.gpu import registry

ENTRIES = registry.entries()


def needs(sanitizer=None):
    reason = missing(sanitizer)
    if reason:
        pytest.skip(reason)


def test_every_kernel_has_a_reference_and_every_reference_a_kernel():
    kernels, references = set(file_of_kernels()), set(ENTRIES)
    assert len(kernels) >= 10
    assert not kernels - references, f'register these in tests/gpu/cases: {kernels - references}'
    assert not references - kernels, f'there is no kernel of these names: {references - kernels}'


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('name', ENTRIES)
def test_a_kernel_computes_its_formula_in_any_order_of_threads(name, order):
    needs()
    for seed, size in enumerate(ENTRIES[name][0].sizes):
        with simulation(order, seed):
            registry.check(name, size)


@pytest.mark.parametrize('name', ENTRIES)
def test_the_reference_launches_the_kernel_of_its_name(name):
    with mock.patch.object(Simulator, 'launch') as launch, pytest.raises(AssertionError):
        registry.check(name, ENTRIES[name][0].sizes[0])
    assert name in [call.args[0].name for call in launch.call_args_list]


@pytest.mark.parametrize('sanitizer', ['address', 'thread'])
@pytest.mark.parametrize('name', ENTRIES)
def test_sanitizers_have_nothing_to_report_of_a_kernel(name, sanitizer):
    needs(sanitizer)
    with simulation('random', 1, sanitizer):
        registry.check(name, ENTRIES[name][0].sizes[0])


@pytest.mark.parametrize('name', ENTRIES)
def test_a_kernel_computes_its_formula_on_a_gpu(name):
    if not cuda_available():
        pytest.skip('there is no GPU here, or no CuPy')
    for size in ENTRIES[name][0].sizes:
        registry.check(name, size, import_cupy())

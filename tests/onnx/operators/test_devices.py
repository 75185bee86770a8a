"""Operators run where their inputs are: on the strict stand-in for CuPy, as on the CPU."""
import numpy as np
import pytest

import minichain.onnx
from minichain.onnx.operators import elementary
from tests import strict_cupy
from tests.onnx.backend_cases import is_wanted, node_cases, plain

CASES = [case for case in node_cases() if is_wanted(case.model) and '_expanded' not in case.name]


def run(model, inputs):
    np.random.seed(0)
    return minichain.onnx.load(model)(*inputs)


def run_on_gpu(model, inputs, cupy, integers_too):
    def send(x):
        if isinstance(x, (list, tuple)):
            return [send(item) for item in x]
        x = np.asarray(x)
        movable = 'fiub' if integers_too else 'f'
        return cupy.asarray(x) if x.dtype.kind in movable else x

    np.random.seed(0)
    net = minichain.onnx.load(model)
    net.to_device('@cupy:0')
    return net(*(None if x is None else send(x) for x in inputs))


def compare(found, expected):
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            compare(one, other)
    elif expected is None:
        assert found is None
    else:
        array = found.array
        array = array.get() if isinstance(array, strict_cupy.ndarray) else array
        assert array.dtype == expected.dtype and array.shape == expected.shape
        if array.dtype.kind == 'f':
            np.testing.assert_allclose(array, expected.array, 1e-5, 1e-6)
        else:
            np.testing.assert_array_equal(array, expected.array)


@pytest.mark.parametrize('integers_too', [False, True])
def test_results_on_a_gpu_are_those_on_the_cpu(integers_too, monkeypatch):
    monkeypatch.setattr(elementary, 'HAS_SCIPY', False)   # which the stand-in does not have
    problems = []
    for case in CASES:
        inputs = [plain(x) for x in case.data_sets[0][0]]
        try:
            expected = run(case.model, inputs)
        except minichain.errors.MinichainError:
            continue    # no matter of devices
        with strict_cupy.installed() as cupy:
            try:
                for found, value in zip(run_on_gpu(case.model, inputs, cupy, integers_too),
                                        expected, strict=True):
                    compare(found, value)
            except Exception as error:
                problems.append(f'{case.name}: {type(error).__name__}: {str(error)[:300]}')
    assert len(CASES) > 500
    assert not problems, '\n'.join(problems)

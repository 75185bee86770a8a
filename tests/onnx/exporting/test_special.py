import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from minichain.onnx.exporting import export
from tests.onnx.exporting.running import RUNNERS, expect_same

pytest.importorskip('scipy', reason='SciPy, which computes special functions, is not installed')
X = np.random.default_rng(0).uniform(.1, .9, (3, 4)).astype('f')


@pytest.mark.parametrize('runner', RUNNERS)
def test_the_error_function_and_its_relatives(runner):
    expect_same(lambda x: (F.erf(x), F.erfc(x), F.ndtr(x)), 4 * X - 2, runner)


@pytest.mark.parametrize('name', ['erfcx', 'erfinv', 'erfcinv', 'ndtri', 'log_ndtr', 'lgamma',
                                  'digamma'])
def test_the_others_are_refused_by_name(name):
    with pytest.raises(InvalidArgument, match=r'1 x \(step 0\): of the special functions ONNX'):
        export(getattr(F, name), X)


def test_so_are_those_of_two_numbers():
    with pytest.raises(InvalidArgument, match='polygamma, 1 x.*\n.*zeta, 1 x'):
        export(lambda x: (F.polygamma(np.array(1), x), F.zeta(2., x)), X)

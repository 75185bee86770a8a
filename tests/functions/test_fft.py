import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('name', ['fft', 'ifft'])
@pytest.mark.parametrize('part', [slice(None), slice(0, 1), slice(1, 2)])
def test_pairs_are_transformed_as_complex_numbers(name, part):
    def reference(real, imag):
        y = getattr(np.fft, name)(real + 1j * imag)
        return (y.real, y.imag)[part]
    check_function(lambda real, imag: getattr(F, name)((real, imag))[part],
                   [RANDOM.randn(2, 5), RANDOM.randn(2, 5)], reference)


def test_pairs_that_do_not_fit_are_refused():
    for imag in (np.ones(3), np.ones(2, 'f')):
        with pytest.raises(InvalidType, match='fft'):
            F.fft((np.ones(2), imag))
    with pytest.raises(InvalidType, match='not empty'):
        F.ifft((np.ones(0), np.ones(0)))

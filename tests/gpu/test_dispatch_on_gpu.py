"""Functions that run by kernels, on a GPU: compared with their bodies as in test_dispatch.py."""
import numpy as np
import pytest

import minichain
from minichain.backend import cuda_available
from minichain.configuration import using_config
from minichain.gpu import dispatch
from minichain.gpu.dropout import Draws
from tests.gpu.test_dispatch import CASES, results

DEVICE = 'cuda'
pytestmark = pytest.mark.skipif(not cuda_available(), reason='needs a GPU and CuPy')


@pytest.mark.parametrize('use_cudnn', ['never', 'always'])
@pytest.mark.parametrize('name', sorted(CASES))
def test_kernels_on_a_gpu_do_what_the_body_does(name, use_cudnn):
    entry, send = dispatch.FUSED[name], minichain.get_device(DEVICE).send
    if use_cudnn == 'always' and not (name.startswith('conv') and dispatch.available('cudnn')):
        pytest.skip('cuDNN is not installed, or has nothing to do with it')
    for arguments, behind in CASES[name]:
        if not entry.fuses(send(arguments[0])):
            pytest.skip(str(entry.why_not(False)))
        expected = results(entry.body, arguments, behind, np.copy)
        with using_config('use_cudnn', use_cudnn), Draws().using():
            found = results(entry, arguments, behind, send)
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
                assert one.dtype == other.dtype

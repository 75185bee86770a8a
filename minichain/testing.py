"""What tests of functions and links need: comparing arrays, test classes for many parameters."""
import functools
import itertools
import sys
import types
import unittest

import numpy as np

from minichain import backend
from minichain.autograd import as_array


def assert_allclose(x, y, atol=1e-5, rtol=1e-4, verbose=True):
    """Raise AssertionError unless |x - y| <= atol + rtol |y| everywhere.

    Args:
        x, y: arrays on any device, Variables or numbers; of one shape. NaN equals NaN.
        verbose: show the arrays in the message.
    """
    x, y = (np.asarray(backend.to_cpu(value) if backend.is_array(value) else value)
            for value in (as_array(x), as_array(y)))
    assert x.shape == y.shape, f'shapes differ: {x.shape} and {y.shape}'
    np.testing.assert_allclose(x.astype(np.result_type(x, np.float64)),
                               y.astype(np.result_type(y, np.float64)), rtol, atol,
                               verbose=verbose)


def product(parameter):
    """Return every combination of values as a list of dicts.

    Args:
        parameter: dict from name to list of values; or list of lists of dicts, which are merged.
    """
    if isinstance(parameter, dict):
        names = sorted(parameter)
        return [dict(zip(names, values))
                for values in itertools.product(*(parameter[name] for name in names))]
    return product_dict(*parameter)


def product_dict(*parameters):
    """Return every combination of dicts, one out of each list, merged."""
    return [functools.reduce(lambda merged, part: {**merged, **part}, parts, {})
            for parts in itertools.product(*parameters)]


def parameterize(*params):
    """Class decorator: run the tests of a class once for each dict, its items as attributes."""
    def decorate(case):
        module = vars(sys.modules[case.__module__])
        tests = {name: value for name, value in vars(case).items() if name.startswith('test')}
        for name in tests:   # the class itself stays, for super(), but has nothing to run
            delattr(case, name)
        case.__test__ = False
        for i, attributes in enumerate(params):
            name = f'{case.__name__}_param_{i}'
            body = {**tests, **attributes, '__test__': True, '__module__': case.__module__,
                    '__str__': functools.partialmethod(_describe, name, attributes)}
            module[name] = type(name, (case,), body)
        return case
    return decorate


def _describe(self, name, attributes):
    return f'{getattr(self, "_testMethodName", name)} ({name}: {attributes})'


def _attempts(times, needed):
    """Decorate a test: run it up to `times` times, until `needed` of them passed."""
    def decorate(test):
        @functools.wraps(test)
        def repeated(self, *args, **kwargs):
            passed = 0
            for left in reversed(range(times)):
                if isinstance(self, unittest.TestCase) and left + 1 < times:
                    self.setUp()
                try:
                    test(self, *args, **kwargs)
                    passed += 1
                except AssertionError:
                    if passed + left < needed:
                        raise
                if passed == needed:
                    return
        return repeated
    return decorate


def _gpu(test):
    return unittest.skipUnless(backend.cuda_available(), 'needs a GPU and CuPy')(test)


condition = types.SimpleNamespace(
    retry=lambda times: _attempts(times, 1), repeat=lambda times: _attempts(times, times),
    repeat_with_success_at_least=_attempts)
attr = types.SimpleNamespace(gpu=_gpu, cudnn=_gpu, slow=lambda test: test)


def run_module(name, file):
    """Run the tests of a file that is executed as a script: ``run_module(__name__, __file__)``."""
    if name == '__main__':
        unittest.main(module='__main__', argv=[file])

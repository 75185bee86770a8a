"""``check_link``: what every link must satisfy, in one call."""
import copy
import io

import numpy as np

import minichain
from minichain import Variable, serializers
from tests import strict_cupy


def check_link(build, inputs, reference=None, *, rtol=1e-6, atol=1e-8, gradients=True):
    """Check the link that ``build()`` makes, in double precision, on ``inputs``.

    The result against ``reference(link, *arrays)``, a formula on NumPy arrays; gradients of
    inputs and parameters against central differences; that a file, a deep copy and a copy with
    new values carry everything; and the same results on the strict CuPy stand-in.

    Args:
        build: callable() -> Link whose result is a Variable.
        inputs: list of arrays, of which the float64 ones are differentiated.
        gradients: whether the result has a gradient.
    Returns:
        the link.
    """
    with minichain.using_config('dtype', np.float64):
        link = build()
        call(link, inputs)
        for i, (_, parameter) in enumerate(sorted(link.namedparams())):
            values = np.random.RandomState(i).uniform(.1, 1, parameter.shape)
            parameter.array[...] = values * np.where(values > .6, -1, 1)
        y = call(link, inputs)
        if reference is not None:
            expected = reference(link, *inputs)
            assert y.shape == expected.shape
            np.testing.assert_allclose(y.array, expected, rtol, atol)
        if gradients:
            _check_gradients(link, inputs)
        _check_copies(link, build, inputs)
        _check_gpu(link, inputs)
    return link


def call(link, inputs):
    """Call the link on fresh operands, from its first state."""
    if hasattr(link, 'reset_state'):
        link.reset_state()
    return link(*[Variable(x) if x.dtype.kind == 'f' else x for x in inputs])


def _loss(link, inputs, weights):
    return float((call(link, inputs).array * weights).sum())


def _check_gradients(link, inputs):
    random = np.random.RandomState(1)
    xs = [Variable(x) if x.dtype.kind == 'f' else x for x in inputs]
    if hasattr(link, 'reset_state'):
        link.reset_state()
    y = link(*xs)
    weights = random.uniform(-1, 1, y.shape)
    link.cleargrads()
    minichain.functions.sum(y * weights).backward()
    operands = [(f'input {i}', x.array, x.grad) for i, x in enumerate(xs)
                if isinstance(x, Variable)]
    operands += [(path, parameter.array, parameter.grad)
                 for path, parameter in link.namedparams()]
    for name, array, gradient in operands:
        direction, start, losses = random.uniform(-1, 1, array.shape), array.copy(), []
        for step in (1e-5, -1e-5):
            array[...] = start + step * direction
            losses.append(_loss(link, inputs, weights))
        array[...] = start
        slope = 0. if gradient is None else float((gradient * direction).sum())
        np.testing.assert_allclose(slope, (losses[0] - losses[1]) / 2e-5, rtol=1e-4, atol=1e-6,
                                   err_msg=f'gradient of {name}')


def _check_copies(link, build, inputs):
    with minichain.using_config('train', False):
        y = call(link, inputs).array
        file = io.BytesIO()
        serializers.save_npz(file, link)
        file.seek(0)
        loaded = build()
        serializers.load_npz(file, loaded)
        twin = copy.deepcopy(link)
        for other in (loaded, twin, link.copy('share')):
            np.testing.assert_allclose(call(other, inputs).array, y, rtol=1e-12)
        for parameter in twin.params():
            parameter.array[...] = 0
        np.testing.assert_allclose(call(link, inputs).array, y, rtol=1e-12)
        mine = {id(parameter.array) for parameter in link.params()}
        for path, parameter in link.copy('init').namedparams():
            assert id(parameter.array) not in mine, f'{path} is shared'


def _check_gpu(link, inputs):
    with minichain.using_config('train', False):
        y = call(link, inputs)
        with strict_cupy.installed() as cupy:
            link = copy.deepcopy(link)
            link.to_gpu()
            again = call(link, [cupy.asarray(x) for x in inputs])
            np.testing.assert_allclose(again.array.get(), y.array, rtol=1e-6, atol=1e-9)
            if again.creator is not None and again.dtype.kind == 'f':
                minichain.functions.sum(again).backward()

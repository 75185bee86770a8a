"""``check_function``: what every differentiable function must satisfy, in one call."""
import numpy as np

import minichain
from minichain import Variable
from minichain.functions.broadcast import sum_to
from tests import strict_cupy


def check_function(function, inputs, reference=None, *, double=True,
                   dtypes=('float16', 'float32', 'float64'), rtol=1e-6, atol=1e-6, gpu=True,
                   contiguity=True, seed=0):
    """Check ``function`` on ``inputs``, of which the float64 arrays are differentiated.

    Forward against ``reference`` (a formula on NumPy arrays); gradients of first and, if
    ``double``, second order against central differences in float64; dtypes of results and
    gradients; non-contiguous operands; nothing recorded under no_backprop_mode; and the same
    results on the strict CuPy stand-in if ``gpu``.

    Args:
        function: callable(*Variables) -> Variable or tuple of Variables.
        inputs: list of arrays; float64 ones away from kinks, integer ones as they are.
        dtypes: dtypes in which results keep the dtype of the inputs.
    """
    inputs = [np.asarray(x) for x in inputs]
    where = [i for i, x in enumerate(inputs) if x.dtype == np.float64]
    random = np.random.RandomState(seed)
    outputs = _outputs(function, inputs)
    if reference is not None:
        expected = reference(*inputs)
        expected = expected if isinstance(expected, (tuple, list)) else (expected,)
        assert len(expected) == len(outputs)
        for y, wanted in zip(outputs, expected):
            np.testing.assert_allclose(y.array, wanted, rtol=rtol, atol=atol)
            assert y.shape == np.shape(wanted)
    seeds = [random.uniform(-1, 1, y.shape) if y.dtype.kind == 'f' else None for y in outputs]
    assert any(seed is not None for seed in seeds)
    gradients = _gradients(function, inputs, seeds, where)
    _compare_with_differences(lambda *xs: _weighted(_outputs(function, xs), seeds), inputs, where,
                              gradients, rtol=1e-4, atol=1e-5)
    if double:
        _check_double(function, inputs, seeds, where, random)
    for dtype in dtypes:
        _check_dtype(function, inputs, seeds, where, np.dtype(dtype), outputs, gradients)
    if contiguity:
        strided = [_strided(x) for x in inputs]
        for y, again in zip(outputs, _outputs(function, strided)):
            np.testing.assert_allclose(again.array, y.array, rtol=1e-9, atol=1e-12)
        for gx, again in zip(gradients, _gradients(function, strided, seeds, where)):
            np.testing.assert_allclose(again, gx, rtol=1e-9, atol=1e-12)
    with minichain.no_backprop_mode():
        for y, again in zip(outputs, _outputs(function, inputs)):
            assert again.creator is None
            np.testing.assert_allclose(again.array, y.array, rtol=1e-6, atol=1e-9)
    if gpu:
        _check_gpu(function, inputs, seeds, where, outputs, gradients)


def _outputs(function, inputs):
    outputs = function(*[Variable(x) for x in inputs])
    return outputs if isinstance(outputs, (tuple, list)) else (outputs,)


def _weighted(outputs, seeds):
    return sum(float((y.array * seed).sum()) for y, seed in zip(outputs, seeds)
               if seed is not None)


def _scalar(outputs, seeds):
    total = None
    for y, seed in zip(outputs, seeds):
        if seed is not None:
            term = sum_to(y * Variable(seed, requires_grad=False), ())
            total = term if total is None else total + term
    return total


def _gradients(function, inputs, seeds, where):
    variables = [Variable(x) for x in inputs]
    outputs = function(*variables)
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    _scalar(outputs, [None if seed is None else y.xp.asarray(seed, y.dtype)
                      for y, seed in zip(outputs, seeds)]).backward()
    return [np.zeros(inputs[i].shape) if variables[i].grad is None else variables[i].grad
            for i in where]


def _differences(function, inputs, i, eps=1e-5):
    """Central differences of a scalar function of arrays, by operand ``i``."""
    base = [x.copy() for x in inputs]
    gradient = np.zeros(inputs[i].shape)
    for index in np.ndindex(inputs[i].shape):
        values = []
        for step in (eps, -eps):
            base[i][index] = inputs[i][index] + step
            values.append(function(*base))
        base[i][index] = inputs[i][index]
        gradient[index] = (values[0] - values[1]) / (2 * eps)
    return gradient


def _compare_with_differences(function, inputs, where, gradients, rtol, atol):
    for i, gradient in zip(where, gradients):
        expected = _differences(function, inputs, i)
        np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=atol,
                                   err_msg=f'gradient of operand {i}')


def _check_double(function, inputs, seeds, where, random):
    weights = [random.uniform(-1, 1, inputs[i].shape) for i in where]
    used = [i for i, seed in enumerate(seeds) if seed is not None]
    operands = list(inputs) + [seeds[i] for i in used]
    targets = where + list(range(len(inputs), len(operands)))

    def first_order(variables):
        outputs = function(*variables[:len(inputs)])
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        total = None
        for i, gy in zip(used, variables[len(inputs):]):
            term = sum_to(outputs[i] * gy, ())
            total = term if total is None else total + term
        gradients = minichain.grad([total], [variables[i] for i in where],
                                   enable_double_backprop=True)
        return _scalar([gx for gx in gradients if gx is not None],
                       [w for gx, w in zip(gradients, weights) if gx is not None])

    variables = [Variable(x) for x in operands]
    scalar = first_order(variables)
    if scalar is None:
        return
    gradients = minichain.grad([scalar], [variables[i] for i in targets])
    gradients = [np.zeros(operands[i].shape) if gx is None else gx.array
                 for i, gx in zip(targets, gradients)]
    _compare_with_differences(
        lambda *xs: float(first_order([Variable(x) for x in xs]).array), operands, targets,
        gradients, rtol=1e-4, atol=2e-5)


def _check_dtype(function, inputs, seeds, where, dtype, outputs, gradients):
    cast = [x.astype(dtype) if i in where else x for i, x in enumerate(inputs)]
    tolerance = {'float16': 3e-2, 'float32': 1e-4, 'float64': 1e-8}[dtype.name]
    for y, again in zip(outputs, _outputs(function, cast)):
        if y.dtype == np.float64:
            assert again.dtype == dtype, f'{dtype} became {again.dtype}'
        np.testing.assert_allclose(again.array.astype(float), y.array.astype(float),
                                   rtol=tolerance, atol=tolerance)
    found = _gradients(function, cast, seeds, where)
    for gx, again in zip(gradients, found):
        scale = max(1., float(np.abs(gx).max(initial=0.)))
        np.testing.assert_allclose(again.astype(float), gx, rtol=0, atol=3 * tolerance * scale)


def _strided(x):
    """The same values with a gap behind every element of the last axis."""
    if x.ndim == 0:
        return x
    wide = np.repeat(x, 2, axis=-1)
    return wide[..., ::2]


def _check_gpu(function, inputs, seeds, where, outputs, gradients):
    with strict_cupy.installed() as cupy:
        on_gpu = [cupy.asarray(x) for x in inputs]
        for y, again in zip(outputs, _outputs(function, on_gpu)):
            assert isinstance(again.array, strict_cupy.ndarray)
            np.testing.assert_allclose(again.array.get(), y.array, rtol=1e-6, atol=1e-9)
        found = _gradients(function, on_gpu, seeds, where)
        for gx, again in zip(gradients, found):
            again = again.get() if isinstance(again, strict_cupy.ndarray) else again
            np.testing.assert_allclose(again, gx, rtol=1e-6, atol=1e-9)

"""Check gradients that were written by hand against differences of the values."""
import numpy as np

from minichain import backend
from minichain.autograd import Variable, as_array, grad
from minichain.configuration import force_backprop_mode
from minichain.errors import InvalidArgument
from minichain.testing import assert_allclose  # noqa: F401  Chainer's path


class NondifferentiableError(Exception):
    """A function that has a kink or a jump within the step of the differences."""


def numerical_grad(f, inputs, grad_outputs, eps=1e-3, detect_nondifferentiable=False,
                   diff_atol=0, diff_rtol=1e-2, center_outputs=None):
    """Return gradients from central differences,  sum gy (y(x + eps) - y(x - eps)) / (2 eps).

    Args:
        f: callable without arguments that computes a tuple of arrays from the arrays `inputs`,
            which are changed in place in between.
        inputs: sequence of floating arrays.
        grad_outputs: sequence of arrays gy shaped as the outputs, or None for zero.
        eps: step.
        detect_nondifferentiable: look at five points for each element and raise where a parabola
            does not fit them.
        diff_atol, diff_rtol: misfit that is allowed, absolute and relative to the span of y.
        center_outputs: f() for unchanged inputs, where it is known.
    Returns:
        tuple of arrays with shapes and dtypes of `inputs`.
    Raises:
        NondifferentiableError: there is a kink.
    """
    for x in inputs:
        if x.dtype.kind != 'f':
            raise InvalidArgument(f'numerical_grad: floating inputs expected, got {x.dtype}')

    def evaluate():
        return [None if gy is None else as_array(y).copy()
                for y, gy in zip(f(), grad_outputs, strict=True)]

    center = center_outputs
    if detect_nondifferentiable and center is None:
        center = evaluate()
    results = []
    for i, x in enumerate(inputs):
        gx = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            original = x[index].copy()

            def moved(step, x=x, index=index, original=original):
                x[index] = original + step
                return evaluate()

            try:
                above, below = moved(eps), moved(-eps)
                if detect_nondifferentiable:
                    points = [below, moved(-eps / 2), center, moved(eps / 2), above]
                    for k in range(len(points[0])):
                        if points[0][k] is not None:
                            _expect_parabola([ys[k] for ys in points], diff_atol, diff_rtol, eps,
                                             f'input {i}, element {index} = {original}, '
                                             f'output {k}')
            finally:
                x[index] = original
            gx[index] = sum(
                float(((high.astype(np.float64) - low) * gy).sum()) / (2 * eps)
                for high, low, gy in zip(above, below, grad_outputs) if gy is not None)
        xp = backend.get_array_module(x)
        results.append(xp.asarray(gx.astype(x.dtype)))
    return tuple(results)


def _expect_parabola(ys, diff_atol, diff_rtol, eps, where):
    """Raise unless values at -1, -1/2, 0, 1/2, 1 (times eps) lie on a parabola."""
    ys = np.stack([backend.to_cpu(backend.get_array_module(y).asarray(y)) for y in ys])
    rounding = 8 * np.finfo(ys.dtype).eps if ys.dtype.kind == 'f' else 0
    ys = ys.reshape(5, -1).astype(np.float64)
    if not np.isfinite(ys).all():
        same = (ys == ys[:1]) | (np.isnan(ys) & np.isnan(ys[:1]))
        regular = np.isfinite(ys).all(0) | same.all(0)
        if not regular.all():
            raise NondifferentiableError(f'{where}: finite and infinite within eps = {eps}')
        ys = ys[:, np.isfinite(ys).all(0)]
    points = np.array([-1, -.5, 0, .5, 1])
    basis, _ = np.linalg.qr(np.stack([np.ones(5), points, points ** 2], 1))
    misfit = np.sqrt(((ys - basis @ (basis.T @ ys)) ** 2).mean(0))
    allowed = diff_atol + diff_rtol * np.ptp(ys, 0) + rounding * abs(ys).max(0, initial=0)
    if (misfit > allowed).any():
        worst = int((misfit - allowed).argmax())
        raise NondifferentiableError(
            f'{where}: no parabola fits the values {ys[:, worst]} at steps of eps / 2, '
            f'eps = {eps}; misfit {misfit[worst]}, allowed {allowed[worst]}. Move the input away '
            'from the kink')


def check_backward(func, x_data, y_grad, params=(), eps=1e-3, atol=1e-5, rtol=1e-4, no_grads=None,
                   dtype=None, detect_nondifferentiable=False):
    """Raise unless backward gives the gradient of forward along a random direction.

    With y = func(x) and a random d of length 1 over all inputs and params, compares
    <gx, d> of the backward pass with  <gy, (func(x + eps d) - func(x - eps d)) / 2 eps>.

    Args:
        func: callable(*Variables) -> Variable or tuple of Variables.
        x_data: array or tuple of arrays.
        y_grad: gy, array or tuple, None for zero; altogether None for a loss without axes.
        params: Parameter or tuple of those that func uses too.
        eps, atol, rtol: step and tolerances.
        no_grads: a bool for each input, True: it has no gradient, and it is an error if one
            arrives. None: the inputs that are not floating.
        dtype: floating dtype to compute in, float64 being the exact choice.
        detect_nondifferentiable: raise NondifferentiableError at a kink.
    Raises:
        AssertionError: the two differ, or gradients are missing where they should be.
    """
    xs, params, no_grads = _prepare(x_data, params, no_grads, dtype)
    saved = [(parameter, parameter.array, parameter.grad) for parameter in params]
    try:
        for parameter in params:
            parameter.grad = None
            parameter.array = _cast(parameter.array, dtype).copy()
        with force_backprop_mode():
            _check_backward(func, xs, y_grad, params, eps, atol, rtol, no_grads, dtype,
                            detect_nondifferentiable)
    finally:
        for parameter, array, gradient in saved:
            parameter.grad, parameter.array = None, array
            parameter.grad = gradient


def _prepare(x_data, params, no_grads, dtype):
    if dtype is not None and np.dtype(dtype).kind != 'f':
        raise InvalidArgument(f'gradient check: a floating dtype expected, got {dtype}')
    xs = [_cast(as_array(x), dtype) for x in _as_tuple(x_data)]
    params = _as_tuple(params)
    if no_grads is None:
        no_grads = [x.dtype.kind != 'f' for x in xs]
    if len(no_grads) != len(xs):
        raise InvalidArgument(f'no_grads: {len(xs)} bools expected, got {len(no_grads)}')
    return xs, params, list(no_grads)


def _check_backward(func, xs, y_grad, params, eps, atol, rtol, no_grads, dtype, detect):
    variables = [Variable(x.copy(), requires_grad=x.dtype.kind == 'f') for x in xs]
    targets = [x for x, skip in zip(variables, no_grads) if not skip] + list(params)
    if not targets:
        raise InvalidArgument('gradient check: an input or parameter with gradient expected')
    ys = _as_tuple(func(*variables))
    gys = _output_gradients(ys, y_grad, dtype)
    everything = variables + list(params)
    found = dict(zip(map(id, everything), grad(
        ys, everything, [Variable(y.xp.zeros_like(y.array)) if gy is None else Variable(gy)
                         for y, gy in zip(ys, gys)])))
    for i, (x, skip) in enumerate(zip(variables, no_grads)):
        if skip and found[id(x)] is not None:
            raise AssertionError(f'check_backward: input {i} has no gradient by no_grads, but '
                                 'backward gave one; let it return None')
    directions = _directions(targets)
    computed = sum(float((found[id(x)].array.astype(np.float64) * d).sum())
                   for x, d in zip(targets, directions) if found[id(x)] is not None)
    starts = [x.array.astype(np.float64) for x in targets]
    step = np.zeros(())

    def along():
        arrays = [start + float(step) * d for start, d in zip(starts, directions)]
        for x, array in zip(targets, arrays):
            x.array = array.astype(x.dtype)
        inputs = [Variable(x.array, requires_grad=x.requires_grad) for x in variables]
        return [y.array for y in _as_tuple(func(*inputs))]

    expected, = numerical_grad(along, (step,), gys, eps, detect, 0, 1e-4)
    try:
        assert_allclose(float(expected), computed, atol=atol, rtol=rtol)
    except AssertionError as error:
        lines = [f'check_backward: along one random direction the differences (eps={eps}) give '
                 f'{float(expected)!r}, backward gives {computed!r} (atol={atol}, rtol={rtol})']
        for x, start, d in zip(targets, starts, directions):
            i = [x is other for other in everything].index(True)
            lines.append(f'{f"input {i}" if i < len(variables) else f"parameter {x.name}"}: '
                         f'{start}\n  direction {d}')
            if found[id(x)] is None:
                lines.append('  no gradient came')
        raise AssertionError('\n'.join(lines)) from error


def _output_gradients(ys, y_grad, dtype):
    if y_grad is None:
        if len(ys) != 1 or ys[0].shape != ():
            raise InvalidArgument('y_grad is needed unless the function gives one loss without '
                                  f'axes; its outputs have shapes {[y.shape for y in ys]}')
        return [ys[0].xp.ones_like(ys[0].array)]
    gys = [gy if gy is None else _cast(as_array(gy), dtype) for gy in _as_tuple(y_grad)]
    described = [(y.shape, y.dtype) for y in ys]
    if len(gys) != len(ys) or any(
            gy is not None and (gy.shape, gy.dtype) != wanted
            for gy, wanted in zip(gys, described)):
        raise InvalidArgument(f'y_grad: one for each output expected, {described}, got '
                              f'{[None if gy is None else (gy.shape, gy.dtype) for gy in gys]}')
    return gys


def _directions(variables):
    """Return random arrays whose squares sum to 1, no element near zero."""
    parts = []
    for x in variables:
        part = np.random.choice([-1., 1.], x.shape) * np.random.uniform(.2, 1., x.shape)
        parts.append(np.asarray(part))
    norm = np.sqrt(sum((part ** 2).sum() for part in parts)) or 1.
    return [x.xp.asarray(part / norm) for x, part in zip(variables, parts)]


def check_double_backward(func, x_data, y_grad, x_grad_grad, params=(), params_grad_grad=(),
                          eps=1e-3, atol=1e-4, rtol=1e-3, no_grads=None, dtype=None,
                          detect_nondifferentiable=False):
    """Raise unless the gradient of the gradient is right.

    :func:`check_backward` on the function (x, gy) -> gx that the backward pass of `func` is.

    Args:
        func, x_data, y_grad, params, no_grads, dtype: as of :func:`check_backward`.
        x_grad_grad: ggx for the inputs that have gradients, array or tuple, None for zero.
        params_grad_grad: the same for `params`.
        eps, atol, rtol, detect_nondifferentiable: as of :func:`check_backward`.
    Raises:
        AssertionError: the two differ.
    """
    xs, params, no_grads = _prepare(x_data, params, no_grads, dtype)
    gys = _as_tuple(y_grad)
    count = len(xs)

    def first_order(*arguments):
        inputs, seeds = arguments[:count], iter(arguments[count:])
        # times 1, so that what is differentiated are not the leaves of the outer check
        ys = [y * 1 if y.dtype.kind == 'f' else y for y in _as_tuple(func(*inputs))]
        seeds = [Variable(y.xp.zeros_like(y.array)) if gy is None else next(seeds)
                 for y, gy in zip(ys, gys)]
        wanted = [x for x, skip in zip(inputs, no_grads) if not skip] + list(params)
        found = grad(ys, wanted, seeds, enable_double_backprop=True)
        return tuple(x * 0 if gx is None else gx * 1 for x, gx in zip(wanted, found))

    seeds = [gy for gy in gys if gy is not None]
    ggs = _as_tuple(x_grad_grad) + _as_tuple(params_grad_grad)
    check_backward(first_order, (*xs, *seeds), ggs, params, eps, atol, rtol,
                   [*no_grads, *[False] * len(seeds)], dtype, detect_nondifferentiable)


def _as_tuple(values):
    if values is None:
        return ()
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def _cast(x, dtype):
    return x.astype(dtype) if dtype is not None and x.dtype.kind == 'f' else x

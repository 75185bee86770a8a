"""Every optimizer follows its formula, written here apart, and PyTorch where that is equal."""
import math

import numpy as np
import pytest

from minichain import Chain, Parameter, optimizers
from minichain.errors import InvalidArgument
from minichain.optimizers import _elementwise
from tests import strict_cupy

STEPS = 6


def steps_of(optimizer, shape=(4, 3), dtype='float64', steps=STEPS, seed=0):
    """Run an optimizer along seeded gradients; return (start, gradients, parameter)."""
    random = np.random.RandomState(seed)
    start = random.normal(size=shape).astype(dtype)
    gradients = [random.normal(size=shape).astype(dtype) for _ in range(steps)]
    target = Chain()
    with target.init_scope():
        target.W = Parameter(start.copy())
    optimizer.setup(target)
    for gradient in gradients:
        target.W.grad = gradient.copy()
        optimizer.update()
        np.testing.assert_array_equal(target.W.grad, gradient)   # rules only read gradients
    return start, gradients, target.W


def sgd(x, gradients, lr=.01):
    for g in gradients:
        x = x - lr * g
    return x


def momentum_sgd(x, gradients, lr=.01, momentum=.9):
    v = 0
    for g in gradients:
        v = momentum * v - lr * g
        x = x + v
    return x


def corrected_momentum_sgd(x, gradients, lr=.01, momentum=.9):
    return momentum_sgd(x, gradients, lr, momentum)   # equal while lr stays the same


def nesterov_ag(x, gradients, lr=.01, momentum=.9):
    v = 0
    for g in gradients:
        v = momentum * v - lr * g
        x = x + momentum ** 2 * v - (1 + momentum) * lr * g
    return x


def ada_grad(x, gradients, lr=.001, eps=1e-8):
    for t in range(len(gradients)):
        x = x - lr * gradients[t] / (np.sqrt(sum(g ** 2 for g in gradients[:t + 1])) + eps)
    return x


def ada_delta(x, gradients, rho=.95, eps=1e-6):
    gg = dd = 0
    for g in gradients:
        gg = rho * gg + (1 - rho) * g ** 2
        d = np.sqrt(dd + eps) / np.sqrt(gg + eps) * g
        dd = rho * dd + (1 - rho) * d ** 2
        x = x - d
    return x


def rmsprop(x, gradients, lr=.01, alpha=.99, eps=1e-8, eps_inside_sqrt=False):
    ms = 0
    for g in gradients:
        ms = alpha * ms + (1 - alpha) * g ** 2
        x = x - lr * g / (np.sqrt(ms + eps) if eps_inside_sqrt else np.sqrt(ms) + eps)
    return x


def rmsprop_graves(x, gradients, lr=1e-4, alpha=.95, momentum=.9, eps=1e-4):
    n = mean = delta = 0
    for g in gradients:
        n = alpha * n + (1 - alpha) * g ** 2
        mean = alpha * mean + (1 - alpha) * g
        delta = momentum * delta - lr * g / np.sqrt(n - mean ** 2 + eps)
        x = x + delta
    return x


def smorms3(x, gradients, lr=.001, eps=1e-16):
    mem, mean, square = 1, 0, 0
    for g in gradients:
        r = 1 / (mem + 1)
        mean = (1 - r) * mean + r * g
        square = (1 - r) * square + r * g ** 2
        quotient = mean ** 2 / (square + eps)
        x = x - g * np.minimum(lr, quotient) / (np.sqrt(square) + eps)
        mem = 1 + mem * (1 - quotient)
    return x


def adam(x, gradients, alpha=.001, beta1=.9, beta2=.999, eps=1e-8, eta=1, weight_decay_rate=0,
         amsgrad=False, adabound=False, final_lr=.1, gamma=.001):
    m = v = largest = 0
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g ** 2
        largest = np.maximum(largest, v)
        rate = alpha * math.sqrt(1 - beta2 ** t) / (1 - beta1 ** t)
        rate = rate / (np.sqrt(largest if amsgrad else v) + eps)
        if adabound:
            rate = np.clip(rate, final_lr * (1 - 1 / (gamma * t + 1)),
                           final_lr * (1 + 1 / (gamma * t)))
        x = x - eta * (rate * m + weight_decay_rate * x)
    return x


def msvag(x, gradients, lr=.1, beta=.9, eta=1, weight_decay_rate=0):
    m = v = 0
    for t, g in enumerate(gradients, 1):
        m = beta * m + (1 - beta) * g
        v = beta * v + (1 - beta) * g ** 2
        mean, square = m / (1 - beta ** t), v / (1 - beta ** t)
        factor = 1
        if t > 1:
            rho = (1 - beta) * (1 + beta ** t) / (1 + beta) / (1 - beta ** t)
            factor = mean ** 2 / (mean ** 2 + rho * (square - mean ** 2) / (1 - rho))
        x = x - eta * (lr * factor * mean + weight_decay_rate * x)
    return x


CASES = [
    ('SGD', sgd, {}), ('SGD', sgd, {'lr': .5}),
    ('MomentumSGD', momentum_sgd, {}), ('MomentumSGD', momentum_sgd, {'lr': .1, 'momentum': .5}),
    ('CorrectedMomentumSGD', corrected_momentum_sgd, {'lr': .1, 'momentum': .5}),
    ('NesterovAG', nesterov_ag, {}), ('NesterovAG', nesterov_ag, {'lr': .1, 'momentum': .5}),
    ('AdaGrad', ada_grad, {}), ('AdaGrad', ada_grad, {'lr': .1, 'eps': .1}),
    ('AdaDelta', ada_delta, {}), ('AdaDelta', ada_delta, {'rho': .5, 'eps': .1}),
    ('RMSprop', rmsprop, {}), ('RMSprop', rmsprop, {'eps_inside_sqrt': True, 'eps': .1}),
    ('RMSpropGraves', rmsprop_graves, {}),
    ('RMSpropGraves', rmsprop_graves, {'lr': .1, 'alpha': .5, 'momentum': .5, 'eps': .1}),
    ('SMORMS3', smorms3, {}), ('SMORMS3', smorms3, {'lr': .5, 'eps': .1}),
    ('Adam', adam, {}),
    ('Adam', adam, {'alpha': .1, 'beta1': .5, 'beta2': .8, 'eps': .1, 'eta': .5,
                    'weight_decay_rate': .1}),
    ('Adam', adam, {'amsgrad': True, 'beta2': .3}),
    ('Adam', adam, {'adabound': True, 'gamma': .5}),
    ('MSVAG', msvag, {}), ('MSVAG', msvag, {'beta': .5, 'eta': .5, 'weight_decay_rate': .1}),
]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name, formula, options', CASES)
def test_steps_are_those_of_the_formula(name, formula, options, dtype):
    start, gradients, param = steps_of(getattr(optimizers, name)(**options), dtype=dtype)
    expected = formula(start.astype('float64'), [g.astype('float64') for g in gradients],
                       **options)
    tolerance = 1e-10 if dtype == 'float64' else 2e-4 if name == 'MSVAG' else 1e-5
    np.testing.assert_allclose(param.array, expected, rtol=tolerance, atol=tolerance)
    assert param.dtype == dtype
    assert all(value.dtype == dtype for value in param.update_rule.state.values())


@pytest.mark.parametrize('name, options, same', [
    ('AdamW', {'weight_decay_rate': .1}, {'weight_decay_rate': .1}),
    ('AMSGrad', {'beta2': .5}, {'beta2': .5, 'amsgrad': True}),
    ('AdaBound', {'gamma': .5}, {'gamma': .5, 'adabound': True}),
    ('AMSBound', {'gamma': .5}, {'gamma': .5, 'adabound': True, 'amsgrad': True})])
def test_the_family_is_adam_with_switches(name, options, same):
    start, gradients, param = steps_of(getattr(optimizers, name)(**options))
    np.testing.assert_allclose(param.array, adam(start, gradients, **same), rtol=1e-10)


@pytest.mark.parametrize('name, options, theirs, their_options', [
    ('SGD', {'lr': .1}, 'SGD', {'lr': .1}),
    ('CorrectedMomentumSGD', {'lr': .1, 'momentum': .8}, 'SGD', {'lr': .1, 'momentum': .8}),
    ('AdaGrad', {'lr': .1, 'eps': 1e-8}, 'Adagrad', {'lr': .1, 'eps': 1e-8}),
    ('AdaDelta', {'rho': .8, 'eps': 1e-3}, 'Adadelta', {'lr': 1, 'rho': .8, 'eps': 1e-3}),
    ('RMSprop', {'lr': .1, 'alpha': .8}, 'RMSprop', {'lr': .1, 'alpha': .8}),
    # PyTorch adds eps after the correction of v, so the steps are equal only where it vanishes
    ('Adam', {'alpha': .1, 'eps': 1e-14}, 'Adam', {'lr': .1, 'eps': 1e-14}),
    ('Adam', {'alpha': .1, 'eps': 1e-14, 'eta': 1, 'weight_decay_rate': .1 * .2}, 'AdamW',
     {'lr': .1, 'eps': 1e-14, 'weight_decay': .2})])
def test_steps_are_pytorch_s_where_the_formulas_are_equal(name, options, theirs, their_options):
    torch = pytest.importorskip('torch', reason='compares with PyTorch, which is not installed')
    start, gradients, param = steps_of(getattr(optimizers, name)(**options))
    other = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, theirs)([other], **their_options)
    for gradient in gradients:
        other.grad = torch.tensor(gradient)
        optimizer.step()
    # PyTorch's decay acts before the step and ours with it; they differ by decay times step
    tolerance = 2e-2 if theirs == 'AdamW' else 1e-9
    np.testing.assert_allclose(param.array, other.detach().numpy(), rtol=1e-9, atol=tolerance)


ALL = sorted({name for name, _, _ in CASES} | {'AMSGrad', 'AMSBound'})


@pytest.mark.parametrize('name', ALL)
def test_blocks_change_nothing(name, monkeypatch):
    whole = steps_of(getattr(optimizers, name)())[2].array
    monkeypatch.setattr(_elementwise, 'BLOCK', 5)
    blocks = steps_of(getattr(optimizers, name)())[2].array
    np.testing.assert_array_equal(blocks, whole)


@pytest.mark.parametrize('name', ALL)
def test_strided_parameters_and_gradients_take_the_same_steps(name, monkeypatch):
    monkeypatch.setattr(_elementwise, 'BLOCK', 5)
    expected = steps_of(getattr(optimizers, name)())
    for transposed in ('gradient', 'both'):
        optimizer, target = getattr(optimizers, name)(), Chain()
        with target.init_scope():
            start = expected[0].copy()
            target.W = Parameter(np.asfortranarray(start) if transposed == 'both' else start)
        optimizer.setup(target)
        for gradient in expected[1]:
            target.W.grad = np.asfortranarray(gradient)
            optimizer.update()
        np.testing.assert_allclose(target.W.array, expected[2].array, rtol=1e-12)


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('shape', [(), (0,), (1,)])
def test_arrays_without_axes_or_numbers_are_updated(name, shape):
    start, _, param = steps_of(getattr(optimizers, name)(), shape=shape)
    assert param.shape == shape and isinstance(param.array, np.ndarray)
    assert np.isfinite(param.array).all() and (param.array != start).all()


@pytest.mark.parametrize('name', ALL)
def test_the_array_stays_the_same_object(name):
    target = Chain()
    with target.init_scope():
        target.W = Parameter(np.ones((2, 2), 'float32'))
    array, optimizer = target.W.array, getattr(optimizers, name)().setup(target)
    target.W.grad = np.ones((2, 2), 'float32')
    optimizer.update()
    assert target.W.array is array and (array < 1).all()


@pytest.mark.parametrize('name', ALL)
def test_zero_gradients_at_the_start_make_no_step_and_no_nan(name):
    target = Chain()
    with target.init_scope():
        target.W = Parameter(np.ones(3, 'float32'))
    optimizer = getattr(optimizers, name)().setup(target)
    for _ in range(3):
        target.W.grad = np.zeros(3, 'float32')
        optimizer.update()
    np.testing.assert_array_equal(target.W.array, 1)


@pytest.mark.parametrize('name', ALL)
def test_every_optimizer_comes_down_a_bowl(name):
    """f(x) = |x|^2 / 2 with noise-free gradients: 300 steps of a fair size reach a lower value."""
    optimizer, target = getattr(optimizers, name)(), Chain()
    with target.init_scope():
        target.W = Parameter(np.array([3., -2.]))
    optimizer.setup(target)
    for _ in range(300):
        target.W.grad = target.W.array.copy()
        optimizer.update()
    assert np.linalg.norm(target.W.array) < .99 * math.sqrt(13)


def test_a_change_of_lr_acts_at_once_only_where_it_is_outside_the_velocity():
    moves = {}
    for name in ('MomentumSGD', 'CorrectedMomentumSGD'):
        optimizer, target = getattr(optimizers, name)(lr=1, momentum=.5), Chain()
        with target.init_scope():
            target.W = Parameter(np.zeros(1))
        optimizer.setup(target)
        target.W.grad = np.ones(1)
        optimizer.update()
        optimizer.lr = 0
        optimizer.update()
        moves[name] = target.W.array[0]
    assert moves == {'MomentumSGD': -1.5, 'CorrectedMomentumSGD': -1.}


@pytest.mark.parametrize('name, moment', [
    ('Adam', 'm'), ('MomentumSGD', 'v'), ('CorrectedMomentumSGD', 'v'), ('NesterovAG', 'v'),
    ('RMSpropGraves', 'delta'), ('MSVAG', 'm')])
def test_moments_of_what_gets_no_gradient_any_more_become_zero_and_not_denormal(name, moment):
    smallest, optimizer = np.finfo('float32').tiny, getattr(optimizers, name)()
    target = Chain()
    with target.init_scope():
        target.W = Parameter(np.ones((2, 5), 'float32'))
    optimizer.setup(target)
    denormal = 0
    for step in range(1500):
        target.W.grad = np.zeros((2, 5), 'float32')
        target.W.grad[0] = 1e-3 if step == 0 else 0
        target.W.grad[1] = 1e-3     # and goes on
        optimizer.update()
        values = target.W.update_rule.state[moment]
        denormal += ((values != 0) & (abs(values) < smallest)).any()
    assert (values[0] == 0).all() and (abs(values[1]) > smallest).all()
    assert denormal < _elementwise.FLUSH_EVERY


def test_adam_tells_its_corrected_step_size():
    optimizer = optimizers.Adam(alpha=.1, beta1=.5, beta2=.75)
    with pytest.raises(RuntimeError, match='none yet'):
        _ = optimizer.lr
    _, _, param = steps_of(optimizer, steps=2)
    expected = .1 * math.sqrt(1 - .75 ** 2) / (1 - .5 ** 2)
    assert optimizer.lr == optimizer.alpha_t == pytest.approx(expected)
    assert param.update_rule.lr == optimizer.lr


def test_an_eps_that_vanishes_in_the_dtype_is_refused():
    with pytest.raises(InvalidArgument, match='eps 1e-60 is zero in float32'):
        steps_of(optimizers.Adam(eps=1e-60), dtype='float32')
    steps_of(optimizers.Adam(eps=1e-60), dtype='float64')
    steps_of(optimizers.Adam(eps=0), dtype='float32')


def test_adam_in_float16_stays_near_float64():
    start, gradients, param = steps_of(optimizers.Adam(alpha=.1, eps=1e-4), dtype='float16')
    expected = adam(start.astype('float64'), [g.astype('float64') for g in gradients], alpha=.1,
                    eps=1e-4)
    assert param.dtype == 'float16'
    np.testing.assert_allclose(param.array, expected, atol=2e-2)


@pytest.mark.parametrize('name, _, options', CASES)
def test_on_a_gpu_the_steps_are_the_same(name, _, options):
    start, gradients, expected = steps_of(getattr(optimizers, name)(**options))
    with strict_cupy.installed() as cupy:
        target = Chain()
        with target.init_scope():
            target.W = Parameter(start.copy())
        optimizer = getattr(optimizers, name)(**options).setup(target)
        target.W.grad = gradients[0].copy()
        optimizer.update()          # the state follows the parameter to the GPU
        target.to_gpu()
        array = target.W.array
        for gradient in gradients[1:]:
            target.W.grad = cupy.asarray(gradient)
            optimizer.update()
        assert target.W.array is array
        np.testing.assert_allclose(array.get(), expected.array, rtol=1e-12)

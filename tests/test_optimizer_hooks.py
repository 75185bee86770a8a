"""Optimizer hooks: gradients after a hook equal formulas written here apart."""
import numpy as np
import pytest

from minichain import Chain, Parameter, optimizer_hooks, optimizers
from minichain.errors import InvalidArgument, NotFinite
from tests import strict_cupy

X = np.array([[1., -2.], [0., 4.]])
G = np.array([[3., -1.], [.5, -4.]])


def gradients_after(hook, x=X, g=G, dtype='float64', timing='auto'):
    """Return (gradient of W, gradient of b, the Chain) after one update of SGD with the hook."""
    target = Chain()
    with target.init_scope():
        target.W = Parameter(np.array(x, dtype))
        target.b = Parameter(np.array([2., 3.], dtype))
        target.frozen = Parameter(np.array([5.], dtype))
        target.shapeless = Parameter()
    optimizer = optimizers.SGD(1.).setup(target)
    target.frozen.update_rule.enabled = False
    optimizer.add_hook(hook, timing=timing)
    target.W.grad, target.b.grad = np.array(g, dtype), np.array([1., 2.], dtype)
    optimizer.update()
    assert target.frozen.grad is None and target.frozen.array == 5
    assert target.W.grad.dtype == target.W.dtype == dtype
    return target.W.grad, target.b.grad, target


def test_weight_decay_adds_the_weights():
    W, b, target = gradients_after(optimizer_hooks.WeightDecay(.1))
    np.testing.assert_allclose(W, G + .1 * X)
    np.testing.assert_allclose(b, [1.2, 2.3])
    np.testing.assert_allclose(target.W.array, X - G - .1 * X)


def test_weight_decay_of_large_and_of_strided_arrays_is_the_same(monkeypatch):
    monkeypatch.setattr(optimizer_hooks, 'BLOCK', 7)
    random = np.random.RandomState(0)
    x, g = random.randn(9, 8), random.randn(9, 8)
    for array, gradient in ((x, g), (np.asfortranarray(x), g), (x, np.asfortranarray(g))):
        found, _, _ = gradients_after(optimizer_hooks.WeightDecay(.1), array, gradient)
        np.testing.assert_allclose(found, g + .1 * x, rtol=1e-12)


def test_lasso_adds_the_signs():
    np.testing.assert_allclose(gradients_after(optimizer_hooks.Lasso(.1))[0],
                               G + .1 * np.array([[1, -1], [0, 1]]))


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
@pytest.mark.parametrize('threshold', [.5, 1e4])
def test_clipping_scales_all_gradients_by_one_factor(threshold, dtype):
    norm = np.sqrt((G ** 2).sum() + 1 + 4)
    factor = min(1, threshold / norm)
    W, b, _ = gradients_after(optimizer_hooks.GradientClipping(threshold), dtype=dtype)
    tolerance = 2e-3 if dtype == 'float16' else 1e-6
    np.testing.assert_allclose(W, factor * G, rtol=tolerance)
    np.testing.assert_allclose(b, [factor, 2 * factor], rtol=tolerance)


def test_clipping_equals_pytorch_s():
    torch = pytest.importorskip('torch', reason='compares with PyTorch, which is not installed')
    parameters = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2))]
    parameters[0].grad, parameters[1].grad = torch.tensor(G).float(), torch.tensor([1., 2.])
    torch.nn.utils.clip_grad_norm_(parameters, 2.)
    W, b, _ = gradients_after(optimizer_hooks.GradientClipping(2.), dtype='float32')
    np.testing.assert_allclose(W, parameters[0].grad.numpy(), rtol=1e-5)
    np.testing.assert_allclose(b, parameters[1].grad.numpy(), rtol=1e-5)


def test_clipping_leaves_zero_gradients_alone():
    target = Chain()
    with target.init_scope():
        target.W = Parameter(np.ones(2))
    optimizer = optimizers.SGD().setup(target)
    optimizer.add_hook(optimizer_hooks.GradientClipping(1))
    target.W.grad = np.zeros(2)
    optimizer.update()
    np.testing.assert_array_equal(target.W.array, 1)


def test_clipping_of_large_float16_gradients_does_not_overflow():
    W, _, _ = gradients_after(optimizer_hooks.GradientClipping(1), g=G * 1000, dtype='float16')
    assert np.isfinite(W).all() and np.linalg.norm(W.astype('float64')) == pytest.approx(1, .01)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_clipping_names_the_parameter_whose_gradient_is_not_finite_and_changes_nothing(bad):
    target = Chain()
    with target.init_scope():
        target.W, target.b = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optimizers.SGD().setup(target)
    optimizer.add_hook(optimizer_hooks.GradientClipping(1))
    target.W.grad, target.b.grad = np.ones(2), np.array([1, bad])
    with pytest.raises(NotFinite, match='in /b. No parameter was changed'):
        optimizer.update()
    np.testing.assert_array_equal(target.W.array, 1)
    assert optimizer.t == 0


def test_clipping_says_when_finite_gradients_have_no_finite_norm():
    with pytest.raises(NotFinite, match='too large'):
        gradients_after(optimizer_hooks.GradientClipping(1), g=G * 1e20, dtype='float32')


@pytest.mark.parametrize('threshold', [0, -1, float('nan')])
def test_clipping_refuses_a_threshold_that_is_not_above_zero(threshold):
    with pytest.raises(InvalidArgument, match='above zero'):
        optimizer_hooks.GradientClipping(threshold)


def test_hard_clipping_clips_every_number():
    np.testing.assert_array_equal(gradients_after(optimizer_hooks.GradientHardClipping(-1, .7))[0],
                                  [[.7, -1], [.5, -1]])


def test_noise_has_a_variance_that_decays_with_time():
    target = Chain()
    with target.init_scope():
        target.W = Parameter(np.zeros(20000, 'float32'))
    optimizer = optimizers.SGD(0).setup(target)
    optimizer.add_hook(optimizer_hooks.GradientNoise(.5))
    np.random.seed(0)
    for t in range(3):
        target.W.grad = np.zeros(20000, 'float32')
        optimizer.update()
        assert target.W.grad.std() == pytest.approx(np.sqrt(.5 / (1 + t) ** .55), rel=.02)


def test_noise_can_come_from_the_user():
    def noise(xp, shape, dtype, hook, rule):
        return xp.full(shape, hook.eta + rule.t, dtype)

    hook = optimizer_hooks.GradientNoise(2., noise_func=noise)
    np.testing.assert_allclose(gradients_after(hook)[0], G + 2)


@pytest.mark.parametrize('decay', [0, .2])
def test_lars_gives_each_parameter_its_own_rate(decay):
    W, _, _ = gradients_after(optimizer_hooks.GradientLARS(.01, decay, 1e-3))
    norms = np.linalg.norm(X), np.linalg.norm(G)
    rate = norms[0] / (1e-3 + norms[1] + decay * norms[0])
    np.testing.assert_allclose(W, rate * (G + decay * X))
    W, _, _ = gradients_after(optimizer_hooks.GradientLARS(100., decay))
    np.testing.assert_allclose(W, G + decay * X)   # below the threshold the rate is 1


@pytest.mark.parametrize('name, arguments', [
    ('WeightDecay', (.1,)), ('Lasso', (.1,)), ('GradientClipping', (.5,)),
    ('GradientHardClipping', (-1, .7)), ('GradientLARS', (.01, .2)), ('GradientNoise', (.1,))])
def test_on_a_gpu_the_gradients_are_the_same(name, arguments):
    np.random.seed(0)
    expected, _, _ = gradients_after(getattr(optimizer_hooks, name)(*arguments))
    with strict_cupy.installed() as cupy:
        target = Chain()
        with target.init_scope():
            target.W, target.b = Parameter(X.copy()), Parameter(np.array([2., 3.]))
        target.to_gpu()
        optimizer = optimizers.SGD(1.).setup(target)
        optimizer.add_hook(getattr(optimizer_hooks, name)(*arguments))
        target.W.grad, target.b.grad = cupy.asarray(G), cupy.asarray([1., 2.])
        np.random.seed(0)
        optimizer.update()
        np.testing.assert_allclose(target.W.grad.get(), expected, rtol=1e-12)

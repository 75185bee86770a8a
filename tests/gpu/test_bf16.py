"""config.precision 'bf16' on the device 'sim': what is bfloat16, what stays float32, how near."""
import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import optimizers
from minichain.configuration import using_config
from minichain.gpu import compile_step
from minichain.gpu.casts import as_float32, as_stored
from minichain.gpu.precision import from_bfloat16, to_bfloat16
from minichain.gpu.simulator.builder import missing
from tests.gpu import test_sim_device
from tests.gpu.test_sim_device import FEATURES, IDS, learn, make_learner

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
SIM = minichain.get_device('sim')
# How far losses may be from those in float32. A product's operands have 8 bits: 2 ** -9 of a
# number is lost at each, to all sides, so that a mean over words loses less.
NEAR = .01


@pytest.fixture
def bf16():
    with using_config('precision', 'bf16'):
        yield


def rounded(x):
    return from_bfloat16(to_bfloat16(x)).astype('float64')


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype('float32')


@pytest.mark.parametrize('inject', ['first', 'state'])
def test_a_caption_generator_learns_nearly_as_in_float32(inject, launched):
    expected = learn(make_learner('sim', inject=inject, n_layers=2), 12)
    launched.clear()
    with using_config('precision', 'bf16'):
        learner = make_learner('sim', inject=inject, n_layers=2)
        found = learn(learner, 12)
    assert found == pytest.approx(expected, rel=NEAR) and found != expected
    assert {'lstm_forward_bfloat16', 'lstm_backward_bfloat16',
            'softmax_cross_entropy_bfloat16', 'narrow_bfloat16'} <= set(launched)
    assert not {'lstm_forward_float32', 'softmax_cross_entropy_float32'} & set(launched)


def test_it_learns_its_captions_by_heart(bf16):
    learner = make_learner('sim')
    losses = learn(learner, 120)
    assert losses[-1] < .05 * losses[0]
    said = learner.say(learner.device.send(FEATURES), 6)
    assert [list(found.words) for found in said] == [list(ids[1:-1]) for ids in IDS]


def test_weights_gradients_and_moments_stay_float32(bf16):
    learner = make_learner('sim')
    learn(learner, 2)
    for path, parameter in learner.model.namedparams():
        assert parameter.array.dtype == parameter.grad.dtype == np.float32, path
        state = parameter.update_rule.state
        assert all(state[name].dtype == np.float32 for name in ('m', 'v')), path
        # an update that is smaller than a bfloat16 can tell is not lost
        assert (parameter.array.get() != rounded(parameter.array.get())).any(), path


def test_two_deterministic_runs_agree_in_every_bit(bf16):
    with using_config('deterministic', True):
        runs = []
        for _ in range(2):
            learner = make_learner('sim', dropout=.2)
            losses = learn(learner, 5)
            runs.append((losses, {path: parameter.array.get().tobytes()
                                  for path, parameter in learner.model.namedparams()}))
    assert runs[0] == runs[1]


def test_losses_of_a_split_are_nearly_those_of_float32():
    """Without a way back scores are computed in parts, too."""
    x, W, b = normal(5, 8), normal(9, 8, seed=1), normal(9, seed=2)
    t = np.array([0, 8, -1, 3, 3])
    losses = []
    for precision in ('float32', 'bf16'):
        with using_config('precision', precision), minichain.no_backprop_mode():
            losses.append(float(F.linear_softmax_cross_entropy(
                *map(SIM.send, (x, W, b, t))).array))
    assert losses[1] == pytest.approx(losses[0], rel=NEAR) and losses[0] != losses[1]


@pytest.mark.parametrize('transa', [False, True])
@pytest.mark.parametrize('transb', [False, True])
def test_products_are_those_of_rounded_operands_added_up_in_float32(transa, transb, bf16):
    a, b = normal(*(7, 5) if transa else (5, 7)), normal(*(4, 7) if transb else (7, 4), seed=1)
    found = F.matmul(SIM.send(a), SIM.send(b), transa, transb).array
    a, b = (rounded(each).T if turned else rounded(each)
            for each, turned in ((a, transa), (b, transb)))
    np.testing.assert_allclose(found.get(), a @ b, rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32


def test_an_affine_map_rounds_its_operands_and_not_its_bias(bf16):
    x, W, b = normal(6, 5), normal(3, 5, seed=1), normal(3, seed=2)
    found = F.linear(*map(SIM.send, (x[::2], W, b))).array
    np.testing.assert_allclose(found.get(), rounded(x[::2]) @ rounded(W).T + b, rtol=1e-5,
                               atol=1e-6)


def test_a_sequence_s_gradients_are_nearly_those_of_float32():
    sizes, arrays = [3, 3, 2, 1], (normal(9, 8), normal(8, 2, seed=1), normal(4, 2, seed=2),
                                   normal(4, 2, seed=3))
    weights = [normal(*shape, seed=5) for shape in ((9, 2), (4, 2), (4, 2))]
    results = []
    for precision in ('float32', 'bf16'):
        with using_config('precision', precision):
            variables = [minichain.Variable(SIM.send(array)) for array in arrays]
            outputs = F.lstm_sequence(*variables, sizes)
            sum(F.sum(y * SIM.send(w)) for y, w in zip(outputs, weights)).backward()
            results.append([*outputs, *(variable.grad for variable in variables)])
    for exact, found in zip(*results):
        exact, found = (minichain.to_cpu(minichain.as_array(each)) for each in (exact, found))
        assert found.dtype == np.float32
        assert 0 < np.abs(found - exact).max() < .02 * np.abs(exact).max()


def test_the_way_back_is_that_of_the_way_forward_whatever_the_switch_is_by_then():
    x, W, b = (SIM.send(array) for array in (normal(5, 8), normal(8, 2), normal(9, 2)))
    grads = []
    for ends_early in (False, True):
        variables = [minichain.Variable(each) for each in (x, W, b)]
        with using_config('precision', 'bf16'):
            zeros = SIM.xp.zeros((3, 2), 'float32')
            hs, _, _ = F.lstm_sequence(*variables[:2], zeros, zeros, [3, 2])
            loss = F.linear_softmax_cross_entropy(hs, variables[2], None, SIM.send(
                np.array([0, 8, -1, 3, 3])))
            if not ends_early:
                loss.backward()
        if ends_early:
            loss.backward()
        grads.append([variable.grad.get() for variable in variables])
    for one, other in zip(*grads):
        np.testing.assert_array_equal(one, other)


def test_the_step_does_not_wait_for_the_device(bf16):
    test_sim_device.test_the_step_of_training_does_not_wait_for_the_device()


def test_storage_is_bfloat16_only_where_it_is_asked_for():
    x = SIM.send(normal(3, 5))
    assert as_stored(x) is x and as_float32(x) is x
    with using_config('precision', 'bf16'):
        stored = as_stored(x.T)
        assert stored.dtype == np.uint16 and as_stored(stored) is stored
    np.testing.assert_array_equal(stored.get(), to_bfloat16(x.get().T))
    np.testing.assert_array_equal(as_float32(stored).get(), rounded(x.get().T))


def test_on_the_cpu_the_precision_changes_nothing():
    expected = learn(make_learner('cpu'), 3)
    with using_config('precision', 'bf16'):
        assert learn(make_learner('cpu'), 3) == expected


def variables(*arrays):
    return [minichain.Variable(SIM.send(array)) for array in arrays]


@pytest.mark.parametrize('turned', [False, True])
def test_an_affine_map_rounds_each_operand_once_and_so_does_its_way_back(turned, launched, bf16):
    x, W, b, gy = normal(6, 5), normal(3, 5, seed=1), normal(3, seed=2), normal(6, 3, seed=3)
    operands = variables(x, W, b)
    if turned:
        operands[1].array = SIM.xp.ascontiguousarray(operands[1].array.T).T
    y = F.linear(*operands)
    assert launched.count('narrow_bfloat16') == 2
    y.grad = SIM.send(gy)
    y.backward()
    assert launched.count('narrow_bfloat16') == 3
    expected = rounded(gy) @ rounded(W), rounded(gy).T @ rounded(x), gy.astype('float64').sum(0)
    for variable, gradient in zip(operands, expected):
        assert variable.grad.dtype == np.float32
        np.testing.assert_allclose(variable.grad.get(), gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('wanted', [(True, False), (False, True)])
def test_gradients_of_an_affine_map_that_nobody_wants_are_not_computed(wanted, bf16):
    operands = variables(normal(6, 5), normal(3, 5))
    for variable, is_wanted in zip(operands, wanted):
        variable.requires_grad = is_wanted
    F.sum(F.linear(*operands)).backward()
    assert [variable.grad is not None for variable in operands] == list(wanted)


def test_scores_of_a_vocabulary_round_their_operands_once(launched, bf16):
    x, W, b = normal(5, 8), normal(9, 8, seed=1), normal(9, seed=2)
    t = np.array([0, 8, -1, 3, 3])
    operands = variables(x, W, b)
    loss = F.linear_softmax_cross_entropy(*operands, SIM.send(t))
    loss.backward()
    assert launched.count('narrow_bfloat16') == 3      # both operands and the bias
    scores = rounded(x) @ rounded(W).T + b
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    e[np.arange(5), t] -= 1
    e *= (t >= 0)[:, None] / 4
    for variable, gradient in zip(operands, (e @ rounded(W), e.T @ rounded(x), e.sum(axis=0))):
        error = np.abs(variable.grad.get() - gradient).max()
        assert 0 < error < .02 * np.abs(gradient).max()


@pytest.mark.parametrize('state_is_wanted', [False, True])
def test_a_sequence_rounds_weights_states_and_outputs_once(state_is_wanted, launched, bf16):
    operands = variables(normal(9, 8), normal(8, 2, seed=1), normal(4, 2, seed=2),
                         normal(4, 2, seed=3))
    operands[2].requires_grad = state_is_wanted
    hs, _, _ = F.lstm_sequence(*operands, [3, 3, 2, 1])
    assert launched.count('narrow_bfloat16') == 3      # x, W, h0
    F.sum(hs).backward()
    assert launched.count('narrow_bfloat16') == 4      # and the gradient of hs
    assert operands[1].grad.dtype == np.float32


def test_the_way_back_knows_the_weights_of_the_way_forward(bf16):
    operands = variables(normal(6, 5), normal(3, 5, seed=1))
    y = F.linear(*operands)
    operands[1].array[...] = 0.
    F.sum(y).backward()
    expected = np.ones((6, 3)) @ rounded(normal(3, 5, seed=1))
    np.testing.assert_allclose(operands[0].grad.get(), expected, rtol=1e-5, atol=1e-5)


def test_whoever_writes_to_a_weight_between_two_steps_finds_it_in_the_next(bf16):
    """In a captured step too: no copy of a weight is kept from one step to another."""
    layer = L.Linear(5, 3)
    layer.to_device(SIM)
    optimizer = optimizers.SGD(.5).setup(layer)

    def update(x):
        y = layer(x)
        layer.cleargrads()
        F.sum(y).backward()
        optimizer.update()
        return y
    x = SIM.send(normal(6, 5))
    run = compile_step(update, x, state=(optimizer,))
    for step in range(6):
        W = normal(3, 5, seed=step)
        layer.W.array[...] = SIM.send(W)    # in place, unseen
        layer.b.array.fill(0)
        np.testing.assert_allclose(run(x).get(), rounded(normal(6, 5)) @ rounded(W).T,
                                   rtol=1e-5, atol=1e-5)
    assert run.captures == 1

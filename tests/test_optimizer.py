"""Optimizer, update rules, hyperparameters, hooks, what a file holds."""
import copy
from pathlib import Path

import numpy as np
import pytest

import minichain
from minichain import Chain, Parameter, optimizer_hooks, optimizers
from minichain.errors import DataError, InvalidArgument, InvalidType, MinichainError
from minichain.optimizer import GradientMethod, Hyperparameter, Optimizer, UpdateRule


class Saver:
    """Writes into a flat dict; speaks Chainer's serializer protocol."""

    def __init__(self, target=None, path=''):
        self.target, self.path = {} if target is None else target, path

    def __getitem__(self, key):
        return type(self)(self.target, f'{self.path}{key}/')

    def __call__(self, key, value):
        self.target[self.path + key] = np.array(value)
        return value

    def save(self, thing):
        thing.serialize(self)
        return self.target


class Loader:
    """Reads from a flat dict; a missing entry is a KeyError, or the old value if not strict."""

    def __init__(self, source, strict=True, path=''):
        self.source, self.strict, self.path = source, strict, path

    def __getitem__(self, key):
        return type(self)(self.source, self.strict, f'{self.path}{key}/')

    def __call__(self, key, value):
        if not self.strict and self.path + key not in self.source:
            return value
        loaded = self.source[self.path + key]
        if isinstance(value, np.ndarray):
            np.copyto(value, loaded)
            return value
        return loaded if value is None else type(value)(loaded)

    def load(self, thing):
        thing.serialize(self)


def make_target(dtype='float64'):
    """A tree: /W, /child/W with gradients, /unused without, /shapeless without array."""
    target, child = Chain(), Chain()
    with child.init_scope():
        child.W = Parameter(np.arange(1., 4).astype(dtype))
    with target.init_scope():
        target.W = Parameter(np.ones((2, 2), dtype))
        target.unused = Parameter(np.full(2, 3, dtype))
        target.shapeless = Parameter()
        target.child = child
    return target


def set_gradients(target, step=0):
    target.cleargrads()
    random = np.random.RandomState(step)
    for param in (target.W, target.child.W):
        param.grad = random.normal(size=param.shape).astype(param.dtype)


def values(target):
    return {path: param.array.copy() for path, param in target.namedparams(include_uninit=False)}


def loss_of(target):
    x = target.W * target.W
    return x[0, 0] + x[0, 1] + 2 * x[1, 0] + 3 * x[1, 1]


def test_setup_returns_the_optimizer_and_gives_every_parameter_its_rule():
    target, optimizer = make_target(), optimizers.Adam()
    assert optimizer.setup(target) is optimizer
    assert optimizer.target is target
    rules = [param.update_rule for param in target.params()]
    assert len({id(rule) for rule in rules}) == 4
    assert all(isinstance(rule, UpdateRule) and rule.state is None for rule in rules)


def test_only_a_link_can_be_set_up():
    with pytest.raises(InvalidType, match='Link expected, got ndarray'):
        optimizers.SGD().setup(np.zeros(3))


@pytest.mark.parametrize('action', [
    lambda optimizer: optimizer.update(), lambda optimizer: optimizer.add_hook(print),
    lambda optimizer: optimizer.remove_hook('x'), lambda optimizer: optimizer.call_hooks(),
    lambda optimizer: optimizer.serialize(Saver())])
def test_an_optimizer_without_target_says_what_to_do(action):
    with pytest.raises(MinichainError, match=r'call setup\(link\) first'):
        action(optimizers.SGD())
    with pytest.raises(RuntimeError):
        action(optimizers.SGD())


@pytest.mark.parametrize('name', ['SGD', 'MomentumSGD', 'Adam', 'SMORMS3'])
def test_a_parameter_without_gradient_counts_as_having_zeros(name):
    target, given = make_target(), make_target()
    for it in (target, given):
        optimizer = getattr(optimizers, name)().setup(it)
        optimizer.add_hook(optimizer_hooks.WeightDecay(.1))
        for step in range(2):
            set_gradients(it, step)
            if it is given:
                it.unused.grad = np.zeros(2)
            optimizer.update()
    assert (target.unused.array != 3).all()   # by weight decay
    np.testing.assert_array_equal(target.unused.array, given.unused.array)
    assert target.shapeless.update_rule.state is None


def test_a_frozen_link_gets_no_state_and_its_values_stay():
    target = make_target()
    optimizer = optimizers.Adam().setup(target)
    target.child.disable_update()
    set_gradients(target)
    optimizer.update()
    np.testing.assert_array_equal(target.child.W.array, [1, 2, 3])
    assert target.child.W.update_rule.state is None
    target.child.enable_update()
    optimizer.update()
    assert target.child.W.update_rule.t == 1
    assert (target.child.W.array != [1, 2, 3]).all()


def test_decay_reaches_unused_parameters_but_not_frozen_ones():
    target = make_target()
    optimizer = optimizers.SGD(1.).setup(target)
    optimizer.add_hook(optimizer_hooks.WeightDecay(.5))
    target.child.disable_update()
    target.W.grad = np.zeros((2, 2))
    optimizer.update()
    np.testing.assert_array_equal(target.unused.array, 1.5)
    np.testing.assert_array_equal(target.child.W.array, [1, 2, 3])
    assert target.child.W.grad is None and target.shapeless.array is None


def test_update_with_a_loss_function_clears_computes_and_steps():
    target = make_target()
    optimizer = optimizers.SGD(.1).setup(target)
    target.W.grad = np.full((2, 2), 1e9)
    optimizer.update(lambda chain, scale: scale * loss_of(chain), target, scale=2)
    np.testing.assert_allclose(target.W.grad, [[4, 4], [8, 12]])
    np.testing.assert_allclose(target.W.array, [[.6, .6], [.2, -.2]])
    assert optimizer.t == 1
    np.testing.assert_array_equal(target.child.W.grad, 0)
    optimizer.use_cleargrads(False)
    optimizer.update(loss_of, target)
    np.testing.assert_array_equal(target.child.W.grad, 0)


def test_gradients_add_up_between_updates():
    target = make_target()
    optimizer = optimizers.SGD(.1).setup(target)
    for _ in range(2):
        loss_of(target).backward()
    optimizer.update()
    np.testing.assert_allclose(target.W.array, [[.6, .6], [.2, -.2]])


def test_hyperparameters_can_be_set_at_any_time_for_all_and_for_one():
    target = make_target()
    optimizer = optimizers.SGD(.5)
    optimizer.lr = .25
    optimizer.setup(target)
    optimizer.lr = 1.
    target.W.update_rule.hyperparam.lr = 10.
    target.W.grad, target.child.W.grad = np.ones((2, 2)), np.ones(3)
    optimizer.update()
    np.testing.assert_array_equal(target.W.array, -9)
    np.testing.assert_array_equal(target.child.W.array, [0, 1, 2])
    assert optimizer.lr == 1.


def test_hyperparameters_fall_back_to_the_parent():
    parent = Hyperparameter()
    parent.lr, parent.eps = .1, 1
    child = Hyperparameter(parent)
    child.eps = 2
    assert (child.lr, child.eps, parent.eps) == (.1, 2, 1)
    assert child.parent is parent
    assert child.get_dict() == {'lr': .1, 'eps': 2}
    assert repr(child) == 'Hyperparameter(eps=2, lr=0.1)'
    with pytest.raises(AttributeError, match="no hyperparameter 'alpha'"):
        _ = child.alpha
    clone = copy.deepcopy(child)
    clone.parent.lr = 5
    assert (clone.lr, child.lr) == (5, .1)


def test_a_rule_alone_has_the_defaults_and_refuses_unknown_names():
    rule = optimizers.adam.AdamRule(alpha=3)
    assert rule.hyperparam.alpha == 3 and rule.hyperparam.beta1 == .9
    with pytest.raises(TypeError, match="no hyperparameter 'lr'.*alpha, beta1"):
        optimizers.adam.AdamRule(lr=3)


def test_hooks_run_in_order_at_their_time():
    calls = []

    class Hook:
        call_for_each_param, timing, name = True, 'post', 'after'

        def __call__(self, rule, param):
            calls.append((self.name, rule is param.update_rule))

    target = Chain()
    with target.init_scope():
        target.W = Parameter(np.ones(2))
    optimizer = optimizers.SGD().setup(target)
    optimizer.add_hook(Hook())
    optimizer.add_hook(lambda it: calls.append(('first', it.t)), 'first')
    optimizer.add_hook(lambda it: calls.append(('second', it.t)), 'second')
    optimizer.add_hook(lambda it: calls.append(('last', it.t)), 'last', timing='post')
    target.W.update_rule.add_hook(lambda rule, param: calls.append(('rule', rule.t)), 'rule')
    target.W.update_rule.add_hook(lambda rule, param: calls.append(('end', param.array[0])),
                                  'end', timing='post')
    target.W.grad = np.ones(2)
    optimizer.update()
    assert calls == [('first', 0), ('second', 0), ('rule', 1), ('end', .99), ('after', True),
                     ('last', 1)]
    calls.clear()
    optimizer.remove_hook('first')
    target.W.update_rule.remove_hook('rule')
    optimizer.update()
    assert [name for name, _ in calls] == ['second', 'end', 'after', 'last']


def test_hooks_that_make_no_sense_are_refused():
    optimizer = optimizers.SGD().setup(make_target())
    optimizer.add_hook(optimizer_hooks.WeightDecay(.1))
    with pytest.raises(KeyError, match='WeightDecay'):
        optimizer.add_hook(optimizer_hooks.WeightDecay(.2))
    optimizer.add_hook(optimizer_hooks.WeightDecay(.2), 'again')
    with pytest.raises(TypeError, match='callable expected, got int'):
        optimizer.add_hook(3)
    with pytest.raises(ValueError, match="got 'later'"):
        optimizer.add_hook(print, timing='later')
    with pytest.raises(KeyError, match='there are: WeightDecay, again'):
        optimizer.remove_hook('Lasso')


def test_setup_forgets_hooks_and_counts():
    target = make_target()
    optimizer = optimizers.SGD().setup(target)
    optimizer.add_hook(optimizer_hooks.WeightDecay(.1))
    set_gradients(target)
    optimizer.update()
    optimizer.new_epoch()
    optimizer.setup(target)
    assert (optimizer.t, optimizer.epoch) == (0, 0)
    optimizer.add_hook(optimizer_hooks.WeightDecay(.1))


def test_epochs_are_counted_by_one_side_only():
    optimizer = optimizers.SGD().setup(make_target())
    optimizer.new_epoch()
    with pytest.raises(RuntimeError, match='use_auto_new_epoch = True'):
        optimizer.new_epoch(auto=True)
    optimizer.use_auto_new_epoch = True
    optimizer.new_epoch(auto=True)
    with pytest.raises(RuntimeError, match='do not call it yourself'):
        optimizer.new_epoch()
    assert optimizer.epoch == 2


def test_a_user_s_own_rule_and_optimizer_work():
    class Rule(UpdateRule):
        def init_state(self, param):
            self.state['count'] = 0

        def update_core_cpu(self, param):
            self.state['count'] += 1
            param.array -= self.hyperparam.rate * np.sign(param.grad)

    class Signs(GradientMethod):
        def __init__(self, rate):
            super().__init__()
            self.hyperparam.rate = rate

        def create_update_rule(self):
            return Rule(self.hyperparam)

    target = make_target()
    optimizer = Signs(.5).setup(target)
    target.W.grad = np.array([[1., -1], [0, 2]])
    optimizer.update()
    np.testing.assert_array_equal(target.W.array, [[.5, 1.5], [1, .5]])
    assert target.W.update_rule.state == {'count': 1}
    saved = Saver().save(optimizer)
    fresh = Signs(.5).setup(make_target())
    Loader(saved).load(fresh)
    assert fresh.target.W.update_rule.state == {'count': 1}
    assert type(fresh.target.W.update_rule.state['count']) is int


def test_unfinished_classes_say_what_is_missing():
    target = make_target()
    with pytest.raises(NotImplementedError, match='which rule'):
        GradientMethod().setup(target)
    with pytest.raises(NotImplementedError, match='how to update'):
        Optimizer().update()
    rule = UpdateRule()
    target.W.grad = np.ones((2, 2))
    with pytest.raises(NotImplementedError, match='how to update'):
        rule.update(target.W)


def test_float16_parameters_can_be_updated_in_float32():
    steps = {}
    for fp32 in (False, True):
        target = make_target('float16')
        optimizer = optimizers.SGD(1e-4)
        optimizer.use_fp32_update(fp32)
        optimizer.setup(target)
        for _ in range(20):
            target.W.grad = np.ones((2, 2), 'float16')
            optimizer.update()
        assert target.W.dtype == 'float16' and target.W.grad.dtype == 'float16'
        steps[fp32] = target.W.array[0, 0]
    assert steps[False] == 1                       # 1 - 0.0001 is 1 in float16
    assert steps[True] == np.float16(1 - 20e-4)


def test_states_of_a_float32_update_are_float32():
    target = make_target('float16')
    optimizer = optimizers.Adam().setup(target)
    optimizer.use_fp32_update()
    set_gradients(target)
    optimizer.update()
    assert {v.dtype for v in target.W.update_rule.state.values()} == {np.dtype('float32')}


@pytest.mark.parametrize('scale', [8., 1024.])
def test_a_loss_scale_changes_no_step(scale):
    results = []
    for chosen in (None, scale):
        target = make_target()
        optimizer = optimizers.SGD(.1).setup(target)
        if chosen:
            optimizer.set_loss_scale(chosen)
        optimizer.update(loss_of, target)
        results.append(values(target))
    np.testing.assert_allclose(results[1]['/W'], results[0]['/W'])


def test_a_dynamic_loss_scale_leaves_out_updates_with_overflow():
    target = make_target('float16')
    optimizer = optimizers.SGD(.01).setup(target)
    optimizer.loss_scaling(interval=2)
    scales = []
    for factor in (1, 1, 1, 1, 60000, 1):
        before = target.W.array.copy()
        with np.errstate(over='ignore', invalid='ignore'):
            optimizer.update(lambda factor=factor: loss_of(target) * np.float16(factor))
        scales.append(optimizer._loss_scale)
        assert (before != target.W.array).all() == (factor == 1) == optimizer.is_safe_to_update()
    assert scales == [1, 2, 2, 4, 2, 2]
    optimizer.loss_scaling(scale=16.)
    assert optimizer._loss_scale == 16
    with pytest.raises(InvalidArgument, match='got 0'):
        optimizer.loss_scaling(interval=0)


def test_non_finite_gradients_are_found_when_asked():
    target = make_target()
    optimizer = optimizers.SGD().setup(target)
    set_gradients(target)
    optimizer.check_nan_in_grads()
    assert optimizer.is_safe_to_update()
    target.child.W.grad[1] = np.nan
    optimizer.check_nan_in_grads()
    assert not optimizer.is_safe_to_update()


STATE = {'SGD': [], 'MomentumSGD': ['v'], 'CorrectedMomentumSGD': ['v'], 'NesterovAG': ['v'],
         'AdaGrad': ['h'], 'AdaDelta': ['msg', 'msdx'], 'RMSprop': ['ms'],
         'RMSpropGraves': ['n', 'g', 'delta'], 'SMORMS3': ['mem', 'g', 'g2'], 'Adam': ['m', 'v'],
         'AMSGrad': ['m', 'v', 'vhat'], 'MSVAG': ['m', 'v']}


@pytest.mark.parametrize('name', STATE)
def test_a_file_holds_chainer_s_entries_and_a_resumed_run_takes_the_same_steps(name):
    target = make_target('float32')
    optimizer = getattr(optimizers, name)().setup(target)
    for step in range(3):
        set_gradients(target, step)
        optimizer.update()
    optimizer.new_epoch()
    saved = Saver().save(optimizer)
    expected = {'t', 'epoch', 'shapeless/t'} | {
        f'{path}/{key}' for path in ('W', 'unused', 'child/W') for key in ['t', *STATE[name]]}
    assert set(saved) == expected
    assert saved['t'] == saved['W/t'] == 3 and saved['epoch'] == 1

    resumed = copy.deepcopy(target)
    other = getattr(optimizers, name)().setup(resumed)
    Loader(saved).load(other)
    assert (other.t, other.epoch) == (3, 1)
    for step in range(3, 6):
        for it in (optimizer, other):
            set_gradients(it.target, step)
            it.update()
    for path, value in values(target).items():
        np.testing.assert_array_equal(values(resumed)[path], value, path)


def test_loading_replaces_earlier_state():
    saved = Saver().save(optimizers.Adam().setup(make_target()))
    target = make_target()
    optimizer = optimizers.Adam().setup(target)
    set_gradients(target)
    optimizer.update()
    Loader(saved).load(optimizer)
    assert optimizer.t == target.W.update_rule.t == 0
    assert target.W.update_rule.state is None


def test_state_of_another_shape_is_refused_with_its_path():
    target = make_target()
    optimizer = optimizers.MomentumSGD().setup(target)
    set_gradients(target)
    optimizer.update()
    saved = Saver().save(optimizer)
    for damage in (np.zeros(1), np.zeros(3, 'int64')):
        saved['child/W/v'] = damage
        with pytest.raises(DataError, match=r'/child/W/v has shape \(3,\) and dtype float64 in'):
            Loader(saved).load(optimizers.MomentumSGD().setup(make_target()))


def test_loaded_state_takes_the_precision_of_the_parameter():
    target = make_target('float64')
    optimizer = optimizers.MomentumSGD().setup(target)
    set_gradients(target)
    optimizer.update()
    for dtype, fp32, expected in (('float32', False, 'float32'), ('float16', False, 'float16'),
                                  ('float16', True, 'float32')):
        resumed = optimizers.MomentumSGD()
        resumed.use_fp32_update(fp32)
        resumed.setup(make_target(dtype))
        Loader(Saver().save(optimizer)).load(resumed)
        assert resumed.target.W.update_rule.state['v'].dtype == expected


def test_loaded_state_is_a_copy_of_its_own():
    target = make_target()
    optimizer = optimizers.MomentumSGD().setup(target)
    set_gradients(target)
    optimizer.update()
    saved = Saver().save(optimizer)
    before = saved['W/v'].copy()
    resumed = optimizers.MomentumSGD().setup(make_target())
    Loader(saved).load(resumed)
    set_gradients(resumed.target, 1)
    resumed.update()
    np.testing.assert_array_equal(saved['W/v'], before)


def test_half_of_a_state_is_refused():
    target = make_target()
    optimizer = optimizers.MomentumSGD().setup(target)
    set_gradients(target)
    optimizer.update()
    with pytest.raises(DataError, match='has v but not m.*of another optimizer'):
        Loader(Saver().save(optimizer)).load(optimizers.Adam().setup(make_target()))


def test_a_file_without_any_state_of_this_optimizer_is_refused():
    target = make_target()
    optimizer = optimizers.MomentumSGD().setup(target)
    set_gradients(target)
    optimizer.update()
    saved = Saver().save(optimizer)
    with pytest.raises(DataError, match='no state of RMSprop'):
        Loader(saved).load(optimizers.RMSprop().setup(make_target()))
    Loader(saved, strict=False).load(optimizers.RMSprop().setup(make_target()))


def test_a_file_without_counts_of_its_own_for_parameters_takes_the_optimizer_s():
    """Such files come from early versions of Chainer."""
    target = make_target()
    optimizer = optimizers.Adam().setup(target)
    set_gradients(target)
    optimizer.update()
    saved = {key: value for key, value in Saver().save(optimizer).items()
             if not key.endswith('/t')}
    for strict in (True, False):
        resumed = make_target()
        Loader(saved, strict).load(optimizers.Adam().setup(resumed))
        assert resumed.W.update_rule.t == 1


def test_a_real_optimizer_file_of_chainer_is_read():
    folder = Path(__file__).parents[2] / 'shared/data/models/chainer_npz'
    if not folder.is_dir():
        pytest.skip('the shared data, which holds files of Chainer, are not there')
    predictor, target = Chain(), Chain()
    with predictor.init_scope():
        for name, shape in (('l1', (50, 784)), ('l2', (50, 50)), ('l3', (10, 50))):
            layer = Chain()
            layer.add_param('W', shape)
            layer.add_param('b', shape[:1])
            setattr(predictor, name, layer)
    with target.init_scope():
        target.predictor = predictor
    optimizer = optimizers.Adam().setup(target)
    with np.load(folder / 'mlp1.state', allow_pickle=False) as file:
        Loader(dict(file)).load(optimizer)
        assert optimizer.t == 12000
        for path, param in target.namedparams():
            assert param.update_rule.t == 12000
            for key in 'mv':
                np.testing.assert_array_equal(param.update_rule.state[key],
                                              file[f'{path[1:]}/{key}'])


def test_the_names_are_at_the_top():
    assert minichain.Optimizer is Optimizer and minichain.UpdateRule is UpdateRule
    assert minichain.optimizers.Adam is optimizers.Adam
    assert minichain.optimizer_hooks.WeightDecay is optimizer_hooks.WeightDecay


@pytest.mark.parametrize('loss', [None, 3.])
def test_a_loss_that_is_no_variable_is_refused_by_what_it_is(loss):
    optimizer = optimizers.SGD().setup(Chain())
    with pytest.raises(InvalidType, match=f'SGD.update: .*got {type(loss).__name__}'):
        optimizer.update(lambda: loss)

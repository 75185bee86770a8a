"""One launch for all parameters: the bits of a launch for each, and who does not take part."""
import io

import numpy as np
import pytest

import minichain
from minichain import Chain, Parameter, optimizer_hooks, optimizers, serializers, using_config
from minichain.gpu import compile_step, many_arrays
from minichain.gpu.many_arrays import ArrayTables, parts_of, share_memory
from minichain.gpu.optimizers import gradient_squares
from minichain.gpu.simulator import ORDERS, simulation
from minichain.gpu.simulator.builder import missing
from minichain.optimizers import _elementwise
from minichain.optimizers.adam import AdamRule

simulated = pytest.mark.skipif(missing() is not None, reason=str(missing()))
SIM = minichain.get_device('sim')
SHAPES = [(3, 5), (1,), (0, 4), (257,), (), (2, 3, 2), (9000,)]   # the last one has two parts
OPTIMIZERS = {
    'SGD': (lambda: optimizers.SGD(.1), 'sgd'),
    'MomentumSGD': (lambda: optimizers.MomentumSGD(.1), 'momentum_sgd'),
    'Adam': (lambda: optimizers.Adam(.01), 'adam'),
    'AdamW': (lambda: optimizers.AdamW(.01, weight_decay_rate=.1), 'adam')}


@pytest.fixture
def one_by_one(monkeypatch):
    """Return a function that takes a way of joining parameters away."""
    def forbid():
        monkeypatch.setattr(_elementwise.ElementwiseRule, 'group',
                            lambda rule, param, known: None)
        monkeypatch.setattr(ArrayTables, 'of', lambda tables, rows, written: None)
    return forbid


def network(shapes=SHAPES, dtypes=()):
    """Return a chain of parameters P0, P1, ... on the device 'sim'."""
    random, chain = np.random.default_rng(0), Chain()
    with chain.init_scope():
        for i, shape in enumerate(shapes):
            values = random.standard_normal(shape).astype('float32')
            setattr(chain, f'P{i}', Parameter(np.asarray(values, dict(dtypes).get(i))))
    chain.to_device(SIM)
    return chain


def gradients(chain, step, size=1.):
    """Give all parameters gradients, at other addresses than before."""
    random = np.random.default_rng(step)
    for param in chain.params():
        values = random.standard_normal(param.shape) * size
        param.grad = SIM.send(np.asarray(values, param.dtype))


def follow(chain, optimizer, steps, before=lambda chain, step: None):
    for step in range(steps):
        gradients(chain, step)
        before(chain, step)
        optimizer.update()
    return contents(chain)


def contents(chain):
    found = {path: param.array.get() for path, param in chain.namedparams()}
    found |= {f'gradient of {path}': param.grad.get() for path, param in chain.namedparams()
              if param.grad is not None}
    return found | {f'{name} of {path}': value.get() for path, param in chain.namedparams()
                    for name, value in (getattr(param.update_rule, 'state', None) or {}).items()}


def expect_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# ---------------------------------------------------------------------------- tables

def test_parts_cover_every_number_of_every_array_once():
    sizes = [0, 1, 12, 13, 0, 24, 25, 0]
    parts = parts_of(sizes, 12)
    assert parts.dtype == np.int64 and all(0 < end - begin <= 12 for _, begin, end in parts)
    assert all(begin % 4 == 0 for begin in parts[:, 1])
    covered = [(which, i) for which, begin, end in parts for i in range(begin, end)]
    assert covered == [(which, i) for which, size in enumerate(sizes) for i in range(size)]
    assert parts_of([0, 0]).shape == parts_of([]).shape == (0, 3)
    assert parts_of([2 ** 33])[-1].tolist() == [0, 2 ** 33 - many_arrays.PART, 2 ** 33]


@pytest.mark.parametrize('addresses, sizes, written, expected', [
    ([[100, 200], [300, 400]], [100, 100], [True, True], False),
    ([[100, 200], [300, 200]], [100, 100], [True, False], False),    # both are only read
    ([[100, 200], [300, 200]], [100, 100], [True, True], True),
    ([[100, 200], [199, 400]], [100, 100], [True, False], True),
    ([[100, 200], [300, 150]], [100, 100], [True, False], True),     # read here, written there
    ([[100, 90]], [100], [True, False], True),
    ([[100, 90]], [100], [False, True], True),
    ([[100, 100]], [100], [False, True], True),
    ([[100, 90], [100, 90]], [0, 0], [True, True], False),
    ([[100], [500], [200], [150]], [400, 10, 10, 10], [False], False),
    ([[100], [200], [490], [800]], [400, 10, 10, 10], [True], True)])
def test_memory_of_two_arrays_of_which_one_is_written_is_found(
        addresses, sizes, written, expected):
    assert share_memory(np.array(addresses, np.uint64), sizes, written) is expected


def test_tables_are_sent_when_an_array_lies_elsewhere_and_only_then(monkeypatch):
    sent, send = [], many_arrays.HostTable.__init__.__globals__['send']
    monkeypatch.setitem(many_arrays.HostTable.__init__.__globals__, 'send',
                        lambda values, xp: sent.append(len(values)) or send(values, xp))
    tables, random = ArrayTables(8), np.random.default_rng(0)
    rows = [[SIM.send(random.random(n).astype('float32')) for _ in 'xg'] for n in (9, 3)]
    first, again = (tables.of(rows, [True, False]) for _ in range(2))
    assert sent == [4, 9] and again.tensors is first.tensors and again.parts is first.parts
    rows[1][1] = rows[1][1].copy()
    moved = tables.of(rows, [True, False])
    assert sent == [4, 9, 4] and moved.parts is first.parts
    assert moved.tensors.get().tolist() == [array._values.ctypes.data
                                            for row in rows for array in row]
    tables.of([*rows, rows[0]][:1], [True, False])
    assert sent == [4, 9, 4, 2, 6]


# ---------------------------------------------------------------------------- updates

@simulated
@pytest.mark.parametrize('name', sorted(OPTIMIZERS))
def test_an_update_of_all_has_the_bits_of_updates_one_by_one(name, one_by_one, launched):
    make, kernel = OPTIMIZERS[name]
    chain = network()
    found = follow(chain, make().setup(chain), 4)
    assert launched == [f'{kernel}_many'] * 4    # of no numbers nothing is to be updated
    launched.clear()
    one_by_one()
    other = network()
    expect_same(found, follow(other, make().setup(other), 4))
    assert launched == [f'{kernel}_float32'] * 4 * (len(SHAPES) - 1)


@simulated
@pytest.mark.parametrize('name', sorted(OPTIMIZERS))
def test_bits_are_the_same_in_any_order_of_threads(name):
    results = []
    for seed, order in enumerate(ORDERS):
        with simulation(order, seed):
            chain = network()
            optimizer = OPTIMIZERS[name][0]().setup(chain)
            optimizer.add_hook(optimizer_hooks.WeightDecay(.01))
            optimizer.add_hook(optimizer_hooks.GradientClipping(.5))
            results.append(follow(chain, optimizer, 2))
    for result in results[1:]:
        expect_same(results[0], result)


def freeze(chain, optimizer):
    chain.P0.update_rule.enabled = False


def slow_one(chain, optimizer):
    hyperparam = chain.P3.update_rule.hyperparam
    setattr(hyperparam, 'alpha' if hasattr(hyperparam, 'alpha') else 'lr', .5)


def other_constant(chain, optimizer):
    hyperparam = chain.P3.update_rule.hyperparam
    setattr(hyperparam, 'beta1' if hasattr(hyperparam, 'beta1') else 'momentum', .5)


def hook(chain, optimizer):
    chain.P1.update_rule.add_hook(optimizer_hooks.WeightDecay(.5))


MIXED = {   # what is done to a network, how many launches for many and for one an update takes
    'frozen': (freeze, 1, 0), 'its own rate': (slow_one, 1, 0),
    'its own constant': (other_constant, 2, 0), 'its own hook': (hook, 1, 1)}


@simulated
@pytest.mark.parametrize('mixed', sorted(MIXED))
@pytest.mark.parametrize('name', ['Adam', 'MomentumSGD'])
def test_parameters_that_differ_are_updated_as_one_by_one(name, mixed, one_by_one, launched):
    make, kernel = OPTIMIZERS[name]
    spoil, together, alone = MIXED[mixed]

    def learn():
        chain = network()
        optimizer = make().setup(chain)
        spoil(chain, optimizer)
        return follow(chain, optimizer, 3)
    found = learn()
    assert launched.count(f'{kernel}_many') == 3 * together
    assert launched.count(f'{kernel}_float32') == 3 * alone
    one_by_one()
    expect_same(found, learn())
    start = contents(network())
    assert all((found[f'/P{i}'] != start[f'/P{i}']).any() for i in (3, 6))


@simulated
def test_parameters_of_other_precisions_go_alone(one_by_one, launched):
    def learn():
        chain = network(dtypes={0: 'float64', 3: 'float16'}.items())
        return follow(chain, optimizers.Adam().setup(chain), 3)
    found = learn()
    assert launched == ['adam_many'] * 3
    assert [found[f'/P{i}'].dtype.name for i in (0, 1, 3)] == ['float64', 'float32', 'float16']
    one_by_one()
    expect_same(found, learn())


@simulated
def test_a_parameter_without_gradient_counts_as_having_zeros(one_by_one):
    def forget(chain, step):
        chain.P3.cleargrad()

    def learn():
        chain = network()
        return follow(chain, optimizers.MomentumSGD().setup(chain), 3, forget)
    found = learn()
    assert not found['gradient of /P3'].any()
    one_by_one()
    expect_same(found, learn())


@simulated
def test_gradients_that_are_not_contiguous_are_copied_and_arrays_replaced_are_found(
        one_by_one, launched):
    def turn(chain, step):
        chain.P0.grad = SIM.xp.ascontiguousarray(chain.P0.grad.T).T
        assert not chain.P0.grad.flags.c_contiguous
        if step == 2:
            chain.P3.array = chain.P3.array * 2
            chain.P4.update_rule._state = {
                name: array.copy() for name, array in chain.P4.update_rule.state.items()}
        chain.P5.array[...] = chain.P5.array + 1        # in place, from outside

    def learn():
        chain = network()
        return follow(chain, optimizers.Adam().setup(chain), 4, turn)
    found = learn()
    assert launched == ['adam_many'] * 4
    one_by_one()
    expect_same(found, learn())


@simulated
def test_parameters_in_the_same_memory_are_updated_one_after_the_other(one_by_one, launched):
    def learn():
        chain = network([(6,), (4,), (3,)])
        chain.P1.array = chain.P0.array[:4]
        return follow(chain, optimizers.SGD(.1).setup(chain), 2)
    found = learn()
    assert launched == ['sgd_float32'] * 6
    assert (found['/P0'][:4] == found['/P1']).all()
    one_by_one()
    expect_same(found, learn())


@simulated
def test_a_parameter_with_two_names_is_updated_twice(one_by_one):
    def learn():
        chain = network([(6,), (4,)])
        with chain.init_scope():
            chain.P2 = chain.P0
        optimizer = optimizers.Adam().setup(chain)
        optimizer.add_hook(optimizer_hooks.WeightDecay(.1))
        follow(chain, optimizer, 3)
        assert [param.update_rule.t for param in (chain.P0, chain.P1)] == [6, 3]
        return contents(chain)
    found = learn()
    one_by_one()
    expect_same(found, learn())


class Halved(AdamRule):
    def step(self, xp, x, gx, numbers, **state):
        super().step(xp, x, gx / 2, numbers, **state)


class Ours(Parameter):
    def update(self):
        super().update()
        self.array *= .5


@simulated
def test_rules_and_parameters_of_somebody_else_do_what_they_say(one_by_one, launched):
    def learn():
        chain = network([(6,), (4,), (3,)])
        with chain.init_scope():
            chain.P3 = Ours(SIM.send(np.ones(3, 'float32')))
        optimizer = optimizers.Adam().setup(chain)
        chain.P1.update_rule = Halved(optimizer.hyperparam)
        return follow(chain, optimizer, 2)
    found = learn()
    assert launched == ['adam_float32', 'adam_float32', 'adam_many'] * 2
    one_by_one()
    expect_same(found, learn())


@simulated
@pytest.mark.parametrize('name', ['update', 'update_core', 'step', 'of the parameter'])
def test_methods_set_on_one_rule_or_parameter_do_what_they_say(name, launched):
    chain = network([(6,), (4,)])
    optimizer, called = optimizers.SGD().setup(chain), []
    owner = chain.P1 if name == 'of the parameter' else chain.P1.update_rule
    setattr(owner, 'update' if owner is chain.P1 else name,
            lambda *arguments, **options: called.append(arguments))
    before = chain.P1.array.get()
    follow(chain, optimizer, 1)
    assert len(called) == 1 and launched == ['sgd_many']
    np.testing.assert_array_equal(chain.P1.array.get(), before)


@simulated
def test_a_setting_that_is_an_array_is_no_key_and_goes_alone(one_by_one, launched):
    def learn(beta1):
        chain = network([(6,), (4,)])
        return follow(chain, optimizers.Adam(beta1=beta1).setup(chain), 2)
    found = learn(np.array(.9))
    assert launched == ['adam_float32'] * 4
    expect_same(found, learn(.9))


@simulated
@pytest.mark.parametrize('name', ['MomentumSGD', 'Adam'])
def test_state_of_another_shape_than_its_parameter_is_refused_and_not_read_behind_its_end(
        name, launched):
    chain = network([(6,), (4,)])
    optimizer = OPTIMIZERS[name][0]().setup(chain)
    follow(chain, optimizer, 1)
    launched.clear()
    for param in (chain.P0, chain.P1):
        param.array, param.grad = SIM.send(np.ones((2, 9000), 'float32')), None
        param.grad = SIM.send(np.ones((2, 9000), 'float32'))
    with pytest.raises(ValueError, match='broadcast'):
        optimizer.update()
    assert not launched


@simulated
def test_a_gradient_of_another_shape_does_not_decay_by_a_kernel(launched):
    chain = network([(6,), (4,)])
    optimizer = optimizers.SGD().setup(chain)
    optimizer.add_hook(optimizer_hooks.WeightDecay(.1))
    gradients(chain, 0)
    chain.P1.array = SIM.send(np.ones(3, 'float32'))
    with pytest.raises(ValueError, match='broadcast'):
        optimizer.update()
    assert launched == ['decay_many']       # of the other parameter


@simulated
def test_saved_state_goes_on_with_the_same_bits():
    whole = network()
    expected = follow(whole, optimizers.Adam().setup(whole), 4)
    first, second = network(), network()
    optimizer, target = optimizers.Adam().setup(first), io.BytesIO()
    follow(first, optimizer, 2)
    serializers.save_npz(target, optimizer)
    second.copyparams(first)
    optimizer = optimizers.Adam().setup(second)
    target.seek(0)
    serializers.load_npz(target, optimizer)
    for step in (2, 3):
        gradients(second, step)
        optimizer.update()
    expect_same(contents(second), expected)


def test_on_the_cpu_and_by_the_generic_way_nothing_is_joined(launched):
    chain = network()
    with using_config('kernels', 'generic'):
        follow(chain, optimizers.Adam().setup(chain), 2)
    chain.to_cpu()
    optimizer = optimizers.Adam().setup(chain)
    optimizer.add_hook(optimizer_hooks.WeightDecay(.1))
    optimizer.update()
    assert not launched


# ---------------------------------------------------------------------------- hooks

@simulated
@pytest.mark.parametrize('threshold', [.5, 1e4])
def test_clipping_has_the_norm_of_all_and_takes_three_launches(threshold, launched):
    chain = network()
    hook = optimizer_hooks.GradientClipping(threshold)
    optimizer = optimizers.SGD(0.).setup(chain)
    gradients(chain, 0)
    before = [param.grad.get() for param in chain.params()]
    hook(optimizer)
    assert launched == ['gradient_squares_many', 'gradient_factor', 'scale_gradient_many']
    norm = np.sqrt(sum(np.sum(g.astype('float64') ** 2) for g in before))
    for g, param in zip(before, chain.params()):
        np.testing.assert_allclose(param.grad.get(), g * min(1, threshold / norm), rtol=2e-6)


@simulated
def test_the_sum_of_a_part_is_that_of_an_array_of_its_own():
    g = np.random.default_rng(0).standard_normal(100).astype('float32')
    work = ArrayTables(32).of([[g[1:70]], [g[70:]]], [True])
    sums = work.empty()
    work.launch('gradient_squares_many', sums)
    for found, (begin, end) in zip(sums, [(1, 33), (33, 65), (65, 70), (70, 100)], strict=True):
        alone = np.zeros(1, 'float32')
        gradient_squares(g[begin:end], alone)
        assert found == alone[0]


@simulated
def test_gradients_in_the_same_memory_are_scaled_as_one_by_one(one_by_one, launched):
    def clip():
        chain = network([(6,), (4,)])
        gradients(chain, 0)
        chain.P1.grad = chain.P0.grad[2:]
        optimizer_hooks.GradientClipping(.1)(optimizers.SGD().setup(chain))
        return contents(chain)
    found = clip()
    assert 'scale_gradient_many' not in launched and launched.count('scale_gradient') == 2
    one_by_one()
    expect_same(found, clip())


@simulated
def test_weights_decay_by_one_launch_and_what_is_left_as_before(launched):
    results = []
    for joined in (True, False):
        chain = network(dtypes={0: 'float64', 1: 'float16'}.items())
        gradients(chain, 0)
        chain.P6.cleargrad()
        chain.P5.grad = SIM.xp.ascontiguousarray(chain.P5.grad.T).T
        optimizer = optimizers.SGD().setup(chain)
        hook = optimizer_hooks.WeightDecay(.25)     # whose products are exact
        optimizer.add_hook(hook if joined else lambda optimizer, hook=hook: [
            hook(param.update_rule, param) for param in optimizer.target.params()], name='decay')
        optimizer.call_hooks()
        results.append(contents(chain))
    assert launched == ['decay_many']
    expect_same(*results)


class Doubled(optimizer_hooks.WeightDecay):
    def __call__(self, rule, param):
        super().__call__(rule, param)
        param.grad *= 2


@simulated
def test_a_hook_that_inherits_is_called_for_each_parameter(launched):
    chain = network()
    optimizer = optimizers.SGD().setup(chain)
    optimizer.add_hook(Doubled(.25))
    gradients(chain, 0)
    expected = 2 * (chain.P3.grad + .25 * chain.P3.array)
    optimizer.call_hooks()
    assert not launched
    np.testing.assert_array_equal(chain.P3.grad.get(), expected.get())


# ---------------------------------------------------------------------------- captured

@simulated
@pytest.mark.parametrize('name', sorted(OPTIMIZERS))
def test_a_captured_update_has_the_bits_of_one_as_written(name, launched):
    def learn(captured):
        chain = network(dtypes={5: 'float64'}.items())
        optimizer = OPTIMIZERS[name][0]().setup(chain)
        optimizer.add_hook(optimizer_hooks.WeightDecay(.25))
        optimizer.add_hook(optimizer_hooks.GradientClipping(.5))

        def update(batch):
            for param, gradient in zip(chain.params(), batch):
                param.grad = gradient * 2.
            optimizer.update()
        steps = []
        for step in range(7):
            random = np.random.default_rng(step)
            steps.append(tuple(SIM.send(np.asarray(random.standard_normal(param.shape),
                                                   param.dtype)) for param in chain.params()))
        run = compile_step(update, steps[0], state=(optimizer,)) if captured else update
        for step, batch in enumerate(steps):
            if step == 5:
                chain.P3.array[...] = chain.P3.array + 1
                chain.P3.update_rule.hyperparam.alpha = chain.P3.update_rule.hyperparam.lr = .5
            run(batch)
        return contents(chain), getattr(run, 'captures', None)
    (found, captures), (expected, _) = learn(True), learn(False)
    assert captures == 1 and launched.count(f'{OPTIMIZERS[name][1]}_many') == 3 + 7
    expect_same(found, expected)


@simulated
def test_a_captured_update_follows_an_array_that_was_replaced():
    chain = network([(6,), (300,)])
    optimizer = optimizers.MomentumSGD(.1).setup(chain)

    def update(gradient):
        chain.P0.grad, chain.P1.grad = gradient[:6] * 1., gradient * 1.
        optimizer.update()
    gradient = SIM.send(np.ones(300, 'float32'))
    run = compile_step(update, gradient, state=(optimizer,))
    for _ in range(4):
        run(gradient)
    old = chain.P1.array
    kept, chain.P1.array = old.get(), old * 0.
    with pytest.warns(RuntimeWarning, match='/P1 is another array than before'):
        run(gradient)
    assert run.captures == 2
    np.testing.assert_array_equal(old.get(), kept)
    np.testing.assert_allclose(chain.P1.array.get(), -.1 * sum(.9 ** t for t in range(5)),
                               rtol=1e-6)

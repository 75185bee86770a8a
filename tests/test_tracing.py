import gc
import weakref

import numpy as np

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import Chain, Variable
from minichain.tracing import trace


class Net(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.fc = L.Linear(3, 4)
            self.out = L.Linear(4, 2)

    def forward(self, x):
        return self.out(F.relu(self.fc(x)))


X = np.arange(6, dtype='f').reshape(2, 3)


def labels(result):
    return [application.function.label for application in result.applications]


def test_functions_are_written_down_in_order_with_the_links_that_called_them():
    result = trace(Net(), [Variable(X)], ['x'])
    assert [(a.function.label, a.path) for a in result.applications] == [
        ('Linear', 'fc'), ('relu', ''), ('Linear', 'out')]
    first, second, third = result.applications
    assert result.inputs == [('x', first.operands[0])]
    assert second.operands == first.results and third.operands[:1] == second.results
    assert result.outputs == [('output', third.results[0])]


def test_parameters_and_persistent_arrays_are_named_by_their_path():
    net = Chain(a=Net(), norm=L.BatchNormalization(2))
    result = trace(lambda x: net.norm(net.a(x)), [Variable(X)], model=net)
    assert set(result.names.values()) == {
        'a/fc/W', 'a/fc/b', 'a/out/W', 'a/out/b', 'norm/gamma', 'norm/beta', 'norm/avg_mean',
        'norm/avg_var'}
    assert {id(result.arrays[n]) for n, name in result.names.items() if name == 'a/fc/W'} == {
        id(net.a.fc.W.array)}


def test_a_method_belongs_to_its_link():
    net = Net()
    assert 'fc/W' in trace(net.forward, [Variable(X)]).names.values()


def test_integers_and_bools_are_traced_too():
    condition = X > 2
    result = trace(lambda c, x: F.where(c, x, F.cast(x, 'int32').astype('f')),
                   [Variable(condition), Variable(X)])
    assert labels(result) == ['Cast', 'Cast', 'where']
    where = result.applications[-1].function
    assert result.find(where.condition) == result.inputs[0][1]


def test_a_view_by_numpy_of_a_whole_array_counts_as_a_reshape():
    result = trace(lambda x: F.sum(minichain.as_variable(x.array.reshape(3, 2)), axis=1),
                   [Variable(X)])
    assert labels(result) == ['Reshape', 'sum']
    assert result.applications[0].operands == (result.inputs[0][1],)


def test_what_numpy_computes_outside_of_functions_is_a_constant():
    result = trace(lambda x: x + x.array * 2, [Variable(X)])
    application, = result.applications
    constant = application.operands[1]
    assert constant not in dict(result.inputs).values()
    np.testing.assert_array_equal(result.arrays[constant], X * 2)


def test_functions_that_hand_their_operands_on_leave_no_step():
    result = trace(lambda x: F.dropout(F.identity(F.cast(x, 'float32'))), [Variable(X)])
    assert result.applications == [] and result.outputs[0][1] == result.inputs[0][1]


def test_results_in_nests_are_named_by_keys_and_places():
    result = trace(lambda x: {'y': -x, 'z': [x * 2, (x * 3,)]}, [Variable(X)])
    assert [name for name, _ in result.outputs] == ['y', 'z_0', 'z_1_0']
    result = trace(lambda x: (-x, x), [Variable(X)])
    assert [name for name, _ in result.outputs] == ['output_0', 'output_1']


def test_nothing_stays_alive_and_no_graph_is_recorded():
    net, seen = Net(), []

    def code(x):
        y = net(x)
        seen.append(weakref.ref(y))
        assert y.creator is None
        return y
    result = trace(code, [Variable(X)])
    function = weakref.ref(result.applications[0].function)
    assert 'forward' not in vars(result.applications[0].function)
    del result
    gc.collect()
    assert seen[0]() is None and function() is None


def test_the_hooks_are_gone_after_an_error():
    def code(x):
        raise RuntimeError('stop')
    for _ in range(2):
        try:
            trace(code, [Variable(X)])
        except RuntimeError as error:
            assert str(error) == 'stop'
    assert trace(lambda x: -x, [Variable(X)]).applications

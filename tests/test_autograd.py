"""The engine: what is recorded, in which order it runs backwards, and when it is freed."""
import copy
import gc
import weakref

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import FunctionNode, Parameter, Variable, VariableNode
from minichain.errors import InvalidArgument, InvalidType, NotFinite


def variable(*values):
    return Variable(np.array(values, 'float64'))


class Square(FunctionNode):
    """A user's function: backward on Variables."""

    def forward(self, inputs):
        self.retain_inputs((0,))
        return inputs[0] ** 2,

    def backward(self, indexes, grad_outputs):
        x, = self.get_retained_inputs()
        assert isinstance(x, Variable) and isinstance(grad_outputs[0], Variable)
        return 2. * x * grad_outputs[0],


def test_a_scalar_starts_from_one_and_leaves_add_up_until_cleared():
    x = variable(3.)
    y = x * x + x
    y.backward()
    assert x.grad == [7.]
    (x * 2).backward()
    assert x.grad == [9.]
    x.cleargrad()
    assert x.grad is None


def test_a_vector_needs_a_starting_gradient():
    with pytest.raises(InvalidArgument, match=r'\(2,\)'):
        (variable(1., 2.) * 2).backward()


def test_gradients_of_intermediate_variables_are_kept_on_request():
    x = variable(3.)
    y = x * x
    z = y * 2
    z.backward()
    assert y.grad is None
    z.backward(retain_grad=True)
    assert y.grad == [2.]


def test_a_diamond_waits_for_all_gradients_before_it_goes_on():
    calls = []

    class Double(FunctionNode):
        def forward(self, inputs):
            return 2 * inputs[0],

        def backward(self, indexes, grads):
            calls.append(grads[0].array.copy())
            return 2. * grads[0],

    x = variable(1.)
    y, = Double().apply((x,))
    z = y * 3 + (y * 5) * 7   # paths of different lengths
    z.backward()
    assert calls == [[38.]] and x.grad == [76.]


def test_a_user_function_sees_variables_and_can_be_differentiated_again():
    x = variable(3.)
    y, = Square().apply((x,))
    gx, = minichain.grad([y], [x], enable_double_backprop=True)
    assert gx.array == [6.]
    ggx, = minichain.grad([gx], [x])
    assert ggx.array == [2.]


def test_any_order_of_derivatives():
    x = variable(2.)
    y = x ** 5
    for expected in (80., 160., 240., 240., 120.):
        y, = minichain.grad([y], [x], enable_double_backprop=True)
        np.testing.assert_allclose(y.array, expected)
    assert minichain.grad([y * 1.], [x])[0].array == 0


def test_backward_with_enable_double_backprop_gives_gradients_a_history():
    x = variable(3.)
    (x ** 3).backward(enable_double_backprop=True)
    gx = x.grad_var
    x.cleargrad()
    gx.backward()
    assert x.grad == [18.]


def test_grad_touches_no_grad_and_returns_none_where_nothing_flows():
    x, y, unrelated = variable(1.), variable(2.), variable(3.)
    z = x * y
    gx, g_unrelated = minichain.grad([z], [x, unrelated])
    assert gx.array == [2.] and g_unrelated is None
    assert x.grad is None and y.grad is None


def test_grad_runs_only_the_functions_between_outputs_and_inputs():
    ran = []

    class Spy(FunctionNode):
        def forward(self, inputs):
            return inputs[0] * 1,

        def backward(self, indexes, grads):
            ran.append(True)
            return grads

    x, w = variable(1.), variable(2.)
    spied, = Spy().apply((w,))
    z = x * spied
    minichain.grad([z], [x])
    assert not ran
    minichain.grad([z], [w])
    assert ran


def test_grad_of_an_intermediate_variable_and_of_an_output_itself():
    x = variable(3.)
    y = x * x
    z = y * 2
    gy, gz, gx = minichain.grad([z], [y, z, x])
    assert (gy.array, gz.array, gx.array) == ([2.], [1.], [12.])


def test_grad_takes_starting_gradients_and_adds_to_given_ones():
    x = variable(3.)
    y = x * x
    gx, = minichain.grad([y], [x], [variable(10.)], [variable(1.)], set_grad=True)
    assert gx.array == [61.] and x.grad == [61.]
    with pytest.raises(InvalidArgument, match='2 grad_outputs'):
        minichain.grad([y], [x], [variable(1.), variable(1.)])


def test_no_backprop_mode_records_nothing():
    x = variable(1.)
    with minichain.no_backprop_mode():
        y = x * 2
        with minichain.force_backprop_mode():
            z = x * 2
    assert y.creator is None and z.creator is not None


def test_a_constant_gets_no_gradient_and_is_not_recorded():
    constant = Variable(np.ones(1), requires_grad=False)
    y = constant * 2
    assert y.creator is None and not y.requires_grad
    x = variable(3.)
    (constant * x).backward()
    assert constant.grad is None and x.grad == [1.]


def test_unchain_cuts_one_variable_and_unchain_backward_frees_all_behind():
    x = variable(2.)
    y = x * x
    z = y * 3
    y.unchain()
    z.backward()
    assert x.grad is None and y.grad == [3.]
    z.unchain_backward()
    assert z.creator is None


def test_a_graph_dies_by_reference_count_alone():
    gc.collect()
    gc.disable()
    try:
        x = variable(1., 2.)
        y = x
        for _ in range(20):
            y = F.tanh(y * x + 1)
        F.sum(y).backward()
        node, function = weakref.ref(y.node), weakref.ref(y.creator)
        del y
        assert node() is None and function() is None
    finally:
        gc.enable()


def count_live():
    objects = gc.get_objects()
    return sum(issubclass(type(o), (FunctionNode, VariableNode)) for o in objects)


def test_a_thousand_steps_of_truncated_backpropagation_keep_the_number_of_nodes_constant():
    lstm = minichain.links.LSTM(3, 4)
    optimizer = minichain.optimizers.SGD(.01).setup(lstm)
    x = np.random.RandomState(0).randn(2, 3).astype('float32')
    counts, arrays = [], []
    gc.collect()
    gc.disable()
    try:
        for step in range(1, 1001):
            h = lstm(x)
            if step % 5 == 0:
                loss = F.sum(h * h)
                lstm.cleargrads()
                loss.backward()
                loss.unchain_backward()
                optimizer.update()
                del loss
            del h
            if step % 100 == 0:
                counts.append(count_live())
                arrays.append(sum(issubclass(type(o), Variable) for o in gc.get_objects()))
    finally:
        gc.enable()
    assert len(set(counts)) == 1, counts
    assert len(set(arrays)) == 1, arrays


def test_without_truncation_the_graph_grows_so_the_count_can_fail():
    lstm = minichain.links.LSTM(3, 4)
    x = np.ones((2, 3), 'float32')
    lstm(x)
    few = count_live()
    for _ in range(10):
        lstm(x)
    assert count_live() > few + 20


def test_an_array_lives_on_only_where_a_function_retains_it():
    x = variable(1., 2.)
    y = x + 1
    array = weakref.ref(y.array)
    z = y + 1
    del y
    assert array() is None
    y = x * 2
    z = y * y   # a product retains its operands
    array = weakref.ref(y.array)
    del y
    assert array() is not None
    del z
    assert array() is None


def test_an_output_that_nobody_holds_still_carries_gradients_of_second_order():
    c, x = variable(.5).reshape(1, 1), Variable(np.full((1, 4), .3))
    h = F.lstm(c, x)[1]   # c, which backward retains, is dropped at once
    gx, = minichain.grad([h], [x], enable_double_backprop=True)
    ggx, = minichain.grad([F.sum(gx)], [x])
    both = F.lstm(c, x)
    held, = minichain.grad([both[1]], [x], enable_double_backprop=True)
    expected, = minichain.grad([F.sum(held)], [x])
    np.testing.assert_allclose(ggx.array, expected.array)
    assert np.abs(ggx.array).max() > 1e-3


def test_assigning_an_array_refreshes_what_the_node_knows():
    x = variable(1.)
    assert x.node.shape == (1,)
    x.array = np.ones((2, 3), 'float32')
    assert x.node.shape == (2, 3) and x.node.dtype == np.float32
    F.sum(x * 2).backward()
    assert x.grad.shape == (2, 3)


def test_results_of_no_axes_are_arrays():
    x = Variable(np.array(2.))
    y = x * x + 1
    assert isinstance(y.array, np.ndarray) and y.shape == ()
    y.backward()
    assert isinstance(x.grad, np.ndarray) and x.grad == 4


def test_two_leaves_never_share_a_gradient_array_and_views_are_copied():
    x, y = variable(1., 2.), variable(3., 4.)
    z = x + y
    z.grad = np.ones(2)
    z.backward()
    assert x.grad is not y.grad and x.grad is not z.grad
    x.grad *= 10
    np.testing.assert_array_equal(y.grad, 1)
    w = Variable(np.ones((2, 3)))
    F.sum(w).backward()
    w.grad *= 2   # a broadcast view would not be writeable


def test_gradients_that_meet_are_summed_without_changing_what_functions_returned():
    x = variable(1., 2.)
    seed = np.ones(2)
    y = x + x + x + x
    y.grad = seed
    y.backward()
    np.testing.assert_array_equal(x.grad, 4)
    np.testing.assert_array_equal(seed, 1)


def test_a_gradient_of_the_wrong_shape_is_refused_with_the_name_of_the_function():
    class Wrong(FunctionNode):
        def forward(self, inputs):
            return inputs[0] * 2,

        def backward(self, indexes, grads):
            return F.sum(grads[0]),

    y, = Wrong().apply((variable(1., 2.),))
    y.grad = np.ones(2)
    with pytest.raises(InvalidType, match=r'Wrong.*\(2,\)'):
        y.backward()


def test_a_gradient_takes_the_dtype_of_its_operand():
    x = Variable(np.ones(2, 'float32'))
    y = F.cast(x, 'float64') * 2
    F.sum(y).backward()
    assert x.grad.dtype == np.float32


def test_forward_must_return_a_tuple():
    class NoTuple(FunctionNode):
        def forward(self, inputs):
            return inputs[0]

    with pytest.raises(InvalidType, match='NoTuple.forward: tuple'):
        NoTuple().apply((variable(1.),))


def test_forward_cpu_is_called_for_numpy_arrays():
    class TwoBodies(FunctionNode):
        def forward_cpu(self, inputs):
            return inputs[0] + 1,

        def forward_gpu(self, inputs):
            raise AssertionError

    assert TwoBodies().apply((variable(1.),))[0].array == [2.]


def test_a_user_function_checks_types_with_expressions():
    class OnlyVectors(Square):
        def check_type_forward(self, in_types):
            minichain.type_check.expect(in_types.size() == 1, in_types[0].ndim == 1,
                                        in_types[0].dtype.kind == 'f')

    OnlyVectors().apply((variable(1.),))
    with pytest.raises(InvalidType, match=r'in_types\[0\].ndim == 1 expected, got 2 and 1'):
        OnlyVectors().apply((variable(1.).reshape(1, 1),))
    with minichain.using_config('type_check', False):
        OnlyVectors().apply((variable(1.).reshape(1, 1),))


def test_debug_mode_names_the_function_that_made_nan():
    with minichain.using_debug():
        with pytest.raises(NotFinite, match='log'), np.errstate(invalid='ignore'):
            F.log(variable(-1.))
        x = variable(0.)
        y = F.sqrt(x) * 0
        with pytest.raises(NotFinite, match='backward'), np.errstate(all='ignore'):
            y.backward()


def test_hooks_are_called_around_forward_and_backward():
    calls = []

    class Hook(minichain.FunctionHook):
        name = 'Recorder'

        def forward_preprocess(self, function, in_data):
            calls.append(('before', function.label, in_data[0].shape))

        def forward_postprocess(self, function, in_data):
            calls.append(('after', function.label, in_data[0].shape))

        def backward_preprocess(self, function, in_data, out_grad):
            calls.append(('before backward', function.label, out_grad[0].tolist()))

        def backward_postprocess(self, function, in_data, out_grad):
            calls.append(('after backward', function.label, out_grad[0].tolist()))

    x = variable(3.)
    with Hook():
        y = F.tanh(x)
        y.backward()
    F.tanh(x)
    assert [call[0] for call in calls] == ['before', 'after', 'before backward', 'after backward']
    assert calls[2][2] == [1.]


def test_a_variable_holds_arrays_only():
    for wrong in ([1.], 1., np.float32(1)):
        with pytest.raises(TypeError, match='array expected'):
            Variable(wrong)


def test_a_gradient_must_fit_the_array():
    x = variable(1., 2.)
    for wrong in (np.ones(3), np.ones(2, 'float32')):
        with pytest.raises(InvalidType, match=r'\(2,\), float64 expected'):
            x.grad = wrong
    with pytest.raises(InvalidType, match='array expected'):
        x.grad = 1.


def test_an_uninitialized_parameter_is_named_as_the_cause():
    with pytest.raises(InvalidType, match='no array yet'):
        F.tanh(Parameter())


def test_a_name_given_to_a_result_is_known_to_the_graph_and_outlives_it():
    x = variable(1.)
    y = x * 2
    x.name, y.name = 'x', 'y'
    z = y + 1
    assert z.creator_node.inputs[0].creator_node.inputs[0].name == 'x' == x.node.name
    del y
    assert z.creator_node.inputs[0].name == 'y'
    assert z.creator_node.inputs[0].label == 'y(1,), float64' and z.name is None


def test_copies_are_leaves_that_share_or_duplicate_the_array():
    x = variable(1.)
    x.name = 'x'
    y = x * 2
    shallow, deep = copy.copy(y), copy.deepcopy(y)
    assert shallow.creator is None and shallow.array is y.array
    assert deep.array is not y.array and deep.array == y.array
    assert copy.copy(x).name == 'x'


def test_loss_scale_multiplies_the_start():
    x = variable(3.)
    (x * 2).backward(loss_scale=8.)
    assert x.grad == [16.]


@pytest.mark.parametrize('results, got', [
    (lambda g: None, 'NoneType'), (lambda g: (g, g), '2 results'), (lambda g: (3.,), 'float')])
def test_what_a_backward_returned_is_refused_with_its_name(results, got):
    class Odd(Square):
        def backward(self, indexes, grads):
            return results(grads[0])

    with pytest.raises(InvalidType, match=f'Odd.*got {got}'):
        Odd().apply((variable(2.),))[0].backward()


def test_a_node_is_applied_once():
    function, x = Square(), variable(3.)
    y, = function.apply((x,))
    with pytest.raises(InvalidArgument, match='Square: a node of the graph is applied once'):
        function.apply((x,))
    y.backward()
    assert x.grad == [6.]


class OnVariables(Square):
    """A user's function that makes a Variable of an array, in the middle of its backward."""

    def backward(self, indexes, grad_outputs):
        assert isinstance(F.tanh(np.ones(1)), Variable)
        return super().backward(indexes, grad_outputs)


def test_a_user_function_between_the_library_s_own_makes_variables_and_theirs_make_none():
    seen = []

    class Spy(minichain.autograd.Primitive):
        def forward(self, inputs):
            return inputs[0] * 1,

        def backward(self, indexes, grads):
            seen.append((type(grads[0]), type(F.tanh(np.ones(1)))))
            return grads

    x = variable(3.)
    y, = Spy().apply(OnVariables().apply(Spy().apply((x,))))
    y.backward()
    assert seen == [(np.ndarray, np.ndarray)] * 2 and x.grad == [6.]


def test_a_hook_makes_variables_whatever_it_looks_on():
    seen = []

    class Hook(minichain.FunctionHook):
        def backward_preprocess(self, function, in_data, out_grad):
            seen.append(type(F.tanh(np.ones(1))))

        backward_postprocess = backward_preprocess

    y = F.tanh(variable(1.)) * 2
    with Hook():
        y.backward()
    assert seen == [Variable] * 4


def test_functions_return_variables_again_after_a_backward_that_failed():
    class Fails(minichain.autograd.Primitive):
        def forward(self, inputs):
            return inputs[0] * 1,

        def backward(self, indexes, grads):
            raise ValueError('on purpose')

    y, = Fails().apply((variable(1.),))
    for looked_on in (False, True):
        if looked_on:
            y.creator.add_hook(minichain.FunctionHook())
        with pytest.raises(ValueError, match='on purpose'):
            y.backward()
        assert isinstance(F.tanh(np.ones(1)), Variable)
        assert (variable(1.) * 2).creator is not None


def test_operands_of_which_some_want_no_gradient_get_those_that_belong_to_them():
    constant, x = Variable(np.array([5.]), requires_grad=False), variable(2.)
    for y in (constant - x, constant * x, constant / x):
        y.backward()
    np.testing.assert_allclose(x.grad, -1 + 5 - 5 / 4)
    assert constant.grad is None


def test_grad_takes_lists_of_variables_alone():
    x = Variable(np.ones(3, 'f'))
    y = x * 2
    for outputs, inputs, name in ((y, [x], 'outputs'), ([y], x, 'inputs')):
        with pytest.raises(InvalidType, match=rf'a list of Variables .* Write \[{name[:-1]}\]'):
            minichain.grad(outputs, inputs)

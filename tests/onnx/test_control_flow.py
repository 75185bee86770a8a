"""Bodies inside bodies, loops, sequences, optional values and functions of a model."""
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

import minichain as mc
import minichain.onnx
from minichain.errors import DataError, InvalidArgument

HEADER = '<ir_version: 10, opset_import: ["" : 21]>\n'


def load(text, header=HEADER):
    """A net from ONNX's textual syntax."""
    return minichain.onnx.load(parser.parse_model(header + text))


def run(text, *inputs, **keywords):
    return tuple(y if y is None or isinstance(y, list) else y.array
                 for y in load(text, **keywords)(*inputs))


BRANCHES = """
    agraph (bool c, float[n] x) => (float[n] y) {
        twice = Add(x, x)
        y = If(c) <then_branch = g1 () => (float[n] a) { a = Mul(twice, x) },
                   else_branch = g2 () => (float[n] b) { b = Identity(twice) }>
    }"""


@pytest.mark.parametrize('condition, expected', [(True, [2, 8]), (False, [2, 4])])
def test_branches_see_values_from_around_them(condition, expected):
    x = np.array([1, 2], np.float32)
    y, = run(BRANCHES, np.array(condition), x)
    np.testing.assert_array_equal(y, expected)
    with pytest.raises(InvalidArgument, match="'x'"):
        load(BRANCHES)(np.array(condition))


def test_gradients_flow_through_the_branch_that_ran():
    x = mc.Variable(np.array([1, 2], np.float32))
    y, = load(BRANCHES)(np.array(True), x)
    mc.functions.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [4, 8])


def test_a_branch_may_hand_out_a_value_from_around_as_it_is():
    name = helper.make_tensor_value_info('x', TensorProto.FLOAT, [2])
    branch = helper.make_graph([], 'branch', [], [name])
    node = helper.make_node('If', ['c'], ['y'], then_branch=branch, else_branch=branch)
    graph = helper.make_graph(
        [node], 'graph', [helper.make_tensor_value_info('c', TensorProto.BOOL, []), name],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [2])])
    y, = minichain.onnx.load(helper.make_model(graph))(np.array(True),
                                                      np.array([1, 2], np.float32))
    assert y.array.tolist() == [1, 2]


def test_bodies_inside_bodies_see_all_that_is_around_them():
    y, = run("""
        agraph (bool c, float[n] x) => (float[n] y) {
            one = Constant<value_float = 1.>()
            y = If(c) <
                then_branch = g1 () => (float[n] a) {
                    next = Add(x, one)
                    a = If(c) <then_branch = g3 () => (float[n] d) { d = Mul(next, x) },
                               else_branch = g4 () => (float[n] e) { e = Identity(next) }>
                },
                else_branch = g2 () => (float[n] b) { b = Identity(x) }>
        }""", np.array(True), np.array([3, 4], np.float32))
    assert y.tolist() == [12, 20]


def test_names_inside_a_body_hide_those_around_it():
    y, z = run("""
        agraph (bool c, float[n] x) => (float[n] y, float[n] z) {
            inner = Neg(x)
            y = If(c) <then_branch = g1 () => (float[n] a) { inner = Add(x, x)
                                                             a = Identity(inner) },
                       else_branch = g2 () => (float[n] b) { b = Identity(x) }>
            z = Identity(inner)
        }""", np.array(True), np.array([3], np.float32))
    assert (y.tolist(), z.tolist()) == ([6], [-3])


FACTORIAL = """
    agraph (int64 n, bool go, float start) => (float last, float[k] all) {
        last, all = Loop(n, go, start) <body = b (int64 i, bool going, float y)
                                        => (bool on, float next, float item) {
            one = Constant<value_float = 1.>()
            number = Cast<to = 1>(i)
            factor = Add(number, one)
            next = Mul(y, factor)
            item = Identity(next)
            limit = Constant<value_float = 100.>()
            on = Less(next, limit)
        }>
    }"""


@pytest.mark.parametrize('count, going, last, collected', [
    (4, True, 24, [1, 2, 6, 24]), (9, True, 120, [1, 2, 6, 24, 120]), (4, False, 1, []),
    (0, True, 1, []), (-5, True, 1, [])])
def test_a_loop_ends_by_number_or_condition(count, going, last, collected):
    results = run(FACTORIAL, np.int64(count), np.array(going), np.float32(1))
    assert results[0] == last and results[0].dtype == np.float32
    assert results[1].tolist() == collected and results[1].dtype == np.float32


def test_gradients_flow_back_through_the_turns_of_a_loop():
    start = mc.Variable(np.array(2, np.float32))
    last, collected = load(FACTORIAL)(np.int64(3), np.array(True), start)
    (last + mc.functions.sum(collected)).backward()
    assert start.grad == 6 + (1 + 2 + 6)


@pytest.mark.parametrize('count, condition, turns', [('', 'go', 5), ('n', '', 7)])
def test_number_and_condition_of_a_loop_may_be_left_out(count, condition, turns):
    y, = run(f"""
        agraph (int64 n, bool go) => (int64 y) {{
            zero = Constant<value_int = 0>()
            y = Loop({count or "''"}, {condition or "''"}, zero) <body =
                    b (int64 i, bool going, int64 x) => (bool on, int64 next) {{
                one = Constant<value_int = 1>()
                next = Add(x, one)
                five = Constant<value_int = 5>()
                {"on = Less(next, five)" if condition else "on = Identity(going)"}
            }}>
        }}""".replace("''", '""'), np.int64(7), np.array(True))
    assert y == turns and y.dtype == np.int64


@pytest.mark.parametrize('count', [1 << 62, None])
def test_a_loop_without_an_end_is_refused_in_time(count):
    text = """
        agraph (int64 n, bool go) => (bool y) {
            y = Loop(COUNT, go, go) <body = b (int64 i, bool going, bool x)
                => (bool on, bool next) { on = Identity(going)
                                          next = Identity(x) }>
        }""".replace('COUNT', 'n' if count else '""')
    with pytest.raises(DataError, match='without an end'):
        run(text, np.int64(count or 0), np.array(True))


def test_a_loop_that_collects_too_much_is_refused():
    with pytest.raises(DataError, match='damaged'):
        run("""
            agraph (int64 n, bool go, float[k] x) => (float[m, k] y) {
                y = Loop(n, go) <body = b (int64 i, bool going) => (bool on, float[k] item) {
                    on = Identity(going)
                    item = Identity(x) }>
            }""", np.int64(1000), np.array(True), np.zeros(1 << 20, np.float32))


SCAN = """
    agraph (float[2] start, float[2, t] x) => (float[2] last, float[2, t] sums) {
        last, sums = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [-1],
                           scan_input_directions = [DIRECTION],
                           scan_output_directions = [DIRECTION],
                           body = b (float[2] state, float[2] part)
                               => (float[2] next, float[2] item) {
            next = Add(state, part)
            item = Identity(next)
        }>(start, x)
    }"""


@pytest.mark.parametrize('backwards', [0, 1])
def test_scan_goes_along_any_axis_in_both_directions(backwards):
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    start = np.array([10, 20], np.float32)
    last, sums = run(SCAN.replace('DIRECTION', str(backwards)), start, x)
    turned = x[:, ::-1] if backwards else x
    expected = start[:, None] + turned.cumsum(axis=1)
    np.testing.assert_array_equal(last, expected[:, -1])
    np.testing.assert_array_equal(sums, expected[:, ::-1] if backwards else expected)


def test_scan_over_nothing_hands_out_an_empty_tensor_of_the_type_stated():
    last, sums = run(SCAN.replace('DIRECTION', '0'), np.zeros(2, np.float32),
                     np.zeros((2, 0), np.float32))
    assert sums.shape == (2, 0) and sums.dtype == np.float32
    np.testing.assert_array_equal(last, [0, 0])


def test_gradients_flow_through_scan():
    x = mc.Variable(np.ones((2, 4), np.float32))
    _, sums = load(SCAN.replace('DIRECTION', '0'))(np.zeros(2, np.float32), x)
    mc.functions.sum(sums).backward()
    np.testing.assert_array_equal(x.grad, [[4, 3, 2, 1]] * 2)


def test_scan_of_operator_set_8_has_a_batch_and_lengths():
    net = load("""
        agraph (int64[b] lengths, float[b, 1] start, float[b, t, 1] x)
            => (float[b, 1] last, float[b, t, 1] sums) {
            last, sums = Scan <num_scan_inputs = 1, body = b (float[1] state, float[1] part)
                               => (float[1] next, float[1] item) {
                next = Add(state, part)
                item = Identity(next)
            }>(lengths, start, x)
        }""", header='<ir_version: 3, opset_import: ["" : 8]>\n')
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)[..., None]
    last, sums = net(np.array([3, 2]), np.array([[0], [1]], np.float32), x)
    assert last.array.tolist() == [[6], [10]]
    assert sums.array[..., 0].tolist() == [[1, 3, 6], [5, 10, 0]]


def test_sequences_grow_shrink_and_are_joined():
    length, first, joined, stacked = run("""
        agraph (float[n] x, int64 one, int64 last) =>
            (int64 length, float[n] first, float[m] joined, float[k, n] stacked) {
            empty = SequenceEmpty <dtype = 1> ()
            a = SequenceInsert(empty, x)
            minus = Neg(x)
            b = SequenceInsert(a, minus, last)
            c = SequenceInsert(b, x)
            d = SequenceErase(c, one)
            e = SequenceErase(c)
            length = SequenceLength(e)
            first = SequenceAt(e, last)
            joined = ConcatFromSequence <axis = 0> (d)
            stacked = ConcatFromSequence <axis = 0, new_axis = 1> (c)
        }""", np.array([1, 2], np.float32), np.int64(1), np.int64(-1))
    assert length == 2 and length.dtype == np.int64
    assert first.tolist() == [1, 2] and joined.tolist() == [-1, -2, 1, 2]
    assert stacked.tolist() == [[-1, -2], [1, 2], [1, 2]]


@pytest.mark.parametrize('split, keepdims, expected', [
    (np.int64(2), 1, [(2, 2), (2, 2), (1, 2)]), (np.array([1, 4]), 1, [(1, 2), (4, 2)]),
    (None, 1, [(1, 2)] * 5), (None, 0, [(2,)] * 5)])
def test_tensors_are_split_into_sequences(split, keepdims, expected):
    node = helper.make_node('SplitToSequence', ['x', 'split'][:1 + (split is not None)], ['y'],
                            keepdims=keepdims)
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    graph = helper.make_graph(
        [node], 'graph', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [5, 2])],
        [helper.make_tensor_sequence_value_info('y', TensorProto.FLOAT, None)],
        [] if split is None else [numpy_helper.from_array(np.asarray(split), 'split')])
    parts, = minichain.onnx.load(helper.make_model(graph))(x)
    assert [part.shape for part in parts] == expected
    joined = np.concatenate([part.array.ravel() for part in parts])
    np.testing.assert_array_equal(joined, x.ravel())


def test_positions_outside_of_a_sequence_are_refused():
    with pytest.raises(DataError, match='outside of a sequence of 1'):
        run("""agraph (float[n] x, int64 place) => (float[n] y) {
                   a = SequenceConstruct(x)
                   y = SequenceAt(a, place)
               }""", np.zeros(1, np.float32), np.int64(1))


def test_a_body_runs_on_each_element_of_a_sequence():
    y, = load("""
        agraph (seq(float[n]) xs, float[n] w) => (seq(float[n]) ys) {
            ys = SequenceMap (xs, w) <body = b (float[n] x, float[n] v) => (float[n] y) {
                y = Mul(x, v) }>
        }""")([np.ones(2, np.float32), np.full(2, 3, np.float32)], np.array([1, 2], np.float32))
    assert [item.array.tolist() for item in y] == [[1, 2], [3, 6]]


def test_optional_values_may_be_empty():
    text = """
        agraph (optional(float[n]) x) => (bool has, float[n] y) {
            has = OptionalHasElement(x)
            y = If(has) <then_branch = g1 () => (float[n] a) { a = OptionalGetElement(x) },
                         else_branch = g2 () => (float[k] b) {
                             b = Constant <value_floats = [7.]> () }>
        }"""
    has, y = run(text, np.array([1, 2], np.float32))
    assert has.dtype == bool and has and y.tolist() == [1, 2]
    has, y = run(text, None)
    assert not has and y.tolist() == [7]


FUNCTIONS = """<ir_version: 10, opset_import: ["" : 21, "own" : 1]>
    agraph (bool c, float[n] x) => (float[n] y, float[n] z) {
        y = own.scaled <by = 3.> (x)
        z = own.chosen <by = 5.> (c, x)
    }
    <domain: "own", opset_import: ["" : 21]>
    scaled <by: float = 2.> (x) => (y) {
        factor = Constant <value_float: float = @by> ()
        y = Mul(x, factor)
    }
    <domain: "own", opset_import: ["" : 21, "own" : 1]>
    chosen <by> (c, x) => (y) {
        y = If(c) <then_branch = g1 () => (float[n] a) { a = own.scaled <by: float = @by> (x) },
                   else_branch = g2 () => (float[n] b) { b = own.scaled(x) }>
    }"""


@pytest.mark.parametrize('condition, expected', [(True, [5, 10]), (False, [2, 4])])
def test_functions_of_a_model_hand_attributes_on_into_bodies(condition, expected):
    y, z = run(FUNCTIONS, np.array(condition), np.array([1, 2], np.float32), header='')
    assert y.tolist() == [3, 6] and z.tolist() == expected


def test_functions_whose_last_inputs_are_left_out():
    text = """<ir_version: 10, opset_import: ["" : 21, "own" : 1]>
        agraph (float[n] x) => (float[n] y) { y = own.clipped(x) }
        <domain: "own", opset_import: ["" : 21]>
        clipped (x, low, high) => (y) { y = Clip(x, low, high) }"""
    y, = run(text, np.array([-3, 3], np.float32), header='')
    assert y.tolist() == [-3, 3]


def test_functions_that_multiply_are_refused_in_time():
    header = '<ir_version: 10, opset_import: ["" : 21, "own" : 1]>\n'
    functions = [f'<domain: "own", opset_import: ["" : 21, "own" : 1]>\n'
                 f'f{i} (x) => (y) {{ a = {call}(x) \n y = {call}(a) }}'
                 for i, call in enumerate(['Neg', *(f'own.f{i}' for i in range(29))])]
    with pytest.raises(DataError, match='nodes'):
        load('agraph (float[n] x) => (float[n] y) { y = own.f29(x) }\n' + '\n'.join(functions),
             header)


def test_weights_inside_bodies_are_parameters():
    weight = numpy_helper.from_array(np.array([2, 3], np.float32), 'W')
    out = helper.make_tensor_value_info('a', TensorProto.FLOAT, [2])
    branch = helper.make_graph([helper.make_node('Mul', ['x', 'W'], ['a'])], 'branch', [], [out],
                               [weight])
    node = helper.make_node('If', ['c'], ['y'], then_branch=branch, else_branch=branch)
    graph = helper.make_graph(
        [node], 'graph', [helper.make_tensor_value_info('c', TensorProto.BOOL, []),
                          helper.make_tensor_value_info('x', TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [2])])
    net = minichain.onnx.load(helper.make_model(graph))
    y, = net(np.array(True), np.array([1, 5], np.float32))
    mc.functions.sum(y).backward()
    gradients = [parameter.grad.tolist() for _, parameter in net.namedparams()
                 if parameter.grad is not None]
    assert gradients == [[1, 5]]


def test_a_value_given_in_the_middle_is_not_computed_again():
    net = load("""agraph (float[n] x) => (float[m] a, float[k] b, float[n] c) {
                      a, b = Split <num_outputs = 2> (x)
                      c = Concat <axis = 0> (a, b)
                  }""")
    given = np.array([9, 9], np.float32)
    a, b, c = net(np.array([1, 2, 3, 4], np.float32), a=given)
    assert a.array.tolist() == [9, 9] and b.array.tolist() == [3, 4]
    assert c.array.tolist() == [9, 9, 3, 4]


def test_outputs_that_nobody_names_are_left_out():
    node = helper.make_node('LSTM', ['x', 'W', 'R'], ['', 'h'], hidden_size=2)
    graph = helper.make_graph(
        [node], 'graph', [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3)
                          for name in ('x', 'W', 'R')],
        [helper.make_tensor_value_info('h', TensorProto.FLOAT, [1, 1, 2])])
    h, = minichain.onnx.load(helper.make_model(graph))(
        np.ones((3, 1, 1), np.float32), np.ones((1, 8, 1), np.float32),
        np.ones((1, 8, 2), np.float32))
    assert h.shape == (1, 1, 2)


def test_results_are_those_of_the_reference_evaluator():
    model = parser.parse_model(HEADER + FACTORIAL)
    evaluator = ReferenceEvaluator(model)
    inputs = {'n': np.int64(6), 'go': np.array(True), 'start': np.float32(.5)}
    expected = evaluator.run(None, inputs)
    for y, other in zip(minichain.onnx.load(model)(**inputs), expected):
        # The evaluator makes columns of numbers that are collected.
        np.testing.assert_allclose(y.array, np.reshape(other, y.shape))


def test_a_body_may_give_one_value_twice():
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node('Add', ['state', 'x'], ['next']),
         helper.make_node('Identity', ['going'], ['still'])], 'body',
        [value('i', TensorProto.INT64, []), value('going', TensorProto.BOOL, []),
         value('state', TensorProto.FLOAT, [2])],
        [value('still', TensorProto.BOOL, []), value('next', TensorProto.FLOAT, [2]),
         value('next', TensorProto.FLOAT, [2])])
    graph = helper.make_graph(
        [helper.make_node('Loop', ['n', '', 'x'], ['last', 'all'], body=body)], 'graph',
        [value('x', TensorProto.FLOAT, [2]), value('n', TensorProto.INT64, [])],
        [value('last', TensorProto.FLOAT, [2]), value('all', TensorProto.FLOAT, None)])
    net = minichain.onnx.load(helper.make_model(graph))
    x = np.float32([1, 2])
    last, every = net(x, np.array(3))
    np.testing.assert_array_equal(last.array, 4 * x)
    np.testing.assert_array_equal(every.array, [2 * x, 3 * x, 4 * x])

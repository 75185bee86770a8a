"""What a call may take: little out of nothing, enough for every public kind of network."""
import numpy as np
import pytest
from onnx import TensorProto, helper, parser

import minichain as mc
import minichain.onnx
from minichain.errors import DataError
from minichain.onnx.budget import Budget, current, spending
from minichain.onnx.operators.values import check_size

MILLION, GIGA = 10 ** 6, 10 ** 9


def given(*shapes):
    """Arrays of shapes that take no memory."""
    return [np.broadcast_to(np.float32(0), shape) for shape in shapes]


# Of published networks: inputs, weights, floats in use at a time, floats that the tape keeps,
# multiplications and additions. Rounded up; what nobody trains at that size keeps nothing.
HONEST = {
    'ResNet-152, 64 images': (
        [(64, 3, 224, 224)], 60 * MILLION, 160 * MILLION, 8 * GIGA, 1500 * GIGA),
    'EfficientNet-B7': ([(1, 3, 600, 600)], 66 * MILLION, 40 * MILLION, GIGA, 80 * GIGA),
    'U-Net, gray, 1024 x 1024': (
        [(1, 1, 1024, 1024)], 31 * MILLION, 270 * MILLION, 2 * GIGA, 3500 * GIGA),
    'ESRGAN, four times larger': (
        [(1, 3, 512, 512)], 17 * MILLION, 810 * MILLION, 0, 10_000 * GIGA),
    'BERT base, 64 sentences': (
        [(64, 512), (64, 512), (64, 512)], 110 * MILLION, 650 * MILLION, 12 * GIGA,
        8_000 * GIGA),
    'GPT-2, 1,024 words': ([(1, 1024)], 124 * MILLION, 60 * MILLION, 2 * GIGA, 400 * GIGA),
    'StyleGAN2, one face': ([(1, 512)], 30 * MILLION, 200 * MILLION, GIGA, 300 * GIGA),
    'DCGAN, 128 codes': ([(128, 100)], 4 * MILLION, 40 * MILLION, 90 * MILLION, 40 * GIGA),
    'decoder of latents': (
        [(1, 4, 64, 64)], 50 * MILLION, 350 * MILLION, 2 * GIGA, 5_000 * GIGA),
    'Tacotron 2': ([(1, 150)], 28 * MILLION, 20 * MILLION, GIGA, 100 * GIGA),
}


@pytest.mark.parametrize('name', HONEST)
def test_public_kinds_of_networks_stay_within_their_budget(name):
    shapes, weights, in_use, kept, work = HONEST[name]
    budget = Budget(given(*shapes), weights)
    assert budget.left > 4 * in_use and budget.kept_left > 4 * kept and budget.work_left > work


def test_little_is_made_out_of_nothing():
    budget = Budget(given((1, 3, 224, 224)), 1000)
    assert budget.left < 1.3e9 and budget.kept_left < 2e9
    budget = Budget(given((1,)), 10)
    assert budget.left < 540 << 20 and budget.work_left < 2e11


def test_two_large_inputs_are_joined():
    graph = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        agraph (int8[n, c, h, w] a, int8[n, c, h, w] b) => (int8[n, k, h, w] y) {
            y = Concat <axis = 1> (a, b) }""")
    x = np.broadcast_to(np.int8(3), (8, 512, 128, 136))
    y, = minichain.onnx.load(graph)(x, x)
    assert y.shape == (8, 1024, 128, 136)


def test_what_lives_and_what_the_tape_keeps_are_counted():
    W = helper.make_tensor('W', TensorProto.FLOAT, [1], [1.])
    nodes = [helper.make_node('Mul', ['x', 'W'], ['a']),
             helper.make_node('Expand', ['a', 'shape'], ['v0'])]
    nodes += [helper.make_node('Neg', [f'v{i}'], [f'v{i + 1}']) for i in range(30)]
    graph = helper.make_graph(
        nodes, 'chain', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info('v30', TensorProto.FLOAT, None)],
        [W, helper.make_tensor('shape', TensorProto.INT64, [1], [5 * MILLION])])
    net = minichain.onnx.load(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)]))
    x = np.ones(1, np.float32)
    with mc.no_backprop_mode():     # one after the other: two live at a time
        assert net(x)[0].shape == (5 * MILLION,)
    with pytest.raises(DataError, match='no_backprop_mode'):
        net(x)


def test_a_budget_is_that_of_one_call():
    with spending(Budget()) as budget:
        assert current() is budget
        budget.hold(np.zeros(1000))
        assert budget.left == Budget().left - 8000
        budget.release(np.zeros(1000))
        assert budget.left == Budget().left
    assert current() is not budget


def test_lengths_beside_a_zero_count():
    with pytest.raises(DataError, match='damaged'):
        check_size((1 << 40, 0))
    assert check_size((512, 0, 64)) == (512, 0, 64)


def test_sequences_are_counted_by_their_items():
    budget = Budget()
    left = budget.left
    budget.hold([np.zeros(10), np.zeros(20)])
    assert left - budget.left == 30 * 8 + 2 * 8

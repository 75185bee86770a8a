"""Attention written out head by head, and as PyTorch has it."""
import numpy as np
import pytest

import minichain as mc
from minichain.errors import DataError
from tests.onnx.building import load, run

B, HEADS, SHARED, STEPS, TOTAL, SIZE, OUT = 2, 6, 3, 4, 5, 8, 7


def operands(heads=HEADS, shared=HEADS, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = (B, heads, STEPS, SIZE), (B, shared, TOTAL, SIZE), (B, shared, TOTAL, OUT)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def by_definition(Q, K, V, bias, cap=0, scale=None):
    """Head by head; bias is (B, heads, steps, total), minus infinity for what is not seen."""
    Y = np.zeros((*Q.shape[:3], V.shape[3]))
    for b, head in np.ndindex(Q.shape[:2]):
        shared = head * K.shape[1] // Q.shape[1]
        scores = Q[b, head] @ K[b, shared].T * (Q.shape[3] ** -.5 if scale is None else scale)
        scores = cap * np.tanh(scores / cap) if cap else scores
        for step, row in enumerate(scores + np.broadcast_to(bias, (*Q.shape[:3],
                                                                   len(K[0, 0])))[b, head]):
            if row.max() > -np.inf:
                weights = np.exp(row - row.max())
                Y[b, head, step] = weights / weights.sum() @ V[b, shared]
    return Y


def hidden(seen):
    return np.where(seen, 0, -np.inf)


@pytest.mark.parametrize('shared', [HEADS, SHARED, 1])
def test_heads_may_share_keys_and_values(shared):
    values = operands(shared=shared)
    np.testing.assert_allclose(run('Attention', *values, opset=23),
                               by_definition(*values, 0), atol=1e-12)


def test_three_axes_hold_the_heads_side_by_side():
    Q, K, V = operands(shared=SHARED)
    flat = [x.transpose(0, 2, 1, 3).reshape(B, x.shape[2], -1) for x in (Q, K, V)]
    Y, keys, values, scores = run('Attention', *flat, opset=23, n_outputs=4, q_num_heads=HEADS,
                                  kv_num_heads=SHARED, scale=.25, qk_matmul_output_mode=3)
    expected = by_definition(Q, K, V, 0, scale=.25)
    np.testing.assert_allclose(Y, expected.transpose(0, 2, 1, 3).reshape(B, STEPS, -1), atol=1e-12)
    np.testing.assert_array_equal(keys, K)
    np.testing.assert_array_equal(values, V)
    np.testing.assert_allclose(scores.sum(axis=3), 1)


def test_masks_of_bools_and_floats_with_causality_and_a_cap():
    values, rng = operands(), np.random.default_rng(1)
    causal = hidden(np.arange(TOTAL) <= np.arange(STEPS)[:, None])
    seen = rng.random((HEADS, STEPS, TOTAL)) < .6
    np.testing.assert_allclose(run('Attention', *values, seen, opset=23, is_causal=1),
                               by_definition(*values, hidden(seen) + causal), atol=1e-12)
    bias = rng.normal(size=(B, 1, 1, TOTAL))
    np.testing.assert_allclose(run('Attention', *values, bias, opset=23, is_causal=1, softcap=.5),
                               by_definition(*values, bias + causal, cap=.5), atol=1e-12)


def test_a_mask_that_is_too_short_hides_the_keys_behind_it():
    values = operands()
    seen = np.ones((STEPS, TOTAL - 2), bool)
    for mask in (seen, np.where(seen, 0., -np.inf)):
        np.testing.assert_allclose(run('Attention', *values, mask, opset=23),
                                   by_definition(*values, hidden(np.arange(TOTAL) < TOTAL - 2)),
                                   atol=1e-12)


def test_a_query_that_sees_nothing_gives_zeros_and_no_nan_in_gradients():
    values = operands()
    seen = np.ones((STEPS, TOTAL), bool)
    seen[2] = False
    net = load('Attention', (*values, seen), opset=23)
    variables = [mc.Variable(value) for value in values]
    y, = net(*variables, seen)
    mc.functions.sum(y * y).backward()
    assert not y.array[:, :, 2].any() and y.array[:, :, 1].all()
    assert all(np.isfinite(variable.grad).all() for variable in variables)
    assert not variables[0].grad[:, :, 2].any()


def test_a_cache_comes_in_front_and_moves_the_causal_frontier():
    Q, K, V = operands()
    past = 3
    Y, keys, values = run('Attention', Q, K[:, :, past:], V[:, :, past:], None, K[:, :, :past],
                          V[:, :, :past], opset=23, n_outputs=3, is_causal=1)
    np.testing.assert_array_equal(keys, K)
    np.testing.assert_array_equal(values, V)
    bias = hidden(np.arange(TOTAL) <= np.arange(STEPS)[:, None] + past)
    np.testing.assert_allclose(Y, by_definition(Q, K, V, bias), atol=1e-12)


def test_lengths_of_an_outer_cache_and_windows():
    values, lengths = operands(), np.array([5, 4])
    places = np.arange(STEPS)[:, None] + lengths.reshape(B, 1, 1, 1) - STEPS
    keys = np.arange(TOTAL)
    seen = (keys < lengths.reshape(B, 1, 1, 1)) & (keys <= places) & (keys >= places - 1)
    y = run('Attention', *values, None, None, None, lengths, opset=25, is_causal=1,
            left_window_size=1)
    np.testing.assert_allclose(y, by_definition(*values, hidden(seen)), atol=1e-12)


@pytest.mark.parametrize('mode', [0, 1, 2])
def test_scores_can_be_had_before_and_after_cap_and_mask(mode):
    Q, K, V = operands()
    bias = np.random.default_rng(2).normal(size=(STEPS, TOTAL))
    scores = run('Attention', Q, K, V, bias, opset=23, n_outputs=4, softcap=2.,
                 qk_matmul_output_mode=mode)[3]
    expected = np.einsum('bhsd,bhtd->bhst', Q, K) / np.sqrt(SIZE)
    expected = expected if mode == 0 else 2 * np.tanh(expected / 2)
    np.testing.assert_allclose(scores, expected + bias * (mode == 2), atol=1e-12)


def test_values_and_gradients_are_those_of_pytorch():
    torch = pytest.importorskip('torch', reason='PyTorch is the reference here')
    values = operands()
    bias = np.random.default_rng(3).normal(size=(B, HEADS, STEPS, TOTAL))
    net = load('Attention', (*values, bias), opset=23)
    ours = [mc.Variable(value) for value in (*values, bias)]
    theirs = [torch.tensor(value, requires_grad=True) for value in (*values, bias)]
    y, = net(*ours)
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs)
    np.testing.assert_allclose(y.array, expected.detach().numpy(), atol=1e-12)
    mc.functions.sum(y * y).backward()
    (expected * expected).sum().backward()
    for our, their in zip(ours, theirs):
        np.testing.assert_allclose(our.grad, their.grad.numpy(), atol=1e-12)


def test_what_does_not_fit_is_refused():
    Q, K, V = operands()
    with pytest.raises(DataError, match='divisor'):
        run('Attention', Q, K[:, :4], V[:, :4], opset=23)
    with pytest.raises(DataError, match='heads'):
        run('Attention', Q[0], K[0], V[0], opset=23, q_num_heads=3, kv_num_heads=3)
    with pytest.raises(DataError, match='past_key and past_value'):
        run('Attention', Q, K, V, None, K, opset=23)


@pytest.mark.parametrize('interleaved', [0, 1])
@pytest.mark.parametrize('size', [0, 4])
def test_features_are_turned_as_complex_numbers(interleaved, size):
    rng = np.random.default_rng(4)
    x, angles = rng.normal(size=(B, HEADS, STEPS, SIZE)), rng.normal(size=(9, (size or SIZE) // 2))
    positions = rng.integers(0, 9, (B, STEPS))
    y = run('RotaryEmbedding', x, np.cos(angles), np.sin(angles), positions, opset=23,
            interleaved=interleaved, rotary_embedding_dim=size)
    width = size or SIZE
    first = np.arange(0, width, 2) if interleaved else np.arange(width // 2)
    second = first + 1 if interleaved else first + width // 2
    turned = (x[..., first] + 1j * x[..., second]) * np.exp(1j * angles[positions])[:, None]
    expected = x.copy()
    expected[..., first], expected[..., second] = turned.real, turned.imag
    np.testing.assert_allclose(y, expected, atol=1e-12)
    flat = run('RotaryEmbedding', x.transpose(0, 2, 1, 3).reshape(B, STEPS, -1), np.cos(angles),
               np.sin(angles), positions, opset=23, interleaved=interleaved,
               rotary_embedding_dim=size, num_heads=HEADS)
    np.testing.assert_allclose(flat, expected.transpose(0, 2, 1, 3).reshape(B, STEPS, -1),
                               atol=1e-12)

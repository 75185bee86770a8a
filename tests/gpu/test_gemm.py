"""Matrix products: what they mean, what is refused, and that a GPU agrees where there is one."""
import numpy as np
import pytest

from minichain import using_config
from minichain.backend import cuda_available
from minichain.errors import InvalidArgument, InvalidType
from minichain.gpu import gemm as module
from minichain.gpu.gemm import gemm, mask_shape
from minichain.gpu.precision import from_bfloat16, to_bfloat16

EPILOGUES = (None, 'relu', 'bias', 'relu_bias', 'relu_mask', 'relu_mask_bias', 'drelu',
             'drelu_bias_gradient', 'bias_gradient_a', 'bias_gradient_b')
M, K, N = 5, 4, 7


def whole_numbers(shape, seed=0):
    """Small whole numbers: exact in every precision, so results are compared exactly."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype('f')


def operands(trans_a=False, trans_b=False, epilogue=None, m=M, k=K, n=N):
    """Return what gemm takes, as float32 NumPy arrays."""
    arguments = {'a': whole_numbers((k, m) if trans_a else (m, k), 1),
                 'b': whole_numbers((n, k) if trans_b else (k, n), 2),
                 'out': whole_numbers((m, n), 3), 'trans_a': trans_a, 'trans_b': trans_b,
                 'epilogue': epilogue}
    if epilogue and 'bias' in epilogue:
        arguments['bias'] = whole_numbers(m if epilogue.endswith('_a') else n, 4)
    if epilogue and ('mask' in epilogue or 'drelu' in epilogue):
        mask = np.random.default_rng(5).integers(0, 256, mask_shape(m, n)).astype('u1')
        arguments['mask'] = mask
    return arguments


def expected(arguments, alpha=1.0, beta=0.0):
    """Return (out, bias, bits of the mask) by formulas of their own, in float64."""
    a, b, c = (arguments[name].astype('d') for name in ('a', 'b', 'out'))
    bias, epilogue = arguments.get('bias'), arguments['epilogue'] or ''
    a = np.einsum('km->mk', a) if arguments['trans_a'] else a
    b = np.einsum('nk->kn', b) if arguments['trans_b'] else b
    y = alpha * np.einsum('mk,kn->mn', a, b) + (beta * c if beta else 0)
    bits = None
    if 'relu' in epilogue and 'drelu' not in epilogue:
        y = y + bias if 'bias' in epilogue else y
        bits = y > 0
        y = y * bits
    elif epilogue == 'bias':
        y = y + bias
    if 'drelu' in epilogue:
        mask = arguments['mask']
        y = y * [[mask[i, j // 8] >> j % 8 & 1 for j in range(y.shape[1])]
                 for i in range(y.shape[0])]
    if epilogue.endswith('gradient'):
        bias = np.einsum('mn->n', y)
    elif epilogue == 'bias_gradient_a':
        bias = np.einsum('mk->m', a)
    elif epilogue == 'bias_gradient_b':
        bias = np.einsum('kn->n', b)
    return y, bias, bits


def assert_as_expected(arguments, result):
    y, bias, bits = result
    np.testing.assert_array_equal(arguments['out'], y)
    if bias is not None:
        np.testing.assert_array_equal(arguments['bias'], bias)
    if bits is not None:
        mask = arguments['mask'] if 'mask' in arguments else np.packbits(
            np.pad(bits, ((0, 0), (0, 128 - N))), axis=1, bitorder='little')
        np.testing.assert_array_equal(
            np.unpackbits(mask, axis=1, bitorder='little'), np.pad(bits, ((0, 0), (0, 128 - N))))


@pytest.mark.parametrize('trans_b', [False, True])
@pytest.mark.parametrize('trans_a', [False, True])
@pytest.mark.parametrize('epilogue', EPILOGUES)
def test_numpy_arrays_are_multiplied_as_the_formulas_say(epilogue, trans_a, trans_b):
    for alpha, beta in ((1, 0), (2, 0), (-1, 3)):
        arguments = operands(trans_a, trans_b, epilogue)
        result = expected(arguments, alpha, beta)
        assert gemm(**arguments, alpha=alpha, beta=beta) is arguments['out']
        assert_as_expected(arguments, result)


def test_a_weight_gradient_and_a_bias_gradient_are_one_product():
    gy, x = whole_numbers((6, 3), 1), whole_numbers((6, 5), 2)
    gW, gb = np.empty((3, 5), 'f'), np.empty(3, 'f')
    gemm(gy, x, gW, trans_a=True, epilogue='bias_gradient_a', bias=gb)
    np.testing.assert_array_equal(gW, gy.T @ x)
    np.testing.assert_array_equal(gb, gy.sum(0))


def test_the_mask_of_a_forward_product_serves_the_backward_one():
    arguments = operands(epilogue='relu_mask')
    gemm(**arguments)
    gy, W, gx = whole_numbers((M, 3), 6), whole_numbers((3, N), 7), np.empty((M, N), 'f')
    gemm(gy, W, gx, epilogue='drelu', mask=arguments['mask'])
    np.testing.assert_array_equal(gx, (gy @ W) * (arguments['out'] > 0))


def test_without_beta_what_stood_in_out_is_never_read():
    arguments = operands()
    arguments['out'][...] = np.nan
    assert np.isfinite(gemm(**arguments)).all()


def test_what_is_added_may_lie_elsewhere_but_not_in_part():
    arguments, wide = operands(epilogue='relu_bias'), np.zeros((M, 2 * N), 'f')
    wide[:, :N] = addend = arguments['out']
    result = expected(arguments, 2, 3)
    arguments['out'] = wide[:, N:]
    gemm(**arguments, alpha=2, beta=3, addend=wide[:, :N])
    assert_as_expected(arguments, result)
    np.testing.assert_array_equal(wide[:, :N], addend)
    for wrong in (wide[:, 1:N + 1], addend[:, :-1], addend.astype('u2')):
        with pytest.raises(InvalidType, match='gemm: addend is .* expected as out'):
            gemm(**arguments, beta=1, addend=wrong)


def test_a_batch_of_products_may_share_an_operand_and_a_bias():
    a, b, bias = whole_numbers((3, M, K)), whole_numbers((K, N)), whole_numbers(N)
    out = np.empty((3, M, N), 'f')
    gemm(a, b, out, epilogue='bias', bias=bias)
    np.testing.assert_array_equal(out, np.einsum('bmk,kn->bmn', a, b) + bias)
    each = whole_numbers((3, N, K), 9)
    gemm(a, each, out, trans_b=True, alpha=2)
    np.testing.assert_array_equal(out, 2 * np.einsum('bmk,bnk->bmn', a, each))


def test_slices_of_wider_rows_are_operands_and_results():
    wide = np.zeros((M, 20), 'f')
    wide[:, 3:3 + K] = whole_numbers((M, K), 1)
    b = whole_numbers((K, N), 2)
    gemm(wide[:, 3:3 + K], b, wide[:, 10:10 + N])   # of the same rows, and yet apart
    np.testing.assert_array_equal(wide[:, 10:10 + N], wide[:, 3:3 + K] @ b)
    assert not wide[:, :3].any() and not wide[:, 17:].any()


def test_steps_of_a_sequence_with_the_batch_in_front_are_a_batch():
    x, W = whole_numbers((3, 6, K)), whole_numbers((K, N))   # N, T, K
    y = np.empty((3, 6, N), 'f')
    gemm(x.swapaxes(0, 1), W, y.swapaxes(0, 1))
    np.testing.assert_array_equal(y, x @ W)


def test_bfloat16_operands_are_added_up_in_float32():
    a, b = to_bfloat16(np.full((1, 512), 1, 'f')), to_bfloat16(np.full((512, 1), 1.0078125, 'f'))
    wide = gemm(a, b, np.empty((1, 1), 'f'))
    assert wide == 516                # bfloat16 sums would stop at 256
    narrow = gemm(a, b, np.empty((1, 1), 'u2'))
    assert from_bfloat16(narrow) == 516


def test_tf32_rounds_operands_and_float32_does_not():
    a, b = np.full((1, 1), 1 + 2 ** -11 + 2 ** -20, 'f'), np.ones((1, 1), 'f')
    for precision, result in (('float32', a), ('tf32', 1 + 2 ** -10), ('bf16', 1 + 2 ** -10)):
        with using_config('precision', precision):
            assert gemm(a, b, np.empty((1, 1), 'f')) == result


def refused(match, error=InvalidType, **changes):
    arguments = operands(epilogue=changes.get('epilogue')) | changes
    before = arguments['out'].copy()
    with pytest.raises(error, match=match):
        gemm(**arguments)
    np.testing.assert_array_equal(arguments['out'], before)


f4 = np.float32


@pytest.mark.parametrize('match, changes', [
    (r'a \(5, 3\) @ b \(4, 7\) -> out \(5, 7\) does not fit', {'a': np.ones((5, 3), f4)}),
    (r'a \(5, 4\) transposed @ b', {'trans_a': True}),
    (r'-> out \(5, 6\) does not fit', {'out': np.ones((5, 6), f4)}),
    (r'a has shape \(4,\)', {'a': np.ones(4, f4)}),
    (r'a has shape \(0, 4\).* none of them 0', {'a': np.ones((0, 4), f4)}),
    (r'as many matrices', {'a': np.ones((2, 5, 4), f4)}),
    (r'as many matrices', {'a': np.ones((2, 5, 4), f4), 'out': np.ones((3, 5, 7), f4)}),
    (r'b has dtype float64; expected float32', {'b': np.ones((4, 7))}),
    (r'float32 @ uint16 -> float32', {'b': np.ones((4, 7), np.uint16)}),
    (r'float32 @ float32 -> uint16', {'out': np.ones((5, 7), np.uint16)}),
    (r'give the array itself and trans_a=True', {'a': np.ones((4, 5), f4).T}),
    (r'b .* has strides', {'b': np.ones((4, 14), f4)[:, ::2]}),
    (r'b .* has strides', {'b': np.ones((4, 7), f4)[::-1]}),
    (r'a .* has strides', {'a': np.broadcast_to(f4(1), (5, 4))}),
    (r'matrices of out .* are one', {
        'a': np.ones((2, 5, 4), f4), 'out': np.lib.stride_tricks.as_strided(
            np.ones((5, 7), f4), (2, 5, 7), (0, 28, 4))}),
    (r"bias missing with epilogue='bias'", {'epilogue': 'bias', 'bias': None}),
    (r'bias given with epilogue=None', {'bias': np.ones(7, f4)}),
    (r'bias is float32 \(5,\).*expected contiguous float32 \(7,\)', {
        'epilogue': 'bias', 'bias': np.ones(5, f4)}),
    (r'bias is uint16', {'epilogue': 'bias', 'bias': np.ones(7, np.uint16)}),
    (r'bias is float32 \(7,\) with strides \(8,\)', {
        'epilogue': 'bias', 'bias': np.ones(14, f4)[::2]}),
    (r'expected contiguous float32 \(5,\)', {
        'epilogue': 'bias_gradient_a', 'bias': np.ones(7, f4)}),
    (r"mask missing with epilogue='drelu'", {'epilogue': 'drelu', 'mask': None}),
    (r'mask is uint8 \(5, 7\).*expected contiguous uint8 \(5, 16\)', {
        'epilogue': 'drelu', 'mask': np.ones((5, 7), np.uint8)}),
    (r'of a batch of products', {
        'a': np.ones((2, 5, 4), f4), 'out': np.ones((2, 5, 7), f4), 'epilogue': 'relu_mask'}),
])
def test_what_does_not_fit_is_refused_before_anything_is_written(match, changes):
    refused(match, **changes)


def test_an_unknown_epilogue_is_refused_with_the_names():
    with pytest.raises(InvalidArgument, match=r"'gelu'; expected one of None, 'relu', 'bias'"):
        gemm(**operands() | {'epilogue': 'gelu'})


def test_a_result_that_lies_in_an_operand_is_refused():
    x = np.ones((8, 8), 'f')
    for a, out in ((x, x), (x[:, :4], x[:, 3:7]), (x[:4, :4], x[3:7, :4])):
        with pytest.raises(InvalidType, match='out shares memory with a'):
            gemm(a, np.ones((a.shape[1], out.shape[1]), 'f'), out)
    gemm(x[:, :4], np.ones((4, 4), 'f'), x[:, 4:])
    gemm(x[:4], np.ones((8, 8), 'f'), x[4:])


def test_an_array_on_a_gpu_does_not_meet_one_of_numpy(monkeypatch):
    from tests.gpu import stand_in
    monkeypatch.setattr(module, 'import_cupy', stand_in.cupy)
    arguments = operands()
    arguments['a'] = stand_in.Array(arguments['a'])
    with pytest.raises(InvalidType, match='met ndarray, ndarray'):
        gemm(**arguments)


def test_a_mask_has_room_for_128_columns_at_a_time():
    assert [mask_shape(3, n) for n in (1, 128, 129)] == [(3, 16), (3, 16), (3, 32)]


needs_a_gpu = pytest.mark.skipif(not cuda_available(), reason='needs a GPU and CuPy')


def on_gpu(arguments, bfloat16=False):
    """Return the arguments as CuPy arrays; floats as bfloat16 if told."""
    cupy = pytest.importorskip('cupy')
    return {name: cupy.asarray(to_bfloat16(x) if bfloat16 and x.dtype == np.float32 else x)
            if isinstance(x, np.ndarray) else x for name, x in arguments.items()}


def on_cpu(arguments):
    return {name: from_bfloat16(x.get()) if x.dtype == np.uint16 else x.get()
            for name, x in arguments.items() if hasattr(x, 'get')}


@needs_a_gpu
@pytest.mark.parametrize('precision', ['float32', 'tf32', 'bf16'])
@pytest.mark.parametrize('trans', [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize('epilogue', EPILOGUES)
def test_a_gpu_multiplies_as_the_formulas_say(epilogue, trans, precision):
    for m, k, n in ((M, K, N), (64, 48, 128)):
        arguments = operands(*trans, epilogue, m, k, n)
        if 'drelu' in (epilogue or ''):   # the bits must be in the library's own order
            forward = on_gpu(operands(*trans, 'relu_mask', m, k, n), precision == 'bf16')
            gemm(**forward)
            positive = on_cpu(forward)['out'] > 0
            bits = np.packbits(positive, axis=1, bitorder='little')
            arguments['mask'][...] = 0
            arguments['mask'][:, :bits.shape[1]] = bits
        result = expected(arguments)
        there = on_gpu(arguments, precision == 'bf16')
        if 'drelu' in (epilogue or ''):
            there['mask'] = forward['mask']
        with using_config('precision', precision):
            gemm(**there)
        here = on_cpu(there)
        tolerance = 2 ** -8 if precision == 'bf16' else 0   # of the stored result
        np.testing.assert_allclose(here['out'], result[0], tolerance)
        if result[1] is not None:
            np.testing.assert_allclose(here['bias'], result[1], tolerance)


@needs_a_gpu
@pytest.mark.parametrize('precision', ['float32', 'tf32', 'bf16'])
def test_a_gpu_adds_what_lies_elsewhere(precision):
    arguments = operands(trans_b=True, epilogue='relu_bias', m=64, k=48, n=128)
    result, there = expected(arguments, 1, 1), on_gpu(arguments, precision == 'bf16')
    addend = there['out'].copy()
    there['out'][...] = 0
    with using_config('precision', precision):
        gemm(**there, beta=1, addend=addend)
    np.testing.assert_allclose(on_cpu(there)['out'], result[0],
                               2 ** -8 if precision == 'bf16' else 0)


@needs_a_gpu
@pytest.mark.parametrize('precision', ['float32', 'tf32', 'bf16'])
def test_two_deterministic_products_on_a_gpu_agree_in_every_bit(precision):
    rng = np.random.default_rng(0)   # a long sum of few results, which invites splitting it
    arguments = on_gpu({'a': rng.standard_normal((16384, 64)).astype('f'),
                        'b': rng.standard_normal((16384, 96)).astype('f'),
                        'out': np.empty((64, 96), 'f')}, precision == 'bf16')
    with using_config('deterministic', True), using_config('precision', precision):
        runs = {gemm(**arguments, trans_a=True).tobytes() for _ in range(20)}
    assert len(runs) == 1


@needs_a_gpu
def test_a_product_is_captured_in_a_graph_and_replayed():
    cupy = pytest.importorskip('cupy')
    arguments = on_gpu(operands(epilogue='relu_bias'))
    gemm(**arguments)
    expected_out = arguments['out'].copy()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        gemm(**arguments)
        graph = stream.end_capture()
        arguments['out'][...] = 0
        graph.launch()
        stream.synchronize()
    np.testing.assert_array_equal(arguments['out'].get(), expected_out.get())

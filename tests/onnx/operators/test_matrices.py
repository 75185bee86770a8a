"""Matrices in ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.RandomState(seed).uniform(-3, 3, shape).astype(dtype)


@pytest.mark.parametrize('left, right', [
    ((4,), (4,)), ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)), ((3,), (5, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3))])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'int32', 'int64', 'uint32'])
def test_products_of_all_ranks_and_types(left, right, dtype):
    x, y = abs(draw(*left)).astype(dtype), abs(draw(*right, seed=1)).astype(dtype)
    z = run('MatMul', x, y)
    assert z.dtype == dtype and z.shape == (x @ y).shape
    np.testing.assert_allclose(z, x @ y, 1e-6)
    if dtype == 'float64' and z.size:
        check_gradients(load('MatMul', [x, y], initializers=[1]), x)


def test_products_that_do_not_fit_are_refused():
    for shapes in (((2, 3), (4, 5)), ((2, 3), ()), ((2, 2, 3), (3, 3, 4))):
        with pytest.raises((DataError, ValueError), match='expected|fit'):
            run('MatMul', *(draw(*shape) for shape in shapes))


def test_a_product_far_larger_than_its_operands_is_refused():
    with pytest.raises(DataError, match='asked for'):
        run('MatMul', draw(60000, 1, dtype=np.float32), draw(1, 60000, dtype=np.float32))


@pytest.mark.parametrize('opset', [6, 7, 9, 11, 13])
@pytest.mark.parametrize('transposed', [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize('shape', [(2, 4), (4,), (2, 1), (1,), ()])
def test_gemm_of_all_operator_sets(opset, transposed, shape):
    A, B, C = draw(2, 3), draw(3, 4, seed=1), draw(*shape, seed=2)
    expected = 2 * A @ B - .5 * C
    given = [np.ascontiguousarray(x.T if swap else x) for x, swap in zip((A, B), transposed)] + [C]
    attributes = {'broadcast': 1} if opset == 6 else {}
    net = load('Gemm', given, opset=opset, initializers=[1, 2], transA=transposed[0],
               transB=transposed[1], alpha=2., beta=-.5, **attributes)
    np.testing.assert_allclose(net(given[0])[0].array, expected, 1e-12)
    check_gradients(net, given[0])


def test_gemm_without_c_and_of_integers():
    A, B = draw(2, 3), draw(3, 4)
    np.testing.assert_allclose(run('Gemm', A, B, opset=11), A @ B, 1e-12)
    A, B, C = (np.arange(6).reshape(shape) for shape in ((2, 3), (3, 2), (6,)))
    np.testing.assert_array_equal(run('Gemm', A, B, C[:2], opset=13, alpha=2., beta=3.),
                                  2 * A @ B + 3 * C[:2])


def test_gemm_refuses_what_does_not_fit():
    with pytest.raises(DataError, match='matrices'):
        run('Gemm', draw(2, 3, 4), draw(4, 5))
    with pytest.raises(DataError, match='C of a shape'):
        run('Gemm', draw(1, 3), draw(3, 4), draw(2, 4))


@pytest.mark.parametrize('equation, shapes', [
    ('ij,jk->ik', [(2, 3), (3, 4)]), ('bij, bjk -> bik', [(5, 2, 3), (5, 3, 4)]),
    ('ij->ji', [(2, 3)]), ('...ii->...i', [(2, 3, 3)]), ('i,i', [(3,), (3,)]), ('ij->', [(2, 3)]),
    ('b...h,hk->b...k', [(2, 3, 4), (4, 5)]), ('ij,kj,lk->il', [(2, 3), (4, 3), (5, 4)])])
@pytest.mark.parametrize('dtype', ['float64', 'int64'])
def test_sums_of_products(equation, shapes, dtype):
    operands = [draw(*shape, seed=seed).astype(dtype) for seed, shape in enumerate(shapes)]
    expected = np.einsum(equation, *operands)
    y = run('Einsum', *operands, equation=equation, opset=12)
    assert y.dtype == dtype and y.shape == expected.shape
    np.testing.assert_allclose(y, expected, 1e-12, 1e-12)
    if dtype == 'float64':
        check_gradients(load('Einsum', operands, equation=equation, opset=12), *operands)


def test_an_equation_for_an_absurd_result_is_refused():
    with pytest.raises(DataError, match='asked for'):
        run('Einsum', draw(60000), draw(60000), equation='i,j->ij', opset=12)


@pytest.mark.parametrize('shape', [(3, 3), (2, 3, 3), (2, 4, 3, 3)])
def test_determinants(shape):
    x = draw(*shape)
    np.testing.assert_allclose(run('Det', x, opset=11), np.linalg.det(x), 1e-9)
    check_gradients(load('Det', [x], opset=11), x)


@pytest.mark.parametrize('upper', [0, 1])
@pytest.mark.parametrize('k', [None, -5, -1, 0, 2, 2 ** 62])
@pytest.mark.parametrize('dtype', ['float32', 'int64', 'uint8', 'bool'])
def test_triangles(upper, k, dtype):
    x = (draw(2, 3, 5) * 3).astype(dtype)
    cut = np.triu if upper else np.tril
    expected = cut(x, 0 if k is None else min(k, 9))
    y = run('Trilu', x, None if k is None else np.array(k), opset=14, upper=upper)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)


def test_a_triangle_of_infinities_has_zeros_and_not_nan():
    x = np.full((3, 3), -np.inf, np.float32)
    np.testing.assert_array_equal(run('Trilu', x, np.array(1), opset=14), np.triu(x, 1))
    few = draw(3, 4)
    check_gradients(load('Trilu', [few], opset=14), few)

"""Cases: operators and methods of Variable, and which dtype comes out of which operands."""

import numpy as np

from .table import case, given, integers, positive, real


def operator(variant, inputs, call, **options):
    """One case under the heading `operator`."""
    return case('operator', variant, inputs, lambda F, *operands: call(*operands), **options)


def method(variant, inputs, call, **options):
    """One case under the heading `variable`."""
    return case('variable', variant, inputs, lambda F, *operands: call(*operands), **options)


BINARY = {
    'add': lambda x, y: x + y,
    'subtract': lambda x, y: x - y,
    'multiply': lambda x, y: x * y,
    'divide': lambda x, y: x / y,
    'power': lambda x, y: x ** y,
    'floor_divide': lambda x, y: x // y,
}
SHAPES = {
    'same_shape': ((2, 3), (2, 3)),
    'broadcast_vector': ((2, 3), (3,)),
    'broadcast_both': ((2, 1, 3), (4, 1)),
    'broadcast_0d': ((), (2, 3)),
}
SCALARS = {'float': 1.5, 'int': 2, 'numpy_float64': np.float64(1.5),
           'numpy_float32': np.float32(1.5)}

CASES = []
for word, call in BINARY.items():
    for shapes_word, (left, right) in SHAPES.items():
        CASES.append(operator(f'{word}-{shapes_word}', [positive(*left), positive(*right)], call))
    CASES += [
        operator(f'{word}-float32',
                 [positive(2, 3, dtype='float32'), positive(2, 3, dtype='float32')], call),
        operator(f'{word}-zero_size', [positive(0, 3), positive(0, 3)], call),
        operator(f'{word}-array_right', [positive(2, 3), positive(2, 3).raw()], call),
        operator(f'{word}-array_left', [positive(2, 3).raw(), positive(2, 3)], call),
        operator(f'{word}-array_right_broadcast', [positive(2, 3), positive(3).raw()], call),
        operator(f'{word}-0d_array_right', [positive(2, 3), positive().raw()], call),
        operator(f'{word}-itself', [positive(2, 3)], lambda x, call=call: call(x, x)),
        operator(f'{word}-integers',
                 [integers(2, 3, low=1, high=9).boxed(), integers(2, 3, low=1, high=4).boxed()],
                 call, refused=word not in ('add', 'subtract')),
        operator(f'{word}-float32-float64', [positive(2, 3, dtype='float32'), positive(2, 3)],
                 call,
                 refused=True),
        operator(f'{word}-float32-float64_array',
                 [positive(2, 3, dtype='float32'), positive(2, 3).raw()], call),
        operator(f'{word}-float32-float64_0d', [positive(2, 3, dtype='float32'), positive().raw()],
                 call),
        operator(f'{word}-float32-int32_array',
                 [positive(2, 3, dtype='float32'), integers(2, 3, low=1, high=4)], call),
        operator(f'{word}-list', [positive(2, 3)], lambda x, call=call: call(x, [1, 2, 3]),
                 refused=True),
        operator(f'{word}-shapes_that_do_not_meet', [positive(2, 3), positive(2, 4)], call,
                 refused=True),
    ]
    for scalar_word, scalar in SCALARS.items():
        CASES += [
            operator(f'{word}-{scalar_word}_right', [positive(2, 3)],
                     lambda x, call=call, scalar=scalar: call(x, scalar)),
            operator(f'{word}-{scalar_word}_left', [positive(2, 3)],
                     lambda x, call=call, scalar=scalar: call(scalar, x)),
            operator(f'{word}-float32-{scalar_word}_right', [positive(2, 3, dtype='float32')],
                     lambda x, call=call, scalar=scalar: call(x, scalar)),
            operator(f'{word}-float32-{scalar_word}_left', [positive(2, 3, dtype='float32')],
                     lambda x, call=call, scalar=scalar: call(scalar, x)),
        ]
    CASES += [
        operator(f'{word}-float16-float_right', [positive(2, 3, dtype='float16')],
                 lambda x, call=call: call(x, 1.5)),
        operator(f'{word}-int32-int_right', [integers(2, 3, low=1, high=9).boxed()],
                 lambda x, call=call: call(x, 2),
                 refused=word == 'power'),
        operator(f'{word}-bool_right', [positive(2, 3, dtype='float32')],
                 lambda x, call=call: call(x, True)),
    ]

CASES += [
    operator('negative', [real(2, 3)], lambda x: -x),
    operator('negative-float32', [real(2, 3, dtype='float32')], lambda x: -x),
    operator('positive', [real(2, 3)], lambda x: +x),
    operator('absolute', [real(2, 3)], abs),
    operator('absolute-at_zero', [given([-1.5, 0., 2.])], abs),
    operator('floor_divide-signs', [given([-7., -2., 2., 7.]), given([2., -3., -2., 3.])],
             lambda x, y: x // y),
    operator('power-square', [real(2, 3)], lambda x: x ** 2),
    operator('power-cube', [real(2, 3)], lambda x: x ** 3),
    operator('power-one', [real(2, 3)], lambda x: x ** 1),
    operator('power-zero', [real(2, 3)], lambda x: x ** 0),
    operator('power-minus_one', [positive(2, 3)], lambda x: x ** -1),
    operator('power-half', [positive(2, 3)], lambda x: x ** .5),
    operator('power-square_at_zero', [given([-1., 0., 2.])], lambda x: x ** 2),
    operator('power-array_exponent', [positive(2, 3), positive(2, 3).raw()], lambda x, y: x ** y),
    operator('matmul', [real(2, 3), real(3, 4)], lambda x, y: x @ y),
    operator('matmul-batched', [real(2, 2, 3), real(2, 3, 2)], lambda x, y: x @ y),
    operator('matmul-batched_broadcast', [real(2, 1, 2, 3), real(3, 3, 2)], lambda x, y: x @ y),
    operator('matmul-vectors', [real(3), real(3)], lambda x, y: x @ y),
    operator('matmul-matrix_vector', [real(2, 3), real(3)], lambda x, y: x @ y),
    operator('matmul-array_left', [real(2, 3).raw(), real(3, 4)], lambda x, y: x @ y),
    operator('matmul-array_right', [real(2, 3), real(3, 4).raw()], lambda x, y: x @ y),
    operator('matmul-float32-float64', [real(2, 3, dtype='float32'), real(3, 4)],
             lambda x, y: x @ y),
    operator('in_place_add', [real(2, 3), real(2, 3)], lambda x, y: _in_place_add(x, y)),
    operator('a_longer_expression', [real(2, 3), real(3), positive(2, 1)],
             lambda x, y, z: (x * y + 1) / z - 2 ** x * (1 - z) + y / 3),
    method('getitem-int', [real(3, 4)], lambda x: x[1]),
    method('getitem-negative', [real(3, 4)], lambda x: x[-1, -2]),
    method('getitem-slice', [real(3, 4)], lambda x: x[1:, ::2]),
    method('getitem-negative_step', [real(3, 4)], lambda x: x[::-1, 3:0:-2]),
    method('getitem-newaxis_ellipsis', [real(3, 4)], lambda x: x[None, ..., 1]),
    method('getitem-integer_array', [real(3, 4)], lambda x: x[np.array([0, 2, 2])]),
    method('getitem-list', [real(3, 4)], lambda x: x[[0, 2, 0]]),
    method('getitem-tuple_of_lists', [real(3, 4)], lambda x: x[[0, 2, 0], [1, 1, 1]]),
    method('getitem-boolean_mask', [real(3, 4)],
           lambda x: x[np.arange(12).reshape(3, 4) % 3 == 0]),
    method('getitem-slice_and_array', [real(3, 4, 2)], lambda x: x[:, np.array([1, 1]), 0]),
    method('getitem-out_of_range', [real(3, 4)], lambda x: x[5], refused=True),
    method('iterated', [real(3, 4)], lambda x: [row * 2 for row in x]),
    method('unpacked', [real(2, 3)], lambda x: _product_of_rows(x)),
    method('reshape-ints', [real(2, 6)], lambda x: x.reshape(3, 4)),
    method('reshape-tuple', [real(2, 6)], lambda x: x.reshape((3, 4))),
    method('reshape-unknown', [real(2, 6)], lambda x: x.reshape(-1, 2, 2)),
    method('reshape-list', [real(2, 6)], lambda x: x.reshape([4, -1])),
    method('reshape-0d', [real(1, 1)], lambda x: x.reshape(())),
    method('transpose', [real(2, 3, 4)], lambda x: x.transpose()),
    method('transpose-ints', [real(2, 3, 4)], lambda x: x.transpose(1, 2, 0)),
    method('transpose-tuple', [real(2, 3, 4)], lambda x: x.transpose((2, 0, 1))),
    method('transpose-list', [real(2, 3, 4)], lambda x: x.transpose([2, 0, 1])),
    method('transpose-negative', [real(2, 3, 4)], lambda x: x.transpose(-1, 0, 1)),
    method('transpose-none', [real(2, 3, 4)], lambda x: x.transpose(None)),
    method('T', [real(2, 3, 4)], lambda x: x.T),
    method('mean', [real(2, 3)], lambda x: x.mean()),
    method('mean-axis', [real(2, 3)], lambda x: x.mean(axis=0)),
    method('facts', [real(2, 3, dtype='float32')],
           lambda x: [len(x), x.ndim, x.size, list(x.shape), str(x.dtype), x.label, x.rank,
                      x.requires_grad,
                      x.name, x.grad is None, x.creator is None, x.grad_var is None,
                      x.xp.__name__]),
    method('facts-0d', [real(dtype='float32')],
           lambda x: [x.ndim, x.size, list(x.shape), x.label]),
    method('facts-after_an_operation', [real(2, 3)], lambda x: _facts_of_a_product(x)),
    method('item', [real(1, 1)], lambda x: x.item()),
    method('length_of_0d', [real()], len, refused=True),
    method('equality_is_refused', [real(2), real(2)], lambda x, y: x == y, refused=True),
    method('order_is_refused', [real(2), real(2)], lambda x, y: x < y, refused=True),
    method('truth_is_refused', [real(2)], bool, refused=True),
    method('addgrad', [real(2, 3), real(2, 3)], lambda x, y: _add_gradients(x, y)),
    method('backward-loss_scale', [real()], lambda x: _scaled_backward(x)),
    method('backward-twice_adds_up', [real(2)], lambda x: _backward_twice(x)),
    method('backward-shared_input', [real(2)], lambda x: _backward_shared(x)),
    method('backward-no_seed_for_an_array', [real(2)], lambda x: (x * 2).backward(), refused=True),
    method('grad-wrong_shape', [real(2)], lambda x: setattr(x, 'grad', np.zeros(3)), refused=True),
    method('grad-wrong_dtype', [real(2)], lambda x: setattr(x, 'grad', np.zeros(2, 'f')),
           refused=True),
    method('of_a_list_is_refused', [real(2)], lambda x: type(x)([1., 2.]), refused=True),
]


def _in_place_add(x, y):
    z = x * 1
    kept = z
    z += y
    return z, kept


def _product_of_rows(x):
    first, second = x
    return first * second


def _facts_of_a_product(x):
    y = x * 2
    return [y.rank, (y + y).rank, y.requires_grad, y.label, y.creator.label, y.creator.rank,
            len(y.creator.inputs)]


def _add_gradients(x, y):
    x.grad = np.ones((2, 3))
    y.grad = np.full((2, 3), 2.)
    x.addgrad(y)
    y.cleargrad()
    return [x.grad, y.grad is None]


def _scaled_backward(x):
    (x * x).backward(loss_scale=8.)
    return [x.grad]


def _backward_twice(x):
    for _ in range(2):
        y = x * x
        y.grad = np.ones(2)
        y.backward()
    return [x.grad]


def _backward_shared(x):
    y = x * x + x
    z = y * x
    z.grad = np.ones(2)
    z.backward(retain_grad=True)
    return [x.grad, y.grad, z.grad]

"""The test cases of the onnx package, run on minichain: what `test_backend` counts.

    python -m tests.onnx.backend_cases Conv MaxPool

runs the node cases whose models have one of these operators and prints what fails.
"""
import collections
import sys
import warnings

import numpy as np
from onnx import TensorProto, numpy_helper

import minichain.onnx
from minichain.onnx.operators import OPERATORS

# The types of elements that the importer has; what needs others is not counted.
DTYPES = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13}
Result = collections.namedtuple('Result', 'name operators status problem')


def node_cases():
    """All cases that onnx generates for single operators and their expansions."""
    from onnx.backend.test.case.node import collect_testcases
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return list(collect_testcases(''))


def element_types(value_type):
    """The types of elements of a TypeProto, as numbers."""
    kind = value_type.WhichOneof('value')
    if kind == 'tensor_type':
        return {value_type.tensor_type.elem_type}
    if kind in ('sequence_type', 'optional_type'):
        return element_types(getattr(value_type, kind).elem_type)
    return {0}


def types_of(model):
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    return set().union(*(element_types(value.type) for value in values))


def operators_of(model):
    return tuple(sorted({node.op_type for node in model.graph.node}))


def is_wanted(model):
    """Whether a model has only types and operators that the importer claims."""
    return types_of(model) <= DTYPES and all(
        not node.domain and node.op_type in OPERATORS for node in model.graph.node)


def run_case(case):
    """One case: Result with status 'passed', 'failed' or 'unsupported'."""
    operators = operators_of(case.model)
    if not is_wanted(case.model):
        return Result(case.name, operators, 'unsupported', '')
    try:
        net = minichain.onnx.load(case.model)
        for inputs, expected in case.data_sets:
            outputs = net(*map(plain, inputs))
            for output, value in zip(outputs, expected, strict=True):
                compare(output, plain(value), case.rtol, case.atol)
    except Exception as error:
        return Result(case.name, operators, 'failed', f'{type(error).__name__}: {error}'[:400])
    return Result(case.name, operators, 'passed', '')


def plain(value):
    """Some cases come as messages of the format."""
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def compare(output, expected, rtol, atol):
    """Asserts that a result is what a case expects: its type, shape and values."""
    if expected is None:
        assert output is None, f'None expected, got {output}'
    elif isinstance(expected, (list, tuple)):
        assert len(output) == len(expected), f'{len(output)} elements, not {len(expected)}'
        for one, other in zip(output, expected):
            compare(one, other, rtol, atol)
    else:
        expected = np.asarray(expected)
        array = output.array
        if expected.dtype.kind not in 'OU':
            assert array.dtype == expected.dtype, f'{array.dtype}, not {expected.dtype}'
        assert array.shape == expected.shape, f'{array.shape}, not {expected.shape}'
        if expected.dtype.kind in 'fc':
            np.testing.assert_allclose(array, expected, rtol, atol)
        else:
            np.testing.assert_array_equal(array, expected)


def main(wanted):
    results = [run_case(case) for case in node_cases()
               if not wanted or wanted.intersection(operators_of(case.model))]
    for result in results:
        if result.status == 'failed':
            print(f'{result.name} [{" ".join(result.operators)}]\n    {result.problem}')
        elif result.status == 'unsupported' and wanted:
            print(f'{result.name} [{" ".join(result.operators)}] unsupported operator or type')
    print(collections.Counter(result.status for result in results))


if __name__ == '__main__':
    main(set(sys.argv[1:]))

"""The test cases of the onnx package, run on minichain: what `test_backend` counts.

    python -m tests.onnx.backend_cases Conv MaxPool
    python -m tests.onnx.backend_cases --table

The first runs the cases whose models have one of these operators and prints what fails; the second
runs all and counts, for every operator, the cases that pass, are supported, and are.
"""
import collections
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import OptionalProto, SequenceProto, TensorProto, numpy_helper

import minichain.onnx
from minichain.onnx.operators import OPERATORS

# The types of elements that the importer has; what needs others is not counted.
DTYPES = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13}
# Folders of models with their inputs and outputs, beside the cases that the package generates.
FOLDERS = ('pytorch-converted', 'pytorch-operator', 'simple')
Case = collections.namedtuple('Case', 'group name model data_sets rtol atol')
Result = collections.namedtuple('Result', 'group name operators types status problem')


def node_cases():
    """All cases that onnx generates for single operators and their expansions."""
    from onnx.backend.test.case.node import collect_testcases
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return [Case('node', case.name, case.model, case.data_sets, case.rtol, case.atol)
                for case in collect_testcases('')]


def folder_cases(group):
    """The cases of one of FOLDERS."""
    folder = Path(onnx.backend.test.__file__).parent / 'data' / group
    for path in sorted(folder.glob('*/model.onnx')):
        model = onnx.load(path)
        data_sets = [(read_values(data, 'input', model.graph.input),
                      read_values(data, 'output', model.graph.output))
                     for data in sorted(path.parent.glob('test_data_set_*'))]
        yield Case(group, path.parent.name, model, data_sets, 1e-3, 1e-7)


def read_values(folder, kind, declared):
    """The inputs or outputs of a data set, in their order."""
    values = []
    for place in range(len(list(folder.glob(f'{kind}_*.pb')))):
        proto, convert = {
            'sequence_type': (SequenceProto, numpy_helper.to_list),
            'optional_type': (OptionalProto, numpy_helper.to_optional),
        }.get(declared[place].type.WhichOneof('value'), (TensorProto, numpy_helper.to_array))
        values.append(convert(proto.FromString((folder / f'{kind}_{place}.pb').read_bytes())))
    return values


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


def nodes_of(graph):
    """The nodes of a graph or function, and of all bodies inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField('g') else ())):
                yield from nodes_of(body)


def operators_of(model):
    """The operators that a model needs; not its own functions, but what is in them."""
    own = {(function.domain, function.name) for function in model.functions}
    return tuple(sorted({f'{node.domain and node.domain + "."}{node.op_type}'
                         for graph in (model.graph, *model.functions) for node in nodes_of(graph)
                         if (node.domain, node.op_type) not in own}))


def is_wanted(model):
    """Whether a model has only types and operators that the importer claims."""
    return types_of(model) <= DTYPES and all(name in OPERATORS for name in operators_of(model))


def run_case(case):
    """One case: Result with status 'passed', 'failed' or 'unsupported'."""
    about = case.group, case.name, operators_of(case.model), types_of(case.model)
    if not is_wanted(case.model):
        return Result(*about, 'unsupported', '')
    try:
        net = minichain.onnx.load(case.model)
        for inputs, expected in case.data_sets:
            outputs = net(*map(plain, inputs))
            for output, value in zip(outputs, expected, strict=True):
                compare(output, plain(value), case.rtol, case.atol)
    except Exception as error:
        return Result(*about, 'failed', f'{type(error).__name__}: {error}'[:400])
    return Result(*about, 'passed', '')


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


def table(results):
    """The cases of each group, and those in which each operator is: passed, supported, total."""
    counts = collections.defaultdict(collections.Counter)
    for result in results:
        for name in (f'[{result.group}]', *result.operators):
            counts[name].update(('total', result.status))
    lines = [f'{"":40} passed supported  total']
    for name in sorted(counts):
        count = counts[name]
        supported = count['total'] - count['unsupported']
        lines.append(f'{name:40} {count["passed"]:6} {supported:9} {count["total"]:6}')
    return '\n'.join(lines)


def all_cases():
    yield from node_cases()
    for group in FOLDERS:
        yield from folder_cases(group)


def main(wanted):
    if wanted == ['--table']:
        print(table([run_case(case) for case in all_cases()]))
        return
    results = [run_case(case) for case in all_cases()
               if not wanted or set(wanted).intersection(operators_of(case.model))]
    for result in results:
        if result.status == 'failed':
            print(f'{result.name} [{" ".join(result.operators)}]\n    {result.problem}')
        elif result.status == 'unsupported' and wanted:
            print(f'{result.name} [{" ".join(result.operators)}] unsupported operator or type')
    print(collections.Counter(result.status for result in results))


if __name__ == '__main__':
    main(sys.argv[1:])

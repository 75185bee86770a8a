"""ONNX models that are whole as files but say absurd things, made from the cases of onnx."""
import copy

import numpy as np

ABSURD = [-1, 0, 1, 3, -3, 10 ** 9, 2 ** 31, 2 ** 31 - 1, 2 ** 62, -2 ** 63, 2 ** 63 - 1]


def absurd(rng):
    return int(ABSURD[rng.integers(0, len(ABSURD))])


def absurd_models(cases, rng):
    """Yields the bytes of models: sizes, axes, shapes and names changed, shapes built in."""
    from onnx import numpy_helper
    for case in cases:
        if not case.data_sets:
            continue
        model = copy.deepcopy(case.model)
        graph = model.graph
        inputs = case.data_sets[0][0]
        for value, array in list(zip(graph.input, inputs)):
            if getattr(array, 'dtype', np.float32) == np.int64 and array.size < 9:
                array = np.array(array)
                if array.size and rng.random() < .7:
                    array.flat[rng.integers(0, array.size)] = absurd(rng)
                graph.initializer.append(numpy_helper.from_array(array, value.name))
                graph.input.remove(value)
        change(graph, rng)
        yield model.SerializeToString()


def change(graph, rng):
    """Changes one node: a number of an attribute, its type, or which values it reads."""
    node = graph.node[rng.integers(0, len(graph.node))]
    numbers = [entry for entry in node.attribute if entry.ints or entry.HasField('i')]
    way = rng.integers(0, 4)
    if numbers and way < 2:
        entry = numbers[rng.integers(0, len(numbers))]
        if entry.ints:
            entry.ints[rng.integers(0, len(entry.ints))] = absurd(rng)
        else:
            entry.i = absurd(rng)
    elif node.attribute and way == 2:
        del node.attribute[rng.integers(0, len(node.attribute))]
    elif node.input and way == 3:
        names = [*(value.name for value in graph.input), *node.output, '']
        node.input[rng.integers(0, len(node.input))] = names[rng.integers(0, len(names))]

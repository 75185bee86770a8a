"""Matrix products."""
from minichain.functions.linear import Linear
from minichain.functions.matmul import MatMul


def linear(graph, node):
    return graph.add('Gemm', node.inputs, transB=1)


def matmul(graph, node):
    operands = []
    for tensor, shape, swapped in zip(node.inputs, node.input_shapes,
                                      (node.attribute('transa'), node.attribute('transb'))):
        axes = list(range(len(shape)))
        operands.append(graph.transpose(tensor, [*axes[:-2], axes[-1], axes[-2]])
                        if swapped else tensor)
    return graph.add('MatMul', operands)


CONVERTERS = {Linear: linear, MatMul: matmul}

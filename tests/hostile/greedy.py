"""ONNX models of some hundred bytes that ask for much memory or time, each in another way."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

make = helper.make_node


def model(nodes, functions=(), **constants):
    """The bytes of a model from x to y, of nodes and integer constants."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
              for name, shape in (('x', [1]), ('y', None))]
    graph = helper.make_graph(nodes, 'greedy', values[:1], values[1:], [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    opsets = [helper.make_opsetid('', 17), helper.make_opsetid('own', 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions,
                             ir_version=8).SerializeToString()


def loop(*nodes, state=None):
    """The body of a Loop, with the last node's output `s2`."""
    inputs = [helper.make_tensor_value_info('i', TensorProto.INT64, []),
              helper.make_tensor_value_info('go', TensorProto.BOOL, [])]
    if state:
        inputs.append(helper.make_tensor_value_info(state, TensorProto.FLOAT, None))
    outputs = [helper.make_tensor_value_info('on', TensorProto.BOOL, []),
               helper.make_tensor_value_info('s2', TensorProto.FLOAT, None)]
    return helper.make_graph([make('Identity', ['go'], ['on']), *nodes], 'body', inputs, outputs)


def greedy_models():
    """dict, what takes much -> bytes of a model."""
    expand = make('Expand', ['x', 'shape'], ['e'])
    flow = {'yes': np.array(True), 'turns': np.array(30000)}
    names = [f'c{i}' for i in range(8)]
    chain = [helper.make_function('own', f'f{i}', ['a'], ['b'], [
        make(f'f{i - 1}' if i else 'Relu', ['a'], ['b'], domain='own' if i else '')],
        [helper.make_opsetid('', 17), helper.make_opsetid('own', 1)]) for i in range(3000)]
    return {
        'many constants': model(
            [make('ConstantOfShape', ['shape'], [name]) for name in names]
            + [make('Concat', names, ['y'], axis=0)], shape=[1 << 27]),
        'many values alive': model(
            [make('Expand', ['x', 'shape'], ['c0'])]
            + [make('Exp', [a], [b]) for a, b in zip(names, names[1:])]
            + [make('Sum', names, ['y'])], shape=[1 << 26]),
        'doubling': model([make('Concat', [a, a], [b], axis=0) for a, b in zip(
            ['x', *(f'd{i}' for i in range(40))], [*(f'd{i}' for i in range(40)), 'y'])]),
        'wide constants': model([make('Range', ['zero', 'limit', 'one'], ['r']),
                                 make('Cast', ['r'], ['y'], to=1)],
                                zero=0, limit=1 << 27, one=1),
        'many turns': model([expand, make('Loop', ['turns', 'yes', 'e'], ['y'], body=loop(
            make('Sin', ['s'], ['s2']), state='s'))], shape=[1000000], **flow),
        'loops in loops': model([make('Loop', ['turns', 'yes'], ['y'], body=loop(
            make('Loop', ['turns', 'yes'], ['s2'], body=loop(
                make('Identity', ['x'], ['s2'])))))], **flow),
        'all turns collected': model([expand, make('Loop', ['turns', 'yes'], ['y'], body=loop(
            make('Identity', ['e'], ['s2'])))], shape=[100000], **flow),
        'all turns joined': model([expand, make('Loop', ['turns', 'yes', 'e'], ['y'], body=loop(
            make('Concat', ['s', 'e'], ['s2'], axis=0), state='s'))], shape=[100000], **flow),
        'matrices': model([expand, make('MatMul', ['e', 'e'], ['a']),
                           make('Gemm', ['a', 'e'], ['b']),
                           make('Einsum', ['b', 'e'], ['y'], equation='ij,jk->ik')],
                          shape=[8000, 8000]),
        'einsum': model([expand, make('Einsum', ['e', 'e'], ['y'], equation='ij,jk->ik')],
                        shape=[8000, 8000]),
        'einsum of what is not named': model(
            [expand, make('Expand', ['x', 'other'], ['f']),
             make('Einsum', ['e', 'f'], ['y'], equation='...k,...k->...')],
            shape=[9000, 1, 4000], other=[9000, 4000]),
        'gemm': model([expand, make('Gemm', ['e', 'e'], ['y'], transB=1)], shape=[8000, 8000]),
        'determinant': model([expand, make('Det', ['e'], ['y'])], shape=[9000, 9000]),
        'maxima': model([expand, make('MaxPool', ['e'], ['y'], kernel_shape=[2000, 2000],
                                      pads=[1999] * 4)], shape=[1, 1, 1000, 1000]),
        'convolution': model([expand, make('Conv', ['e', 'e'], ['y'], pads=[400] * 4)],
                             shape=[1, 1, 900, 900]),
        'transposed convolution': model([expand, make('ConvTranspose', ['e', 'e'], ['y'])],
                                        shape=[1, 1, 900, 900]),
        'neighbours': model([expand, make('LRN', ['e'], ['y'], size=9999)],
                            shape=[1, 5000, 50, 50]),
        'steps': model(
            [expand, *(make('Expand', ['x', shape], [name]) for shape, name in (
                ('four', 'W'), ('four', 'R'))), make('LSTM', ['e', 'W', 'R'], ['y'])],
            shape=[10000000, 1, 1], four=[1, 4, 1]),
        'sorting': model([expand, make('TopK', ['e', 'one'], ['y', ''])],
                         shape=[60000000], one=[1]),
        'parts': model([expand, make('SplitToSequence', ['e'], ['s']),
                        make('ConcatFromSequence', ['s'], ['y'], axis=0)], shape=[100000000]),
        'a list of lengths': model([make('ConstantOfShape', ['shape'], ['l']),
                                    make('Cast', ['l'], ['k'], to=7),
                                    make('Expand', ['x', 'k'], ['y'])], shape=[60000000]),
        'neighbours along many axes': model(
            [expand, make('Expand', ['x', 'points'], ['g']),
             make('GridSample', ['e', 'g'], ['y'], mode='cubic')],
            shape=[1] * 30, points=[1] * 29 + [28]),
        'nothing at all': model([expand, make('Trilu', ['e'], ['y'])], shape=[0, 16000, 16000]),
        'rows of nothing': model([expand, make('TopK', ['e', 'one'], ['y', ''])],
                                 shape=[1 << 28, 0, 3], one=[1]),
        'functions': model([make('f2999', ['x'], ['y'], domain='own')], chain),
    }


def bodies_with_weights(count):
    """Many bodies with weights of one long name."""
    weight = numpy_helper.from_array(np.ones(1, np.float32), 'W' * 100)
    out = helper.make_tensor_value_info('b', TensorProto.FLOAT, None)
    body = helper.make_graph([make('Mul', ['x', 'W' * 100], ['b'])], 'body', [], [out], [weight])
    return model([make('If', ['yes'], [f'y{i}'], then_branch=body, else_branch=body)
                  for i in range(count)] + [make('Identity', ['y0'], ['y'])],
                 yes=np.array(True))

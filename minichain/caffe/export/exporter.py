"""export: models as Caffe's prototxt and caffemodel, as Chainer's ``exporters.caffe``."""
import os
from collections import defaultdict

import numpy as np

from minichain._atomic import open_atomically, write_atomically
from minichain.autograd import as_array, as_variable
from minichain.backend import is_array
from minichain.caffe.export.layers import CONVERTERS, REFUSALS
from minichain.caffe.export.network import CannotExport, Network, Step, kept_arrays
from minichain.caffe.writer import encode, format_text
from minichain.errors import FileError, InvalidArgument
from minichain.tracing import owner, trace

FILES = 'chainer_model.prototxt', 'chainer_model.caffemodel'   # Chainer's names


def export(model, args, directory=None, export_params=True, graph_name='Graph'):
    """Write a model as ``chainer_model.prototxt`` and ``chainer_model.caffemodel``.

        minichain.exporters.caffe.export(model, [x], 'folder')

    The model is run on examples, in test mode: no dropout, batch normalization with its averages.
    Layers are named by the paths of the links, blobs by the layers that compute them; results in
    a dict by its keys, in a tuple 'output_0', 'output_1', ...; a single one is the last blob. The
    files are for images of the
    size of the examples; batches may be longer where the model's reshapes leave the first axis
    alone. A second run on other values notices what depends on them outside of functions, which
    a file cannot hold.

    Args:
        model: Link, such as a Chain or Sequential, or another callable that is given Variables.
        args: list or tuple of arrays or Variables; a dict of them is given as keywords. The input
            blob is named 'data', several ones 'data_0', 'data_1', ..., or as the keywords.
        directory: folder that exists, where the files are replaced; None writes none.
        export_params: False writes only the prototxt.
        graph_name: name of the network in the files.
    Returns:
        text of the prototxt.
    Raises:
        CannotExport: (an InvalidArgument) one report of all functions that have no Caffe form.
        InvalidArgument: args are no arrays, or the name no text.
        FileError: a file cannot be written.
    """
    if not isinstance(graph_name, str):
        raise InvalidArgument(f'export: a text for graph_name expected, got {graph_name!r:.60}')
    if not callable(model):
        raise InvalidArgument('export: a Link or another callable expected for model, got '
                              f'{type(model).__name__}')
    code, names, arrays = _call(model, args)
    link = owner(model)
    layers = _layers(trace(code, list(map(as_variable, arrays)), names, link))
    _expect_same(layers, _layers(trace(code, [as_variable(_other(x)) for x in arrays], names,
                                       link)))
    inputs = [{'name': name, 'type': 'Input', 'top': [name],
               'input_param': {'shape': [{'dim': list(array.shape)}]}}
              for name, array in zip(names, arrays)]
    network = {'name': graph_name, 'layer': inputs + layers}
    text = format_text('NetParameter', network)
    if directory is not None:
        binary = encode('NetParameter', network) if export_params else None
        _write(directory, text.encode(), binary)
    return text


def _call(model, args):
    """Return a function of positional arguments, their names and their arrays."""
    if not isinstance(args, (list, tuple, dict)) or not args:
        raise InvalidArgument('export: args, a list, tuple or dict of arrays or Variables, '
                              f'expected, got {type(args).__name__}. One array is given as [x]')
    values = list(args.values() if isinstance(args, dict) else args)
    arrays = [as_array(value) for value in values]
    for value, array in zip(values, arrays):
        if not is_array(array) or not array.ndim or not array.size:
            raise InvalidArgument('export: arrays or Variables with elements expected in args, '
                                  f'got {value!r:.60}')
    if isinstance(args, dict):
        keys = list(args)
        return (lambda *given: model(**dict(zip(keys, given)))), list(map(str, keys)), arrays
    names = ['data'] if len(arrays) == 1 else [f'data_{i}' for i in range(len(arrays))]
    return model, names, arrays


def _other(array):
    """Return other values of the same kind: floats closer to each other, the rest reordered."""
    if array.dtype.kind == 'f':
        return array * array.dtype.type(.5) + array.dtype.type(.25)
    return array.reshape(-1)[::-1].reshape(array.shape)


def _layers(run):
    """Return the layers of a Trace.

    Raises:
        CannotExport: one report of all functions that have no Caffe form.
    """
    network, refused = Network(run), []
    for name, number in run.inputs:
        network.bind(number, name)
    computed, needed = _computed(run), _needed(run)
    for place, application in enumerate(run.applications):
        if not needed.intersection(application.results):
            continue
        step = Step(network, application)
        if not computed.intersection(application.results):
            network.follow(application)
            continue
        network.scope = application.path
        try:
            blobs = _converter(application.function)(network, step)
        except CannotExport as error:
            where = f'step {place}' + (f' in {step.path}' if step.path else '')
            refused.append((step.function.label, where, str(error)))
            blobs = [''] * len(step.results)
        for number, blob in zip(step.results, [blobs] if isinstance(blobs, str) else blobs):
            network.bind(number, blob)
    inputs = {network.blob(number) for _, number in run.inputs}
    for name, number in run.outputs:
        if network.is_constant(number) or network.blob(number) in inputs:
            refused.append(('the output', name, 'it is an input, or depends on none in functions '
                            'of Variables; return what the model computes from its inputs'))
    if not run.outputs:
        refused.append(('the output', 'none', 'the model returns no array and no Variable'))
    if refused:
        raise CannotExport(_report(refused))
    return network.finish([name for name, _ in run.inputs], run.outputs)


def _computed(run):
    """Return the numbers of values that depend on inputs."""
    computed = {number for _, number in run.inputs}
    for application in run.applications:
        kept = map(run.find, kept_arrays(application.function))
        if computed.intersection(application.operands) or computed.intersection(kept):
            computed.update(application.results)
    return computed


def _needed(run):
    """Return the numbers of values that outputs depend on."""
    needed = {number for _, number in run.outputs}
    for application in reversed(run.applications):
        if needed.intersection(application.results):
            needed.update(application.operands)
            needed.update(map(run.find, kept_arrays(application.function)))
    return needed


def _converter(function):
    for kind in type(function).__mro__:
        if kind in CONVERTERS:
            return CONVERTERS[kind]
        if kind in REFUSALS:
            raise CannotExport(REFUSALS[kind])
    raise CannotExport('no layer of Caffe is known for it; export the part of the model before '
                       'it, or write it with functions that have one')


def _report(refused, most=5):
    places = defaultdict(list)
    for label, place, reason in refused:
        places[label, reason].append(place)
    lines = ['the model cannot be exported to Caffe, nothing was written:']
    for (label, reason), where in places.items():
        more = f' and {len(where) - most} more' if len(where) > most else ''
        lines.append(f'  {label}, {len(where)} x ({", ".join(where[:most])}{more}): {reason}')
    return '\n'.join(lines)


def _expect_same(layers, others):
    """Raise CannotExport unless runs on different values gave the same layers."""
    for one, other in zip(layers, others):
        arrays = one.get('blobs', []), other.get('blobs', [])
        if {**one, 'blobs': len(arrays[0])} != {**other, 'blobs': len(arrays[1])} or not all(
                np.array_equal(a, b, equal_nan=True) for a, b in zip(*arrays)):
            break
    else:
        if len(layers) == len(others):
            return
        one = {'name': 'the last one', 'type': 'any'}
    raise CannotExport(
        'the model cannot be exported to Caffe, nothing was written: on other values of the '
        f'inputs, the layer {one["name"]!r} ({one["type"]}) comes out differently. NumPy on '
        '.array, and an if or a loop that looks at values, have no form in a file; use functions '
        'of Variables')


def _write(directory, text, binary):
    if not isinstance(directory, (str, bytes, os.PathLike)):
        raise InvalidArgument('export: the path of a folder, or None, expected for directory, got '
                              f'{type(directory).__name__}')
    directory = os.fsdecode(directory)
    paths = [os.path.join(directory, name) for name in FILES]
    if binary is None:
        write_atomically(paths[0], text)
        return
    for path in paths:
        if os.path.isdir(path):
            raise FileError(f'{path}: could not be written, there is a folder of this name. '
                            'Nothing was written')
    with open_atomically(paths[1]) as weights, open_atomically(paths[0]) as description:
        weights.write(binary)
        weights.flush()   # so that a full disk is noticed before either file stands
        description.write(text)

"""Runs one case on a library with Chainer's names: `chainer` or `minichain`, it cannot tell.

A result is a nest of dicts, lists, strings, numbers, None and arrays.
"""

import os
import tempfile
import zipfile
import zlib
from contextlib import ExitStack

import numpy as np

from .table import uniform


def run_case(case, library):
    """Return the structure, outputs, first and second gradients of a case.

    `gradients` holds d sum(y * gy) / dx for every floating Variable among the inputs, `second`
    holds d sum(gx * ggx) / d(x..., gy...) for seeded gy and ggx. A None stands for an array of
    zeros that nobody made.
    """
    arrays = case.arrays()
    made_of = fingerprint(arrays)
    operands = [library.Variable(array) if each.variable else array
                for each, array in zip(case.inputs, arrays)]
    if case.seed is not None:
        np.random.seed(case.seed)
    with ExitStack() as stack:
        for key, value in case.config.items():
            stack.enter_context(library.using_config(key, value))
        leaves = []
        structure = flatten(case.call(library.functions, *operands), library.Variable, leaves)
        xs = [x for x in operands if isinstance(x, library.Variable) and x.dtype.kind == 'f']
        ys = [y for y in leaves
              if isinstance(y, library.Variable) and y.dtype.kind == 'f' and y.creator is not None]
        result = {'inputs': made_of, 'structure': structure,
                  'outputs': [plain(leaf, library.Variable) for leaf in leaves], 'gradients': None,
                  'second': None}
        if xs and ys:
            gys = [library.Variable(seeded_like(y, case.id, 'gy', position))
                   for position, y in enumerate(ys)]
            gxs = library.grad(ys, xs, grad_outputs=gys, enable_double_backprop=case.double)
            result['gradients'] = [None if gx is None else np.array(gx.array) for gx in gxs]
            if case.double:
                result['second'] = second_gradients(case, library, xs + gys, gxs)
    return result


def second_gradients(case, library, operands, gxs):
    """Return d sum(gx * ggx) / d operands, or the name of the library's error."""
    seeds = [(gx, library.Variable(seeded_like(gx, case.id, 'ggx', position)))
             for position, gx in enumerate(gxs) if gx is not None and gx.creator is not None]
    if not seeds:
        return [None] * len(operands)
    try:
        second = library.grad([gx for gx, _ in seeds], operands,
                              grad_outputs=[ggx for _, ggx in seeds])
    except Exception as error:
        return f'refused: {type(error).__name__}'
    return [None if each is None else np.array(each.array) for each in second]


def seeded_like(variable, *words):
    """Return the seeded array with this variable's shape and dtype."""
    return uniform(variable.shape, variable.dtype, *words)


def flatten(value, variable, leaves):
    """Append the leaves of a nest; return its shape: V a Variable, A an array, s a plain value."""
    if isinstance(value, (tuple, list)):
        inside = ','.join(flatten(each, variable, leaves) for each in value)
        return f'({inside})' if isinstance(value, tuple) else f'[{inside}]'
    leaves.append(value)
    return 'V' if isinstance(value, variable) else 'A' if isinstance(value, np.ndarray) else 's'


def plain(leaf, variable):
    """Return a leaf as an array or a value that JSON knows."""
    if isinstance(leaf, variable):
        return np.array(leaf.array)
    if isinstance(leaf, np.generic):
        return leaf.item()
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf


def fingerprint(arrays):
    """Return a checksum of arrays to six digits; it tells a changed table from its record."""
    return zlib.crc32(b''.join(np.rint(each.astype('f8') * 1e6).astype('<i8').tobytes()
                               for each in arrays))


def run_link(case, library):
    """Return what a link is made of, writes to a file, computes, and keeps.

    `created` and `params` list [path, shape, dtype] of the parameters as made and once all
    shapes are known (a test-mode call with the inputs), `file_created` and `file` what save_npz
    writes then; `initial` holds the initial values after numpy's global state was seeded with 0.
    Then the link is filled with seeded values and called once in each mode: `outputs`, gradients
    of sum(y * gy) for the inputs and parameters, and the persistent values after.
    """
    with ExitStack() as stack:
        for key, value in case.config.items():
            stack.enter_context(library.using_config(key, value))
        np.random.seed(0)
        link = case.build(library)
        result = {'created': describe(link), 'file_created': npz_entries(library, link)}
        if any(not param.is_initialized for param in link.params()):
            with library.using_config('train', False), library.no_backprop_mode():
                case.call(library, link, *boxed(case, library))
        result.update(params=describe(link), file=npz_entries(library, link),
                      links=[path for path, _ in link.namedlinks()],
                      initial={path: np.array(param.array)
                               for path, param in sorted(link.namedparams())})
        if not case.keep:
            fill(case, link)
        result['runs'] = []
        for mode in case.modes:
            with library.using_config('train', mode):
                result['runs'].append(run_link_once(case, library, link))
    return result


def run_link_once(case, library, link):
    """Call the link and go back; return outputs, gradients and the persistent values."""
    operands = boxed(case, library)
    leaves = []
    link.cleargrads()
    structure = flatten(case.call(library, link, *operands), library.Variable, leaves)
    terms = [library.functions.sum(y * seeded_like(y, case.id, 'gy', position))
             for position, y in enumerate(leaves)
             if isinstance(y, library.Variable) and y.dtype.kind == 'f' and y.creator is not None]
    if terms:
        loss = sum(terms[1:], terms[0])
        loss.backward()
    inputs = [x for x in operands if isinstance(x, library.Variable) and x.dtype.kind == 'f']
    return {'structure': structure,
            'outputs': [plain(leaf, library.Variable) for leaf in leaves],
            'gradients': [gradient(x) for x in inputs],
            'parameter_gradients': {path: gradient(param)
                                    for path, param in sorted(link.namedparams())},
            'persistents': persistents(library, link)}


def boxed(case, library):
    """Return fresh operands of a case: Variables where it says so."""
    return [library.Variable(array) if each.variable else array
            for each, array in zip(case.inputs, case.arrays())]


def gradient(variable):
    """Return a copy of the gradient of a variable, or None."""
    return None if variable.grad is None else np.array(variable.grad)


def describe(link):
    """Return [path, shape, dtype] of each parameter in order; None where not yet known."""
    return [[path, list(param.shape), param.dtype.name] if param.is_initialized
            else [path, None, None] for path, param in link.namedparams()]


def fill(case, link):
    """Give every parameter and every running average seeded values, which follow from its path."""
    for path, param in link.namedparams():
        param.array[...] = uniform(param.shape, param.dtype, case.id, path)
    for path, each in link.namedlinks():
        for word, low in (('avg_mean', -1.), ('avg_var', .5)):
            average = getattr(each, word, None)
            if isinstance(average, np.ndarray):
                average[...] = uniform(average.shape, average.dtype, case.id, path, word, low=low,
                                       high=1.5)


def npz_entries(library, target):
    """Return {key: [shape, dtype]} of what save_npz writes; dtype O stands for None."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'file.npz')
        library.serializers.save_npz(path, target)
        entries = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    version = np.lib.format.read_magic(member)
                    read = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                            else np.lib.format.read_array_header_2_0)
                    shape, _, dtype = read(member)
                    entries[name.removesuffix('.npy')] = [list(shape), dtype.str[1:]]
    return dict(sorted(entries.items()))


def persistents(library, link):
    """Return {key: array} of what save_npz writes beside the parameters."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'file.npz')
        library.serializers.save_npz(path, link)
        params = {path.lstrip('/') for path, _ in link.namedparams()}
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in sorted(file.files) if key not in params}


def run_optimizer(case, library):
    """Return what five steps do to parameters, gradients, state, lr and npz entries.

    The target has two parameters with gradients, W (3, 2) and b (3,), and one without: its
    values must not move unless Chainer moves them.
    """
    target = library.Chain()
    with target.init_scope():
        for name, shape in (('W', (3, 2)), ('b', (3,)), ('unused', (2,))):
            setattr(target, name, library.Parameter(uniform(shape, case.dtype, 'optimizer', name)))
    optimizer = case.build(library)
    result = {'lr_created': read_lr(optimizer), 'steps': {}}
    optimizer.setup(target)
    if case.prepare:
        case.prepare(library, optimizer, target)
    if case.seed is not None:
        np.random.seed(case.seed)
    result['file_created'] = npz_entries(library, optimizer)
    for step in range(1, 6):
        target.cleargrads()
        for name in ('W', 'b'):
            param = getattr(target, name)
            param.grad = uniform(param.shape, param.dtype, 'optimizer', name, step)
        optimizer.update()
        if step in (1, 2, 5):
            result['steps'][str(step)] = {
                'params': {path: np.array(param.array) for path, param in target.namedparams()},
                'gradients': {path: gradient(param) for path, param in target.namedparams()},
                'lr': read_lr(optimizer)}
    result['t'] = optimizer.t
    result['state'] = {path: read_state(param) for path, param in target.namedparams()}
    result['file'] = npz_entries(library, optimizer)
    return result


def read_lr(optimizer):
    """Return the lr of an optimizer, or None where it has none or not yet."""
    try:
        return float(optimizer.lr)
    except (AttributeError, RuntimeError):
        return None


def read_state(param):
    """Return the state of a parameter's update rule, by key."""
    state = param.update_rule.state or {}
    return {key: np.array(value) if isinstance(value, np.ndarray) else value
            for key, value in sorted(state.items())}


def run_initializer(case, library):
    """Return the array of an initializer, or its mean, deviation, least and largest value."""
    np.random.seed(0)
    array = np.full(case.shape, 7, case.dtype)
    case.build(library)(array)
    if case.statistics:
        return {'statistics': [float(f(array.astype('float64')))
                               for f in (np.mean, np.std, np.min, np.max)]}
    np.random.seed(0)
    generated = library.initializers.generate_array(case.build(library), case.shape, np,
                                                    dtype=case.dtype)
    return {'array': array, 'generated': generated}

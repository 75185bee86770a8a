"""Every name of CuPy in this room, against CuPy itself; that needs no GPU."""
import ast
import inspect
import pathlib
import re
import weakref

import pytest

import minichain.gpu

cupy = pytest.importorskip('cupy', reason='CuPy is not installed')

SOURCES = sorted(pathlib.Path(minichain.gpu.__file__).parent.glob('*.py'))
MEMORY = cupy.cuda.MemoryPointer


def chains(tree):
    """Yield what is asked of CuPy, as 'cuda.runtime.memGetInfo'."""
    roots = {'cupy': ''}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = ast.unparse(node.value)
            if re.fullmatch(r'import_cupy\(\)[.\w]*', text):
                roots[node.targets[0].id] = text[len('import_cupy().'):]
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in roots:
            yield '.'.join(filter(None, [roots[node.id], *parts]))
        elif parts and ast.unparse(node) == 'import_cupy()':
            yield '.'.join(parts)


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.name)
def test_cupy_has_every_name_that_is_asked_of_it(path):
    for chain in chains(ast.parse(path.read_text())):
        thing = cupy
        for name in chain.split('.'):
            if not hasattr(thing, name):
                pytest.fail(f'{path.name}: CuPy {cupy.__version__} has no {chain}')
            thing = getattr(thing, name)


def test_the_names_that_are_compared_are_found_in_the_sources():
    found = {chain for path in SOURCES for chain in chains(ast.parse(path.read_text()))}
    assert {'cuda.runtime.memGetInfo', 'cuda.memory.OutOfMemoryError', 'cuda.MemoryPool',
            'ndarray', 'cuda.UnownedMemory'} <= found


@pytest.mark.parametrize('method, names', [
    (cupy.cuda.Stream.begin_capture, ['mode']), (cupy.cuda.Stream.end_capture, []),
    (cupy.cuda.Stream.record, ['event']), (cupy.cuda.Stream.wait_event, ['event']),
    (cupy.cuda.Stream, ['null', 'non_blocking', 'ptds', 'priority']),
    (cupy.cuda.Event, ['block', 'disable_timing', 'interprocess']),
    (cupy.cuda.Event.record, ['stream']), (cupy.cuda.Event.synchronize, []),
    (cupy.cuda.Graph.launch, ['stream']),
    (cupy.cuda.using_allocator, ['allocator']),
    (cupy.cuda.set_pinned_memory_allocator, ['allocator']),
    (cupy.cuda.alloc_pinned_memory, ['size']), (cupy.cuda.get_current_stream, ['device_id']),
    (cupy.cuda.MemoryPool.malloc, ['size']), (cupy.cuda.MemoryPool.free_all_blocks, ['stream']),
    (cupy.cuda.MemoryPool.used_bytes, []), (cupy.cuda.MemoryPool.total_bytes, []),
    (cupy.cuda.UnownedMemory, ['ptr', 'size', 'owner', 'device_id']),
    (MEMORY, ['mem', 'offset']), (MEMORY.copy_from_host_async, ['mem', 'size', 'stream']),
    (MEMORY.copy_from_device_async, ['src', 'size', 'stream']),
    (MEMORY.copy_to_host_async, ['mem', 'size', 'stream']),
], ids=lambda value: getattr(value, '__qualname__', getattr(value, '__name__', '')))
def test_cupy_takes_the_arguments_that_it_is_given(method, names):
    try:
        taken = list(inspect.signature(method).parameters)
    except ValueError:   # a compiled class: its signature is the first line of its text
        first = method.__doc__.split('\n')[0]
        taken = [part.split('=')[0].split()[-1] for part in
                 first[first.index('(') + 1:first.rindex(')')].split(',') if part]
    if taken[:1] == ['self']:
        del taken[0]
    assert taken == names


def test_an_event_tells_whether_it_has_happened():
    assert isinstance(vars(cupy.cuda.Event)['done'], property)


def test_memory_that_cupy_does_not_own_keeps_its_owner_until_the_last_view_is_gone():
    class Owner:
        pass

    owner = Owner()
    alive = weakref.ref(owner)
    x = cupy.ndarray((2, 3), 'float32', MEMORY(cupy.cuda.UnownedMemory(4096, 24, owner, 0), 0) + 0)
    view = x[1:]
    del owner, x
    assert alive() is not None and view.data.ptr == 4096 + 12
    del view
    assert alive() is None


def test_an_error_about_memory_names_the_request():
    error = cupy.cuda.memory.OutOfMemoryError(4000, 7)
    assert not isinstance(error, cupy.cuda.runtime.CUDARuntimeError)
    assert 'allocating 4,000 bytes' in str(error)


def test_an_allocator_of_pinned_memory_may_refuse():
    def refuse(size):
        raise ZeroDivisionError(size)
    cupy.cuda.set_pinned_memory_allocator(refuse)
    try:
        with pytest.raises(ZeroDivisionError, match='5'):
            cupy.cuda.alloc_pinned_memory(5)
    finally:
        cupy.cuda.set_pinned_memory_allocator(cupy.get_default_pinned_memory_pool().malloc)

"""The house: who imports whom, how long files are, and that public names say what they are."""
import ast
import graphlib
import importlib
import inspect
import io
import pathlib
import re
import tokenize

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ('minichain', 'models', 'weights', 'benchmarks')
OPTIONAL = {'cupy', 'cupyx', 'mpi4py', 'onnx', 'scipy', 'h5py', 'MeCab', 'torch', 'onnxruntime',
            'cv2'}
# Where modules are imported by a name that is computed, and what for.
DYNAMIC = {
    'minichain/__init__.py': 'rooms that open when first asked for',
    'minichain/aliases.py': "Chainer's module paths",
    'minichain/backend.py': "CuPy; the device 'sim', which stands for it, on a higher floor",
    'minichain/cpu/blas_waiting.py': 'NumPy, at a moment of its choice',
    'minichain/cpu/threads.py': 'threadpoolctl',
    'minichain/functions/special.py': 'SciPy',
    'minichain/links/__init__.py': 'networks for images, links in Chainer, a room above here',
    'minichain/serializers/hdf5.py': 'h5py',
    'models/__init__.py': 'the file of the architecture that is asked for',
    'benchmarks/__main__.py': 'the benchmark that is named on the command line',
    'benchmarks/frame.py': 'peers, which may be absent',
}
LONGEST = 350   # lines of code in a file of the library; the tape has a bound of its own
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob('*.py'))
SOURCES += [ROOT / name for name in ('train.py', 'generate.py')]
NAMES = {path: '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
         for path in SOURCES}
MODULES = {name: path for path, name in NAMES.items()}
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}


def place(path):
    return path.relative_to(ROOT).as_posix()


def room(name):
    """The row of the table to which a module belongs."""
    parts = name.split('.')
    if parts[0] in ('train', 'generate'):
        return f'{parts[0]}.py'
    if parts[0] != 'minichain':
        return f'{parts[0]}/'
    if len(parts) == 1:
        return 'minichain/__init__.py'
    whole = MODULES.get(f'minichain.{parts[1]}')
    folder = whole is None or whole.name == '__init__.py'
    return f'minichain/{parts[1]}/' if folder else f'minichain/{parts[1]}.py'


def floors():
    text = (ROOT / 'ARCHITECTURE.md').read_text()
    rows = re.findall(r'^\| (\d+) \| `([^`]+)` \| (\S.*) \|$', text, re.MULTILINE)
    names = [name for _, name, _ in rows]
    assert len(names) == len(set(names)), f'listed twice: {sorted(names)}'
    return {name: int(floor) for floor, name, _ in rows}


def imported(node):
    """Yield the full names of the modules that one import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, f'a module is named in full; got {ast.unparse(node)}'
    for alias in node.names:
        full = f'{node.module}.{alias.name}'
        yield full if full in MODULES else node.module


def imports(path):
    """Yield (line, module) for imports of our own modules."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in imported(node):
                if name.split('.')[0] in (*FOLDERS, 'train', 'generate'):
                    assert name in MODULES, f'{place(path)}:{node.lineno} imports {name}: no such'
                    yield node.lineno, name


def test_the_floor_table_lists_every_room_once_and_no_other():
    rooms, table = {room(name) for name in MODULES}, floors()
    rooms -= {f'{folder}/' for folder in ('models', 'weights', 'benchmarks')
              if not (ROOT / folder).is_dir()}
    assert not rooms - set(table), f'give these a row in ARCHITECTURE.md: {rooms - set(table)}'
    assert not set(table) - rooms, f'ARCHITECTURE.md lists what is gone: {set(table) - rooms}'


def test_the_table_shows_the_house_from_the_top_floor_down():
    numbers = list(floors().values())
    assert numbers == sorted(numbers, reverse=True)
    assert set(numbers) == set(range(max(numbers) + 1))


def test_a_module_imports_from_its_own_floor_or_lower_ones():
    table = floors()
    upwards = [f'{place(path)}:{line} (floor {table[room(name)]}) imports {other} '
               f'(floor {table[room(other)]})'
               for path, name in NAMES.items() for line, other in imports(path)
               if table[room(other)] > table[room(name)]]
    assert not upwards, '\n'.join(upwards)


@pytest.mark.parametrize('unit', [room, str], ids=['rooms', 'modules'])
def test_no_module_imports_itself_by_way_of_others(unit):
    graph = {}
    for path, name in NAMES.items():
        graph.setdefault(unit(name), set()).update(
            unit(other) for _, other in imports(path) if unit(other) != unit(name))
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail('a circle of imports: ' + ' <- '.join(error.args[1]))


def needs_an_optional_package(name):
    """Whether a name is that of an optional package, or of a peer's module that stands on one."""
    if name.startswith('benchmarks.'):
        return any(other.split('.')[0] in OPTIONAL for node in TREES[MODULES[name]].body
                   if isinstance(node, (ast.Import, ast.ImportFrom)) for other in imported(node))
    return name.split('.')[0] in OPTIONAL


def test_nothing_but_optional_packages_is_imported_inside_a_function():
    inside = [f'{place(path)}:{node.lineno} imports {name} inside {function.name}'
              for path, tree in TREES.items() for function in ast.walk(tree)
              if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
              for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
              for name in imported(node) if not needs_an_optional_package(name)]
    assert not inside, '\n'.join(inside)


def test_modules_are_imported_by_a_computed_name_only_where_the_list_says():
    found = {place(path) for path, tree in TREES.items() for node in ast.walk(tree)
             if isinstance(node, ast.Call)
             and ast.unparse(node.func) in ('importlib.import_module', '__import__')}
    assert found == {name for name in DYNAMIC if (ROOT / name).exists()}


def test_no_optional_package_is_imported_with_a_module_of_the_library():
    top = [f'{place(path)} imports {name} for everybody' for path, tree in TREES.items()
           if place(path).startswith(('minichain/', 'models/')) for node in tree.body
           if isinstance(node, (ast.Import, ast.ImportFrom))
           for name in imported(node) if name.split('.')[0] in OPTIONAL - {'onnx'}]
    assert not top, '\n'.join(top)


def lines_of_code(text):
    """Count lines that hold code: no blanks, comments or docstrings."""
    idle = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
            tokenize.ENDMARKER}
    lines = {line for token in tokenize.generate_tokens(io.StringIO(text).readline)
             if token.type not in idle for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
                node, clean=False) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_lines_of_code_are_counted_without_blanks_comments_and_docstrings():
    assert lines_of_code('"""Doc.\n\nMore.\n"""\n# why\n\nx = (1,\n     2)\n\n\ndef f():\n'
                         '    """Doc."""\n    return """a\n\nb"""\n') == 2 + 1 + 3


def test_the_tape_has_at_most_300_lines_of_code():
    assert lines_of_code((ROOT / 'minichain/autograd.py').read_text()) <= 300


def test_no_file_is_too_long_to_be_read_at_once():
    counts = {place(path): lines_of_code(path.read_text()) for path in SOURCES
              if place(path).startswith(('minichain/', 'models/'))}
    long = {name: count for name, count in counts.items() if count > LONGEST}
    assert not long, f'make two concepts of these, in two files: {long}'


def test_no_file_leaves_a_note_of_work_to_be_done():
    notes = [f'{place(path)}:{number}: {line.strip()}' for path in SOURCES
             for number, line in enumerate(path.read_text().splitlines(), 1)
             if re.search(r'\b(TODO|FIXME|XXX|HACK|WIP|placeholder)\b', line)]
    assert not notes, '\n'.join(notes)


def public_names():
    """Yield (where, object) for the functions and classes that modules offer.

    A package offers what its ``__init__`` does; the modules inside are its own affair.
    """
    seen = set()
    for name, path in MODULES.items():
        parts = name.split('.')
        if parts[0] != 'minichain' or any(part.startswith('_') for part in parts):
            continue
        if path.name != '__init__.py' and len(parts) > 2:
            continue
        for key, value in vars(importlib.import_module(name)).items():
            ours = getattr(value, '__module__', None) or ''
            if (not key.startswith('_') and id(value) not in seen
                    and (inspect.isfunction(value) or inspect.isclass(value))
                    and (ours == name or ours.startswith(f'{name}.'))):
                seen.add(id(value))
                yield f'{name}.{key}', value


def says_what_it_is(text):
    """Whether the first paragraph has a sentence that ends, there or with a formula below."""
    first, _, rest = inspect.cleandoc(text or '').partition('\n\n')
    return re.search(r'\.(\s|$)', first) or first[-1:] in (':', ',') and rest[:1] in (' ', ':')


def test_every_public_function_and_class_says_what_it_is_in_a_sentence():
    names = dict(public_names())
    assert len(names) > 300 and 'minichain.functions.lstm' in names
    mute = [where for where, value in names.items()
            if not says_what_it_is(vars(value).get('__doc__') if inspect.isclass(value)
                                   else value.__doc__)]
    assert not mute, f'a sentence with a full stop, or that a formula ends, expected: {mute}'


def test_every_module_says_in_its_first_lines_what_it_is():
    mute = [place(path) for path, tree in TREES.items()
            if path.stat().st_size and path.name != '_version.py' and not ast.get_docstring(tree)]
    assert not mute, f'a docstring expected in {mute}'


def test_functions_are_listed_by_file_in_alphabetical_order():
    modules = [node.module for node in TREES[ROOT / 'minichain/functions/__init__.py'].body
               if isinstance(node, ast.ImportFrom)]
    assert modules == sorted(modules)
    files = {f'minichain.functions.{path.stem}'
             for path in (ROOT / 'minichain/functions').glob('[a-z]*.py')}
    arrays_only = {f'minichain.functions.{name}' for name in (
        'convolution_arrays', 'depthwise_arrays', 'max_pooling_arrays', 'phase_arrays',
        'windows')}
    assert files - set(modules) <= arrays_only, 'a function wants one import'

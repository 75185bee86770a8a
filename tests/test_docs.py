"""The pages say the truth: every snippet runs and prints what stands below it."""
import contextlib
import importlib.util
import io
import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [*sorted((ROOT / 'docs').glob('*.md')), *(page for page in [ROOT / 'README.md']
                                                  if page.exists())]
FENCED = re.compile(r'^```(\w*)\n(.*?)^```$(\n+(?=```$))?', re.MULTILINE | re.DOTALL)


def snippets(text):
    """Yield (line, code, printed) for ```python blocks and the plain block right below, if any."""
    blocks = list(FENCED.finditer(text))
    for block, following in zip(blocks, [*blocks[1:], None]):
        if block.group(1) == 'python':
            shown = following is not None and not following.group(1) and not text[
                block.end():following.start()].strip()
            yield (text.count('\n', 0, block.start()) + 2, block.group(2),
                   following.group(2) if shown else None)


def run_page(name, text):
    """Run the snippets of a page in order, in one namespace; return how many were compared."""
    namespace, compared = {'__name__': name}, 0
    for line, code, shown in snippets(text):
        printed = io.StringIO()
        source = '\n' * (line - 1) + code   # so that a traceback shows the page's line
        with contextlib.redirect_stdout(printed):
            exec(compile(source, name, 'exec'), namespace)
        if shown is not None:
            assert printed.getvalue() == shown, f'{name}:{line} prints something else'
            compared += 1
        else:
            assert not printed.getvalue(), f'{name}:{line} prints what the page does not show'
    return compared


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_snippet_prints_what_the_page_shows(page):
    state = np.random.get_state()
    try:
        np.random.seed(0)
        run_page(page.name, page.read_text())
    finally:
        np.random.set_state(state)


def test_pages_that_teach_have_snippets():
    counts = {page.name: len(list(snippets(page.read_text()))) for page in PAGES}
    assert counts['how_the_tape_works.md'] >= 10 and counts['how_to_read_a_loss.md'] >= 3


def test_a_snippet_that_prints_something_else_is_found():
    page = 'Text.\n\n```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\n```\n{}\n```\n'
    assert run_page('page', page.format(1)) == 1
    with pytest.raises(AssertionError, match='page:8 prints something else'):
        run_page('page', page.format(2))
    with pytest.raises(AssertionError, match='does not show'):
        run_page('page', '```python\nprint(1)\n```\nText.\n```\n1\n```\n')
    with pytest.raises(NameError):
        run_page('page', '```python\nnothing\n```\n')


def test_the_drawings_are_those_that_the_script_makes():
    spec = importlib.util.spec_from_file_location('draw_graphs', ROOT / 'docs/draw_graphs.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, svg in module.drawings().items():
        assert (ROOT / 'docs' / name).read_text() == svg, f'run docs/draw_graphs.py: {name}'
    assert svg.count('cut: no gradient goes back') == 2


@pytest.mark.parametrize('page', [*PAGES, ROOT / 'ARCHITECTURE.md', ROOT / 'CONTRIBUTING.md'],
                         ids=lambda page: page.name)
def test_links_and_named_files_of_a_page_exist(page):
    text = page.read_text()
    links = re.findall(r'\]\(([^)#:]+)\)', text)
    named = re.findall(r'`((?:minichain|tests|docs|benchmarks|models|weights)/[\w/]+\.\w+)`', text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing

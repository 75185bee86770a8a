"""What ``import minichain`` brings along: little, so that it is quick (benchmarks time it)."""
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEAVY = {'PIL', 'onnx', 'tqdm', 'cupy', 'scipy', 'h5py', 'google', 'multiprocessing', 'torch',
         'asyncio', 'html', 'http', 'xml', 'sqlite3', 'unittest', 'pkg_resources',
         'tarfile', 'MeCab', 'chainer'}
OPENED_LATER = {'caffe', 'datasets', 'iterators', 'image', 'text', 'metrics', 'decoding',
                'pictures', 'snapshot', 'features', 'graph_drawing', 'gradient_check', 'testing'}


def loaded_after(code):
    """Return the names in sys.modules that `code` adds in a fresh interpreter to NumPy's."""
    script = ('import sys, numpy; before = set(sys.modules); ' + code
              + '; print(*sorted(set(sys.modules) - before), sep="\\n")')
    done = subprocess.run([sys.executable, '-W', 'error', '-c', script], capture_output=True,
                          text=True, timeout=60, env={**os.environ, 'PYTHONPATH': ROOT})
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_brings_no_heavy_module():
    loaded = loaded_after('import minichain')
    heavy = {name for name in loaded if name.split('.')[0] in HEAVY}
    assert not heavy
    assert 'minichain.autograd' in loaded


def test_importing_leaves_rooms_closed_that_few_need():
    loaded = loaded_after('import minichain')
    assert not {f'minichain.{name}' for name in OPENED_LATER} & loaded


def test_nothing_is_done_on_import_but_defining():
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c',
         'import threading, numpy as np; state = np.random.get_state()[1].copy();'
         'errors = np.geterr();'
         'import minichain; assert (np.random.get_state()[1] == state).all();'
         'assert np.geterr() == errors; assert threading.active_count() == 1'],
        capture_output=True, text=True, timeout=60, env={**os.environ, 'PYTHONPATH': ROOT})
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('name', ['onnx', 'scipy', 'h5py', 'cupy', 'tqdm', 'MeCab'])
def test_a_model_trains_without_packages_that_only_some_rooms_need(name):
    loaded_after(f'sys.modules[{name!r}] = None; import minichain, minichain.functions as F;'
                 'x = minichain.Parameter(numpy.ones((2, 3)));'
                 'F.sum(minichain.links.Linear(3, 2)(x.array.astype("f"))).backward()')


def test_every_room_opens_as_an_attribute():
    rooms = sorted(OPENED_LATER)
    code = 'import minichain;' + ';'.join(f'minichain.{room}' for room in rooms)
    assert {f'minichain.{room}' for room in rooms} <= loaded_after(code)

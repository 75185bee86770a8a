"""Training snapshots: whole, checked, and never more than the file."""
import io
import json
import os
import random
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import minichain
from minichain import links as L
from minichain import serializers, snapshot
from minichain.errors import DataError, FileError, InvalidArgument
from minichain.iterators import SerialIterator
from minichain.optimizers import Adam
from tests import strict_cupy


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, contents, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, 'w', method) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def test_arrays_and_state_come_back(tmp_path):
    arrays = {'model/l1/W': np.arange(6, dtype='f').reshape(2, 3), 'empty': np.zeros((0, 2)),
              'none': None, 'scalar': np.array(3)}
    state = {'iteration': 7, 'log': 'first\nあ\n', 'arguments': {'seed': None, 'rate': 1e-3},
             'best': float('inf'), 'big': 2 ** 127}
    snapshot.save(tmp_path / 's', arrays, state)
    again, state_again = snapshot.load(tmp_path / 's')
    assert state_again == state and list(again) == list(arrays) and again['none'] is None
    for name in ('model/l1/W', 'empty', 'scalar'):
        np.testing.assert_array_equal(again[name], arrays[name])
        assert again[name].dtype == arrays[name].dtype and again[name].flags.writeable
    assert os.listdir(tmp_path) == ['s']
    manifest = json.loads(members(tmp_path / 's')['manifest.json'])
    assert manifest['format'] == 'minichain training snapshot' and manifest['version'] == 1
    assert set(manifest['members']) == {'state.json', *(f'{name}.npy' for name in arrays)}


def train(optimizer, iterator, random_states, steps):
    for _ in range(steps):
        batch = np.stack(iterator.next())
        noise = (np.random.randn(*batch.shape) * random_states['generator'].uniform()
                 + random_states['python'].random()).astype('f')
        optimizer.update(lambda x: minichain.functions.sum(optimizer.target(x) ** 2),
                         batch + noise)


def make():
    np.random.seed(3)
    model = L.Linear(3, 2)
    model.W.array[:] = np.arange(6).reshape(2, 3) / 6
    optimizer = Adam().setup(model)
    iterator = SerialIterator(np.random.RandomState(0).randn(10, 3).astype('f'), 4)
    return optimizer, iterator, {'python': random.Random(4), 'numpy': np.random,
                                 'generator': np.random.Generator(np.random.PCG64(5))}


def test_training_continues_exactly(tmp_path):
    optimizer, iterator, sources = make()
    train(optimizer, iterator, sources, 5)
    arrays = snapshot.collect(model=optimizer.target, optimizer=optimizer, iterator=iterator)
    snapshot.save(tmp_path / 's', arrays, {
        name: snapshot.get_random_state(source) for name, source in sources.items()})
    train(optimizer, iterator, sources, 5)
    expected = snapshot.collect(model=optimizer.target, optimizer=optimizer, iterator=iterator)
    assert not np.array_equal(expected['model/W'], arrays['model/W'])

    optimizer, iterator, sources = make()
    sources['python'], sources['generator'] = random.Random(), np.random.default_rng()
    arrays, state = snapshot.load(tmp_path / 's')
    snapshot.restore(arrays, model=optimizer.target, optimizer=optimizer, iterator=iterator)
    for name, source in sources.items():
        snapshot.set_random_state(source, state[name])
    train(optimizer, iterator, sources, 5)
    again = snapshot.collect(model=optimizer.target, optimizer=optimizer, iterator=iterator)
    assert set(again) == set(expected) > {'model/W', 'optimizer/t', 'iterator/order'}
    for name in expected:
        np.testing.assert_array_equal(again[name], expected[name])


@pytest.mark.parametrize('bits', ['PCG64', 'PCG64DXSM', 'MT19937', 'Philox', 'SFC64'])
def test_the_state_of_every_generator_of_numpy_is_json(bits):
    one, other = (np.random.Generator(getattr(np.random, bits)(seed)) for seed in (1, 2))
    one.standard_normal(3)
    state = json.loads(json.dumps(snapshot.get_random_state(one)))
    expected = one.integers(1 << 60, size=5)
    snapshot.set_random_state(other, state)
    np.testing.assert_array_equal(other.integers(1 << 60, size=5), expected)


def test_half_a_normal_pair_is_remembered():
    for source, draw in ((np.random.RandomState(1), lambda source: source.randn()),
                         (random.Random(1), lambda source: source.gauss(0, 1))):
        draw(source)
        state = json.loads(json.dumps(snapshot.get_random_state(source)))
        expected = draw(source), draw(source)
        snapshot.set_random_state(source, state)
        assert (draw(source), draw(source)) == expected


def test_a_foreign_random_state_is_refused():
    state = snapshot.get_random_state(random)
    for source, bad in ((np.random, state), (random, {}), (random, None),
                        (random, {'kind': 'python', 'state': [3, [1, 2], None]}),
                        (np.random.default_rng(), {'kind': 'generator', 'state': {}}),
                        (np.random, {'kind': 'numpy', 'state': {'uint': ['x'], 'bits': 7}})):
        with pytest.raises(DataError, match='cannot be restored'):
            snapshot.set_random_state(source, bad)
    with pytest.raises(InvalidArgument, match='expected, got 3'):
        snapshot.get_random_state(3)


def test_a_snapshot_of_arrays_on_a_gpu_needs_none_to_be_read(tmp_path):
    with strict_cupy.installed() as cupy:
        model = L.Linear(3, 2).to_gpu()
        arrays = snapshot.collect(model=model)
        snapshot.save(tmp_path / 's', {**arrays, 'loose': cupy.asarray(np.arange(3))}, {})
        other = L.Linear(3, 2).to_gpu()
        snapshot.restore(arrays, model=other)
        np.testing.assert_array_equal(other.W.array.get(), model.W.array.get())
        values = model.W.array.get()
    arrays, _ = snapshot.load(tmp_path / 's')
    np.testing.assert_array_equal(arrays['model/W'], values)
    np.testing.assert_array_equal(arrays['loose'], [0, 1, 2])


def test_a_model_is_no_snapshot_and_a_snapshot_no_model(tmp_path):
    serializers.save_npz(tmp_path / 'model', L.Linear(2, 1))
    with pytest.raises(DataError, match='a training snapshot expected, got a model'):
        snapshot.load(tmp_path / 'model')
    snapshot.save(tmp_path / 's', {}, {})
    with pytest.raises(DataError, match='a model expected, got a training snapshot'):
        serializers.load_npz(tmp_path / 's', L.Linear(2, 1))
    with pytest.raises(FileError, match='not there'):
        snapshot.load(tmp_path / 'absent')


def test_every_changed_byte_and_every_truncation_is_noticed(tmp_path):
    path = tmp_path / 's'
    arrays, state = {'x': np.arange(20.)}, {'log': 'text'}
    snapshot.save(path, arrays, state)
    data = path.read_bytes()
    for length in range(0, len(data), 5):
        path.write_bytes(data[:length])
        with pytest.raises(DataError):
            snapshot.load(path)
    for place in range(0, len(data), 3):
        broken = bytearray(data)
        broken[place] ^= 0x21
        path.write_bytes(broken)
        try:
            again = snapshot.load(path)
        except DataError:
            continue
        np.testing.assert_array_equal(again[0]['x'], arrays['x'])   # a byte without meaning
        assert again[1] == state


def test_manifests_that_lie_are_refused(tmp_path):
    path = tmp_path / 's'
    snapshot.save(path, {'x': np.arange(3.)}, {'a': 1})
    good = members(path)
    manifest = json.loads(good['manifest.json'])

    def refused(match, contents=good, method=zipfile.ZIP_STORED, **changes):
        text = json.dumps({**manifest, **changes}).encode()
        rewrite(path, {**contents, 'manifest.json': text}, method)
        with pytest.raises(DataError, match=match):
            snapshot.load(path)

    refused('of version 1 expected, got', version=2)
    refused('of version 1 expected, got', format='other')
    refused('does not list', members={})
    refused('does not list', members=[])
    refused('members are not those', {**good, 'y.npy': good['x.npy']})
    refused('members are not those', {'state.json': good['state.json']})
    refused('damaged', {**good, 'state.json': b'{"a": 2}'})
    refused('compressed', good, zipfile.ZIP_DEFLATED)
    for text in (b'[' * 100000, b'\xff', b'[]', b''):
        rewrite(path, {**good, 'manifest.json': text})
        with pytest.raises(DataError):
            snapshot.load(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('x.npy', bytes(10000))
        archive.filelist += archive.filelist * 50
    with pytest.raises(DataError, match='overlap'):
        snapshot.load(file)


def test_what_cannot_be_stored_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / 's'
    snapshot.save(path, {}, {'a': 1})
    with pytest.raises(InvalidArgument, match='JSON'):
        snapshot.save(path, {}, {'a': np.float32(1)})
    with pytest.raises(InvalidArgument, match='may not be called'):
        snapshot.save(path, {'state.json': np.ones(1)}, {})
    assert snapshot.load(path) == ({}, {'a': 1})
    with pytest.raises(FileError, match='could not be written'):
        snapshot.save(tmp_path / 'absent' / 's', {}, {})


def test_a_killed_writer_leaves_a_whole_snapshot(tmp_path):
    path = tmp_path / 's'
    code = ('import numpy as np, sys\n'
            'from minichain import snapshot\n'
            'for i in range(10 ** 6):\n'
            '    snapshot.save(sys.argv[1], {"x": np.full(300000, float(i))}, {"i": i})\n'
            '    print(i, flush=True)\n')
    root = os.path.dirname(os.path.dirname(minichain.__file__))
    for wait in (1, 2, 4):
        with subprocess.Popen([sys.executable, '-c', code, str(path)], stdout=subprocess.PIPE,
                              env={**os.environ, 'PYTHONPATH': root}) as process:
            for _ in range(wait):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        arrays, state = snapshot.load(path)
        assert state['i'] >= last and (arrays['x'] == state['i']).all()

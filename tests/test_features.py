import errno
import hashlib
import io
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from minichain import feature_cache
from minichain.errors import DataError, FileError, InvalidArgument, InvalidType, NotFinite
from minichain.features import cached_features
from minichain.image_store import open_images

KEY = {'weights': 'ab12', 'layer': 'fc7', 'preprocessing': {'mean': [1.5, 2, 3]}}


def write_image(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5 + seed % 3, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    path.write_bytes(buffer.getvalue())


def expected(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5 + seed % 3, 3), np.uint8)
    return np.array([pixels[..., 0].mean(), pixels[0, 0, 1], pixels[-1, -1, 2]], np.float32)


class Compute:
    """Three numbers an image; remembers the sizes of the batches."""

    def __init__(self, interrupt_at=None, error=KeyboardInterrupt):
        self.batches, self.interrupt_at, self.error = [], interrupt_at, error

    def __call__(self, images):
        if len(self.batches) == self.interrupt_at:
            raise self.error
        assert all(image.dtype == np.uint8 for image in images)
        self.batches.append(len(images))
        return np.stack([[image[..., 0].mean(), image[0, 0, 1], image[-1, -1, 2]]
                         for image in images])


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for seed in range(10):
        write_image(folder / f'{seed}.png', seed)
    return folder


def run(images, compute=None, names=None, key=KEY, **options):
    compute = compute or Compute()
    store = open_images(images)
    options.setdefault('progress', False)
    features = cached_features(store, names or store.names(), compute, key,
                               images.parent / 'cache', batch_size=4, **options)
    return features, compute.batches


def check(features, seeds):
    names = [f'{seed}.png' for seed in seeds]
    np.testing.assert_allclose(features.of(names), np.stack([expected(seed) for seed in seeds]),
                               rtol=1e-6)


def cache_files(images):
    names = os.listdir(images.parent / 'cache')
    return sorted(re.sub('[0-9a-f]{16}', '*', name) for name in names)


WHOLE = ['*-*.npy', '*.json', '*.lock']


def test_features_are_computed_once_and_mapped_read_only(images):
    features, batches = run(images)
    assert batches == [4, 4, 2]
    check(features, range(10))
    assert isinstance(features.array, np.memmap)
    assert features.array.dtype == np.float32
    assert not features.array.flags.writeable
    assert cache_files(images) == WHOLE
    again, batches = run(images)
    assert batches == []
    check(again, range(10))


def test_the_file_is_a_plain_npy_that_numpy_reads(images):
    features, _ = run(images)
    file, = (images.parent / 'cache').glob('*.npy')
    np.testing.assert_array_equal(np.load(file, allow_pickle=False), features.array)


def test_new_and_changed_images_alone_are_computed(images):
    run(images, names=['0.png', '1.png', '2.png'])
    write_image(images / '1.png', 5)  # the content of 5.png: known afterwards
    features, batches = run(images, names=['0.png', '1.png', '2.png', '3.png', '5.png'])
    assert batches == [2]
    np.testing.assert_array_equal(features.of(['1.png']), features.of(['5.png']))
    check(features, [0, 2, 3, 5])
    assert cache_files(images) == WHOLE


def test_a_change_that_keeps_size_and_time_is_noticed(images):
    path = images / '0.png'
    path.write_bytes(path.read_bytes() + b'0')
    status = path.stat()
    run(images, names=['0.png'])
    path.write_bytes(path.read_bytes()[:-1] + b'1')
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    _, batches = run(images, names=['0.png'])
    assert batches == [1]


def test_a_renamed_image_is_found_again(images):
    run(images)
    (images / '3.png').rename(images / '33.png')
    features, batches = run(images)
    assert batches == []
    np.testing.assert_allclose(features.of(['33.png'])[0], expected(3), rtol=1e-6)


@pytest.mark.parametrize('change', [{'weights': 'ab13'}, {'layer': 'fc6'},
                                    {'preprocessing': {'mean': [1.5, 2, 4]}}])
def test_another_key_has_its_own_features(images, change):
    run(images)
    _, batches = run(images, key=KEY | change)
    assert sum(batches) == 10
    assert run(images)[1] == []


def test_the_order_of_the_keys_does_not_matter(images):
    run(images)
    assert run(images, key=dict(reversed(KEY.items())))[1] == []


def test_prepare_runs_before_compute(images):
    features = cached_features(open_images(images), ['4.png'], np.stack, KEY,
                               images.parent / 'cache', prepare=lambda image: image[0, 0] / 2,
                               progress=False)
    pixels = np.random.default_rng(4).integers(0, 256, (6, 6, 3), np.uint8)
    np.testing.assert_array_equal(features.of(['4.png'])[0], pixels[0, 0] / 2)


def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(images):
    with pytest.raises(KeyboardInterrupt):
        run(images, Compute(interrupt_at=2))
    assert cache_files(images) == WHOLE
    features, batches = run(images)
    assert batches == [2]
    check(features, range(10))


def test_an_interruption_before_the_first_batch_leaves_nothing(images):
    with pytest.raises(KeyboardInterrupt):
        run(images, Compute(interrupt_at=0))
    assert cache_files(images) == ['*.lock']


def kill_after_some(images):
    feature_cache.PUBLISH_SECONDS = 0
    batches = []

    def compute(pictures):
        batches.append(len(pictures))
        if len(batches) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return Compute()(pictures)
    cached_features(open_images(images), [f'{seed}.png' for seed in range(10)], compute, KEY,
                    images.parent / 'cache', batch_size=2, progress=False)


def test_a_killed_run_is_taken_up_where_it_last_published(images):
    process = multiprocessing.get_context('spawn').Process(target=kill_after_some, args=(images,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    features, batches = run(images)
    assert batches == [4, 2]
    check(features, range(10))
    assert cache_files(images) == WHOLE


def test_readers_of_older_rows_are_not_disturbed(images):
    before, _ = run(images, names=['0.png', '1.png'])
    run(images)
    check(before, [0, 1])


@pytest.mark.parametrize('damage', ['cut', 'flip', 'header', 'gone', 'manifest', 'digests', 'text',
                                    'path'])
def test_a_damaged_cache_is_computed_anew_with_a_message(images, damage, capsys):
    run(images)
    cache = images.parent / 'cache'
    rows, manifest = next(cache.glob('*.npy')), next(cache.glob('*.json'))
    data = bytearray(rows.read_bytes())
    if damage == 'cut':
        rows.write_bytes(data[:-4])
    elif damage == 'flip':
        data[-9] ^= 1
        rows.write_bytes(data)
    elif damage == 'header':
        rows.write_bytes(data.replace(b'shape', b'sh\0pe'))
    elif damage == 'gone':
        rows.unlink()
    elif damage == 'manifest':
        manifest.write_bytes(manifest.read_bytes()[:-30])
    elif damage == 'text':
        manifest.write_bytes(b'[]')
    else:
        content = json.loads(manifest.read_text())
        if damage == 'path':
            content['file'] = '../images/0.png'
            del content['check']
            content['check'] = hashlib.sha256(
                json.dumps(content, sort_keys=True).encode()).hexdigest()
        else:
            content['digests'].reverse()
        manifest.write_text(json.dumps(content))
    features, batches = run(images)
    assert sum(batches) == 10
    check(features, range(10))
    assert 'damaged' in capsys.readouterr().err
    assert cache_files(images) == WHOLE
    assert run(images)[1] == []


def test_broken_images_are_named_together_and_the_rest_is_kept(images):
    (images / '2.png').write_bytes(b'no image')
    (images / '7.png').write_bytes((images / '7.png').read_bytes()[:50])
    with pytest.raises(DataError, match=r'(?s)2 of 10 images.*2\.png.*7\.png'):
        run(images)
    write_image(images / '2.png', 2)
    write_image(images / '7.png', 7)
    features, batches = run(images)
    assert batches == [2]
    check(features, range(10))


def test_broken_and_missing_images_may_be_skipped(images):
    (images / '2.png').write_bytes(b'no image')
    (images / '9.png').write_bytes(b'no image')  # the last of all
    names = [f'{seed}.png' for seed in range(11)]
    features, batches = run(images, names=names, on_error='skip')
    assert batches == [4, 4]
    assert set(features.failed) == {'2.png', '9.png', '10.png'}
    assert set(features.rows) == set(names) - set(features.failed)
    check(features, [0, 1, 3, 4, 5, 6, 7, 8])
    again, batches = run(images, names=names, on_error='skip')
    assert batches == []
    assert set(again.failed) == set(features.failed)


def test_nothing_that_can_be_read_is_an_error_even_with_skip(images):
    (images / '2.png').write_bytes(b'no image')
    with pytest.raises(DataError, match='1 of 1 images'):
        run(images, names=['2.png'], on_error='skip')


@pytest.mark.parametrize('result', [np.zeros((3, 2)), np.zeros(4), np.zeros((4, 0)),
                                    np.zeros((4, 2), int)])
def test_a_wrong_result_of_compute_is_refused_with_both_shapes(images, result):
    with pytest.raises(InvalidType, match=r'\(4, D\)'):
        cached_features(open_images(images), [f'{seed}.png' for seed in range(4)],
                        lambda images: result, KEY, images.parent / 'cache', progress=False)
    assert cache_files(images) == ['*.lock']


@pytest.mark.parametrize('value', [np.nan, np.inf, 1e39])
def test_a_feature_that_is_not_finite_names_its_image(images, value):
    def compute(pictures):
        rows = np.ones((len(pictures), 2))
        rows[1, 1] = value
        return rows
    with pytest.raises(NotFinite, match="'1.png'"):
        cached_features(open_images(images), ['0.png', '1.png'], compute, KEY,
                        images.parent / 'cache', progress=False)


def test_another_width_under_the_same_key_is_refused(images):
    run(images, names=['0.png'])
    with pytest.raises(InvalidType, match='3 numbers expected as before, got 2'):
        cached_features(open_images(images), ['1.png'], lambda images: np.ones((1, 2)), KEY,
                        images.parent / 'cache', progress=False)
    features, batches = run(images, names=['0.png'])
    assert batches == []
    check(features, [0])


@pytest.mark.parametrize('options, message', [
    ({'key': {'mean': np.zeros(3)}}, 'sha256'), ({'key': 'fc7'}, 'dict'),
    ({'key': {'scale': float('nan')}}, 'JSON'), ({'on_error': 'ignore'}, 'on_error')])
def test_wrong_arguments_are_refused(images, options, message):
    with pytest.raises(InvalidArgument, match=message):
        run(images, **options)


def test_no_names_are_refused(images):
    with pytest.raises(DataError, match='none'):
        cached_features(open_images(images), [], Compute(), KEY, images.parent / 'cache')


def test_a_cache_folder_that_cannot_be_made_is_a_file_error(images):
    with pytest.raises(FileError, match='0.png'):
        cached_features(open_images(images), ['0.png'], Compute(), KEY, images / '0.png' / 'cache')


FULL_DISK = """
import resource, signal, sys
import numpy as np
from minichain.errors import FileError
from minichain.features import cached_features
from minichain.image_store import open_images
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
store = open_images(sys.argv[1])
try:
    cached_features(store, store.names(), lambda images: np.ones((len(images), 1000)), {},
                    sys.argv[2], batch_size=2, progress=False)
except FileError as error:
    print(error)
"""


@pytest.mark.parametrize('limit', [100, 4000, 30000])
def test_a_file_that_cannot_grow_is_a_file_error_and_leaves_whole_files(images, limit):
    cache = images.parent / 'cache'
    result = subprocess.run([sys.executable, '-c', FULL_DISK, images, cache, str(limit)],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert 'cannot be written' in result.stdout
    names = cache_files(images)
    assert names == (['*.lock'] if limit < 8000 else WHOLE)
    calls = []

    def compute(pictures):
        calls.extend(pictures)
        return np.ones((len(pictures), 1000))
    features = cached_features(open_images(images), [f'{seed}.png' for seed in range(10)], compute,
                               {}, cache, progress=False)
    assert features.of(['9.png']).shape == (1, 1000)
    assert len(calls) == (10 if limit < 8000 else 10 - 6)  # 3 batches of 8000 bytes were whole


def test_a_full_disk_at_the_manifest_leaves_nothing_half_written(images, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(FileError, match='No space left'):
        run(images)
    assert cache_files(images) == ['*.lock']


def compute_slowly(images, turn, results):
    count = 0

    def compute(pictures):
        nonlocal count
        count += len(pictures)
        time.sleep(0.05)
        return Compute()(pictures)
    turn.wait()
    features = cached_features(open_images(images), [f'{seed}.png' for seed in range(10)], compute,
                               KEY, images.parent / 'cache', batch_size=2, progress=False)
    results.put((count, features.of([f'{seed}.png' for seed in range(10)])))


def test_two_processes_share_the_work_of_one(images):
    context = multiprocessing.get_context('spawn')
    turn, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=compute_slowly, args=(images, turn, results))
                 for _ in range(2)]
    for process in processes:
        process.start()
    counts, rows = zip(*[results.get(timeout=60) for _ in processes])
    for process in processes:
        process.join(60)
    assert sorted(counts) == [0, 10]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_allclose(rows[0], [expected(seed) for seed in range(10)], rtol=1e-6)
    assert cache_files(images) == WHOLE


def test_progress_is_shown_in_images_per_second(images, capsys):
    run(images, progress=True)
    assert re.search(r'features: 100%.*10/10.*images/s', capsys.readouterr().err)

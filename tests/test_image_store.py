import concurrent.futures
import hashlib
import io
import os
import pickle
import tarfile
import unicodedata

import numpy as np
import pytest
from PIL import Image

from minichain.errors import DataError, FileError
from minichain.image_store import open_images


def png(seed, size=(5, 4)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    return pixels, buffer.getvalue()


def make_folder(folder, names):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(seed)[1])
    return folder


def make_tar(path, names):
    with tarfile.open(path, 'w') as archive:
        for seed, name in enumerate(names):
            info, data = tarfile.TarInfo(name), png(seed)[1]
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(params=['folder', 'tar'])
def make(request, tmp_path):
    def build(names):
        if request.param == 'folder':
            return open_images(make_folder(tmp_path / 'images', names))
        return open_images(make_tar(tmp_path / 'images.tar', names))
    return build


def test_images_are_listed_read_hashed_and_decoded(make):
    store = make(['b/2.png', 'a/1.PNG', 'a/notes.txt', '.hidden/3.png', '__MACOSX/._1.png'])
    pixels, data = png(1)
    assert store.names() == ['a/1.PNG', 'b/2.png']
    assert len(store) == 2
    assert store.read('a/1.PNG') == data
    assert store.size('a/1.PNG') == len(data)
    assert store.digest('a/1.PNG') == hashlib.sha256(data).hexdigest()
    np.testing.assert_array_equal(store.load('a/1.PNG'), pixels)


def test_a_name_without_or_with_another_folder_finds_the_only_image_of_that_name(make):
    store = make(['Flicker8k_Dataset/123.jpg', 'Flicker8k_Dataset/4.jpg'])
    for name in ('123.jpg', './123.jpg', 'images/123.jpg', 'Flicker8k_Dataset\\123.jpg'):
        assert store.resolve(name) == 'Flicker8k_Dataset/123.jpg'
        assert name in store
    assert store.resolve('5.jpg') is None
    assert '5.jpg' not in store


def test_an_ambiguous_name_is_an_error_that_names_both(make):
    store = make(['train/1.jpg', 'val/1.jpg', 'x/val/2.jpg', 'x/train/2.jpg'])
    with pytest.raises(DataError, match=r"'(train|val)/1.jpg' or '(train|val)/1.jpg'"):
        store.resolve('1.jpg')
    assert '1.jpg' not in store
    assert store.resolve('val/1.jpg') == 'val/1.jpg'
    assert store.resolve('./val/1.jpg') == 'val/1.jpg'
    assert store.resolve('val/2.jpg') == 'x/val/2.jpg'


@pytest.mark.parametrize('name', ['../1.jpg', '/1.jpg', 'a/../../1.jpg', 'C:\\1.jpg', '..\\1.jpg',
                                  '', '1.jpg\0'])
def test_a_name_that_leads_outside_is_refused(make, name):
    store = make(['a/1.jpg'])
    assert name not in store
    with pytest.raises(DataError, match='inside the image folder'):
        store.read(name)


def test_composed_and_decomposed_names_meet(make):
    name = 'Mädchen が.png'
    store = make(['images/' + unicodedata.normalize('NFD', name)])
    assert unicodedata.normalize('NFC', name) in store


def test_a_missing_name_is_an_error_with_the_store(make):
    with pytest.raises(DataError, match="images.*no image '2.jpg' among 1"):
        make(['1.jpg']).read('2.jpg')


def test_a_store_without_images_is_refused(make):
    with pytest.raises(DataError, match='no images found'):
        make(['notes.txt'])


def test_many_threads_read_the_right_bytes(make):
    store = make([f'{number}.png' for number in range(40)])
    expected = {f'{number}.png': png(number)[1] for number in range(40)}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for name, data in zip(list(expected) * 5, pool.map(store.read, list(expected) * 5)):
            assert data == expected[name]


def test_a_store_travels_to_another_process(make):
    store = make(['a/1.png'])
    assert pickle.loads(pickle.dumps(store)).read('1.png') == png(0)[1]


def test_a_broken_image_is_named(tmp_path):
    (tmp_path / '1.png').write_bytes(png(0)[1][:40])
    with pytest.raises(DataError, match='1.png'):
        open_images(tmp_path).load('1.png')


def test_the_later_of_two_members_of_one_name_stands(tmp_path):
    store = open_images(make_tar(tmp_path / 'a.tar', ['1.png', './1.png']))
    assert store.read('1.png') == png(1)[1]


def test_unsafe_members_are_refused_and_counted(tmp_path):
    store = open_images(make_tar(tmp_path / 'a.tar', ['../1.png', '/etc/2.png', 'good.png']))
    assert store.names() == ['good.png']
    assert store.refused == 2


def test_a_tar_that_changes_while_it_is_open_is_noticed(tmp_path):
    store = open_images(make_tar(tmp_path / 'a.tar', ['1.png']))
    make_tar(tmp_path / 'a.tar', ['1.png'] + ['2.png'] * 20)
    with pytest.raises(DataError, match='changed'):
        store.read('1.png')


def test_links_are_followed_inside_the_folder_only(tmp_path):
    make_folder(tmp_path, ['outside.png', 'images/1.png'])
    (tmp_path / 'images/inside.png').symlink_to('1.png')
    (tmp_path / 'images/bad.png').symlink_to('../outside.png')
    (tmp_path / 'images/folder').symlink_to('..')
    (tmp_path / 'images/loop.png').symlink_to('loop.png')
    store = open_images(tmp_path / 'images')
    assert store.names() == ['1.png', 'inside.png']
    assert store.read('inside.png') == png(1)[1]
    assert store.refused == 1


def test_a_file_that_becomes_a_link_or_a_pipe_is_refused(tmp_path):
    make_folder(tmp_path, ['outside.png', 'images/1.png', 'images/2.png', 'images/3.png'])
    store = open_images(tmp_path / 'images')
    for name in ('1.png', '2.png', '3.png'):
        (tmp_path / 'images' / name).unlink()
    (tmp_path / 'images/1.png').symlink_to('../outside.png')
    os.mkfifo(tmp_path / 'images/2.png')
    with pytest.raises(DataError, match='leads outside'):
        store.read('1.png')
    with pytest.raises(DataError, match='regular file'):
        store.read('2.png')
    with pytest.raises(FileError, match='3.png'):
        store.read('3.png')


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    make_folder(tmp_path, ['1.png'])
    with open(tmp_path / '1.png', 'ab') as file:
        file.truncate(1 << 31)
    with pytest.raises(DataError, match='at most'):
        open_images(tmp_path).read('1.png')


def test_a_linked_folder_may_be_opened(tmp_path):
    make_folder(tmp_path, ['elsewhere/1.png'])
    (tmp_path / 'images').symlink_to('elsewhere')
    assert open_images(tmp_path / 'images').read('1.png') == png(0)[1]


def test_a_missing_path_is_a_file_error(tmp_path):
    with pytest.raises(FileError, match='nothing'):
        open_images(tmp_path / 'nothing')

"""Files that are whole or absent."""
import os

import pytest

from minichain._atomic import write_atomically
from minichain.errors import FileError, InvalidArgument


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    write_atomically(path, b'new')
    assert path.read_bytes() == b'new' and os.listdir(tmp_path) == ['file']


def test_folders_pipes_and_devices_are_not_replaced(tmp_path):
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    os.symlink('/dev/null', tmp_path / 'device')
    before = [os.lstat(tmp_path / name) for name in sorted(os.listdir(tmp_path))]
    for name, message in (('folder', 'Is a directory'), ('pipe', 'a pipe or a device is there'),
                          ('device', 'a pipe or a device is there')):
        with pytest.raises(FileError, match=f'{name}: could not be written .{message}'):
            write_atomically(tmp_path / name, b'new')
    after = [os.lstat(tmp_path / name) for name in sorted(os.listdir(tmp_path))]
    assert [(s.st_ino, s.st_mode) for s in after] == [(s.st_ino, s.st_mode) for s in before]


@pytest.mark.parametrize('path', [1, None, []], ids=repr)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InvalidArgument, match=f'path of a file .*got {type(path).__name__}'):
        write_atomically(path, b'new')

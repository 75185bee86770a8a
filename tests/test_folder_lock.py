import subprocess
import sys

import pytest

from minichain import folder_lock
from minichain.errors import FileError, InvalidArgument

pytestmark = pytest.mark.skipif(folder_lock.fcntl is None, reason='this system has no flock')


def test_a_folder_is_held_by_one_and_free_afterwards(tmp_path):
    with folder_lock.held(tmp_path):
        with pytest.raises(InvalidArgument, match='another program is writing'):
            with folder_lock.held(tmp_path):
                pytest.fail('held twice')
        (tmp_path / 'other').mkdir()
        with folder_lock.held(tmp_path / 'other'):
            pass
    with pytest.raises(ZeroDivisionError), folder_lock.held(tmp_path):
        raise ZeroDivisionError
    with folder_lock.held(tmp_path):
        pass


def test_a_process_that_is_killed_lets_go(tmp_path):
    code = (f'import time\nfrom minichain.folder_lock import held\n'
            f'with held({str(tmp_path)!r}):\n print("held", flush=True)\n time.sleep(60)')
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'held\n'
        with pytest.raises(InvalidArgument, match=str(tmp_path)), folder_lock.held(tmp_path):
            pytest.fail('held twice')
        process.kill()
        process.wait()
        with folder_lock.held(tmp_path):
            pass


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileError, match='missing: the folder cannot be read'):
        with folder_lock.held(tmp_path / 'missing'):
            pytest.fail('held')


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(95, 'Operation not supported')
    monkeypatch.setattr(folder_lock.fcntl, 'flock', flock)
    with folder_lock.held(tmp_path):
        pass
    monkeypatch.setattr(folder_lock, 'fcntl', None)
    with folder_lock.held(tmp_path):
        pass

"""The folder of data sets, and downloads from a server of our own."""
import hashlib
import http.server
import os
import threading

import numpy as np
import pytest

from minichain.dataset import (
    cache_or_load_file,
    cached_download,
    download,
    get_dataset_directory,
    get_dataset_root,
    set_dataset_root,
)
from minichain.errors import DataError, FileError, InvalidArgument


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setattr(download, '_root', str(tmp_path / 'root'))
    return tmp_path / 'root'


@pytest.fixture
def server():
    """Serves b'content' at /good; counts requests; /missing, /short and /torn are broken."""
    class Handler(http.server.BaseHTTPRequestHandler):
        count = 0

        def do_GET(self):
            Handler.count += 1
            self.send_response(404 if self.path == '/missing' else 200)
            self.send_header('Content-Length', '70' if self.path == '/short' else '7')
            self.end_headers()
            self.wfile.write(b'content')

        def log_message(self, *_):
            pass

    http_server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=http_server.serve_forever, args=(0.01,))
    thread.start()
    Handler.url = f'http://127.0.0.1:{http_server.server_port}'
    yield Handler
    http_server.shutdown()
    thread.join()
    http_server.server_close()


def files_below(folder):
    return [name for _, _, names in os.walk(folder) for name in names]


def test_the_root_is_chainers_and_can_be_set(monkeypatch):
    monkeypatch.setattr(download, '_root', os.path.join('~', '.chainer', 'dataset'))
    assert get_dataset_root() == os.path.expanduser('~/.chainer/dataset')
    set_dataset_root('/elsewhere')
    assert get_dataset_root() == '/elsewhere'


def test_a_directory_is_made_unless_told_otherwise(root):
    assert get_dataset_directory('a/b') == str(root / 'a' / 'b')
    assert (root / 'a' / 'b').is_dir()
    assert get_dataset_directory('c', create_directory=False) == str(root / 'c')
    assert not (root / 'c').exists()


def test_a_directory_that_cannot_be_made_is_reported(root):
    root.write_text('a file')
    with pytest.raises(FileError, match='CHAINER_DATASET_ROOT'):
        get_dataset_directory('a')


def test_a_file_is_downloaded_once_to_the_place_where_chainer_looks(root, server):
    url = f'{server.url}/good'
    path = cached_download(url)
    assert path == str(root / '_dl_cache' / hashlib.md5(url.encode()).hexdigest())
    with open(path, 'rb') as file:
        assert file.read() == b'content'
    assert cached_download(url) == path
    assert server.count == 1
    assert len(files_below(root)) == 1


@pytest.mark.parametrize('page, error, message', [
    ('missing', FileError, r'/missing: cannot be downloaded \(Not Found\)'),
    ('short', DataError, '70 bytes announced, 7 came')])
def test_a_page_that_is_missing_or_cut_off_leaves_nothing_behind(root, server, page, error,
                                                                 message):
    with pytest.raises(error, match=message):
        cached_download(f'{server.url}/{page}')
    assert files_below(root) == []


def test_a_file_that_is_too_large_is_refused(root, server, monkeypatch):
    monkeypatch.setattr(download, 'MAX_DOWNLOAD_BYTES', 6)
    with pytest.raises(DataError, match='larger than 6 bytes'):
        cached_download(f'{server.url}/good')
    assert files_below(root) == []


def test_without_a_connection_the_place_for_the_file_is_named(root):
    with pytest.raises(FileError, match='save it as .*_dl_cache'):
        cached_download('http://127.0.0.1:9/nobody-listens')


@pytest.mark.parametrize('url', ['file:///etc/passwd', 'ftp://host/file', '/etc/passwd', ''])
def test_other_addresses_are_refused(root, url):
    with pytest.raises(InvalidArgument, match='http or https address expected'):
        cached_download(url)


def test_a_cached_file_is_made_once_and_then_loaded(root):
    path = str(root / 'deep' / 'array.npz')
    made = []

    def create(temporary):
        made.append(temporary)
        np.savez(temporary, x=np.arange(3))
        return 'created'

    assert cache_or_load_file(path, create, None) == 'created'
    assert cache_or_load_file(path, None, lambda path: np.load(path)['x'].tolist()) == [0, 1, 2]
    assert len(made) == 1
    assert made[0] != path
    assert files_below(root) == ['array.npz']


def test_a_creator_that_fails_leaves_nothing_behind(root):
    def create(temporary):
        with open(temporary, 'w') as file:
            file.write('half')
        raise KeyError('stop')

    with pytest.raises(KeyError, match='stop'):
        cache_or_load_file(str(root / 'x'), create, None)
    assert files_below(root) == []

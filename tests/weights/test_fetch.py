"""Downloads from a local server that breaks off, lies, redirects and dawdles."""
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from minichain.errors import DataError, FileError, InvalidArgument
from minichain.folder_lock import held
from tests.weights.unreliable_server import serving
from weights import fetch as module
from weights.fetch import Patience, Unreachable, check_address, fetch, next_address

CONTENT = np.random.default_rng(0).bytes(1_000_003)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)
QUICK = Patience(timeout=.3, pause=0, attempts=2)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith('_proxy'):
            monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'net.caffemodel')


def get(url, path, size=SIZE, patience=QUICK, **options):
    return fetch([url], path, {'sha256': DIGEST}, size, patience=patience, **options)


def leave_part(path, content, validator='"one"'):
    with open(f'{path}.part', 'wb') as file:
        file.write(content)
    with open(f'{path}.part.json', 'w') as file:
        json.dump({'validator': validator}, file)


def files(path):
    return sorted(os.listdir(os.path.dirname(path)))


def content_of(path):
    with open(path, 'rb') as file:
        return file.read()


@pytest.mark.parametrize('size', [len(CONTENT), None])
def test_a_file_arrives_whole_and_nothing_else_is_left(path, size):
    with serving(CONTENT) as (_, url):
        assert get(url, path, size) == DIGEST
    assert content_of(path) == CONTENT and files(path) == ['net.caffemodel']


def test_a_file_without_a_length_arrives_in_chunks_too(path):
    def chunked(request, number):
        body = b'%x\r\n%b\r\n0\r\n\r\n' % (len(CONTENT), CONTENT)
        return request.say(200, {'Transfer-Encoding': 'chunked'}, body)
    with serving(behave=chunked) as (_, url):
        assert get(url, path) == DIGEST


def test_a_folder_that_is_not_there_is_made(tmp_path):
    with serving(CONTENT) as (_, url):
        get(url, str(tmp_path / 'new' / 'net.caffemodel'))
    assert content_of(tmp_path / 'new' / 'net.caffemodel') == CONTENT


def test_broken_connections_are_resumed_where_they_broke(path):
    def break_off(request, number):
        return number < 4 and request.serve(CONTENT, stop=200_000)
    with serving(CONTENT, behave=break_off) as (told, url):
        assert get(url, path) == DIGEST
    assert [request.get('Range') for request in told.seen] == [
        None, 'bytes=200000-', 'bytes=400000-', 'bytes=600000-']
    assert [request.get('If-Range') for request in told.seen[1:]] == ['"one"'] * 3
    assert files(path) == ['net.caffemodel']


def test_what_arrived_is_kept_when_the_server_is_gone_and_the_next_call_goes_on(path):
    def once(request, number):
        if number == 1:
            return request.serve(CONTENT, stop=300_000)
        return request.say(503)
    with serving(CONTENT, behave=once) as (_, url):
        with pytest.raises(Unreachable, match='503'):
            get(url, path)
    assert files(path) == ['net.caffemodel.part', 'net.caffemodel.part.json']
    assert content_of(f'{path}.part') == CONTENT[:300_000]
    with serving(CONTENT) as (told, url):
        assert get(url, path) == DIGEST
    assert told.seen[0]['Range'] == 'bytes=300000-'


def test_a_server_that_always_breaks_off_is_given_up(path):
    with serving(behave=lambda request, number: request.serve(CONTENT, stop=1000),
                 ranges=False) as (told, url):
        with pytest.raises(Unreachable, match='broke off at 1000 of 1000003'):
            get(url, path)
    assert len(told.seen) == 1 + QUICK.attempts


def test_a_part_that_is_complete_needs_no_server(path):
    leave_part(path, CONTENT)
    assert get('http://127.0.0.1:1/', path) == DIGEST
    assert files(path) == ['net.caffemodel']


def test_a_complete_part_of_unknown_size_is_recognised(path):
    leave_part(path, CONTENT)
    with serving(CONTENT) as (told, url):       # answers 416 with the length of the file
        assert get(url, path, size=None) == DIGEST
    assert len(told.seen) == 1


@pytest.mark.parametrize('size', [len(CONTENT), None])
def test_a_part_that_is_too_long_is_begun_anew(path, size):
    leave_part(path, CONTENT + b'more')
    with serving(CONTENT) as (_, url):          # answers 416 where the size is unknown
        assert get(url, path, size) == DIGEST
    assert content_of(path) == CONTENT


def test_a_server_without_ranges_begins_at_the_start(path):
    leave_part(path, b'x' * 1000)
    with serving(CONTENT, ranges=False) as (_, url):
        assert get(url, path) == DIGEST


def test_a_file_that_changed_meanwhile_is_begun_anew(path):
    leave_part(path, b'of the old file', validator='"old"')
    with serving(CONTENT) as (told, url):
        assert get(url, path) == DIGEST
    assert told.seen[0]['If-Range'] == '"old"' and len(told.seen) == 1


@pytest.mark.parametrize('note', ['', '[]', '{"validator": 3}', '[' * 100_000, None])
def test_a_damaged_note_beside_the_part_does_no_harm(path, note):
    leave_part(path, CONTENT[:1000])
    os.unlink(f'{path}.part.json')
    if note is not None:
        with open(f'{path}.part.json', 'w') as file:
            file.write(note)
    with serving(CONTENT) as (told, url):
        assert get(url, path) == DIGEST
    assert told.seen[0]['Range'] == 'bytes=1000-' and 'If-Range' not in told.seen[0]


@pytest.mark.parametrize('headers', [
    {'Content-Range': 'bytes 0-9/1000003'}, {'Content-Range': 'nonsense'}, {},
    {'Content-Range': 'bytes 1000-1001/' + '9' * 5000}])
def test_an_answer_from_another_place_is_not_appended(path, headers):
    leave_part(path, CONTENT[:1000])

    def lie(request, number):
        return number == 1 and request.say(206, {**headers, 'Content-Length': 10}, b'0' * 10)
    with serving(CONTENT, behave=lie) as (told, url):
        assert get(url, path) == DIGEST
    assert 'Range' not in told.seen[1]


def test_a_weak_etag_is_not_used_and_a_date_is(path):
    def break_off(request, number):
        return number == 1 and request.say(
            200, {'ETag': 'W/"x"', 'Last-Modified': 'Sat, 01 Feb 2014 00:00:00 GMT',
                  'Content-Length': len(CONTENT)}, CONTENT[:1000])
    with serving(CONTENT, behave=break_off) as (told, url):
        assert get(url, path) == DIGEST
    assert told.seen[1]['If-Range'] == 'Sat, 01 Feb 2014 00:00:00 GMT'


def test_wrong_bytes_are_not_kept(path):
    wrong = CONTENT[:-1] + b'!'
    with serving(wrong) as (_, url):
        with pytest.raises(DataError, match=f'sha256 {DIGEST} expected, got '
                                            f'{hashlib.sha256(wrong).hexdigest()}'):
            get(url, path)
    assert files(path) == []


def test_a_wrong_beginning_is_not_kept_either(path):
    leave_part(path, b'?' * 1000)
    with serving(CONTENT) as (_, url):
        with pytest.raises(DataError, match='sha256'):
            get(url, path)
        assert files(path) == []
        assert get(url, path) == DIGEST


@pytest.mark.parametrize('content', [b'version https://git-lfs.github.com/spec/v1', CONTENT * 2])
def test_a_file_of_another_length_is_refused_before_it_is_read(path, content):
    leave_part(path, CONTENT[:1000], validator='"other"')
    with serving(content) as (_, url):
        with pytest.raises(Unreachable, match=f'1000003 bytes expected, the server has one of '
                                              f'{len(content)}'):
            get(url, path)
    assert content_of(f'{path}.part') == CONTENT[:1000]


def test_sha1_alone_is_compared_and_the_sha256_is_told(path):
    sha1 = hashlib.sha1(CONTENT).hexdigest()
    with serving(CONTENT) as (_, url):
        assert fetch([url], path, {'sha1': sha1}, patience=QUICK) == DIGEST
        with pytest.raises(DataError, match='sha1 0000 expected'):
            fetch([url], f'{path}2', {'sha1': '0000', 'sha256': DIGEST}, patience=QUICK)


def test_a_file_of_unknown_size_has_a_limit(path):
    with serving(CONTENT) as (_, url):
        with pytest.raises(FileError, match='at most 1000 bytes expected.*--max-size allows more'):
            get(url, path, size=None, max_size=1000)
    assert files(path) == []


@pytest.mark.parametrize('size', [1_000_003, None])
def test_an_endless_stream_ends_at_the_limit(path, size):
    def endless(request, number):
        request.say(200)
        while not request.server.told.enough.is_set():
            request.wfile.write(b'0' * 100_000)
        return True
    with serving(behave=endless) as (_, url):
        with pytest.raises(DataError, match='more than the 1000003 bytes came'):
            get(url, path, size, max_size=1_000_003)
    assert files(path) == []


def test_a_server_that_falls_silent_is_given_up_and_the_part_stays(path):
    def silent(request, number):
        request.say(200, {'Content-Length': len(CONTENT)}, CONTENT[:5000])
        request.server.told.enough.wait(5)
        return True
    with serving(behave=silent, ranges=False) as (_, url):
        with pytest.raises(Unreachable, match='no data for 0.3 seconds.*is kept; the same command '
                                              'goes on'):
            get(url, path, patience=Patience(.3, 0, 1))
    assert content_of(f'{path}.part') == CONTENT[:5000]


def test_a_server_that_never_answers_is_given_up(path):
    def mute(request, number):
        return request.server.told.enough.wait(5)
    with serving(behave=mute) as (_, url):
        with pytest.raises(Unreachable, match='cannot be reached .no answer in time'):
            get(url, path)


def test_a_slow_server_may_take_its_time_as_long_as_data_come(path):
    def slow(request, number):
        request.say(200, {'Content-Length': 6})
        for byte in b'abcdef':
            request.wfile.write(bytes([byte]))
            time.sleep(.08)
        return True
    with serving(behave=slow) as (told, url):
        fetch([url], path, {'sha256': hashlib.sha256(b'abcdef').hexdigest()}, patience=QUICK)
    assert len(told.seen) == 1


@pytest.mark.parametrize('status', [403, 404, 410])
def test_a_file_that_is_not_there_is_asked_for_once(path, status):
    with serving(behave=lambda request, number: request.say(status)) as (told, url):
        with pytest.raises(Unreachable, match=f'answers {status}') as caught:
            get(url, path)
    assert len(told.seen) == 1
    assert f'put it at {path}; sha256 {DIGEST} is what it must have' in str(caught.value)


@pytest.mark.parametrize('status', [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(path, status):
    with serving(CONTENT, behave=lambda request, number: number == 1 and request.say(status)) as (
            told, url):
        assert get(url, path) == DIGEST
    assert len(told.seen) == 2


def test_nobody_there_says_what_to_do_by_hand(path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{free.getsockname()[1]}/x'
    with pytest.raises(Unreachable, match=f'cannot be reached .*By hand: get {url}'):
        get(url, path)
    assert files(path) == []


def test_the_next_address_is_tried_where_one_fails(path):
    with serving(behave=lambda request, number: request.say(404)) as (_, gone), \
            serving(CONTENT[::-1]) as (_, wrong), serving(CONTENT) as (_, right):
        assert fetch([gone, wrong, right], path, {'sha256': DIGEST}, len(CONTENT),
                     patience=QUICK) == DIGEST
        os.unlink(path)
        with pytest.raises(DataError, match='answers 404.*sha256'):
            fetch([gone, wrong], path, {'sha256': DIGEST}, patience=QUICK)


def redirecting(target):
    def redirect(request, number):
        return request.path != '/target' and request.say(302, {'Location': target})
    return redirect


def test_redirects_are_followed_with_the_range(path):
    leave_part(path, CONTENT[:1000])
    with serving(CONTENT, behave=redirecting('/target')) as (told, url):
        assert get(url, path) == DIGEST
    assert [request['path'] for request in told.seen] == ['/net.caffemodel', '/target']
    assert told.seen[1]['Range'] == 'bytes=1000-'


@pytest.mark.parametrize('target', [
    'ftp://127.0.0.1/x', 'file:///etc/passwd', 'data:,x', 'javascript:1', '', 'http://[',
    'gopher://x'])
def test_redirects_to_anything_but_http_are_refused(path, target):
    with serving(CONTENT, behave=redirecting(target)) as (told, url):
        with pytest.raises(Unreachable, match='http or https expected'):
            get(url, path)
    assert len(told.seen) == 1 and files(path) == []


def test_redirects_in_a_circle_end(path):
    with serving(behave=redirecting('/again')) as (told, url):
        with pytest.raises(Unreachable, match='more than 5 redirects'):
            get(url, path)
    assert len(told.seen) == 6


def test_redirects_never_leave_https_for_http():
    assert next_address('http://a/x', 'https://b/y') == 'https://b/y'
    assert next_address('https://a/x', '/y z') == 'https://a/y%20z'
    for target in ('http://b/y', 'HTTP://b/y'):
        with pytest.raises(Unreachable, match='from https to http'):
            next_address('HTTPS://a/x', target)


@pytest.mark.parametrize('url', ['ftp://a/b', 'file:///etc/passwd', '/etc/passwd', 'http://', '',
                                 'http://a b', 'http://a/\r\nX: y', 'http://['])
def test_addresses_of_another_kind_are_refused(path, url):
    with pytest.raises(InvalidArgument, match='http'):
        check_address(url)
    with pytest.raises(InvalidArgument, match='http'):
        get(url, path)


def test_nothing_is_fetched_without_a_hash(path):
    with pytest.raises(InvalidArgument, match='a hash expected'):
        fetch(['http://127.0.0.1/'], path, {})


def test_the_right_file_is_not_fetched_again_and_another_one_is_left_alone(path):
    with open(path, 'wb') as file:
        file.write(CONTENT)
    assert get('http://127.0.0.1:1/', path) == DIGEST
    with open(path, 'wb') as file:
        file.write(b'mine')
    with pytest.raises(DataError, match='1000003 bytes expected, got 4. Move it away'):
        get('http://127.0.0.1:1/', path)
    with pytest.raises(DataError, match='sha256 .* Move it away'):
        get('http://127.0.0.1:1/', path, size=None)
    assert content_of(path) == b'mine'


def test_a_folder_in_the_place_of_the_file_is_left_alone(path):
    os.mkdir(path)
    with pytest.raises(FileError):
        get('http://127.0.0.1:1/', path)


def occupy(path, kind):
    if kind == 'a folder':
        os.mkdir(path)
    elif kind == 'a link to nothing':
        os.symlink('/nowhere/at/all', path)
    elif kind == 'a pipe or a device':
        os.mkfifo(path)
    else:
        os.symlink('/dev/zero', path)


@pytest.mark.parametrize('ending', ['', '.part', '.part.json'])
@pytest.mark.parametrize('kind', ['a folder', 'a link to nothing', 'a pipe or a device',
                                  'a device'])
def test_what_is_no_file_is_refused_before_the_network_is_asked(path, ending, kind):
    occupy(path + ending, kind)
    with serving(CONTENT) as (told, url):
        with pytest.raises(FileError, match=f'{path}{ending}: a file expected, this is .*'
                                            f'{kind.split()[-1]}. Move it away'):
            get(url, path)
    assert not told.seen and files(path) == [os.path.basename(path) + ending]


def test_a_part_that_is_a_link_does_not_overwrite_another_file(path, tmp_path):
    (tmp_path / 'mine').write_bytes(b'mine')
    os.symlink(tmp_path / 'mine', f'{path}.part')
    with serving(CONTENT) as (told, url):
        with pytest.raises(FileError, match='a link, through which another file'):
            get(url, path)
    assert not told.seen and content_of(tmp_path / 'mine') == b'mine'


def test_two_downloads_into_one_folder_do_not_meet(path):
    pytest.importorskip('fcntl', reason='this system knows no locks')
    with held(os.path.dirname(path)), serving(CONTENT) as (told, url):
        with pytest.raises(InvalidArgument, match='another program is writing'):
            get(url, path)
    assert not told.seen


def test_a_full_disk_is_an_error_of_the_family_and_the_part_stays(path, monkeypatch):
    class Full:
        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, block):
            raise OSError(28, 'No space left on device')

    def open_full(name, mode='r', **options):
        file = open(name, mode, **options)
        if not name.endswith('.part'):
            return file
        full = Full()
        full.file = file
        return full
    monkeypatch.setattr(module, 'open', open_full, raising=False)
    with serving(CONTENT) as (_, url):
        with pytest.raises(FileError, match='No space left on device.*goes on with it'):
            get(url, path)


def test_ctrl_c_keeps_what_has_arrived_and_says_so(path):
    def pause(request, number):
        if number > 1:
            return False
        request.say(200, {'Content-Length': len(CONTENT), 'ETag': '"one"'}, CONTENT[:400_000])
        return request.server.told.enough.wait(10)
    code = ('import sys; from minichain.command_line import run; from weights.fetch import fetch; '
            'sys.exit(run("weights", lambda argv: fetch([argv[0]], argv[1], {"sha256": argv[2]}, '
            '1000003) and 0, sys.argv[1:]))')
    with serving(CONTENT, behave=pause) as (told, url):
        child = subprocess.Popen([sys.executable, '-c', code, url, path, DIGEST],
                                 stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while not (os.path.exists(f'{path}.part') and os.path.getsize(f'{path}.part') == 400_000):
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(.01)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)
        assert child.returncode == 130
        assert f'400000 bytes are kept in {path}.part; the same command goes on' in err
        assert get(url, path) == DIGEST
    assert told.seen[1]['Range'] == 'bytes=400000-'

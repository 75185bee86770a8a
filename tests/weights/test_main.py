"""python -m weights: what it prints and its exit codes."""
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minichain import command_line
from tests.weights.unreliable_server import serving
from weights import __main__ as program
from weights import registry

ROOT = Path(__file__).parents[2]
CONTENT = b'weights, so to speak'
TEXT = b'name: "net"'


def run(*argv):
    return command_line.run('weights', program.main, [str(part) for part in argv])


def facts(url, **more):
    return {'name': 'net', 'file': 'net.caffemodel', 'network': 'Net', 'format': 'caffemodel',
            'origin': 'made here', 'urls': [url], 'size': len(CONTENT),
            'sha256': hashlib.sha256(CONTENT).hexdigest(),
            'sources': {'urls': 'the test', 'size': 'the test', 'sha256': 'short'}, **more}


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Put these facts in the place of the registry."""
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)

    def register(*entries):
        path = tmp_path / 'registry.json'
        path.write_text(json.dumps({'sources': {'short': 'in full'}, 'files': entries}))
        monkeypatch.setattr(registry.load, '__defaults__', (path,))
    return register


def test_list_shows_all_with_what_is_here(tmp_path, capsys, registered):
    other = facts('http://x/', name='other', file='other.onnx', format='onnx', licence='MIT')
    del other['size']
    registered(facts('http://x/'), other)
    (tmp_path / 'net.caffemodel').write_bytes(CONTENT)
    assert run('list', '--out', tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ['name', 'network', 'format', 'size', 'licence', 'here'],
        ['net', 'Net', 'caffemodel', '0', 'kB', 'unknown', 'yes'],
        ['other', 'Net', 'onnx', 'unknown', 'MIT', '-']]


def test_info_shows_facts_with_sources_and_says_what_is_unknown(capsys, registered):
    registered(facts('http://x/', note='a note', model='vgg16'))
    assert run('info', 'net') == 0
    out = capsys.readouterr().out
    for expected in ('http://x/', '[the test]', '[in full]', 'licence:       unknown', 'a note',
                     'models.vgg16(', hashlib.sha256(CONTENT).hexdigest()):
        assert expected in out


def test_info_recognises_a_file_by_its_content(tmp_path, capsys, registered):
    registered(facts('http://x/'))
    (tmp_path / 'renamed').write_bytes(CONTENT)
    assert run('info', tmp_path / 'renamed') == 0
    assert 'name:          net\n' in capsys.readouterr().out
    (tmp_path / 'renamed').write_bytes(b'another')
    assert run('info', tmp_path / 'renamed') == 2
    assert 'its content is another' in capsys.readouterr().err


def test_fetch_brings_the_weights_and_the_prototxt_of_their_name(tmp_path, capsys, registered):
    with serving(CONTENT) as (_, url), serving(TEXT) as (_, beside):
        registered(facts(url, licence='MIT', note='read me', prototxt={
            'file': 'net.prototxt', 'urls': [beside], 'size': len(TEXT),
            'sha256': hashlib.sha256(TEXT).hexdigest(), 'source': 'the test'}))
        assert run('fetch', 'net', '--out', tmp_path / 'new') == 0
    assert (tmp_path / 'new' / 'net.caffemodel').read_bytes() == CONTENT
    assert (tmp_path / 'new' / 'net.prototxt').read_bytes() == TEXT
    out = capsys.readouterr().out
    assert hashlib.sha256(CONTENT).hexdigest() in out
    assert 'licence: MIT' in out and 'note: read me' in out


def test_fetch_refuses_without_a_hash_and_takes_one(tmp_path, capsys, registered):
    with serving(CONTENT) as (told, url):
        unknown = facts(url)
        for name in ('sha256', 'size'):
            del unknown[name]
        registered(unknown)
        assert run('fetch', 'net', '--out', tmp_path) == 2
        assert 'no hash of it is known' in capsys.readouterr().err and not told.seen
        digest = hashlib.sha256(CONTENT).hexdigest()
        assert run('fetch', 'net', '--out', tmp_path, '--sha256', digest, '--max-size', 5) == 2
        assert '--max-size allows more' in capsys.readouterr().err
        assert run('fetch', 'net', '--out', tmp_path, '--sha256', digest.upper()) == 0
    assert (tmp_path / 'net.caffemodel').read_bytes() == CONTENT


def test_fetch_with_sha1_alone_says_that_it_is_weak(tmp_path, capsys, registered):
    with serving(CONTENT) as (_, url):
        weak = facts(url, sha1=hashlib.sha1(CONTENT).hexdigest())
        del weak['sha256']
        registered(weak)
        assert run('fetch', 'net', '--out', tmp_path) == 0
    out = capsys.readouterr().out
    assert f'sha256 {hashlib.sha256(CONTENT).hexdigest()}' in out and 'Only its sha1' in out


def test_fetch_takes_another_address_but_not_another_file(tmp_path, capsys, registered):
    with serving(CONTENT) as (_, url):
        registered(facts('http://127.0.0.1:1/', urls=[]))
        assert run('fetch', 'net', '--out', tmp_path) == 2
        assert 'its address is unknown' in capsys.readouterr().err
        assert run('fetch', 'net', '--out', tmp_path, '--url', url, '--sha256', '0' * 64) == 2
        assert 'another file is not net' in capsys.readouterr().err
        assert run('fetch', 'net', '--out', tmp_path, '--url', url) == 0
    assert run('fetch', 'net', '--out', tmp_path / 'else', '--url', 'file:///etc/passwd') == 2


def test_where_the_prototxt_is_to_be_had_is_said(tmp_path, capsys, registered):
    beside = {'file': 'net.prototxt', 'urls': ['http://x/net.prototxt'], 'size': len(TEXT),
              'sha256': hashlib.sha256(TEXT).hexdigest(), 'source': 'the test'}
    known, unknown = facts('', urls=[], prototxt=beside), facts('', name='alone', urls=[])
    nowhere = facts('', name='nowhere', urls=[], prototxt={**beside, 'urls': []})
    registered(known, unknown, nowhere, facts('', name='other', urls=[], format='onnx'))
    assert run('fetch', 'net') == 2
    assert ('Its prototxt, net.prototxt, is to be had at http://x/net.prototxt'
            in capsys.readouterr().err)
    for name in ('alone', 'nowhere'):
        assert run('fetch', name) == 2
        assert 'No address of its prototxt is known' in capsys.readouterr().err
    assert run('fetch', 'other') == 2 and 'prototxt' not in capsys.readouterr().err
    assert run('info', 'net') == 0 and 'http://x/net.prototxt' in capsys.readouterr().out
    assert run('info', 'alone') == 0 and 'prototxt:      unknown' in capsys.readouterr().out
    assert run('info', 'nowhere') == 0 and 'no address is known' in capsys.readouterr().out
    with serving(CONTENT) as (_, url):
        assert run('fetch', 'nowhere', '--out', tmp_path, '--url', url) == 0
    assert 'No address of its prototxt is known' in capsys.readouterr().out
    assert os.listdir(tmp_path) == ['net.caffemodel', 'registry.json']


def test_info_takes_neither_folders_nor_pipes_nor_names_of_nothing(tmp_path, capsys, registered):
    registered(facts('http://x/'))
    os.mkfifo(tmp_path / 'pipe')
    for argument, message in ((tmp_path, 'this is a folder'),
                              (tmp_path / 'pipe', 'this is a pipe or a device'),
                              (tmp_path / 'missing', 'cannot be read (No such file'),
                              ('', 'a name expected, got nothing'),
                              ('a' * 5000, 'no such weights')):
        assert run('info', argument) == 2
        err = capsys.readouterr().err
        assert message in err and err.count('\n') == 1 and len(err) < 600


@pytest.mark.parametrize('argv, message', [
    (['fetch', 'ResNet-50', '--url', ''], "'': an address expected"),
    (['fetch', 'ResNet-50', '--timeout', '1e30'], 'less than 1000000 expected'),
    ([], 'list|info|fetch|convert'), (['fetch'], 'name'),
    (['fetch', 'nothing'], 'no such weights'),
    (['fetch', 'net', '--sha256', 'abc'], '64 hexadecimal digits expected'),
    (['fetch', 'net', '--timeout', '0'], 'above 0 and less than'),
    (['convert', 'a.txt', 'b.npz'], 'no such conversion')])
def test_mistakes_are_one_line(capsys, argv, message):
    assert run(*argv) == 2
    err = capsys.readouterr().err
    assert err.startswith('weights: error: ') and err.count('\n') == 1 and message in err


def test_the_program_runs_as_a_module_and_explains_itself():
    for argv in (['--help'], ['fetch', '--help'], ['convert', '--help']):
        done = subprocess.run([sys.executable, '-m', 'weights', *argv], cwd=ROOT, text=True,
                              capture_output=True, check=True)
        assert 'python -m weights' in done.stdout and not done.stderr
    assert '.npz -> .caffemodel' in done.stdout

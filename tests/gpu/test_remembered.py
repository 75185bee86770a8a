"""Choices kept in a file: found again, and never trusted."""
import json

import pytest

from minichain.gpu.remembered import LARGEST, Remembered


def test_a_choice_is_found_again_by_the_next_process(tmp_path):
    path = tmp_path / 'choices.json'
    first = Remembered(path)
    assert first.get('a') is None
    first.put('a', (1, 2))
    assert first.get('a') == [1, 2] == Remembered(path).get('a')
    assert [entry.name for entry in tmp_path.iterdir()] == ['choices.json']


def test_what_another_process_chose_meanwhile_is_kept(tmp_path):
    one, other = Remembered(tmp_path / 'x'), Remembered(tmp_path / 'x')
    assert one.get('a') is other.get('b') is None
    one.put('a', [1])
    other.put('b', [2])
    assert (Remembered(tmp_path / 'x').get('a'), Remembered(tmp_path / 'x').get('b')) == ([1], [2])


@pytest.mark.parametrize('data', [
    b'', b'{', b'[1]', b'\xff\xfe', b'{"a": 3}', b'{"a": [1.5]}', b'{"a": [true]}',
    b'{"a": ["x"]}', b'{"a": [1,2,3,4,5,6,7,8,9]}', b'[' * 100000,
    b'{"a": [1]}' + b' ' * LARGEST])
def test_a_damaged_or_foreign_file_is_as_good_as_none(tmp_path, data):
    path = tmp_path / 'choices.json'
    path.write_bytes(data)
    choices = Remembered(path)
    assert choices.get('a') is None
    choices.put('b', [1])
    assert json.loads(path.read_bytes()) == {'b': [1]}


def test_a_place_that_cannot_be_written_keeps_choices_as_long_as_the_process(tmp_path):
    choices = Remembered(tmp_path / 'missing' / 'choices.json')
    choices.put('a', [1])
    assert choices.get('a') == [1]

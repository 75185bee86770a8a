import json

import pytest

from minichain.errors import DataError, FileError
from minichain.training_log import TrainingLog


def test_records_are_lines_of_json_as_soon_as_they_are_added(tmp_path):
    log = TrainingLog(tmp_path / 'log.jsonl')
    assert (tmp_path / 'log.jsonl').read_text() == ''
    log.append(epoch=1, caption='赤い丸')
    log.append(losses={'dev': .5}, samples=['two\nlines'])
    lines = (tmp_path / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    assert [json.loads(line) for line in lines] == log.records == [
        {'epoch': 1, 'caption': '赤い丸'}, {'losses': {'dev': .5}, 'samples': ['two\nlines']}]
    assert '赤い丸' in lines[0]


def test_a_log_goes_on_with_the_text_of_a_snapshot_and_drops_what_came_after(tmp_path):
    path = tmp_path / 'log.jsonl'
    log = TrainingLog(path)
    log.append(iteration=1)
    text = log.text
    assert text == path.read_text()
    log.append(iteration=2)
    again = TrainingLog(path, text)
    assert again.records == [{'iteration': 1}] and path.read_text() == text
    again.append(iteration=2)
    assert again.text == log.text == path.read_text()


def test_records_are_those_of_the_file_not_those_of_the_caller(tmp_path):
    log, samples = TrainingLog(tmp_path / 'log.jsonl'), ['one']
    log.append(samples=samples, pair=(1, 2))
    samples.append('two')
    assert log.records == [{'samples': ['one'], 'pair': [1, 2]}]


def test_a_damaged_text_is_refused(tmp_path):
    (tmp_path / 'log.jsonl').write_text('before')
    with pytest.raises(DataError, match='damaged'):
        TrainingLog(tmp_path / 'log.jsonl', '{"epoch": 1}\n{"epo')
    assert (tmp_path / 'log.jsonl').read_text() == 'before'


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(FileError, match='log.jsonl'):
        TrainingLog(tmp_path / 'nowhere' / 'log.jsonl')
    log = TrainingLog(tmp_path / 'log.jsonl')
    (tmp_path / 'log.jsonl').unlink()
    (tmp_path / 'log.jsonl').mkdir()
    with pytest.raises(FileError, match='cannot be written.*--resume'):
        log.append(epoch=1)
    assert log.records == []

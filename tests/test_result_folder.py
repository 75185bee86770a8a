import json
import os
import shutil

import numpy as np
import pytest

from minichain import result_folder
from minichain.errors import DataError, FileError, InvalidArgument
from minichain.image_encoder import ImageEncoder
from minichain.serializers import load_npz
from minichain.vocabulary import Vocabulary
from models.caption_generator import CaptionGenerator
from tests.tiny_result import WORDS, config_of, write_cnn, write_result


@pytest.fixture
def cnn(tmp_path):
    return write_cnn(tmp_path)


@pytest.fixture
def folder(tmp_path, cnn):
    write_result(tmp_path / 'result', cnn)
    return tmp_path / 'result'


def change_config(folder, **changes):
    path = folder / 'config.json'
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def model_of(config):
    return CaptionGenerator(**config['model'])


def test_what_is_saved_comes_back(tmp_path, cnn):
    folder = tmp_path / 'a' / 'b'
    saved, vocabulary, model = write_result(folder, cnn)
    config, words, path = result_folder.load(folder)
    assert config == saved and words.tokens == vocabulary.tokens
    assert sorted(os.listdir(folder)) == ['config.json', 'model.npz', 'vocabulary.json']
    again = model_of(config)
    load_npz(path, again)
    for (name, a), (_, b) in zip(again.namedparams(), model.namedparams()):
        np.testing.assert_array_equal(a.array, b.array, name)
    assert '大' not in (folder / 'config.json').read_text('utf-8')
    assert json.loads((folder / 'config.json').read_text())['version'] == 1


def test_scores_may_be_there(tmp_path, cnn):
    config, vocabulary, model = write_result(tmp_path / 'result', cnn)
    result_folder.save(tmp_path / 'result', {**config, 'scores': {'dev': 1.5}}, vocabulary, model)
    assert result_folder.load(tmp_path / 'result')[0]['scores'] == {'dev': 1.5}


def test_a_folder_takes_its_weights_along_when_it_moves(tmp_path, monkeypatch):
    folder = tmp_path / 'result'
    folder.mkdir()
    write_result(folder, write_cnn(folder))
    written = json.loads((folder / 'config.json').read_text())['encoder']
    assert (written['weights'], written['prototxt']) == ('tiny.caffemodel', 'tiny.prototxt')
    shutil.move(folder, tmp_path / 'moved')
    monkeypatch.chdir(tmp_path / 'moved')
    config, _, _ = result_folder.load('.')
    assert config['encoder']['weights'] == str(tmp_path / 'moved' / 'tiny.caffemodel')
    ImageEncoder.from_description(config['encoder'])


def test_weights_of_the_repository_are_found_from_every_folder(tmp_path, monkeypatch):
    repository = tmp_path / 'repository'
    (repository / 'weights').mkdir(parents=True)
    monkeypatch.setattr(result_folder, 'REPOSITORY', str(repository))
    write_result(tmp_path / 'result', write_cnn(repository / 'weights'))
    written = json.loads((tmp_path / 'result' / 'config.json').read_text())['encoder']
    assert written['weights'] == 'weights/tiny.caffemodel'
    moved = tmp_path / 'another clone'
    repository.rename(moved)
    monkeypatch.setattr(result_folder, 'REPOSITORY', str(moved))
    monkeypatch.chdir(tmp_path)
    config, _, _ = result_folder.load(tmp_path / 'result')
    assert config['encoder']['weights'] == str(moved / 'weights' / 'tiny.caffemodel')


def test_weights_that_were_put_into_the_folder_are_found_there(folder, cnn, tmp_path):
    for ending in ('caffemodel', 'prototxt'):
        (tmp_path / f'tiny.{ending}').rename(folder / f'tiny.{ending}')
    config, _, _ = result_folder.load(folder)
    assert config['encoder']['weights'] == str(folder / 'tiny.caffemodel')


def test_weights_that_are_nowhere_keep_the_path_that_they_had(folder, cnn):
    cnn.unlink()
    config, _, _ = result_folder.load(folder)
    assert config['encoder']['weights'] == str(cnn)


@pytest.mark.parametrize('name', ['config.json', 'vocabulary.json', 'model.npz'])
def test_a_missing_file_is_named_with_what_makes_it(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileError, match=f'{name} is missing.*python train.py --out'):
        result_folder.load(folder)


def test_a_missing_folder_is_named_with_what_makes_it(tmp_path):
    with pytest.raises(FileError, match='nowhere: no trained model.*python train.py --out'):
        result_folder.load(tmp_path / 'nowhere')


@pytest.mark.parametrize('content', [b'', b'{', b'\xff\xfe', b'[1]', b'null', b'{}',
                                     b'[' * 100_000, b'{"format": "something else"}'])
def test_a_damaged_config_is_one_error_with_its_name(folder, content):
    (folder / 'config.json').write_bytes(content)
    with pytest.raises(DataError, match='config.json'):
        result_folder.load(folder)


@pytest.mark.parametrize('change, message', [
    ({'version': 2}, 'version 1 expected, got 2'),
    ({'version': True}, 'version 1 expected, got True'),
    ({'format': None}, 'config.json of a minichain caption generator'),
    ({'tokenizer': None}, 'missing: tokenizer'),
    ({'tokenizer': 'klingon'}, "one of words, .*'klingon'"),
    ({'tokenizer': ['words']}, 'tokenizer: text expected'),
    ({'surprise': 1}, 'unknown: surprise'),
    ({'encoder': {}}, 'encoder: an object with weights'),
    ({'model': {}}, 'model: sizes'),
    ({'model': {'n_vocabulary': 14, 'n_feature': 0}}, 'n_feature: an integer of 1'),
    ({'model': {'n_vocabulary': 14, 'n_feature': 8.}}, 'n_feature: an integer of 1'),
    ({'model': {'n_vocabulary': 14, 'n_hidden': 10 ** 12}}, 'n_hidden: an integer of 1'),
    ({'model': {'n_vocabulary': 14, 'n_hidden': 10 ** 6, 'n_embed': 10 ** 6}}, 'products'),
    ({'model': {'n_vocabulary': 99, 'n_feature': 8}}, 'vocabulary does not fit the model'),
    ({'vocabulary_sha256': None}, 'vocabulary_sha256 is missing'),
])
def test_a_config_that_is_wrong_is_refused(folder, change, message):
    change_config(folder, **change)
    with pytest.raises(DataError, match=message):
        result_folder.load(folder)


def test_a_config_that_is_endless_is_not_read(folder):
    with open(folder / 'config.json', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match='damaged'):
        result_folder.load(folder)


def test_a_vocabulary_of_another_size_is_refused(folder):
    Vocabulary(WORDS[:-1]).save(folder / 'vocabulary.json')
    with pytest.raises(DataError, match='it has 13 words, the model 14'):
        result_folder.load(folder)


def test_a_vocabulary_of_other_words_is_refused(folder):
    Vocabulary(WORDS[::-1]).save(folder / 'vocabulary.json')
    with pytest.raises(DataError, match='not the vocabulary that the model was trained with'):
        result_folder.load(folder)


def test_a_damaged_vocabulary_is_refused(folder):
    (folder / 'vocabulary.json').write_text('{"tokens": [')
    with pytest.raises(DataError, match='vocabulary.json'):
        result_folder.load(folder)


@pytest.mark.parametrize('change', [
    {'data': None}, {'arguments': {'lr': float('nan')}}, {'arguments': {'out': object()}},
    {'model': {'n_vocabulary': 3, 'n_feature': 8}}])
def test_a_config_that_no_reader_would_accept_is_not_written(tmp_path, cnn, change):
    vocabulary = Vocabulary(WORDS)
    config = config_of(ImageEncoder(cnn), vocabulary)
    with pytest.raises(InvalidArgument, match='result_folder.save: config'):
        result_folder.save(tmp_path / 'result', {**config, **change}, vocabulary,
                           model_of(config))
    assert not (tmp_path / 'result').exists()


def killed_after(calls, save):
    """Run save() in a process that dies at file system call number `calls`; whether it did."""
    child = os.fork()
    if child == 0:
        left = [calls]

        def dying(function):
            def call(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return function(*args, **kwargs)
            return call
        for name in ('replace', 'unlink', 'fsync'):
            setattr(os, name, dying(getattr(os, name)))
        save()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs os.fork to kill a process')
def test_a_kill_at_any_point_leaves_one_run_or_none(folder, cnn):
    old, words, _ = write_result(folder, cnn)
    kept = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    new, new_words = {**old, 'arguments': {'seed': 1}}, Vocabulary(WORDS[::-1])
    model = model_of(new)
    model.out.b.array[...] = 1
    outcomes, calls, killed = [], 0, True
    while killed:
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        killed = killed_after(
            calls, lambda: result_folder.save(folder, new, new_words, model))
        try:
            config, vocabulary, path = result_folder.load(folder)
        except FileError as error:
            assert 'config.json is missing' in str(error)
            outcomes.append('none')
        else:
            is_new = config['arguments']['seed'] == 1
            assert vocabulary.tokens == (new_words if is_new else words).tokens
            again = model_of(config)
            load_npz(path, again)
            assert (again.out.b.array == 1).all() == is_new
            outcomes.append('new' if is_new else 'old')
        calls += 1
    assert set(outcomes) == {'old', 'none', 'new'} and len(outcomes) > 8
    result_folder.save(folder, new, new_words, model)
    assert sorted(os.listdir(folder)) == ['config.json', 'model.npz', 'vocabulary.json']


def test_a_better_model_of_the_same_run_never_leaves_the_folder_without_one(folder, cnn,
                                                                            monkeypatch):
    config, words, model = write_result(folder, cnn)
    removed = []
    unlink = os.unlink
    monkeypatch.setattr(os, 'unlink', lambda path, **kw: (removed.append(str(path)),
                                                          unlink(path, **kw)))
    model.out.b.array[...] = 2
    result_folder.save(folder, {**config, 'scores': {'dev': 1}}, words, model)
    assert str(folder / 'config.json') not in removed
    again = model_of(config)
    load_npz(result_folder.load(folder)[2], again)
    assert (again.out.b.array == 2).all()


def test_a_full_disk_leaves_the_old_result(folder, cnn, monkeypatch):
    config, words, model = write_result(folder, cnn)
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}

    def full(*args):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(FileError, match='No space left'):
        result_folder.save(folder, {**config, 'arguments': {}}, words, model)
    assert before == {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def test_a_folder_that_cannot_be_made_is_a_file_error(tmp_path, cnn):
    (tmp_path / 'file').write_text('')
    with pytest.raises(FileError, match='Name another folder'):
        write_result(tmp_path / 'file' / 'result', cnn)

"""minichain.vocabulary: numbers for words against their rules, and its files."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minichain.errors import DataError, FileError, InvalidArgument
from minichain.text import get_tokenizer
from minichain.vocabulary import BOS, EOS, LARGEST_FILE, UNK, Vocabulary

CORPUS = [['a', 'dog', 'runs'], ['a', 'cat'], ['a', 'dog', 'on', 'a', 'mat']]


def test_words_are_numbered_after_the_special_tokens_by_count_then_alphabet():
    vocabulary = Vocabulary.build(CORPUS)
    assert list(vocabulary) == ['<UNK>', '<BOS>', '<EOS>', 'a', 'dog', 'cat', 'mat', 'on', 'runs']
    assert len(vocabulary) == 9
    assert (UNK, BOS, EOS) == (0, 1, 2)
    assert list(Vocabulary.build(reversed([c[::-1] for c in CORPUS]))) == list(vocabulary)


def test_threshold_and_size_cut_the_rarest_words():
    assert list(Vocabulary.build(CORPUS, threshold=2))[3:] == ['a', 'dog']
    assert list(Vocabulary.build(iter(CORPUS), threshold=4))[3:] == ['a']
    assert list(Vocabulary.build(CORPUS, max_size=6))[3:] == ['a', 'dog', 'cat']
    assert list(Vocabulary.build(CORPUS, threshold=2, max_size=100))[3:] == ['a', 'dog']


@pytest.mark.parametrize('options', [{'threshold': 0}, {'max_size': 3}, {'max_size': 0}])
def test_limits_that_leave_nothing_sensible_are_refused(options):
    with pytest.raises(InvalidArgument, match='threshold >= 1 and max_size > 3'):
        Vocabulary.build(CORPUS, **options)


def test_a_corpus_without_a_frequent_word_is_refused_with_the_highest_count():
    with pytest.raises(InvalidArgument, match='6 words that occur 4 times or less'):
        Vocabulary.build(CORPUS, threshold=5)
    with pytest.raises(InvalidArgument, match='0 words'):
        Vocabulary.build([])


def test_a_caption_is_encoded_between_bos_and_eos_as_int32():
    ids = Vocabulary.build(CORPUS).encode(['a', 'blue', 'dog'])
    assert ids.dtype == np.int32
    assert ids.tolist() == [1, 3, 0, 4, 2]
    assert Vocabulary.build(CORPUS).encode([]).tolist() == [1, 2]


def test_decoding_stops_at_eos_and_leaves_out_bos():
    vocabulary = Vocabulary.build(CORPUS)
    assert vocabulary.decode([1, 3, 0, 1, 4, 2, 3, -1, 99]) == ['a', '<UNK>', 'dog']
    assert vocabulary.decode(np.array([3, 4], dtype=np.int32)) == ['a', 'dog']
    assert vocabulary.decode([]) == []


@given(st.lists(st.sampled_from('a dog cat mat on runs'.split())))
def test_decoding_undoes_encoding_of_known_words(tokens):
    vocabulary = Vocabulary.build(CORPUS)
    assert vocabulary.decode(vocabulary.encode(tokens)) == tokens


@pytest.mark.parametrize('i', [-1, 9])
def test_ids_of_another_vocabulary_are_refused(i):
    vocabulary = Vocabulary.build(CORPUS)
    with pytest.raises(InvalidArgument, match=f'0 <= id < 9 expected, got {i}'):
        vocabulary.decode([3, i])
    with pytest.raises(InvalidArgument):
        vocabulary[i]


def test_a_caption_that_spells_out_a_special_token_does_not_become_one():
    tokens = get_tokenizer('whitespace').tokenize('the end <EOS> <BOS> <UNK>')
    vocabulary = Vocabulary.build([tokens] * 3)
    assert list(vocabulary)[3:] == ['end', 'the']
    assert vocabulary.encode(tokens).tolist() == [1, 4, 3, 0, 0, 0, 2]
    assert '<EOS>' not in vocabulary


def test_words_and_ids_are_looked_up_both_ways():
    vocabulary = Vocabulary.build(CORPUS)
    assert 'dog' in vocabulary and 'horse' not in vocabulary
    assert vocabulary[vocabulary.id_of('dog')] == 'dog'
    assert vocabulary[2] == '<EOS>'
    assert vocabulary.id_of('horse') == 0


def test_the_unknown_rate_is_the_share_of_tokens_without_a_number():
    vocabulary = Vocabulary.build(CORPUS)
    assert vocabulary.unknown_rate([['a', 'horse'], ['<EOS>', 'dog', 'dog']]) == 2 / 5
    assert vocabulary.unknown_rate([]) == 0


@pytest.mark.parametrize('use', [
    lambda v: Vocabulary.build(['a dog']), lambda v: v.encode('dog'),
    lambda v: v.unknown_rate(['dog']), lambda v: Vocabulary.build([['a', 3]])])
def test_text_that_was_not_cut_into_tokens_is_refused(use):
    with pytest.raises(InvalidArgument, match='Cut captions with a tokenizer first'):
        use(Vocabulary.build(CORPUS))


@pytest.mark.parametrize(('listed', 'problem'), [
    (['a', 'a'], "'a' at id 4, which is there twice"), (['<BOS>'], 'special'), ([''], 'no text'),
    ([None], 'no text'), (['\ud800'], 'UTF-8')])
def test_words_that_cannot_be_numbered_are_refused(listed, problem):
    with pytest.raises(InvalidArgument, match=problem):
        Vocabulary(listed)


# files

def test_a_saved_vocabulary_is_readable_utf_8_and_loads_as_it_was(tmp_path):
    path = tmp_path / 'vocabulary.json'
    vocabulary = Vocabulary.build([['犬', 'café', ' ', '"', '\\', '\u2028', '🇯🇵']])
    vocabulary.save(path)
    assert list(Vocabulary.load(str(path))) == list(vocabulary)
    content = path.read_bytes()
    assert '犬' in content.decode('utf-8')
    vocabulary.save(path)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ['vocabulary.json']


def test_a_folder_that_is_missing_is_named_when_saving(tmp_path):
    with pytest.raises(FileError, match='nowhere'):
        Vocabulary(['a']).save(tmp_path / 'nowhere' / 'vocabulary.json')


def test_a_file_that_is_missing_is_named_when_loading(tmp_path):
    with pytest.raises(FileError, match='nothing.json'):
        Vocabulary.load(tmp_path / 'nothing.json')


def content(*tokens, **others):
    return json.dumps({'version': 1, 'tokens': ['<UNK>', '<BOS>', '<EOS>', *tokens], **others})


@pytest.mark.parametrize(('written', 'message'), [
    (b'', 'UTF-8 JSON expected'), (b'\x80\x02}', 'UTF-8 JSON expected'),
    (content('a')[:-3].encode(), 'UTF-8 JSON expected'), (b'[' * 100_000, 'UTF-8 JSON expected'),
    (b'1' * 10_000, 'UTF-8 JSON expected'),
    (b'[]', 'version 1 and a list "tokens"'), (b'{"tokens": {}}', 'version 1'),
    (content('a', version=2).encode(), 'version 1'),
    (b'{"version": 1, "tokens": ["a", "b", "c"]}', 'must begin with <UNK>, <BOS>, <EOS>'),
    (b'{"version": 1, "tokens": []}', 'must begin with <UNK>, <BOS>, <EOS>'),
    (b'{"version": 1, "tokens": [[], {}, 3]}', 'must begin with <UNK>, <BOS>, <EOS>'),
    (content('a', 'b', 'a').encode(), "'a' at id 5, which is there twice"),
    (content('a', '<EOS>').encode(), 'special token'), (content('').encode(), 'no text'),
    (content(['a']).encode(), 'no text'), (content('\ud800').encode(), 'UTF-8')])
def test_a_file_that_is_no_vocabulary_is_refused_with_its_name(tmp_path, written, message):
    path = tmp_path / 'wrong.json'
    path.write_bytes(written)
    with pytest.raises(DataError, match=message) as raised:
        Vocabulary.load(path)
    assert 'wrong.json' in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / 'large.json'
    with path.open('wb') as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(DataError, match='too large'):
        Vocabulary.load(path)

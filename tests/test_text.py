"""minichain.text: tokenizers against known cuts, the vocabulary against its rules and files."""

import json
import pickle
import sys
import types
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minichain import text
from minichain.errors import DataError, FileError, InvalidArgument, MinichainError
from minichain.text import Vocabulary, get_tokenizer

CAPTIONS = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'captions'
words = get_tokenizer('words')
characters = get_tokenizer('characters')


def shared_json(name):
    if not (CAPTIONS / name).exists():
        pytest.skip(f'needs ../shared/data/captions/{name}')
    return json.loads((CAPTIONS / name).read_text(encoding='utf-8'))


# words. What the Stanford tokenizer of coco-caption gives was observed by running it.

@pytest.mark.parametrize(('caption', 'tokens'), [
    ('A man, riding a horse.', 'a man riding a horse'),
    ("don't can't won't cannot gonna gotta wanna", "do n't ca n't wo n't can not gon na got ta "
                                                   'wan na'),
    ("man's dogs' it's i'm they've we'll you're he'd", "man 's dogs it 's i 'm they 've we 'll "
                                                       "you 're he 'd"),
    ("a dog 's tail does n't wag", "a dog 's tail does n't wag"),
    ('it’s isn’t', "it 's is n't"),
    ('a well-dressed man - smiling -- wide... end…', 'a well-dressed man smiling wide end'),
    ('“quoted” ‘single’ "double" \'bye\'', 'quoted single double bye'),
    ("slip 'n' slide, '90s at 5 o'clock, ma'am", "slip 'n' slide '90s at 5 o'clock ma'am"),
    ('1,000 people at 10:30 a.m. for $5.50 #1 @home & more 50%',
     '1,000 people at 10:30 a.m. for $ 5.50 # 1 @home & more 50 %'),
    ('a t.v. on Main St. in the U.S. with Mr. Smith, 5:54pm', 'a t.v. on main st. in the u.s. '
                                                             'with mr. smith 5:54 pm'),
    ('number 5. the plan b. at no. 7', 'number 5 the plan b. at no. 7'),
    ('black/white and/or w/ ketchup', 'black/white and/or w / ketchup'),
    ('me@example.com http://www.example.com/a_b', 'me@example.com http://www.example.com/a_b'),
    ('Café NAÏVE año straße 東京 タワー', 'café naïve año straße 東京 タワー'),
    ('lên \u200b\u200btrời ẩm\u00ad.', 'lên trời ẩm'),
])
def test_words_are_cut_as_coco_caption_cuts_them(caption, tokens):
    assert ' '.join(words.tokenize(caption)) == tokens


@pytest.mark.parametrize(('caption', 'tokens'), [
    ('two dogs (and a cat) [left]', ['two', 'dogs', 'and', 'a', 'cat', 'left']),
    ('「犬」と、猫。', ['犬', 'と', '猫']),
    ('हिन्दी में', ['हिन्दी', 'में']),          # vowel signs are marks, not letters
    ('می‌خواهم', ['می‌خواهم']),               # the joiner belongs to the word
    ('Cafe\u0301', ['café']), ('', []), (' .,!? ', []), ("'", [])])
def test_words_of_any_script_keep_their_marks_and_lose_all_punctuation(caption, tokens):
    assert words.tokenize(caption) == tokens


def test_words_join_to_a_readable_line():
    tokens = words.tokenize("The man's dog doesn't bark, they'll cannot")
    assert words.join(tokens) == "the man's dog doesn't bark they'll can not"
    assert words.join([]) == ''


@given(st.text())
def test_words_have_no_blanks_and_joining_and_cutting_again_changes_no_letter(caption):
    tokens = words.tokenize(caption)
    assert all(token and token == ''.join(token.split()) for token in tokens)
    again = words.tokenize(' '.join(tokens))
    assert ''.join(again).replace('.', '') == ''.join(tokens).replace('.', '')


def test_a_long_line_without_blanks_is_cut_in_time():
    for line in ('a.' * 50_000, 'a' * 100_000 + '@', "a'" * 50_000, '1,' * 50_000, 'a-' * 50_000):
        assert words.tokenize(line)


def share_of_equal(captions, expected):
    return np.mean([words.tokenize(a) == b.split() for a, b in zip(captions, expected)])


def test_words_agree_with_coco_caption_on_real_captions():
    golden = shared_json('ptb_tokenized_fakecap126.json')
    raw = {}
    for annotation in shared_json('coco_metrics/captions_val2017_min.json')['annotations']:
        raw.setdefault(str(annotation['image_id']), []).append(annotation['caption'])
    for result in shared_json('coco_metrics/captions_val2014_fakecap_results.json'):
        raw[f'result {result["image_id"]}'] = [result['caption']]
    captions, expected = [], []
    for i, references in golden['references'].items():
        captions += raw[i] + raw[f'result {i}']
        expected += references + golden['hypotheses'][i]
    assert len(captions) == len(expected) > 700
    assert share_of_equal(captions, expected) > 0.99


# whitespace, characters, mecab

def test_whitespace_keeps_tokens_as_they_are():
    tokenizer = get_tokenizer('whitespace')
    assert tokenizer.tokenize(' A man ,\u3000cafe\u0301 . ') == ['A', 'man', ',', 'café', '.']
    assert tokenizer.join(['A', 'man', '.']) == 'A man .'


@pytest.mark.parametrize(('caption', 'tokens'), [
    ('犬が走る。', ['犬', 'が', '走', 'る', '。']),
    ('か\u3099は\u309a', ['が', 'ぱ']),                    # composed by the normal form
    ('あ\u3099ｶﾞ', ['あ\u3099', 'ｶﾞ']),                   # marks with no composed form
    ('x\u0302\u0323', ['x\u0323\u0302']),
    (' a \u3000 b\n', ['a', ' ', 'b']),
    ('🇯🇵🇻🇳', ['🇯🇵', '🇻🇳']),
    ('👩\u200d👧👍🏽', ['👩\u200d👧', '👍🏽']),
    ('葛\U000e0100', ['葛\U000e0100']),                    # a variant of an ideograph
    ('\u3099', ['\u3099']), ('', [])])
def test_characters_are_what_a_reader_sees_as_one(caption, tokens):
    assert characters.tokenize(caption) == tokens


@given(st.text())
def test_characters_join_to_the_text_in_normal_form_with_single_blanks(caption):
    wanted = ' '.join(unicodedata.normalize('NFC', caption).split())
    assert characters.join(characters.tokenize(caption)) == wanted


@pytest.mark.parametrize('name', ['words', 'whitespace', 'characters'])
def test_half_a_surrogate_pair_becomes_a_character_that_a_file_can_hold(name):
    tokens = get_tokenizer(name).tokenize('a\ud83d\ude00b \udc00c')
    ''.join(tokens).encode('utf-8')
    assert '\U0001f600' in ''.join(tokens) and ''.join(tokens).endswith('c')


@pytest.fixture
def fresh_mecab():
    text._mecab_tagger.cache_clear()
    yield
    text._mecab_tagger.cache_clear()


def test_mecab_that_is_missing_is_asked_for_by_its_extra(monkeypatch, fresh_mecab):
    monkeypatch.setitem(sys.modules, 'MeCab', None)
    tokenizer = get_tokenizer('mecab')
    with pytest.raises(MinichainError, match=r'pip install minichain\[mecab\]'):
        tokenizer.tokenize('犬')


def test_mecab_without_a_dictionary_says_so(monkeypatch, fresh_mecab):
    def no_tagger(arguments):
        raise RuntimeError('\nno dictionary\n-----')
    monkeypatch.setitem(sys.modules, 'MeCab', types.SimpleNamespace(Tagger=no_tagger))
    with pytest.raises(MinichainError, match=r'got: no dictionary\. Install'):
        get_tokenizer('mecab').tokenize('犬')


def test_mecab_is_made_once_and_its_blanks_are_the_cuts(monkeypatch, fresh_mecab):
    made = []

    class Tagger:
        def __init__(self, arguments):
            made.append(arguments)

        def parse(self, caption):
            return ' '.join(caption) + ' \n'

    monkeypatch.setitem(sys.modules, 'MeCab', types.SimpleNamespace(Tagger=Tagger))
    tokenizer = get_tokenizer('mecab')
    assert tokenizer.tokenize('か\u3099く') == ['が', 'く']
    assert tokenizer.tokenize('') == []
    assert made == ['-Owakati']


def test_real_mecab_finds_japanese_words(fresh_mecab):
    pytest.importorskip('MeCab', reason='MeCab is not installed: pip install minichain[mecab]')
    assert get_tokenizer('mecab').tokenize('犬が走る') == ['犬', 'が', '走る']


def test_mecab_words_join_without_blanks_but_between_latin_words():
    assert get_tokenizer('mecab').join(['赤い', 'iPhone', '15', 'と', '犬']) == '赤いiPhone 15と犬'


def test_an_unknown_tokenizer_is_refused_with_the_names_there_are():
    with pytest.raises(InvalidArgument, match="words, whitespace, characters, mecab.*'word'"):
        get_tokenizer('word')


@pytest.mark.parametrize('name', ['words', 'whitespace', 'characters', 'mecab'])
def test_a_tokenizer_knows_its_name_and_can_be_sent_to_another_process(name):
    assert pickle.loads(pickle.dumps(get_tokenizer(name))).name == name


# Vocabulary

CORPUS = [['a', 'dog', 'runs'], ['a', 'cat'], ['a', 'dog', 'on', 'a', 'mat']]


def test_words_are_numbered_after_the_special_tokens_by_count_then_alphabet():
    vocabulary = Vocabulary.build(CORPUS)
    assert list(vocabulary) == ['<UNK>', '<BOS>', '<EOS>', 'a', 'dog', 'cat', 'mat', 'on', 'runs']
    assert len(vocabulary) == 9
    assert (text.UNK, text.BOS, text.EOS) == (0, 1, 2)
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
        file.truncate(text.LARGEST_FILE + 1)
    with pytest.raises(DataError, match='too large'):
        Vocabulary.load(path)

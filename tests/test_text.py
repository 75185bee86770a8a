"""minichain.text: tokenizers against known cuts."""

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
from minichain.errors import InvalidArgument, MinichainError
from minichain.text import get_tokenizer

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

"""Tokenizers: from a caption to tokens, and from tokens to a caption that a person can read.

`get_tokenizer` finds one by name. Text is Unicode, normal form C.
"""

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from minichain.errors import InvalidArgument, MinichainError


def _normalize(text):
    # JSON escapes can smuggle in halves of surrogate pairs, which no UTF-8 file can hold.
    if re.search('[\ud800-\udfff]', text):
        text = text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')
    return unicodedata.normalize('NFC', text)


# Words: what the Penn Treebank tokenizer of coco-caption gives, without its punctuation ---------

_APOSTROPHES = str.maketrans(dict.fromkeys('\u2018\u2019\u02bc\u2032\uff07', "'"))
_TWO_WORDS = {'cannot': 3, 'gonna': 3, 'gotta': 3, 'wanna': 3, 'gimme': 3, 'lemme': 3, "y'all": 2}
_SUFFIXED = re.compile(r"(.+?)(n't|'(?:s|m|d|re|ve|ll))")
_L = r'[^\s\x00-/:-@\[-`{-\x7f]'     # a letter, digit or mark of any script, see _blank_marks
_WORD = re.compile(rf"""
      https?://\S+ | {_L}[\w.+-]{{0,63}}@[\w-]+\.[\w.-]*\w          # addresses
    | (?<!{_L})(?:[a-z]\.)+(?!['-]?{_L})                            # a. u.s.
    | (?<!{_L})(?:st|mr|mrs|ms|dr|jr|sr|ave|blvd|rd|ft|mt|vs|etc|no(?=\.\ ?\d))\.(?!{_L})
    | \d+:\d\d(?=[ap]m\b) | \d+(?:[.,:]\d+)+(?!{_L})                # 5:54 pm, 1,000
    | '\d\ds?(?!{_L}) | 'n' | '(?:s|m|d|re|ve|ll)(?!{_L})           # '90s, slip 'n' slide
    | @?{_L}+(?:['./_-]{_L}+)*                                      # man's, and/or, well-dressed
    | [#&$%+=@*/]                                                   # signs that are read aloud
""", re.VERBOSE)


@functools.cache
def _blank_marks(character):
    # Punctuation beyond ASCII becomes a blank; of the invisible only joiners belong to a word.
    category = unicodedata.category(character)
    if character.isascii() or character in '\u200c\u200d':
        return character
    if category == 'Cf' and character != '\u200b':
        return ''
    return ' ' if category[0] in 'PZC' else character


def tokenize_words(text):
    """Words of a caption as coco-caption counts them: lower case, punctuation removed.

    "A man's dog doesn't bark." gives a, man, 's, dog, does, n't, bark. Hyphenated words, numbers
    and abbreviations (10:30, u.s.) stay whole. For any script that puts blanks between words.

    Args:
        text: str.
    Returns:
        list of str.
    """
    text = _normalize(_normalize(text).lower()).translate(_APOSTROPHES)
    if not text.isascii():
        text = ''.join(map(_blank_marks, text))
    tokens = []
    for word in _WORD.findall(text):
        suffixed = _SUFFIXED.fullmatch(word) if "'" in word else None
        cut = suffixed.end(1) if suffixed else _TWO_WORDS.get(word)
        tokens += [word[:cut], word[cut:]] if cut else [word]
    return tokens


def join_words(tokens):
    """Write tokens of `tokenize_words` as a line of text, contractions in one: it, 's -> it's."""
    return re.sub(r"(?<=\S) (n't|'(?:s|m|d|re|ve|ll))(?!\S)", r'\1', ' '.join(tokens))


# Other tokenizers ------------------------------------------------------------------------------

def tokenize_whitespace(text):
    """Split at blanks and change nothing else but the normal form: for text that is tokenized."""
    return _normalize(text).split()


_EXTENDS = re.compile('[\u200c\u200d\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]')


def tokenize_characters(text):
    """Characters as a reader sees them: combining marks and emoji parts stay with their base.

    A run of blanks inside the text is one token ' ', so that joining gives the text back.
    """
    tokens = []
    for character in ' '.join(_normalize(text).split()):
        last = tokens[-1] if tokens else ' '
        extends = unicodedata.category(character)[0] == 'M' or _EXTENDS.match(character)
        second_flag = _is_flag_letter(character) and len(last) == 1 and _is_flag_letter(last)
        joined = last[-1] == '\u200d' and character != ' '
        if last != ' ' and (extends or joined or second_flag):
            tokens[-1] += character
        else:
            tokens.append(character)
    return tokens


def _is_flag_letter(character):
    return '\U0001f1e6' <= character <= '\U0001f1ff'


def tokenize_mecab(text):
    """Japanese words, found by MeCab with its default dictionary.

    Raises:
        MinichainError: MeCab or its dictionary is not installed.
    """
    return _mecab_tagger().parse(_normalize(text)).split()


@functools.cache
def _mecab_tagger():
    try:
        import MeCab
        return MeCab.Tagger('-Owakati')
    except (ImportError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MinichainError(
            f"tokenizer 'mecab' needs MeCab and a dictionary, got: {reason}. "
            "Install them with: pip install minichain[mecab], or use tokenizer 'characters'."
        ) from error


def join_characters(tokens):
    """Write tokens one after the other, with nothing between them."""
    return ''.join(tokens)


def join_mecab(tokens):
    """Write Japanese words without blanks, but keep Latin words and numbers apart."""
    return re.sub('(?<![0-9A-Za-z]) | (?![0-9A-Za-z])', '', ' '.join(tokens))


class Tokenizer(NamedTuple):
    """A way to cut text, by name; `join` is the inverse of `tokenize` up to lost punctuation."""

    name: str
    tokenize: Callable[[str], list]
    join: Callable[[list], str]


TOKENIZERS = {tokenizer.name: tokenizer for tokenizer in (
    Tokenizer('words', tokenize_words, join_words),
    Tokenizer('whitespace', tokenize_whitespace, ' '.join),
    Tokenizer('characters', tokenize_characters, join_characters),
    Tokenizer('mecab', tokenize_mecab, join_mecab),
)}


def get_tokenizer(name):
    """Find a tokenizer by name: words, whitespace, characters or mecab.

    Returns:
        Tokenizer with .name, .tokenize(text) -> list of str, .join(tokens) -> str.
    Raises:
        InvalidArgument: there is no such tokenizer.
    """
    if name not in TOKENIZERS:
        raise InvalidArgument(
            f'get_tokenizer: name in {", ".join(TOKENIZERS)} expected, got {name!r}.')
    return TOKENIZERS[name]

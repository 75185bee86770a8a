"""From captions to numbers and back: tokenizers, and the vocabulary of a caption generator.

A tokenizer cuts a caption into tokens and joins tokens to a caption that a person can read;
`get_tokenizer` finds it by name. `Vocabulary` numbers the tokens. Text is Unicode, normal form C.
"""

import functools
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minichain._atomic import write_atomically
from minichain.errors import DataError, FileError, InvalidArgument, MinichainError

UNK, BOS, EOS = 0, 1, 2
SPECIAL_TOKENS = ('<UNK>', '<BOS>', '<EOS>')
LARGEST_FILE = 64 * 2 ** 20     # bytes; a million words need a third of it


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


# Vocabulary ------------------------------------------------------------------------------------

class Vocabulary:
    """Numbers for words: 0 `<UNK>`, 1 `<BOS>`, 2 `<EOS>`, then the words in the order given.

    `len(v)` counts all of them, `v[i]` is the token of id i, `v.id_of(word)` is its inverse and
    `word in v` tells whether a word of a caption has a number of its own. A caption that spells
    out '<EOS>' means no end: in captions the three special tokens are unknown words.

    Args:
        words: distinct non-empty str, none of them special.
    Raises:
        InvalidArgument: a word is empty, special, repeated or cannot be written as UTF-8.
    """

    def __init__(self, words):
        self.tokens = SPECIAL_TOKENS + tuple(words)
        self._ids = {}
        for i, word in enumerate(self.tokens[3:], start=3):
            problem = _problem_with(word) or (word in self._ids and 'is there twice')
            if problem:
                raise InvalidArgument(
                    f'Vocabulary: distinct words expected, got {str(word)[:40]!r} at id {i}, '
                    f'which {problem}. Vocabulary.build makes the words from captions.')
            self._ids[word] = i

    @classmethod
    def build(cls, token_lists, threshold=1, max_size=None):
        """Number the words that occur at least `threshold` times, the most frequent first.

        Words that occur equally often are in the order of their code points.

        Args:
            token_lists: iterable of lists of str, one a caption.
            threshold: fewest occurrences of a word that is kept, at least 1.
            max_size: largest `len` of the vocabulary, special tokens included; None: no limit.
        Raises:
            InvalidArgument: threshold or max_size is too small, or no word is left.
        """
        if threshold < 1 or (max_size is not None and max_size <= len(SPECIAL_TOKENS)):
            raise InvalidArgument(
                f'Vocabulary.build: threshold >= 1 and max_size > {len(SPECIAL_TOKENS)} (or None) '
                f'expected, got threshold {threshold} and max_size {max_size}.')
        counts = Counter()
        for tokens in token_lists:
            counts.update(_as_tokens(tokens, 'Vocabulary.build'))
        for special in SPECIAL_TOKENS:
            counts.pop(special, None)
        words = sorted((word for word, count in counts.items() if count >= threshold),
                       key=lambda word: (-counts[word], word))
        if not words:
            raise InvalidArgument(
                f'Vocabulary.build: a word that occurs {threshold} times or more expected, got '
                f'{len(counts)} words that occur {max(counts.values(), default=0)} times or less. '
                'Give captions, or lower the threshold.')
        return cls(words[:max_size and max_size - len(SPECIAL_TOKENS)])

    def __len__(self):
        return len(self.tokens)

    def __iter__(self):
        return iter(self.tokens)

    def __contains__(self, word):
        return word in self._ids

    def __getitem__(self, i):
        if not 0 <= i < len(self.tokens):
            raise InvalidArgument(
                f'Vocabulary: 0 <= id < {len(self.tokens)} expected, got {i}. '
                'Ids made with another vocabulary mean other words.')
        return self.tokens[i]

    def id_of(self, word):
        """The id of a word, 0 (`<UNK>`) when it has none."""
        return self._ids.get(word, UNK)

    def encode(self, tokens):
        """Number a caption:  <BOS> w_1 ... w_n <EOS>.

        A generator reads ids[:-1] and is to say ids[1:].

        Args:
            tokens: list of n str.
        Returns:
            ids, (n + 2,), int32.
        """
        tokens = _as_tokens(tokens, 'Vocabulary.encode')
        return np.array([BOS, *map(self.id_of, tokens), EOS], dtype=np.int32)

    def decode(self, ids):
        """Read numbers as tokens up to the first `<EOS>`, which like every `<BOS>` is left out.

        Args:
            ids: (n,), integers; what follows `<EOS>` may be anything.
        Returns:
            list of str; `<UNK>` stands for unknown words.
        Raises:
            InvalidArgument: an id is negative or not below len(self).
        """
        tokens = []
        for i in map(int, ids):
            if i == EOS:
                break
            if i != BOS:
                tokens.append(self[i])
        return tokens

    def unknown_rate(self, token_lists):
        """The share of tokens that `encode` replaces by `<UNK>`; 0 when there is no token."""
        tokens = [token for tokens in token_lists for token in _as_tokens(tokens, 'unknown_rate')]
        return sum(token not in self._ids for token in tokens) / max(len(tokens), 1)

    def save(self, path):
        """Write the vocabulary as UTF-8 JSON, one token a line; the file is whole or untouched.

        Raises:
            FileError: the file cannot be written.
        """
        content = {'format': 'minichain vocabulary', 'version': 1, 'tokens': self.tokens}
        text = json.dumps(content, ensure_ascii=False, indent=0) + '\n'
        write_atomically(path, text.encode('utf-8'))

    @classmethod
    def load(cls, path):
        """Read a vocabulary that `save` wrote.

        Raises:
            FileError: the file cannot be read.
            DataError: the file is no vocabulary: not JSON, too large, or with wrong tokens.
        """
        tokens = _read_tokens(os.fspath(path))
        try:
            return cls(tokens[len(SPECIAL_TOKENS):])
        except InvalidArgument as error:
            raise DataError(f'Vocabulary.load: {os.fspath(path)} is damaged. {error}') from error


def _as_tokens(tokens, where):
    if isinstance(tokens, str) or not all(isinstance(token, str) for token in tokens):
        raise InvalidArgument(f'{where}: a list of str, the tokens of one caption, expected, got '
                              f'{repr(tokens)[:60]}. Cut captions with a tokenizer first.')
    return tokens


def _problem_with(word):
    if not isinstance(word, str) or not word:
        return 'is no text'
    if word in SPECIAL_TOKENS:
        return 'is a special token'
    if re.search('[\ud800-\udfff]', word):
        return 'cannot be written as UTF-8'
    return None


def _read_tokens(path):
    hint = 'Give a file that Vocabulary.save wrote.'
    try:
        with open(path, 'rb') as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise FileError(
            f'Vocabulary.load: cannot read {path}: {error.strerror}. {hint}') from error
    if len(data) > LARGEST_FILE:
        raise DataError(f'Vocabulary.load: at most {LARGEST_FILE} bytes expected, {path} is too '
                        f'large. {hint}')
    try:
        content = json.loads(data.decode('utf-8'))
    except (ValueError, RecursionError) as error:
        raise DataError(f'Vocabulary.load: UTF-8 JSON expected, {path} is not: '
                        f'{str(error)[:100]}. {hint}') from error
    tokens = content.get('tokens') if isinstance(content, dict) else None
    if not isinstance(tokens, list) or content.get('version') != 1:
        raise DataError(f'Vocabulary.load: version 1 and a list "tokens" expected in {path}, got '
                        f'something else. {hint}')
    if tuple(tokens[:3]) != SPECIAL_TOKENS:
        raise DataError(f'Vocabulary.load: the tokens of {path} must begin with '
                        f'{", ".join(SPECIAL_TOKENS)}, got {str(tokens[:3])[:100]}. {hint}')
    return tokens

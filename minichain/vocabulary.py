"""The vocabulary of a caption generator: from tokens to numbers and back."""

import json
import os
import re
from collections import Counter

import numpy as np

from minichain._atomic import write_atomically
from minichain.errors import DataError, FileError, InvalidArgument

UNK, BOS, EOS = 0, 1, 2
SPECIAL_TOKENS = ('<UNK>', '<BOS>', '<EOS>')
LARGEST_FILE = 64 * 2 ** 20     # bytes; a million words need a third of it


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

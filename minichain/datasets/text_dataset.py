"""Lines of text files as a data set; only the offsets of the lines stay in memory."""
import codecs
import os
import re

import numpy as np

from minichain.dataset.dataset_mixin import DatasetMixin, position_within
from minichain.errors import DataError, FileError, InvalidArgument

_LINE_ENDS = {None: rb'\r\n?|\n', '': rb'\r\n?|\n', '\n': rb'\n', '\r': rb'\r', '\r\n': rb'\r\n'}


class TextDataset(DatasetMixin):
    """The lines of a text file, or of parallel files: example i is their lines i.

    A line is a str with its line end. Files are opened for each line that is asked for, so
    a data set can be used by threads and sent to other processes.

    Args:
        paths: path of a file (examples are str), or list of paths of files with equally many
            lines (examples are tuples of str; one path in a list gives str too).
        encoding: of the files, or list with one for each; default UTF-8. Encodings in which
            a line end is not one byte (UTF-16, UTF-32) are refused.
        errors: what to do with bytes that do not fit the encoding, as in `open`; or a list.
        newline: as in `open`; or a list. None: lines end with LF, CR or CRLF, and are given
            with LF. '': the same, unchanged. LF, CR, CRLF: only that ends a line.
        filter_func: function of the lines i of all files; examples for which it returns
            something false are left out. It runs once over everything.
    Raises:
        FileError: a file is missing or cannot be read.
        DataError: the numbers of lines differ, or bytes do not fit the encoding.
        InvalidArgument: no path, or an argument that is not one of those above.
    """

    def __init__(self, paths, encoding=None, errors=None, newline=None, filter_func=None):
        if isinstance(paths, (str, os.PathLike)):
            paths = [paths]
        self._paths = [os.fspath(path) for path in paths]
        if not self._paths:
            raise InvalidArgument('TextDataset: at least one path expected, got none')
        self._encodings = [_checked_encoding(name or 'utf-8')
                           for name in self._for_each_path(encoding, 'encoding')]
        self._errors = [name or 'strict' for name in self._for_each_path(errors, 'errors')]
        self._newlines = self._for_each_path(newline, 'newline')
        self._bounds = [_read_bounds(path, newline)
                        for path, newline in zip(self._paths, self._newlines)]
        counts = [len(bounds) - 1 for bounds in self._bounds]
        if len(set(counts)) > 1:
            found = ', '.join(f'{path}: {n}' for path, n in zip(self._paths, counts))
            raise DataError(f'TextDataset: files with equally many lines expected, got {found}')
        self._lines = np.arange(counts[0])
        if filter_func is not None:
            self._lines = np.array(
                [i for i in range(counts[0]) if filter_func(*self._read(i))], dtype=int)

    def __len__(self):
        return len(self._lines)

    def get_example(self, i):
        lines = self._read(self._lines[position_within(i, len(self), 'TextDataset')])
        return lines[0] if len(lines) == 1 else lines

    def _for_each_path(self, value, name):
        if not isinstance(value, (list, tuple)):
            return [value] * len(self._paths)
        if len(value) != len(self._paths):
            raise InvalidArgument(f'TextDataset: {name} has {len(value)} entries for '
                                  f'{len(self._paths)} paths')
        return list(value)

    def _read(self, line):
        return tuple(
            _read_line(path, int(bounds[line]), int(bounds[line + 1]), encoding, errors, newline)
            for path, bounds, encoding, errors, newline in zip(
                self._paths, self._bounds, self._encodings, self._errors, self._newlines))


def _checked_encoding(name):
    try:
        name = codecs.lookup(name).name
        one_byte = name == 'utf-8-sig' or '\n'.encode(name) == b'\n'
    except LookupError:
        raise InvalidArgument(f'TextDataset: {name!r} is not an encoding; write for example '
                              'utf-8') from None
    if not one_byte:
        raise InvalidArgument(f'TextDataset: lines cannot be found in {name}, in which a line end '
                              'is more than one byte. Convert the file to UTF-8')
    return name


def _read_bounds(path, newline):
    """The offsets at which lines begin, and the size of the file."""
    if newline not in _LINE_ENDS:
        raise InvalidArgument(f'TextDataset: newline of None, an empty string, LF, CR or CRLF '
                              f'expected, got {newline!r}')
    pattern = re.compile(_LINE_ENDS[newline])
    bounds, size = [np.zeros(1, np.int64)], 0
    try:
        with open(path, 'rb') as file:
            while block := file.read(2 ** 20):
                if block.endswith(b'\r') and file.peek(1)[:1] == b'\n':
                    block += file.read(1)       # a CRLF across two blocks is one line end
                ends = [match.end() for match in pattern.finditer(block)]
                bounds.append(np.array(ends, dtype=np.int64) + size)
                size += len(block)
    except OSError as error:
        raise FileError(f'{path}: the text file cannot be read ({error.strerror})') from error
    bounds = np.concatenate(bounds)
    return bounds if bounds[-1] == size else np.append(bounds, size)


def _read_line(path, start, end, encoding, errors, newline):
    try:
        with open(path, 'rb') as file:
            file.seek(start)
            data = file.read(end - start)
    except OSError as error:
        raise FileError(f'{path}: the text file cannot be read ({error.strerror})') from error
    if len(data) < end - start:
        raise DataError(f'{path}: the file became shorter while it was in use')
    try:
        line = data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: the line at byte {start} is not {encoding} ({error.reason}). '
                        "Give its encoding, or errors='replace'") from error
    if newline is None and line.endswith('\r\n'):
        return line[:-2] + '\n'
    if newline is None and line.endswith('\r'):
        return line[:-1] + '\n'
    return line

"""The log of a training run: one JSON object a line, readable while it grows."""
import json
import os

from minichain._atomic import write_atomically
from minichain.errors import DataError, FileError


class TrainingLog:
    """Records of a run, in memory and in a file.

    Args:
        path: the file; it is begun anew unless ``text`` goes on with an earlier one.
        text: the lines that a snapshot kept; whatever was logged after it is dropped.
    Attributes:
        records: list of dicts.
    """

    def __init__(self, path, text=''):
        self.path = os.fspath(path)
        try:
            self.records = [json.loads(line) for line in text.splitlines()]
        except ValueError as error:
            raise DataError(f'{path}: the log in the snapshot is damaged ({error})') from None
        write_atomically(self.path, self.text.encode())

    @property
    def text(self):
        """All lines."""
        return ''.join(_line(record) for record in self.records)

    def append(self, **record):
        """Add a record: names and numbers, texts, lists."""
        line = _line(record)
        try:
            with open(self.path, 'a', encoding='utf-8') as file:
                file.write(line)
        except OSError as error:
            raise FileError(f'{self.path}: the log cannot be written ({error.strerror}). Make '
                            'room on the disk, then go on with --resume') from None
        self.records.append(json.loads(line))


def _line(record):
    return json.dumps(record, ensure_ascii=False) + '\n'

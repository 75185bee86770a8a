"""Choices that were made by measuring, kept in a file so that the next run need not measure."""
import contextlib
import json
import threading

from minichain._atomic import write_atomically
from minichain.errors import FileError

LARGEST = 4 << 20   # bytes of the file; one choice takes about 200


class Remembered:
    """A small dict from text to whole numbers, in memory and in a file.

    A file that is damaged is as good as none, and so is one that cannot be written: then choices
    last as long as the process. Of two processes that write at once, one may lose its choice,
    which will be measured again.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path):
        self.path, self._choices, self._lock = path, None, threading.Lock()

    def get(self, key):
        """Return the list of ints that was kept for a key, or None."""
        with self._lock:
            if self._choices is None:
                self._choices = self._read()
            return self._choices.get(key)

    def put(self, key, values):
        """Keep a list of ints for a key."""
        with self._lock:
            self._choices = self._read() | (self._choices or {}) | {key: list(values)}
            data = json.dumps(self._choices, indent=0, sort_keys=True).encode()
            if len(data) <= LARGEST:
                with contextlib.suppress(FileError):
                    write_atomically(self.path, data)

    def _read(self):
        try:
            with open(self.path, 'rb') as file:
                data = file.read(LARGEST + 1)
            choices = json.loads(data) if len(data) <= LARGEST else {}
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(choices, dict):
            return {}
        return {key: values for key, values in choices.items() if isinstance(values, list)
                and len(values) < 9 and all(type(value) is int for value in values)}

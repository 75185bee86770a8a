"""What a reader of weights gives: our names -> Entry. Read ``weight_files`` first."""
import dataclasses
import typing


@dataclasses.dataclass
class Entry:
    """A value in a file: its shape, known at once, and `read`, which gives the array."""

    shape: tuple
    read: typing.Callable


class Entries(dict):
    """Our names, as 'conv1/W', -> Entry.

    Args:
        entries: dict, or pairs.
        unused: names of the file that are not wanted.
        file: what is to be closed when all is read; None if nothing is.
        epsilons: path of a batch normalization -> the eps that the file wants there.
    """

    def __init__(self, entries=(), unused=(), file=None, epsilons=()):
        super().__init__(entries)
        self.unused, self.file, self.epsilons = list(unused), file, dict(epsilons)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.file is not None:
            self.file.close()

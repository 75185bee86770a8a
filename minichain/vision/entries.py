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
        epsilons: path of a batch normalization -> the eps that the file wants there.
    """

    def __init__(self, entries=(), unused=(), epsilons=()):
        super().__init__(entries)
        self.unused, self.epsilons = list(unused), dict(epsilons)

"""The errors that minichain raises: one family, so that one ``except`` can catch them all.

Every message says what was expected, what came, where, and what to do about it.
"""


class MinichainError(Exception):
    """Base of every error that minichain raises on purpose."""


class InvalidType(MinichainError, TypeError, ValueError):
    """Arrays whose number, shape or dtype does not fit the function they were given to."""


class OutOfRange(InvalidType, IndexError):
    """An index outside of an array."""


class InvalidArgument(MinichainError, ValueError):
    """An argument or option with a value that is not allowed."""


class DataError(MinichainError, ValueError):
    """A file or data set that was read but is not what it should be: damaged, empty, foreign."""


class FileError(MinichainError, OSError):
    """A file that cannot be found, read or written."""


class DeviceError(MinichainError, RuntimeError):
    """A device that was asked for and is not there, or arrays on devices that do not meet."""


class NotFinite(MinichainError, FloatingPointError, RuntimeError):
    """A loss, gradient or value that became NaN or infinite."""

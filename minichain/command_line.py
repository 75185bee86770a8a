"""What train.py and other programs share at the terminal: options, one-line errors, exit codes."""
import argparse
import errno
import math
import os
import signal
import sys

from minichain.errors import FileError, InvalidArgument, MinichainError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises InvalidArgument instead of printing its usage and exiting."""

    def __init__(self, **arguments):
        super().__init__(allow_abbrev=False, **arguments)

    def error(self, message):
        raise InvalidArgument(f'{message}. {self.prog} --help lists the options')


def number(kind, least=-math.inf, above=-math.inf, below=math.inf):
    """Return a type for options: an int or float (`kind`) within limits."""
    limits = {'at least': least, 'above': above, 'less than': below}
    expected = ' and '.join(f'{limit} {value}' for limit, value in limits.items()
                            if not math.isinf(value))

    def parse(text):
        value = kind(text)
        if not (least <= value and above < value < below):
            raise argparse.ArgumentTypeError(f'{expected} expected, got {text}')
        return value
    parse.__name__ = kind.__name__      # argparse's messages say it
    return parse


def flag(name):
    """Return the option that belongs to an attribute: max_length -> --max-length."""
    return '--' + name.replace('_', '-')


def one_line(error):
    """Return the message of an error without line breaks."""
    return ' '.join(str(error).split()) or type(error).__name__


def make_folder(folder):
    """Make a folder for results, before the work for them begins.

    Raises:
        FileError: it cannot be made, or nothing can be written into it.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(0, 'no permission to write into it')
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise FileError(f'{folder}: the folder cannot be made or written to ({reason}). Name '
                        'another one with --out') from error


def silence_output():
    """Let what is left of standard output go nowhere, so that leaving Python does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(name, main, argv=None):
    """Run a program; what goes wrong ends in one line on standard error.

    Args:
        name: of the program, for messages.
        main: function of `argv`. It may raise KeyboardInterrupt with a hint how to go on.
    Returns:
        the exit code: 0, or what `main` returned; 2 after an error, 130 after Ctrl-C or a polite
        kill, 141 if nobody reads standard output any more.
    """
    if hasattr(sys.stdout, 'reconfigure'):      # a terminal that has no letters for a caption
        sys.stdout.reconfigure(errors='backslashreplace', line_buffering=True)
    ends = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:   # of a program that has just loaded
        ends.append(signal.SIGINT)
    before = {number: signal.signal(number, signal.default_int_handler) for number in ends}
    try:
        return main(argv) or 0
    except MinichainError as error:
        print(f'{name}: error: {one_line(error)}', file=sys.stderr)
    except MemoryError:
        print(f'{name}: error: not enough memory; try a smaller --batch', file=sys.stderr)
    except BrokenPipeError:     # the reader of a pipe, such as head, has seen enough
        silence_output()
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        silence_output()
        print(f'{name}: error: there is no room left where the output goes', file=sys.stderr)
    except KeyboardInterrupt as interrupt:
        print('\n' + ': '.join([name, 'interrupted', *map(str, interrupt.args)]), file=sys.stderr)
        return 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 2

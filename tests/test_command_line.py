import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minichain import command_line
from minichain.errors import DataError, FileError, InvalidArgument

ROOT = Path(__file__).parents[1]


def test_wrong_options_raise_one_line_instead_of_printing_the_usage(capsys):
    parser = command_line.Parser(prog='program')
    parser.add_argument('--size', type=command_line.number(int, 1))
    for argv in (['--size', '0'], ['--size', 'x'], ['--siz', '2'], ['--size'], ['more']):
        with pytest.raises(InvalidArgument, match='program --help lists the options'):
            parser.parse_args(argv)
    assert parser.parse_args(['--size', '2']).size == 2
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize('text', ['-1', '1', '2', 'nan', 'inf'])
def test_numbers_out_of_range_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match='at least 0 and less than 1 expected'):
        command_line.number(float, 0, below=1)(text)
    assert command_line.number(float, 0, below=1)('.5') == .5


def test_infinity_is_no_number():
    with pytest.raises(argparse.ArgumentTypeError, match='at least 0 expected, got inf'):
        command_line.number(float, 0)('inf')
    with pytest.raises(argparse.ArgumentTypeError, match='above 0 expected, got inf'):
        command_line.number(float, above=0)('inf')


@pytest.mark.parametrize('text', ['0', '-1', 'nan'])
def test_a_limit_may_be_excluded(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f'^above 0 expected, got {text}'):
        command_line.number(float, above=0)(text)
    assert command_line.number(float, above=0)('1e-9') == 1e-9


@pytest.mark.parametrize('raised, code, message', [
    (DataError('two\n  lines'), 2, 'program: error: two lines\n'),
    (MemoryError(), 2, 'program: error: not enough memory; try a smaller --batch\n'),
    (KeyboardInterrupt(), 130, '\nprogram: interrupted\n'),
    (KeyboardInterrupt('go on'), 130, '\nprogram: interrupted: go on\n')])
def test_what_goes_wrong_ends_in_one_line_and_an_exit_code(capsys, raised, code, message):
    def main(argv):
        raise raised
    assert command_line.run('program', main, []) == code
    assert capsys.readouterr().err == message


def test_a_mistake_of_the_program_keeps_its_traceback():
    def main(argv):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        command_line.run('program', main, [])


def test_a_polite_kill_is_an_interruption_and_only_inside():
    before = signal.getsignal(signal.SIGTERM)
    assert command_line.run('program', lambda argv: os.kill(os.getpid(), signal.SIGTERM)) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert command_line.run('program', lambda argv: None) == 0
    assert command_line.run('program', lambda argv: argv, 3) == 3


def test_a_program_that_ctrl_c_may_end_while_it_loads_is_interrupted_politely_later(capfd):
    def interrupted(argv):
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        assert command_line.run('program', interrupted) == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == '\nprogram: interrupted\n'


@pytest.mark.parametrize('program', ['train.py', 'generate.py', '-m weights'])
def test_ctrl_c_while_a_program_loads_ends_it_without_a_word(tmp_path, program):
    (tmp_path / 'numpy.py').write_text('import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n')
    python, *rest = sys.executable, *program.split(), '--help'
    done = subprocess.run([python, *rest], cwd=ROOT, capture_output=True,
                          env={**os.environ, 'PYTHONPATH': str(tmp_path)})
    assert done.returncode == -signal.SIGINT and not done.stdout + done.stderr


def test_output_without_room_is_one_line():
    if not os.path.exists('/dev/full'):
        pytest.skip('this system has no device that is always full')
    code = ('import sys; from minichain import command_line; '
            'sys.exit(command_line.run("program", lambda argv: print("result")))')
    with open('/dev/full', 'w') as full:
        done = subprocess.run([sys.executable, '-c', code], stdout=full, stderr=subprocess.PIPE,
                              cwd=ROOT, text=True)
    assert done.returncode == 2 and done.stderr.startswith('program: error: there is no room')
    assert done.stderr.count('\n') == 1


def test_a_folder_is_made_or_named(tmp_path):
    command_line.make_folder(tmp_path / 'a' / 'b')
    command_line.make_folder(tmp_path / 'a' / 'b')
    assert (tmp_path / 'a' / 'b').is_dir()
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'file', tmp_path / 'file' / 'inside', 'nul\0'):
        with pytest.raises(FileError, match='--out'):
            command_line.make_folder(path)


def test_flags_are_spelled_as_on_the_command_line():
    assert command_line.flag('max_length') == '--max-length'

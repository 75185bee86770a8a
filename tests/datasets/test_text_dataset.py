"""Lines by their offsets, against Python's own text files."""
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minichain.datasets import TextDataset
from minichain.errors import DataError, FileError, InvalidArgument


@pytest.fixture
def write(tmp_path):
    def write(name, text, encoding='utf-8'):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return str(path)
    return write


def by_python(path, **kwargs):
    with open(path, **{'encoding': 'utf-8', **kwargs}) as file:
        return list(file)


@pytest.mark.parametrize('newline', [None, '', '\n', '\r', '\r\n'])
@pytest.mark.parametrize('text', [
    '', '\n', 'αb\nc\r\n\nlast', 'a\r\rb\r', '\r\n\r\n', 'one', 'a\x0bb\x0cc\u2028d\x85\n'])
def test_lines_are_those_of_an_open_file(write, newline, text):
    path = write('a', text)
    dataset = TextDataset(path, newline=newline)
    assert dataset[:] == by_python(path, newline=newline)
    assert len(dataset) == len(dataset[:])


@settings(deadline=None)
@given(st.text(alphabet='a\r\nあ', max_size=30), st.sampled_from([None, '', '\n', '\r', '\r\n']))
def test_lines_of_any_text_are_those_of_an_open_file(tmp_path_factory, text, newline):
    path = tmp_path_factory.getbasetemp() / 'any.txt'
    path.write_bytes(text.encode())
    assert TextDataset(path, newline=newline)[:] == by_python(path, newline=newline)


@pytest.mark.parametrize('before', [2 ** 20 - 2, 2 ** 20 - 1, 2 ** 20])
def test_a_line_end_across_two_blocks_is_one(write, before):
    path = write('a', 'x' * before + '\r\nshort\r' + '\r' * 3)
    assert [len(line) for line in TextDataset(path, newline='')] == [before + 2, 6, 1, 1, 1]


def test_examples_are_found_by_index(write):
    dataset = TextDataset(write('a', 'one\ntwo\nthree\n'))
    assert (dataset[2], dataset[0], dataset[-1]) == ('three\n', 'one\n', 'three\n')
    assert dataset[[1, 0]] == ['two\n', 'one\n']
    pytest.raises(IndexError, lambda: dataset[3])


def test_parallel_files_give_tuples(write):
    dataset = TextDataset([write('a', 'one\ntwo\n'), write('b', '一\n二\n', 'euc-jp')],
                          encoding=['utf-8', 'euc-jp'])
    assert dataset[:] == [('one\n', '一\n'), ('two\n', '二\n')]


def test_one_path_in_a_list_gives_strings(write):
    assert TextDataset([write('a', 'one\n')])[:] == ['one\n']


def test_parallel_files_of_different_lengths_are_refused_with_their_lengths(write):
    with pytest.raises(DataError, match=r'a: 2, .*b: 1'):
        TextDataset([write('a', '1\n2\n'), write('b', '1\n')])


def test_a_filter_sees_the_lines_of_all_files(write):
    paths = [write('a', 'e\n1\nb\n'), write('b', 'E\n2\nB\n')]
    seen = []

    def keep(*lines):
        seen.append(lines)
        return lines[0] != '1\n'

    dataset = TextDataset(paths, filter_func=keep)
    assert seen == [('e\n', 'E\n'), ('1\n', '2\n'), ('b\n', 'B\n')]
    assert dataset[:] == [('e\n', 'E\n'), ('b\n', 'B\n')]
    assert len(TextDataset(paths, filter_func=lambda *_: False)) == 0


def test_bytes_that_do_not_fit_the_encoding_are_reported_with_their_place(write):
    path = write('a', 'fine\nß\n', 'latin-1')
    dataset = TextDataset(path)
    assert dataset[0] == 'fine\n'
    with pytest.raises(DataError, match="a: the line at byte 5 is not utf-8.*errors='replace'"):
        dataset[1]
    assert TextDataset(path, errors='ignore')[1] == '\n'
    assert TextDataset(path, encoding='latin-1')[1] == 'ß\n'


def test_a_byte_order_mark_is_dropped_on_request(write):
    path = write('a', 'one\ntwo\n', 'utf-8-sig')
    assert TextDataset(path, encoding='utf-8-sig')[:] == ['one\n', 'two\n']


@pytest.mark.parametrize('arguments, message', [
    ({'encoding': 'utf-16'}, 'Convert the file to UTF-8'), ({'encoding': 'nope'}, "'nope' is not"),
    ({'newline': 'x'}, "LF, CR or CRLF expected, got 'x'"),
    ({'encoding': ['utf-8'] * 2}, 'encoding has 2 entries for 1 paths')])
def test_arguments_that_make_no_sense_are_refused(write, arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        TextDataset(write('a', 'x\n'), **arguments)


def test_no_paths_are_refused():
    with pytest.raises(InvalidArgument, match='at least one path expected'):
        TextDataset([])


def test_files_that_are_missing_are_named(write, tmp_path):
    with pytest.raises(FileError, match='nope: the text file cannot be read'):
        TextDataset([write('a', 'x\n'), tmp_path / 'nope'])


def test_a_file_that_vanishes_or_shrinks_in_use_is_reported(write, tmp_path):
    dataset = TextDataset(write('a', 'one\ntwo\n'))
    (tmp_path / 'a').write_text('one\n')
    with pytest.raises(DataError, match='became shorter'):
        dataset[1]
    (tmp_path / 'a').unlink()
    with pytest.raises(FileError, match='cannot be read'):
        dataset[0]


def test_it_can_be_sent_to_another_process(write):
    dataset = TextDataset(write('a', 'one\ntwo\n'))
    assert pickle.loads(pickle.dumps(dataset))[:] == ['one\n', 'two\n']

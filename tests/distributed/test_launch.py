"""How ranks are found, and how a program on several of them speaks with one voice."""
import sys

import pytest

from minichain import distributed
from minichain.backend import CpuDevice
from minichain.distributed import Communicator, create_communicator, launch
from minichain.errors import DataError, DeviceError, InvalidArgument
from tests import strict_cupy


class Rank(Communicator):
    """A rank whose fellows fail with it, or do not."""

    def __init__(self, rank, others_fail):
        self.rank, self.size, self.intra_rank, self.intra_size = rank, 3, rank, 3
        self.others_fail, self.code = others_fail, None

    def all_failed(self, seconds):
        assert 0 < seconds < 10
        return self.others_fail

    def abort(self, code):
        self.code = code


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for launcher in launch.LAUNCHERS:
        for what in ('SIZE', 'RANK'):
            monkeypatch.delenv(f'{launcher}_{what}', raising=False)


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setenv('PMI_SIZE', '3')


def run(rank, main, others_fail=True):
    communicator = Rank(rank, others_fail)
    code = distributed.run('prog', main, [], connect=lambda: communicator)
    return code, communicator.code


def fails(error):
    def main(argv, communicator):
        print('working')
        raise error
    return main


def test_without_mpiexec_a_program_is_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mpi4py', None)
    assert type(create_communicator()) is Communicator
    assert distributed.run('prog', lambda argv, communicator: communicator.size + 6, []) == 7


@pytest.mark.parametrize('name, value, size', [
    ('PMI_SIZE', '4', 4), ('OMPI_COMM_WORLD_SIZE', '2', 2), ('PMI_SIZE', 'x', 1)])
def test_mpiexec_says_how_many_ranks_there_are(monkeypatch, name, value, size):
    monkeypatch.setenv(name, value)
    assert launch.launched_size() == size


def test_ranks_without_mpi4py_are_told_once_what_to_install(monkeypatch, three, capsys):
    monkeypatch.setitem(sys.modules, 'mpi4py', None)
    with pytest.raises(DeviceError, match=r"pip install 'minichain\[mpi\]'"):
        create_communicator()
    for rank in range(3):
        monkeypatch.setenv('PMI_RANK', str(rank))
        assert distributed.run('prog', fails(AssertionError), []) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and errors[0].startswith('prog: error: several ranks were asked for')


def test_an_unknown_communicator_is_refused():
    with pytest.raises(InvalidArgument, match="one of pure_nccl, naive expected, got 'fast'"):
        create_communicator('fast')


def test_rank_0_speaks_for_all(three, capsys):
    for rank in range(3):
        assert run(rank, lambda argv, communicator: print('working')) == (0, None)
    assert capsys.readouterr().out == 'working\n'


@pytest.mark.parametrize('error, code, message', [
    (DataError('no data'), 2, 'prog: error: no data\n'),
    (KeyboardInterrupt(), 130, '\nprog: interrupted\n')])
def test_what_all_ranks_raise_is_told_by_rank_0(three, capsys, error, code, message):
    for rank in range(3):
        assert run(rank, fails(error)) == (code, None)
    found = capsys.readouterr()
    assert (found.out, found.err) == ('working\n', message)


@pytest.mark.parametrize('rank', [0, 2])
def test_a_rank_that_fails_alone_speaks_and_ends_the_others(three, capsys, rank):
    assert run(rank, fails(DataError('no data')), others_fail=False) == (2, 2)
    found = capsys.readouterr()
    assert found.err == 'prog: error: no data\n'
    assert found.out == ('' if rank else 'working\n')


def test_a_bug_shows_its_traceback_and_ends_the_others(three, capsys):
    assert run(1, fails(ZeroDivisionError('x')), others_fail=False) == (1, 1)
    assert capsys.readouterr().err.endswith('ZeroDivisionError: x\n')


def test_help_ends_all_ranks_without_a_vote(three):
    def main(argv, communicator):
        raise SystemExit(0)
    with pytest.raises(SystemExit):
        run(1, main)
    assert not sys.stdout.closed


def test_each_rank_takes_a_gpu_of_its_own(monkeypatch):
    rank = Rank(1, True)
    assert distributed.device_of('cpu', rank) == CpuDevice()
    with strict_cupy.installed() as cupy:
        assert distributed.device_of('cuda', Communicator()).name == '@cupy:0'
        assert distributed.device_of('cuda:0', Communicator()).name == '@cupy:0'
        cupy.cuda.runtime.getDeviceCount = lambda: 2
        assert distributed.device_of('cuda', rank).name == '@cupy:1'
        with pytest.raises(InvalidArgument, match='--device cuda or cpu.*3 ranks.*got cuda:1'):
            distributed.device_of('cuda:1', rank)
        with pytest.raises(DeviceError, match='GPU 2 was asked for, but there are 2'):
            distributed.device_of('cuda', Rank(2, True))

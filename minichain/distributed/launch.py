"""One program on several ranks: how they find each other, and speak with one voice.

``mpiexec -n 4 python train.py`` starts a program four times; rank 0 speaks for all. An error on
any rank ends all of them, and is told once.
"""
import contextlib
import os
import sys
import time
import traceback

from minichain import command_line
from minichain.backend import CpuDevice, get_device
from minichain.distributed.communicator import Communicator
from minichain.distributed.mpi import MPICommunicator, import_mpi
from minichain.errors import DeviceError, InvalidArgument, MinichainError

LAUNCHERS = ('OMPI_COMM_WORLD', 'PMI')      # Open MPI's variables; those of MPICH and its heirs
COMMUNICATORS = ('pure_nccl', 'naive')
PATIENCE = 2.   # seconds in which a rank that fails waits for others that fail with it


def launched_size():
    """Return how many ranks mpiexec says that it started, 1 without mpiexec."""
    return _launched('SIZE', 1)


def _launched(what, otherwise):
    found = [os.environ.get(f'{launcher}_{what}', '') for launcher in LAUNCHERS]
    return max([int(number) for number in found if number.isdecimal()], default=otherwise)


def create_communicator(communicator_name='pure_nccl', mpi_comm=None):
    """Return the Communicator of this job; called by all ranks.

    Args:
        communicator_name: 'pure_nccl': arrays on GPUs are summed with NCCL, a GPU for each rank;
            'naive': by way of the CPU. Arrays on the CPU are summed with MPI under both.
        mpi_comm: communicator of mpi4py; None means all ranks that mpiexec started, and a job of
            one rank without mpiexec.
    Raises:
        InvalidArgument: another name.
        DeviceError: mpi4py is not installed, or belongs to another MPI than mpiexec.
    """
    if communicator_name not in COMMUNICATORS:
        raise InvalidArgument(f'create_communicator: one of {", ".join(COMMUNICATORS)} expected, '
                              f'got {communicator_name!r}')
    if mpi_comm is None:
        if launched_size() == 1:
            return Communicator()
        mpi_comm = import_mpi().COMM_WORLD
        if mpi_comm.size != launched_size():
            raise DeviceError(
                f'mpiexec started {launched_size()} ranks, and the MPI of mpi4py sees '
                f'{mpi_comm.size}: they are of two kinds. Use the mpiexec that lies beside the '
                'python of this environment')
    return MPICommunicator(mpi_comm, use_nccl=communicator_name == 'pure_nccl')


def device_of(specifier, communicator):
    """Return the Device of this rank: of several on one machine, each takes a GPU of its own.

    Raises:
        InvalidArgument: several ranks are to have the same GPU.
        DeviceError: a GPU that is not there.
    """
    if specifier == 'cuda':
        return get_device(f'cuda:{communicator.intra_rank}')
    device = get_device(specifier)
    if communicator.intra_size > 1 and not isinstance(device, CpuDevice):
        raise InvalidArgument('--device cuda or cpu expected with '
                              f'{communicator.intra_size} ranks '
                              f'on a machine, got {specifier}. Each takes the GPU of its number; '
                              'CUDA_VISIBLE_DEVICES chooses among them')
    return device


def run(name, main, argv=None, connect=create_communicator):
    """Run a program on this rank: :func:`minichain.command_line.run`, for all ranks as one.

    Ranks other than 0 are silent, unless one of them alone fails.

    Args:
        name: of the program, for messages.
        main: function of ``argv`` and a Communicator.
        connect: function that returns the communicator.
    Returns:
        the exit code; the same on all ranks.
    """
    if launched_size() == 1:
        return command_line.run(name, lambda argv: main(argv, Communicator()), argv)
    try:
        communicator = connect()
    except MinichainError as error:
        if _launched('RANK', 0) == 0:
            print(f'{name}: error: {command_line.one_line(error)}', file=sys.stderr)
        return 2
    ends_together = True

    def guarded(argv):
        nonlocal ends_together
        try:
            return main(argv, communicator)
        except SystemExit:      # --help, on all ranks
            raise
        except BaseException:
            ends_together = communicator.all_failed(PATIENCE)
            if not ends_together:
                time.sleep(.1 * communicator.rank)      # one of several has to be the first
                voice.close()
            raise

    with contextlib.ExitStack() as voice:
        if communicator.rank:
            silence = voice.enter_context(open(os.devnull, 'w'))
            voice.enter_context(contextlib.redirect_stdout(silence))
            voice.enter_context(contextlib.redirect_stderr(silence))
        try:
            code = command_line.run(name, guarded, argv)
        except Exception:
            traceback.print_exc()
            code = 1
    if not ends_together:
        sys.stderr.flush()
        communicator.abort(code)
    return code

"""What test_mpi.py runs: ``mpiexec -n 2 python -m tests.distributed.mpi_jobs talk``."""
import json
import sys
import time

import numpy as np

import minichain.functions as F
import minichain.links as L
import train
from minichain import captioning, distributed, optimizers
from minichain.errors import DataError, FileError
from tests import strict_cupy


def talk(communicator):
    """Return what the methods of a communicator give."""
    rank = communicator.rank
    array = np.arange(3, dtype='f') + rank
    sums = [communicator.start_sum(part) for part in (array[:1], array[1:])]
    for each in sums:
        each.poll()
    for each in sums:
        each.wait()
    communicator.barrier()
    return {'size': communicator.size, 'intra': [communicator.intra_rank, communicator.intra_size],
            'sum': array.tolist(), 'objects': communicator.allgather_obj({'rank': rank}),
            'from 1': communicator.bcast_obj('x' * (1000 * rank), root=1)[:2],
            'any': [communicator.any(rank == 1), communicator.any(False)],
            'halves': communicator.allreduce(np.full(2, .5, 'e')).tolist()}


def talk_by_way_of_the_cpu(communicator):
    """Return a sum of arrays that stand in for those on a GPU."""
    naive = distributed.create_communicator('naive')
    with strict_cupy.installed() as cupy:
        array = cupy.asarray(np.arange(3, dtype='f') + communicator.rank)
        total = naive.start_sum(array)
        total.wait()
        return array.get().tolist()


def learn(communicator):
    """Return the parameters after some steps on this rank's part of the examples."""
    x = np.random.RandomState(0).normal(size=(7, 4)).astype('f')
    model = L.Linear(4, 3, initialW=communicator.rank + 1.)
    optimizer = distributed.create_multi_node_optimizer(
        optimizers.Adam(alpha=.1), communicator, bucket_bytes=16).setup(model)
    mine = x[communicator.rank::communicator.size]
    for _ in range(5):
        model.cleargrads()
        loss = F.sum(F.tanh(model(mine)) ** 2) / len(mine)
        optimizer.share(loss, len(mine), len(x)).backward()
        optimizer.update()
    return [param.array.tolist() for param in model.params()]


def scatter(communicator):
    """Return the parts of a data set that only rank 0 has."""
    data = [(np.full(2, i, 'f'), np.int32(i)) for i in range(5)] if not communicator.rank else None
    part = distributed.scatter_dataset(data, communicator, shuffle=True, seed=0)
    return [int(label) for _, label in part]


def show(job):
    """Return a main function that prints on rank 0 what a job returns on all ranks."""
    def main(argv, communicator):
        found = communicator.gather_obj(job(communicator))
        print(json.dumps(found))    # rank 0 alone is heard
    return main


def fail(rank, error):
    """Return a main function that fails on one rank while others wait; None: on all."""
    def main(argv, communicator):
        if rank in (None, communicator.rank):
            raise error
        communicator.any(False)
    return main


def wait(argv, communicator):
    """Wait for a signal, on one rank in Python and on the others in MPI."""
    communicator.barrier()      # all ranks have their handlers
    print('waiting')
    if communicator.rank:
        communicator.any(False)
    time.sleep(60)


def train_slowly(argv, communicator):
    """Train with a pause in each step."""
    update = captioning.Learner.update

    def slow(self, *args):
        time.sleep(.02)
        return update(self, *args)
    captioning.Learner.update = slow
    return train.main(argv, communicator)


JOBS = {
    'talk': show(talk), 'naive': show(talk_by_way_of_the_cpu),
    'learn': show(learn), 'scatter': show(scatter),
    'fail on 0': fail(0, DataError('data of rank 0')), 'fail on 1': fail(1, FileError('one file')),
    'fail on all': fail(None, DataError('all alike')), 'bug on 1': fail(1, ZeroDivisionError('x')),
    'wait': wait, 'train slowly': train_slowly, 'train': train.main}

if __name__ == '__main__':
    sys.exit(distributed.run('train.py', JOBS[sys.argv[1]], sys.argv[2:]))

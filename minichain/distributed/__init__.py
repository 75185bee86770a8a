"""Training on several processors or GPUs: ranks that share every batch. Names are ChainerMN's.

    communicator = create_communicator()
    optimizer = create_multi_node_optimizer(optimizers.Adam(), communicator).setup(model)

Read ``communicator.py``, ``buckets.py``, ``overlap.py``, ``multi_node_optimizer.py``.
"""
from minichain.distributed.communicator import Communicator
from minichain.distributed.launch import create_communicator, device_of, run
from minichain.distributed.mpi import MPICommunicator
from minichain.distributed.multi_node_optimizer import (
    MultiNodeOptimizer, create_multi_node_optimizer)
from minichain.distributed.scatter import create_multi_node_evaluator, scatter_dataset
from minichain.distributed.shared_learner import SharedLearner

CommunicatorBase = Communicator     # ChainerMN's name

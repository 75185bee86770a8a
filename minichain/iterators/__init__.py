"""Iterators over data sets: in this thread, in threads, in processes; the batches are the same."""
from minichain.iterators.multiprocess import MultiprocessIterator, WorkerError
from minichain.iterators.multithread import MultithreadIterator
from minichain.iterators.order import OrderSampler, ShuffleOrderSampler
from minichain.iterators.serial import SerialIterator

__all__ = [
    'MultiprocessIterator',
    'MultithreadIterator',
    'OrderSampler',
    'SerialIterator',
    'ShuffleOrderSampler',
    'WorkerError',
]

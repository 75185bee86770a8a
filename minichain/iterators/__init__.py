"""Iterators over data sets: in this thread, in threads, in processes, and in length buckets."""
from minichain.iterators.bucket import BucketIterator
from minichain.iterators.multiprocess import MultiprocessIterator, WorkerError
from minichain.iterators.multithread import MultithreadIterator
from minichain.iterators.order import OrderSampler, ShuffleOrderSampler
from minichain.iterators.serial import SerialIterator

__all__ = [
    'BucketIterator',
    'MultiprocessIterator',
    'MultithreadIterator',
    'OrderSampler',
    'SerialIterator',
    'ShuffleOrderSampler',
    'WorkerError',
]

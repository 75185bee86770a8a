"""Gradients summed over ranks in buckets: flat buffers, each summed as soon as it is full.

One large sum takes less time than many small ones, and several let the first be under way while
later gradients are still being computed. Every rank begins the sums in the same order, that of the
buckets, whatever the order in which its own gradients are done.
"""
import numpy as np

from minichain.backend import using_device


class Bucket:
    """Some parameters whose gradients lie one behind the other in one buffer.

    Args:
        entries: list of (index, Parameter).
    """

    def __init__(self, entries):
        first = entries[0][1]
        self.device, self.missing, self.places, start = first.device, len(entries), {}, 0
        for index, param in entries:
            self.places[index] = start, start + param.size
            start += param.size
        with using_device(self.device):
            # halves are summed in float32
            self.buffer = first.xp.empty(start, np.result_type(first.dtype, np.float32))
        self.sum = None

    def place(self, index):
        """Return the part of the buffer that belongs to a parameter."""
        start, end = self.places[index]
        return self.buffer[start:end]


class Buckets:
    """The gradients of some parameters, and their sums over all ranks.

    Args:
        params: list of Parameters, the same on all ranks.
        order: indexes of all of them, in the order in which their gradients are expected.
        communicator: Communicator.
        bucket_bytes: size at which a bucket is closed.
    """

    def __init__(self, params, order, communicator, bucket_bytes):
        self.params, self._communicator = params, communicator
        groups, size, kind = [], 0, None
        for index in order:
            param = params[index]
            kind_before, kind = kind, (param.dtype, param.device)
            if not groups or size >= bucket_bytes or kind != kind_before:
                groups.append([])
                size = 0
            groups[-1].append((index, param))
            size += param.array.nbytes
        self.buckets = [Bucket(entries) for entries in groups]
        self._bucket_of = {index: bucket for bucket in self.buckets for index in bucket.places}
        self.begin()

    def begin(self):
        """Forget all gradients; the next ones are coming."""
        self.put_order, self._n_started = [], 0
        for bucket in self.buckets:
            bucket.missing, bucket.sum = len(bucket.places), None

    def put(self, index, gradient, scale=1):
        """Take the gradient of a parameter, an array or None for zeros, times ``scale``."""
        bucket = self._bucket_of[index]
        place = bucket.place(index)
        with using_device(bucket.device):
            if gradient is None:
                place[...] = 0
            elif scale == 1:
                place[...] = gradient.reshape(-1)
            else:
                bucket.device.xp.multiply(gradient.reshape(-1), scale, out=place)
        self.put_order.append(index)
        bucket.missing -= 1
        for under_way in self.buckets[:self._n_started]:
            under_way.sum.poll()
        while self._n_started < len(self.buckets) and not self.buckets[self._n_started].missing:
            self._start(self.buckets[self._n_started])

    def _start(self, bucket):
        with using_device(bucket.device):
            bucket.sum = self._communicator.start_sum(bucket.buffer)
        self._n_started += 1

    def finish(self):
        """Wait for the sums, and make them the gradients of the parameters."""
        for bucket in self.buckets:
            with using_device(bucket.device):
                bucket.sum.wait()
            for index in bucket.places:
                param = self.params[index]
                gradient = bucket.place(index).reshape(param.shape)
                param.grad = gradient.astype(param.dtype, copy=False)

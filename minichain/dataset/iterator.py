"""The protocol of iterators: objects that hand out batches and know how far they are."""


class Iterator:
    """Base class of iterators over batches.

    A batch is a list of examples; `concat_examples` makes arrays of it. An iterator that
    training uses also has the attributes `batch_size`, `epoch` (number of completed sweeps),
    `epoch_detail` (the same with its fraction) and `is_new_epoch` (the last batch ended a sweep).
    """

    def __iter__(self):
        return self

    def __next__(self):
        """Return the next batch, a list of examples; raise StopIteration after the last one."""
        if type(self).next is not Iterator.next:
            return self.next()
        raise NotImplementedError(f'{type(self).__name__} must define __next__(self)')

    def next(self):
        """Call :meth:`__next__`; a class defines one of both."""
        return self.__next__()

    def finalize(self):
        """Give back what the iterator holds: threads, processes, files."""

    def serialize(self, serializer):
        """Write the state of the iterator to `serializer`, or read it from there."""

    def __enter__(self):
        return self

    def __exit__(self, exception_type, exception, traceback):
        self.finalize()

    def __del__(self):
        self.finalize()

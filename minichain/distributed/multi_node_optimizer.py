"""An optimizer that sums gradients over ranks before it updates: data parallel training."""
import functools

from minichain.autograd import Variable
from minichain.distributed.buckets import Buckets
from minichain.distributed.overlap import Share, watch
from minichain.errors import InvalidArgument

BUCKET_BYTES = 4 << 20


def create_multi_node_optimizer(actual_optimizer, communicator, double_buffering=False,
                                zero_fill=True, *, overlap=True, bucket_bytes=BUCKET_BYTES):
    """Return an optimizer whose updates follow the mean gradient of all ranks.

    With one rank there is nothing to share, and it is ``actual_optimizer`` itself.

    Args:
        actual_optimizer: any optimizer; hooks (clipping and the like) see the mean gradients.
        communicator: of :func:`create_communicator`.
        double_buffering: of Chainer, which lets updates lag behind to hide the sums; ``overlap``
            hides them without.
        zero_fill: of Chainer; gradients that a rank lacks always count as zeros here.
        overlap: begin to sum while the backward pass goes on. It needs a loss that went through
            ``optimizer.share``, as in ``optimizer.update(lossfun, ...)`` it does by itself; and
            one backward pass for each update.
        bucket_bytes: of gradients that are summed at a time.
    Raises:
        InvalidArgument: double_buffering.
    """
    if double_buffering:
        raise InvalidArgument('create_multi_node_optimizer: double_buffering=False expected; '
                              'overlap=True hides the sums, and no update lags behind')
    if communicator.size == 1:
        return actual_optimizer
    return MultiNodeOptimizer(actual_optimizer, communicator, overlap, bucket_bytes)


class MultiNodeOptimizer:
    """An optimizer together with a communicator; whatever is not here is the optimizer's.

    Args: as of :func:`create_multi_node_optimizer`.
    Attributes:
        actual_optimizer, communicator: as given.
    """

    def __init__(self, actual_optimizer, communicator, overlap, bucket_bytes):
        vars(self).update(
            actual_optimizer=actual_optimizer, communicator=communicator,
            _gradients=SharedGradients(communicator, overlap, bucket_bytes))

    def __getattr__(self, name):
        return getattr(vars(self)['actual_optimizer'], name)

    def __setattr__(self, name, value):
        setattr(self.actual_optimizer, name, value)

    def setup(self, link):
        """Take charge of a link, and give all ranks the parameters of rank 0. Returns self."""
        self.actual_optimizer.setup(link)
        self.communicator.bcast_data(link)
        self._gradients.setup(link)
        return self

    def share(self, loss, part=None, whole=None):
        """Return the loss, of the same value, as this rank's share in the loss of all ranks.

        Its gradients are multiplied by  part / whole,  and the sums of the gradients of all ranks
        are then those of the mean over all that they learn from. They begin while the backward
        pass goes on; ``param.grad`` has them after :meth:`update`.

        Args:
            loss: a scalar Variable, a mean over ``part`` examples (or tokens).
            part: how many this rank learns from; None means as many as every other.
            whole: how many all ranks learn from together.
        Raises:
            InvalidArgument: part is not one of 0 to whole.
        """
        if part is None:
            part, whole = 1, self.communicator.size
        if whole is None or not 0 <= part <= whole or not whole:
            raise InvalidArgument(f'share: 0 <= part <= whole expected, got {part} of {whole}')
        begin = functools.partial(self._gradients.begin, is_scaled=self._is_scaled())
        return Share(part / whole, begin).apply((loss,))[0]

    def _is_scaled(self):
        return self.actual_optimizer._loss_scale not in (None, 1)

    def update(self, lossfun=None, *args, **kwds):
        """Make one step along the mean gradient; called by all ranks.

        Args:
            lossfun, args, kwds: as of GradientMethod; its loss counts as much as that of every
                other rank, unless it went through :meth:`share`. If None, the gradients must be
                there; a rank that has nothing to learn from may have none.
        Raises:
            InvalidArgument: gradients came from more than one backward pass under ``overlap``;
                the ranks have different parameters.

        The first update after parameters got their shapes from data only gives all ranks the
        parameters of rank 0, as Chainer's does.
        """
        if lossfun is not None:
            self.actual_optimizer._compute_gradients(self._shared(lossfun), args, kwds)
        if self._gradients.finish():
            self.actual_optimizer.update()

    def _shared(self, lossfun):
        def shared(*args, **kwds):
            loss = lossfun(*args, **kwds)
            if not isinstance(loss, Variable) or isinstance(loss.creator_node, Share):
                return loss
            return self.share(loss)
        return shared


class SharedGradients:
    """The gradients of a link on their way: from this rank's backward pass to the sum of all."""

    def __init__(self, communicator, overlap, bucket_bytes):
        self._communicator, self._overlap = communicator, overlap
        self._bucket_bytes, self._buckets = bucket_bytes, None

    def setup(self, link):
        """Take the gradients of this link."""
        self._link, self._buckets, self._passes = link, None, 0
        self._waits_for_shapes = any(param.array is None for param in link.params())

    def begin(self, function, is_scaled):
        """Begin a backward pass: take gradients as they arrive, begin sums.

        Args:
            function: the last one of the graph.
            is_scaled: gradients will be divided by a loss scale after the backward pass; they are
                summed after that.
        """
        self._passes += 1
        if not self._overlap or is_scaled or self._waits_for_shapes:
            return
        if self._passes > 1:
            raise InvalidArgument(
                'one backward pass of a shared loss before each update expected, got another. Add '
                'the losses before, or create_multi_node_optimizer(..., overlap=False)')
        buckets = self._prepare()
        if all(param.grad is None for param in buckets.params):
            watch(function, buckets.params, buckets.put)

    def finish(self):
        """Wait for the gradients of all ranks; return whether there is an update to be made."""
        if self._waits_for_shapes:
            self._communicator.bcast_data(self._link)
            self._link.cleargrads()
            self.setup(self._link)
            return False
        buckets, scale = self._prepare(), 1 if self._passes else 1 / self._communicator.size
        arrived = set(buckets.put_order)
        for index in self._order:
            gradient = buckets.params[index].grad
            if index not in arrived:
                buckets.put(index, gradient, scale)
            elif gradient is not None:
                raise InvalidArgument(
                    'a parameter has a gradient besides that of the shared loss. Pass every loss '
                    'to optimizer.share, or create_multi_node_optimizer(..., overlap=False)')
        buckets.finish()
        if self._is_new:
            self._learn_order(arrived)
        buckets.begin()
        self._passes = 0
        return True

    def _prepare(self):
        """Return the buckets, made anew where the parameters are others than before."""
        params = list({id(param): param for param in self._link.params()
                       if param.array is not None and param.update_rule is not None
                       and param.update_rule.enabled}.values())
        key = [(id(param), param.shape, param.dtype, param.device) for param in params]
        if self._buckets is None or key != self._key:
            self._key, self._is_new = key, True
            shapes = [[list(param.shape), str(param.dtype)] for param in params]
            for rank, others in enumerate(self._communicator.allgather_obj(shapes)):
                if others != shapes:
                    raise InvalidArgument(
                        f'the parameters to be updated have other shapes on rank {rank} than on '
                        f'rank {self._communicator.rank}: {others}, {shapes}. Make the same model '
                        'and freeze the same links on all ranks')
            self._make(params, list(reversed(range(len(params)))))     # backward is backwards
        return self._buckets

    def _make(self, params, order):
        self._order = order
        self._buckets = Buckets(params, order, self._communicator, self._bucket_bytes)

    def _learn_order(self, arrived):
        """Lay the buckets out as the gradients arrived at rank 0 in the first backward pass."""
        self._is_new = False
        buckets = self._buckets
        order = [index for index in buckets.put_order if index in arrived]
        order = self._communicator.bcast_obj(order)
        if order:
            rest = [index for index in self._order if index not in set(order)]
            self._make(buckets.params, order + rest)

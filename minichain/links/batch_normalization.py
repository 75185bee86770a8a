"""Batch normalization and renormalization layers, which keep running averages."""
import numpy as np

from minichain.configuration import config, get_dtype
from minichain.errors import InvalidArgument
from minichain.functions.batch_normalization import batch_normalization, fixed_batch_normalization
from minichain.functions.batch_renormalization import batch_renormalization
from minichain.initializer import generate_array, get_initializer
from minichain.link import Link
from minichain.type_check import refuse_former
from minichain.variable import Parameter


class BatchNormalization(Link):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with statistics of each feature.

    While training, statistics are those of the batch, and the averages follow them:
    avg <- decay avg + (1 - decay) new. Otherwise (``config.train`` False) they are the averages.

    Args:
        size: number of features, x.shape[1], or the shape of several axes from the second on;
            None, with ``axis``, takes it from the first data.
        decay: weight of the past in the averages.
        eps: keeps the divisor from 0.
        dtype: of parameters and averages; None means ``config.dtype``.
        use_gamma, use_beta: whether to scale and to shift.
        initial_gamma, initial_beta: initializers of gamma (None: 1) and beta (None: 0).
        axis: int or tuple of ints, the axes over which statistics are taken; None: the first and
            all behind those of ``size``.
        initial_avg_mean, initial_avg_var: initializers of the averages (None: 0 and 1).
    Attributes:
        gamma, beta: parameters of the shape of the features, or None.
        avg_mean, avg_var: averages of the same shape, saved with the link.
        N: how many batches were seen since fine tuning began.
    Raises:
        InvalidArgument: neither ``size`` nor ``axis`` is given.
    Ioffe, Szegedy 2015, "Batch normalization", arXiv:1502.03167.
    """

    def __init__(self, size=None, decay=.9, eps=2e-5, dtype=None, use_gamma=True, use_beta=True,
                 initial_gamma=None, initial_beta=None, axis=None, initial_avg_mean=None,
                 initial_avg_var=None):
        super().__init__()
        if size is None and axis is None:
            raise InvalidArgument(f'{type(self).__name__}: size, the number of features, or axis '
                                  'expected, got neither')
        self.decay, self.eps, self.axis, self.N = decay, eps, axis, 0
        self._dtype = get_dtype(dtype, map_mixed16=np.float32)
        self._initial_averages = (get_initializer(initial_avg_mean, 0),
                                  get_initializer(initial_avg_var, 1))
        self.avg_mean = self.avg_var = None
        for name in ('N', 'avg_mean', 'avg_var'):
            self.register_persistent(name)
        with self.init_scope():
            self.gamma = self._parameter(initial_gamma, 1) if use_gamma else None
            self.beta = self._parameter(initial_beta, 0) if use_beta else None
        if size is not None:
            self._initialize_params((size,) if np.ndim(size) == 0 else tuple(size))

    def _parameter(self, initial, default):
        fill = get_initializer(initial, default)
        return Parameter(_InDtype(fill, self._dtype))

    def _initialize_params(self, shape):
        for parameter in (self.gamma, self.beta):
            if parameter is not None:
                parameter.initialize(shape)
        self.avg_mean, self.avg_var = (
            generate_array(fill, shape, dtype=self._dtype, device=self.device)
            for fill in self._initial_averages)

    def start_finetuning(self):
        """From now on, calls with ``finetune=True`` average over all batches alike."""
        self.N = 0

    def forward(self, x, finetune=False, **former):
        """Normalize x (N, C, ...) -> the same shape.

        Args:
            finetune: average the statistics over all batches since ``start_finetuning`` alike.
        """
        refuse_former(type(self).__name__, former)
        if self.avg_mean is None:
            axes = [axis % x.ndim for axis in np.atleast_1d(self.axis)]
            self._initialize_params(tuple(n for i, n in enumerate(x.shape) if i not in axes))
        gamma, beta = self._scale_and_shift()
        if not config.train:
            return fixed_batch_normalization(x, gamma, beta, self.avg_mean, self.avg_var,
                                             self.eps, self.axis)
        return self._train(x, gamma, beta, self._count(finetune))

    def _scale_and_shift(self):
        shape, dtype = self.avg_mean.shape, self.avg_mean.dtype
        return (self.xp.ones(shape, dtype) if self.gamma is None else self.gamma,
                self.xp.zeros(shape, dtype) if self.beta is None else self.beta)

    def _count(self, finetune):
        """Return the decay of this batch."""
        if not finetune:
            return self.decay
        self.N += 1
        return 1 - 1 / self.N

    def _train(self, x, gamma, beta, decay):
        return batch_normalization(x, gamma, beta, eps=self.eps, running_mean=self.avg_mean,
                                   running_var=self.avg_var, decay=decay, axis=self.axis)

    @property
    def printable_specs(self):
        size = None if self.avg_mean is None else self.avg_mean.shape
        return (('size', size[0] if size is not None and len(size) == 1 else size),
                ('decay', self.decay), ('eps', self.eps), ('dtype', self._dtype),
                ('use_gamma', self.gamma is not None), ('use_beta', self.beta is not None))


class _InDtype:
    """An initializer together with the dtype of the arrays to make."""

    def __init__(self, fill, dtype):
        self.fill, self.dtype = fill, dtype

    def __call__(self, array):
        self.fill(array)


class BatchRenormalization(BatchNormalization):
    """:class:`BatchNormalization` corrected towards the averages while training.

    Args:
        size, decay, eps, dtype, use_gamma, use_beta, initial_gamma, initial_beta,
            initial_avg_mean, initial_avg_var: as of BatchNormalization.
        rmax, dmax: bounds of the correction, see ``functions.batch_renormalization``; 1 and 0
            correct nothing.
    Ioffe 2017, "Batch renormalization", arXiv:1702.03275.
    """

    def __init__(self, size, rmax=1, dmax=0, decay=.9, eps=2e-5, dtype=None, use_gamma=True,
                 use_beta=True, initial_gamma=None, initial_beta=None, initial_avg_mean=None,
                 initial_avg_var=None):
        super().__init__(size, decay, eps, dtype, use_gamma, use_beta, initial_gamma,
                         initial_beta, None, initial_avg_mean, initial_avg_var)
        self.rmax, self.dmax = rmax, dmax

    def _train(self, x, gamma, beta, decay):
        return batch_renormalization(x, gamma, beta, self.rmax, self.dmax, self.eps,
                                     self.avg_mean, self.avg_var, decay, update_statistics=True)

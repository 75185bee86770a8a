"""Run-time switches: read ``config.train``, change one for a block with ``using_config``.

``global_config`` holds the value that every thread sees; ``config`` is the same set of names as
this thread sees them. The values of ``global_config`` are class attributes of ``config``'s type,
so that reading a switch in a hot loop costs one attribute look-up.
"""
import contextlib
import os
import threading

import numpy as np

from minichain.errors import InvalidArgument

_CHOICES = {'precision': ('float32', 'tf32', 'bf16'), 'kernels': ('fused', 'generic'),
            'persistent_lstm': ('auto', 'never', 'always')}


class LocalConfig(threading.local):
    """The switches as the current thread sees them.

    Attributes:
        train: dropout is active, batch normalization uses and updates batch statistics.
        enable_backprop: record the graph.
        type_check: validate number, shapes and dtypes of operands before every forward.
        debug: look for NaN after every forward and backward, and name the function.
        dtype: floating dtype of new parameters and of images from data sets.
        winograd: on the CPU, 3 x 3 and 5 x 5 convolutions of float32 images in fewer
            multiplications; results differ by about 1e-5 of the largest one.
        use_onednn: 'auto' takes oneDNN for float32 images on the CPU where it is installed (pip
            install 'minichain[onednn]'), 'never' does not.
        precision: how a GPU computes: 'float32' (IEEE), 'tf32' or 'bf16'; see gpu/precision.py.
        kernels: on a GPU, 'fused' runs kernels of our own where there are, 'generic' CuPy alone.
            At first what the environment's MINICHAIN_KERNELS says, else 'fused'.
        deterministic: on a GPU, two runs agree in every bit, at some cost.
        use_cudnn: on a GPU, 'auto' takes cuDNN for convolutions that it does faster, where it is
            installed; 'always' takes it for all that it can; 'never' does not.
        persistent_lstm: on a GPU, 'auto' runs all steps of an LSTM in one launch where that is
            faster, 'always' where it is possible, 'never' does not.
        keep_graph_on_report: ``report`` keeps Variables with their graphs.
    """

    train = True
    enable_backprop = True
    type_check = True
    debug = False
    dtype = np.dtype(np.float32)
    winograd = True
    use_onednn = 'auto'
    precision = 'float32'
    kernels = os.environ.get('MINICHAIN_KERNELS', 'fused')
    deterministic = False
    use_cudnn = 'auto'
    persistent_lstm = 'auto'
    keep_graph_on_report = False
    cudnn_deterministic = False   # Chainer's: as deterministic, for what cuDNN computes alone
    # Chainer's switches that scripts set and that have no effect on this ground.
    autotune = False
    cudnn_fast_batch_normalization = False
    use_cudnn_tensor_core = 'auto'
    use_ideep = 'never'
    use_static_graph = True
    warn_nondeterministic = False
    lazy_grad_sum = False
    in_recomputing = False
    schedule_func = None
    compute_mode = None

    def show(self):
        """Print every switch and its value."""
        for name in _names():
            print(f'{name:32} {getattr(self, name)!r}')

    def __setattr__(self, name, value):
        _check(name, value)
        super().__setattr__(name, value)


class GlobalConfig:
    """The switches for all threads that have not set their own; attributes as in ``config``."""

    def __getattr__(self, name):
        _check_name(name)
        return getattr(LocalConfig, name)

    def __setattr__(self, name, value):
        _check(name, value)
        setattr(LocalConfig, name, value)

    def __delattr__(self, name):
        delattr(LocalConfig, name)

    def show(self):
        """Print every switch and its value."""
        for name in _names():
            print(f'{name:32} {getattr(LocalConfig, name)!r}')


def _names():
    return sorted(name for name in vars(LocalConfig)
                  if not name.startswith('_') and name != 'show')


def _check_name(name):
    if not name.startswith(('_', 'user_')) and name not in vars(LocalConfig):
        raise AttributeError(f"config has no switch '{name}'; there are: {', '.join(_names())}; "
                             'a switch of your own begins with user_')


def _check(name, value):
    _check_name(name)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise InvalidArgument(f'config.{name} = {value!r}; expected one of '
                              f'{", ".join(map(repr, _CHOICES[name]))}')


_check('kernels', LocalConfig.kernels)
config = LocalConfig()
global_config = GlobalConfig()


class ThreadState(threading.local):
    """What the tape keeps for each thread.

    Attributes:
        on_arrays: a backward formula runs on plain arrays, nothing is recorded.
        function_hooks: name -> FunctionHook, called around every forward and backward.
        link_hooks: name -> LinkHook, called around every call of a link.
    """

    def __init__(self):
        self.on_arrays = False
        self.function_hooks = {}
        self.link_hooks = {}


thread_state = ThreadState()


@contextlib.contextmanager
def using_config(name, value, config=config):
    """Set ``config.<name>`` to ``value`` inside a ``with`` block."""
    own = vars(LocalConfig if config is global_config else config)
    had, previous = name in own, getattr(config, name, None)
    setattr(config, name, value)
    try:
        yield
    finally:
        if had:
            setattr(config, name, previous)
        else:
            delattr(config, name)


def no_backprop_mode():
    """Inside this ``with`` block nothing is recorded; use it for inference."""
    return using_config('enable_backprop', False)


def force_backprop_mode():
    """Record again inside a block of :func:`no_backprop_mode`."""
    return using_config('enable_backprop', True)


def get_dtype(dtype=None, map_mixed16=None):
    """Return ``dtype`` as a NumPy dtype, or ``config.dtype`` where it is None.

    Raises:
        InvalidArgument: the name is not that of a dtype.
    """
    dtype = config.dtype if dtype is None else dtype
    if str(dtype) == 'mixed16':
        dtype = np.float16 if map_mixed16 is None else map_mixed16
    try:
        return np.dtype(dtype)
    except TypeError:
        raise InvalidArgument(f'{dtype!r} is not a dtype; write for example float32') from None


def is_debug():
    """Return whether NaN checks are on in this thread."""
    return bool(config.debug)


def set_debug(debug):
    """Switch NaN checks on or off in this thread."""
    config.debug = debug


def using_debug(debug=True):
    """Switch NaN checks inside a ``with`` block."""
    return using_config('debug', debug)


def get_function_hooks():
    """Return this thread's dict of function hooks, name -> FunctionHook."""
    return thread_state.function_hooks

"""Chainer scripts run unchanged.

    python -m minichain.compat script.py ...      ``import chainer`` in the script gives minichain

``import chainermn`` gives what of ChainerMN is in ``minichain.distributed``.

Module paths that are ours under another name are in aliases.py.
"""
import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import runpy
import sys
import types

import numpy as np

from minichain.aliases import Alias
from minichain.errors import InvalidArgument
from minichain.functions.windows import get_conv_outsize, get_deconv_outsize  # noqa: F401

CHAINER = '7.8.1'   # whose names and numbers are kept


class ChainerFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``chainer.x.y`` as an alias of ``minichain.x.y``."""

    def find_spec(self, name, path=None, target=None):
        root, _, rest = name.partition('.')
        if root != 'chainer' or (rest and not _exists(f'minichain.{rest}')):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = Alias(spec.name, spec.name.replace('chainer', 'minichain', 1))
        if spec.name == 'chainer':
            module.__version__ = CHAINER   # scripts choose by it what to call
        return module

    def exec_module(self, module):
        """Nothing is left to do."""


def _exists(name):
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def install_chainer():
    """Make ``import chainer`` give minichain, and ``import chainerx`` a module that is off."""
    if not any(isinstance(finder, ChainerFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, ChainerFinder())
    chainerx = types.ModuleType('chainerx', 'ChainerX is not part of minichain.')
    chainerx.is_available = lambda: False
    chainerx.ndarray = type('ndarray', (), {'__doc__': 'Nothing is an instance of it.'})
    sys.modules.setdefault('chainerx', chainerx)
    sys.modules.setdefault('chainermn', Alias('chainermn', 'minichain.distributed'))


def force_array(x, dtype=None):
    """Return a NumPy scalar as an array of no axes; Chainer's ``utils.force_array``."""
    array = np.asarray(x) if np.isscalar(x) else x
    return array if dtype is None else array.astype(dtype, copy=False)


def parse_kwargs(kwargs, *names_and_defaults, **unexpected):
    """Take values from ``kwargs``; Chainer's ``utils.argument.parse_kwargs``.

    Args:
        kwargs: dict of the caller's keyword arguments.
        names_and_defaults: pairs (name, default).
        unexpected: name=message for arguments that earlier versions had.
    Returns:
        tuple of values.
    Raises:
        InvalidArgument: an argument of another name.
    """
    for name in kwargs:
        if name in unexpected:
            raise InvalidArgument(unexpected[name])
        if name not in dict(names_and_defaults):
            raise InvalidArgument(f'unexpected keyword argument {name!r}; there are: '
                            f'{", ".join(name for name, _ in names_and_defaults)}')
    return tuple(kwargs.get(name, default) for name, default in names_and_defaults)


def main():
    """Run a Chainer script."""
    parser = argparse.ArgumentParser(
        prog='python -m minichain.compat', description='Run a Chainer script on minichain.')
    parser.add_argument('script', help='a Python file that imports chainer')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help='what the script is given')
    options = parser.parse_args()
    try:
        with open(options.script, 'rb'):
            pass
    except OSError as error:
        reason = 'it is a folder' if isinstance(error, IsADirectoryError) else error.strerror
        parser.error(f'{options.script}: {reason}; a Python file expected')
    install_chainer()
    sys.argv = [options.script, *options.arguments]
    sys.path.insert(0, options.script.rpartition('/')[0] or '.')
    runpy.run_path(options.script, run_name='__main__')


if __name__ == '__main__':
    main()

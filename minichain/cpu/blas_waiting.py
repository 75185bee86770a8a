"""How long the threads of OpenBLAS, which computes NumPy's products, wait for the next one.

They wait by asking all the time, some 20 ms, on the processors that the threads of threads.py
need: networks for images take up to 1.6 times as long. They are told to sleep after some 50 us
instead, unless the environment says how long they shall wait.
"""
import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys
import threading

VARIABLE = 'OPENBLAS_THREAD_TIMEOUT'   # which OpenBLAS reads when it is loaded
TICKS = '17'     # the logarithm of how many; OpenBLAS's own is 26


@contextlib.contextmanager
def _told():
    """The environment has the variable inside; programs that are started later do not get it."""
    os.environ[VARIABLE] = TICKS
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def load_numpy():
    """Load NumPy, and with it OpenBLAS, if that is not done and work will be shared.

    OpenBLAS 0.3.34, in NumPy 2.5, and later ones can be told at no other time.
    """
    if ('numpy' not in sys.modules and VARIABLE not in os.environ
            and importlib.util.find_spec('threadpoolctl') is not None):
        with _told():
            importlib.import_module('numpy')


def shorten(libraries):
    """Tell libraries that are loaded, by controllers of threadpoolctl, if they can be told.

    To have the environment read again their threads are ended, and OpenBLAS starts new ones. Not
    if another thread might be inside a product.
    """
    if threading.active_count() > 1 or VARIABLE in os.environ:
        return
    for library in libraries:
        if library.internal_api != 'openblas' or library.threading_layer != 'pthreads':
            continue
        try:
            read, end = library.dynlib.openblas_read_env, library.dynlib.blas_thread_shutdown_
        except AttributeError:   # a build that hides them
            continue
        read.restype, end.restype = None, ctypes.c_int
        with _told():
            read()
            end()

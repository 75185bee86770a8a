"""All tests run on plain NumPy, also where oneDNN is installed: last digits are the same then.

Tests of oneDNN ask for it, by ``config.use_onednn``.
"""
import signal

from minichain import global_config

global_config.use_onednn = 'never'
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's job in the background ignores Ctrl-C, and so would all programs that tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""All tests run on plain NumPy, also where oneDNN is installed: last digits are the same then.

Tests of oneDNN ask for it, by ``config.use_onednn``.
"""
from minichain import global_config

global_config.use_onednn = 'never'

"""minichain's ways to compute the same thing, which benchmarks measure beside each other."""
import functools

from minichain import using_config
from minichain.cpu import onednn

PLAIN, DIRECT, ONEDNN = 'minichain', 'no Winograd', 'oneDNN'
PREPARED, PREPARED_ONEDNN = 'prepared', 'prepared, oneDNN'
OURS = {    # way: the switches that settle it
    PLAIN: {'use_onednn': 'never'},
    DIRECT: {'use_onednn': 'never', 'winograd': False},
    ONEDNN: {'use_onednn': 'auto'},
    PREPARED: {'use_onednn': 'never'},
    PREPARED_ONEDNN: {'use_onednn': 'auto'}}


def settle(function, switches):
    """Return a function with some switches of ``config`` set while it runs."""
    for name, value in switches.items():
        function = _with_switch(function, name, value)
    return function


def _with_switch(function, name, value):
    @functools.wraps(function)
    def settled():
        with using_config(name, value):
            return function()
    return settled


def in_all_ways(make, prepare=None):
    """Return {way: function}: without extras; the same multiplications as peers; with oneDNN.

    Those with oneDNN only where it is installed.

    Args:
        make: makes a function, one for each way, so that steps of training have their own model.
        prepare: makes one that was prepared for inference; None: there are no such ways.
    """
    ways = {**dict.fromkeys((PLAIN, DIRECT, ONEDNN), make),
            **dict.fromkeys((PREPARED, PREPARED_ONEDNN), prepare)}
    return {way: settle(settle(maker, OURS[way])(), OURS[way]) for way, maker in ways.items()
            if maker and (OURS[way]['use_onednn'] == 'never' or onednn.installed())}

import os
import signal

import pytest

from minichain.interruption import Interruption


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_the_flag_and_nothing_else(number):
    with Interruption() as interruption:
        assert not interruption.raised
        os.kill(os.getpid(), number)
        assert interruption.raised


def test_a_second_ctrl_c_ends_at_once_and_a_second_polite_kill_does_not():
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.raised
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_signals_do_what_they_did_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(ValueError), Interruption():
        assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
        raise ValueError
    assert {number: signal.getsignal(number) for number in before} == before


def test_it_may_be_used_again():
    interruption = Interruption()
    with interruption:
        os.kill(os.getpid(), signal.SIGTERM)
    with interruption:
        assert not interruption.raised

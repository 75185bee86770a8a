import numpy as np

import minichain
from minichain import Variable
from minichain import functions as F
from tests.functions.check import check_function


def test_identity_puts_a_node_behind_each_operand():
    x, y = Variable(np.ones(2)), Variable(np.ones(3))
    a, b = F.identity(x, y)
    assert a.creator is b.creator is not None and a is not x
    assert isinstance(F.identity(x), Variable) and F.identity() == ()
    check_function(F.identity, [np.arange(3.)], lambda x: x)
    check_function(F.identity, [np.arange(3.), np.arange(2.)], lambda x, y: (x, y))


def test_copy_to_the_cpu_keeps_values_and_gradients():
    check_function(lambda x: F.copy(x, x.device), [np.arange(3.)], lambda x: x)


def test_copy_takes_chainers_and_our_names_of_the_cpu():
    for name in (-1, 'cpu', '@numpy', minichain.get_device('cpu')):
        assert F.copy(np.ones(2), name).device.name == '@numpy'

"""Numbers of the host on a device: brought there when they change, gathered for replays."""
import numpy as np
import pytest

import minichain
from minichain.errors import DeviceError
from minichain.gpu import host_numbers
from minichain.gpu.host_numbers import HostNumbers, gathering

x = minichain.get_device('sim').send(np.zeros(1, np.float32))


def test_what_is_on_the_device_follows_the_host():
    values, numbers = [.5, 2.], HostNumbers()
    first = numbers.on_device(lambda: tuple(values), x)
    assert first.get().tolist() == [.5, 2] and first.dtype == np.float32
    values[1] = 3.
    assert numbers.on_device(lambda: tuple(values), x) is first
    assert first.get().tolist() == [.5, 3]
    values.append(4.)
    assert numbers.on_device(lambda: tuple(values), x).get().tolist() == [.5, 3, 4]


@pytest.mark.parametrize('dtype, expected', [('float16', 'float32'), ('float64', 'float64')])
def test_numbers_have_the_dtype_of_the_parameter_or_float32(dtype, expected):
    numbers = HostNumbers()
    assert numbers.on_device(lambda: (.1,), x.astype(dtype)).dtype == expected
    assert numbers.on_device(lambda: (.1,), x).dtype == np.float32


def test_the_numbers_of_a_step_lie_in_one_table_that_is_written_when_one_changes():
    values, written = {'a': (1.,), 'b': (2., 3.)}, []

    def write(table, contents):
        table[...] = x.device.send(contents)
        written.append(table)
    with gathering() as tables:
        a, b = (HostNumbers().on_device(lambda name=name: values[name], x) for name in 'ab')
    for changed in ({}, {}, {'a': (5.,)}, {'a': (5.,)}, {'b': (6., 7.)}):
        values.update(changed)
        tables.refresh(write)
        assert (*a.get(), *b.get()) == (*values['a'], *values['b'])
    assert len(written) == 3 and written[0] is written[2]


def test_more_numbers_than_a_table_has_room_for_get_another(monkeypatch):
    monkeypatch.setattr(host_numbers, 'ROOM', 5)
    with gathering() as tables:
        parts = [HostNumbers().on_device(lambda i=i: (i + .25, i + .5), x) for i in range(4)]
    tables.refresh(lambda table, contents: table.__setitem__(..., x.device.send(contents)))
    assert [part.get().tolist() for part in parts] == [[i + .25, i + .5] for i in range(4)]


def test_the_same_numbers_twice_in_a_step_are_refused():
    def compute():
        return 1.,
    with gathering(), pytest.raises(DeviceError, match='twice within the step'):
        for _ in range(2):
            HostNumbers().on_device(compute, x)

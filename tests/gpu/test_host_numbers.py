"""Numbers of the host on a device: brought there when they change, gathered for replays."""
import numpy as np
import pytest

import minichain
from minichain.errors import DeviceError
from minichain.gpu import host_numbers
from minichain.gpu.host_numbers import FEW, HostNumbers, HostTable, gathering
from minichain.gpu.simulator.arrays import no_waiting
from minichain.gpu.simulator.tape import recording

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


def test_numbers_of_several_functions_are_one_array_and_many_changes_are_sent_at_once():
    values, numbers = [[i + .5, i + .25] for i in range(FEW)], HostNumbers()

    def array():
        return numbers.all_on_device(lambda: [value for each in values for value in each], (), x)
    first = array()
    assert first.get().tolist() == [value for each in values for value in each]
    values[1][0] = values[2][1] = 9.
    assert array() is first and first.get().tolist()[2:6] == [9, 1.25, 2.5, 9]
    values[:] = [[i + 2., i + 3.] for i in range(FEW)]
    with no_waiting():      # which sending does not
        sent = array()
    assert sent is not first and sent.get().tolist() == [v for each in values for v in each]


def test_numbers_of_several_functions_lie_side_by_side_in_a_table(monkeypatch):
    monkeypatch.setattr(host_numbers, 'ROOM', 5)
    values = {'a': (1.,), 'b': (2., 3.), 'c': (4., 5., 6., 7.), 'd': (8., 9.)}
    computes = {name: lambda name=name: values[name] for name in values}
    with gathering() as tables:
        parts = [HostNumbers().all_on_device(
            lambda names=names: [value for name in names for value in values[name]],
            [computes[name] for name in names], x)
            for names in ('ab', 'cd')]     # the latter are more than a table has room for
        with pytest.raises(DeviceError, match='twice within the step'):
            HostNumbers().on_device(computes['c'], x)
    values['d'] = 0., -1.
    tables.refresh(lambda table, contents: table.__setitem__(..., x.device.send(contents)))
    assert [part.get().tolist() for part in parts] == [[1, 2, 3], [4, 5, 6, 7, 0, -1]]


def test_a_table_follows_its_contents_and_a_captured_step_has_one_of_its_own():
    table, written = HostTable(), []
    first = table.on_device(np.array([2 ** 63 + 1, 5], np.uint64), x)
    assert first.dtype == np.uint64 and first.get().tolist() == [2 ** 63 + 1, 5]
    assert table.on_device(np.array([2 ** 63 + 1, 5], np.uint64), x) is first
    with gathering() as tables, no_waiting(), recording():
        gathered = table.on_device(np.array([2 ** 63 + 2, 5], np.uint64), x)
        assert gathered is not first
    for _ in range(2):
        tables.refresh(lambda array, contents: written.append(contents.tolist()))
    assert written == [[2 ** 63 + 2, 5]]
    assert gathered.get().tolist() == written[0]    # on 'sim' from the beginning
    assert table.on_device(np.array([2 ** 63 + 2, 5], np.uint64), x).get().tolist() == written[0]
    assert table.on_device(np.array([1], np.uint64), x).get().tolist() == [1]


def test_nothing_is_sent_in_a_step_that_is_recorded_without_gathering():
    with recording(), no_waiting(), pytest.raises(DeviceError, match='sent to the device'):
        HostTable().on_device(np.array([1, 2]), x)

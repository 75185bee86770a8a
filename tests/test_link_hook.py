"""Link hooks are told of every call."""
import io

import numpy as np
import pytest

import minichain
from minichain import links as L
from minichain.errors import InvalidArgument
from minichain.link_hook import LinkHook
from minichain.link_hooks import TimerHook


class Recorder(LinkHook):
    name = 'recorder'

    def __init__(self):
        self.events = []

    def added(self, link):
        self.events.append(('added', link))

    def deleted(self, link):
        self.events.append(('deleted', link))

    def forward_preprocess(self, args):
        self.events.append(('before', args.link, args.forward_name, args.args, args.kwargs))

    def forward_postprocess(self, args):
        self.events.append(('after', args.link, args.out))


class Model(minichain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(2, 3)

    def forward(self, x):
        return self.l1(x, n_batch_axes=1)


def test_a_hook_is_told_of_links_and_their_children():
    model, x = Model(), np.ones((1, 2), 'f')
    with Recorder() as hook:
        y = model(x)
    model(x)
    assert [event[:2] for event in hook.events] == [
        ('added', None), ('before', model), ('before', model.l1), ('after', model.l1),
        ('after', model), ('deleted', None)]
    assert hook.events[2][2:] == ('forward', (x,), {'n_batch_axes': 1})
    assert hook.events[4][2] is y


def test_a_hook_of_one_link():
    model, hook = Model(), Recorder()
    model.l1.add_hook(hook)
    model(np.ones((1, 2), 'f'))
    model.l1.delete_hook('recorder')
    model(np.ones((1, 2), 'f'))
    assert [event[:2] for event in hook.events] == [
        (name, model.l1) for name in ('added', 'before', 'after', 'deleted')]


def test_names_are_unique():
    with Recorder(), pytest.raises(InvalidArgument, match='active already'):
        Recorder().__enter__()
    with Recorder():
        pass


def test_the_timer_counts_links():
    model = Model()
    with TimerHook() as timer:
        for _ in range(2):
            model(np.ones((1, 2), 'f'))
    assert {name: row['occurrence'] for name, row in timer.summary().items()} == {
        'Linear': 2, 'Model': 2}
    summary = timer.summary()
    assert summary['Model']['elapsed_time'] > summary['Linear']['elapsed_time']
    file = io.StringIO()
    timer.print_report(file=file)
    assert file.getvalue().splitlines()[0] == 'LinkName  ElapsedTime  Occurrence'

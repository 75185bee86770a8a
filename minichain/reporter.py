"""Reports: links tell what they observe (``report({'loss': loss}, self)``), scripts collect it."""
import contextlib
import json
import threading
import warnings

import numpy as np

from minichain.autograd import Variable
from minichain.configuration import config
from minichain.errors import InvalidArgument
from minichain.serializers.base import Deserializer


class _Reporters(threading.local):
    def __init__(self):
        self.stack = []


_reporters = _Reporters()


class Reporter:
    """Collects values under the names of those who report them.

    ::

        reporter, observation = Reporter(), {}
        reporter.add_observer('main', model)
        with reporter.scope(observation):
            loss = model(x)                     # calls report({'loss': ...}, self)
        observation                             # {'main/loss': ...}

    Attributes:
        observation: dict into which reports go.
    """

    def __init__(self):
        self._observers = {}   # id -> (name, observer); holding it keeps the id from reuse
        self.observation = {}

    def __enter__(self):
        _reporters.stack.append(self)
        return self

    def __exit__(self, exception_type, exception, traceback):
        _reporters.stack.pop()

    @contextlib.contextmanager
    def scope(self, observation):
        """Reports in this ``with`` block come here and go into the dict `observation`."""
        outer, self.observation = self.observation, observation
        try:
            with self:
                yield
        finally:
            self.observation = outer

    def add_observer(self, name, observer):
        """Put ``name/`` in front of what the object `observer` reports."""
        self._observers[id(observer)] = name, observer

    def add_observers(self, prefix, observers):
        """The same for (path, object) pairs, with names ``prefix + path``."""
        for path, observer in observers:
            self.add_observer(prefix + path, observer)

    def report(self, values, observer=None):
        """Store values; those that are Variables without their graph.

        Args:
            values: dict from name to value. With ``config.keep_graph_on_report`` Variables keep
                their graphs.
            observer: object that was added; None: the names stay as they are.
        Raises:
            InvalidArgument: the observer was not added.
        """
        if observer is not None:
            if id(observer) not in self._observers:
                raise InvalidArgument(f'report: {type(observer).__name__} was not added to the '
                                      'reporter; call reporter.add_observer(name, object)')
            prefix = self._observers[id(observer)][0]
            values = {f'{prefix}/{name}': value for name, value in values.items()}
        for name, value in values.items():
            if isinstance(value, Variable) and not config.keep_graph_on_report:
                value = Variable(value.array, name=value.name, requires_grad=value.requires_grad)
            self.observation[name] = value


def get_current_reporter():
    """Return the Reporter of the innermost ``with`` block of this thread.

    Raises:
        InvalidArgument: there is none.
    """
    if not _reporters.stack:
        raise InvalidArgument('no reporter is active; use one in a with block: with Reporter():')
    return _reporters.stack[-1]


def report(values, observer=None):
    """Report to the current reporter, see :meth:`Reporter.report`; without one nothing happens."""
    if _reporters.stack:
        _reporters.stack[-1].report(values, observer)


def report_scope(observation):
    """Reports to the current reporter in this ``with`` block go into the dict `observation`."""
    return get_current_reporter().scope(observation)


class Summary:
    """Weighted mean and standard deviation of scalars, without keeping them."""

    def __init__(self):
        self._x, self._x2, self._n = 0., 0., 0

    def add(self, value, weight=1):
        """Add a number or an array without axes, on any device."""
        self._x += weight * value
        self._x2 += weight * value * value
        self._n += weight

    def compute_mean(self):
        """Return the mean,  sum(w x) / sum(w)."""
        return self._x / self._n

    def make_statistics(self):
        """Return the mean and the standard deviation  sqrt(mean(x^2) - mean(x)^2)."""
        mean = self._x / self._n
        return mean, max(self._x2 / self._n - mean * mean, 0.) ** .5   # not below, by rounding

    def serialize(self, serializer):
        """Write or read the sums; a file that lacks them gives a warning."""
        reading = isinstance(serializer, Deserializer)
        try:
            for name in ('_x', '_x2', '_n'):
                value = serializer(name, None if reading else getattr(self, name))
                if reading:
                    setattr(self, name, value.item() if value is not None else 0.)
        except KeyError:
            warnings.warn('The previous statistics are not saved.', stacklevel=2)


class DictSummary:
    """A :class:`Summary` for each name in dicts that are added."""

    def __init__(self):
        self._summaries = {}

    def add(self, d):
        """Add a dict from name to number, array without axes, Variable, or (value, weight).

        Other values are left out.
        """
        for name, value in d.items():
            weight = 1
            if isinstance(value, tuple):
                value, weight = value
            value, weight = (getattr(part, 'array', part) for part in (value, weight))
            if _is_number(value) and _is_number(weight):
                self._summaries.setdefault(name, Summary()).add(value, weight)

    def compute_mean(self):
        """Return a dict of the means."""
        return {name: summary.compute_mean() for name, summary in self._summaries.items()}

    def make_statistics(self):
        """Return a dict of the means and, under ``name.std``, the standard deviations."""
        statistics = {}
        for name, summary in self._summaries.items():
            statistics[name], statistics[f'{name}.std'] = summary.make_statistics()
        return statistics

    def serialize(self, serializer):
        """Write or read all summaries; a file that lacks them gives a warning."""
        try:
            names = serializer('_names', json.dumps(list(self._summaries)))
        except KeyError:
            warnings.warn('The names of statistics are not saved.', stacklevel=2)
            return
        if isinstance(serializer, Deserializer):
            self._summaries = {name: Summary() for name in json.loads(names)}
        for i, summary in enumerate(self._summaries.values()):
            summary.serialize(serializer['_summaries'][str(i)])


def _is_number(value):
    if getattr(value, 'ndim', None) == 0 and hasattr(value, 'dtype'):
        return value.dtype.kind in 'biuf'
    return np.isscalar(value) and not isinstance(value, (str, bytes))

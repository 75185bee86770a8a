"""Load what fits, by name, and say what did not: for models that changed since they were saved."""
from dataclasses import dataclass, field

from minichain.serializers.npz import NpzDeserializer, open_model


@dataclass
class LoadReport:
    """What became of every entry of a file and every value of an object.

    Attributes:
        matched: names that were loaded.
        missing: names that the file does not have; their values stayed.
        unused: names of the file that nobody asked for.
        wrong_shape: name -> (expected, got); their values stayed.
    """

    matched: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    unused: list = field(default_factory=list)
    wrong_shape: dict = field(default_factory=dict)

    def __str__(self):
        lines = [f'{len(self.matched)} entries loaded, {len(self.missing)} missing, '
                 f'{len(self.wrong_shape)} of wrong shape, {len(self.unused)} unused']
        lines += [f'  missing in the file: {name}' for name in self.missing]
        lines += [f'  wrong shape: {name}: {expected} expected, got {got}'
                  for name, (expected, got) in self.wrong_shape.items()]
        lines += [f'  unused: {name}' for name in self.unused]
        return '\n'.join(lines)


class _WrongShape(Exception):
    pass


class _ReportingDeserializer(NpzDeserializer):
    """Leaves alone what does not fit, and notes everything in a report."""

    report = None

    def __getitem__(self, key):
        child = super().__getitem__(key)
        child.report = self.report
        return child

    def __call__(self, key, value):
        name = self.path + key.lstrip('/')
        try:
            result = super().__call__(key, value)
        except _WrongShape:
            return value
        if name in self.npz:
            self.report.matched.append(name)
        return result

    def missing(self, name, value):
        self.report.missing.append(name)
        return value

    def expect_shape(self, name, expected, got):
        if expected != got:
            self.report.wrong_shape[name] = expected, got
            raise _WrongShape


def load_by_name(file, obj, path=''):
    """Fill every array of `obj` whose name and shape the file has; leave the rest.

    Args:
        file, obj, path: as of :func:`~minichain.serializers.load_npz`.
    Returns:
        :class:`LoadReport`; print it.
    Raises:
        FileError, DataError: as of ``load_npz``, but not for missing entries and wrong shapes.
    """
    report = LoadReport()
    with open_model(file) as npz:
        deserializer = _ReportingDeserializer(npz, path)
        deserializer.report = report
        deserializer.load(obj)
        known = {*report.matched, *report.wrong_shape}
        report.unused = [name for name in npz if name not in known]
    return report

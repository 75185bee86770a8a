"""CannotExport: what a converter raises, collected into one report of everything in a model."""
from collections import defaultdict

from minichain.errors import InvalidArgument


class CannotExport(InvalidArgument):
    """Something that a model does and that has no form in ONNX, or none here; says why."""


def report(refused):
    """Return one message about all refusals of a model.

    Args:
        refused: list of (label of the function, place, reason), in the order of the model.
    """
    places = defaultdict(list)
    for label, place, reason in refused:
        places[label, reason].append(place)
    lines = [f'  {label}, {len(where)} x ({_shortened(where)}): {reason}'
             for (label, reason), where in places.items()]
    return '\n'.join(['the model cannot be exported to ONNX, nothing was written:', *lines])


def _shortened(places, most=5):
    more = f' and {len(places) - most} more' if len(places) > most else ''
    return ', '.join(places[:most]) + more

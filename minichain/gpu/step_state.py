"""What outlives one training step and is written down in a captured one: arrays by their address,
numbers by their value. Read ``capture.py`` for the reason.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

from minichain.backend import is_array
from minichain.errors import InvalidType
from minichain.gpu.launcher import machine_of

CONSTANT = 'constant'   # nobody may change it: it is written down in a captured step
DIAL = 'dial'           # the user may, between two steps: the next replay follows
COUNT = 'count'         # the step counts it up, and so does each replay
FREE = 'free'           # the step leaves something there: gradients


class Entry(NamedTuple):
    """A place that holds an array or a number, and what it held when it was looked at.

    Attributes:
        name: for messages, as '/lstm/W' or 'the optimizer's t'.
        read, write: functions; ``write`` puts another thing there.
        value: what was there.
        kind: who may change it.
    """

    name: str
    read: Callable
    write: Callable
    value: Any
    kind: str = CONSTANT


def look(things):
    """Return the entries of what a step uses, a list.

    Args:
        things: of links: parameters, gradients and whatever arrays, Variables and numbers are
            their attributes; of optimizers: those of the target, the rules' state, hyperparameters
            and counts of steps, the numbers of hooks; of dicts: the values; and arrays.
    Raises:
        InvalidType: something else.
    """
    entries = []
    for position, thing in enumerate(things):
        if hasattr(thing, 'namedlinks'):
            entries += _of_link(thing)
        elif hasattr(thing, 'target') and hasattr(thing, 'hyperparam'):
            entries += _of_optimizer(thing)
        elif isinstance(thing, dict):
            entries += [_item(thing, key, repr(key)) for key in thing]
        elif is_array(thing):
            entries.append(Entry(f'state[{position}]', lambda thing=thing: thing, None, thing))
        else:
            raise InvalidType(f'compile_step: state[{position}] is {type(thing).__name__}; '
                              'expected links, optimizers, arrays, or dicts of arrays and numbers')
    return entries


def changed(entries, kinds=(CONSTANT, DIAL)):
    """Return what is no longer as it was, in words, or None.

    Args:
        kinds: of the entries to look at; at first those that a step may not change.
    """
    for entry in entries:
        if entry.kind in kinds:
            now = entry.read()
            if now is not entry.value and not _same(now, entry.value):
                return f'{entry.name} {_difference(entry.value, now)}'
    return None


def put_back(entries, kinds=(CONSTANT, DIAL, COUNT, FREE)):
    """Put back the arrays and numbers that were there; contents of arrays stay as they are."""
    for entry in entries:
        if (entry.kind in kinds and entry.write is not None
                and entry.read() is not entry.value):
            entry.write(entry.value)


def arrays_of(entries):
    """Return the arrays that a step may not replace, as a dict by name."""
    return {entry.name: entry.value for entry in entries
            if entry.kind == CONSTANT and is_array(entry.value)}


def counted(entries):
    """Return what was counted up since: a list of (entry, by how much)."""
    return [(entry, entry.read() - entry.value) for entry in entries
            if entry.kind == COUNT and entry.read() != entry.value]


def _of_link(link):
    entries = []
    for path, child in link.namedlinks():
        for name, value in vars(child).items():
            full = f'{path.rstrip("/")}/{name}'
            if hasattr(value, 'update_rule'):
                entries += [_attribute(value, 'array', full),
                            _attribute(value, 'grad', f'the gradient of {full}', FREE)]
            elif is_array(value) or _is_number(value) or value is None and name[0] != '_':
                entries.append(_item(vars(child), name, full))
            elif is_array(getattr(value, 'array', None)):   # a Variable: h and c of an LSTM
                entries.append(Entry(full, lambda child=child, name=name: _array_in(child, name),
                                     lambda _, child=child, name=name, value=value:
                                     vars(child).__setitem__(name, value), value.array))
    return entries


def _of_optimizer(optimizer):
    rules = [(path, parameter.update_rule) for path, parameter in optimizer.target.namedparams()
             if parameter.update_rule is not None]
    hooks = [hook for owner in (optimizer, *(rule for _, rule in rules))
             for timing in ('pre', 'post') for hook in getattr(owner._hooks, timing).values()]
    # Of a rule or hook of somebody else nobody knows what it does with numbers of the host.
    known = all(getattr(each, 'dials', None) is not None for each in
                [*(rule for _, rule in rules if rule.enabled), *hooks])
    count = COUNT if known else CONSTANT
    dials = {name for _, rule in rules for name in rule.dials or ()} if known else ()
    entries = [*_of_link(optimizer.target),
               *_numbers(vars(optimizer.hyperparam), 'the optimizer', dials),
               _attribute(optimizer, 't', "the optimizer's t", count),
               _attribute(optimizer, '_loss_scale', 'the scale of the loss')]
    for path, rule in rules:
        entries += [_attribute(rule, 't', f'the t of the rule of {path}', count),
                    _attribute(rule, 'enabled', f'whether {path} is updated')]
        entries += _numbers(vars(rule.hyperparam), f'the rule of {path}', dials)
        entries.append(Entry(f'the state of {path}', lambda rule=rule: rule.state, None,
                             rule.state))
        entries += [_item(rule.state, key, f'the {key} of {path}') for key in rule.state or ()]
    for hook in hooks:
        entries += _numbers(getattr(hook, '__dict__', {}), f'the hook {type(hook).__name__}')
    return entries


def _numbers(owner, words, dials=()):
    """Entries of numbers that are set here and not in a parent."""
    return [_item(owner, name, f'{name} of {words}', DIAL if name in dials else CONSTANT)
            for name, value in owner.items() if _is_number(value)]


def _attribute(owner, attribute, name, kind=CONSTANT):
    return Entry(name, lambda: getattr(owner, attribute),
                 lambda value: setattr(owner, attribute, value), getattr(owner, attribute), kind)


def _item(owner, key, name, kind=CONSTANT):
    return Entry(name, lambda: owner.get(key), lambda value: owner.__setitem__(key, value),
                 owner[key], kind)


def _array_in(link, name):
    value = vars(link).get(name)
    return getattr(value, 'array', value)


def _is_number(value):
    return isinstance(value, (bool, int, float))


def _same(now, before):
    """Whether numbers are equal, or arrays the same memory."""
    if is_array(now) and is_array(before):
        return (hasattr(now, 'data') and now.shape == before.shape and now.dtype == before.dtype
                and machine_of(now).address(now) == machine_of(before).address(before))
    return type(now) is type(before) and _is_number(now) and now == before


def _difference(before, now):
    if is_array(before) and is_array(now):
        return 'is another array than before'
    if _is_number(before) and _is_number(now):
        return f'went from {before!r} to {now!r}'
    return 'is no longer what it was'

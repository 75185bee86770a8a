"""What outlives one training step and is written down in a captured one: arrays by their address,
numbers by their value. Read ``capture.py`` for the reason.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

from minichain.backend import is_array
from minichain.errors import InvalidType


class Entry(NamedTuple):
    """A place that holds an array or a number, and what it held when it was looked at.

    Attributes:
        name: for messages, as '/lstm/W' or 'the optimizer's t'.
        read, write: functions; ``write`` puts another thing there.
        value: what was there.
        checked: whether a step may not change it; gradients it may.
    """

    name: str
    read: Callable
    write: Callable
    value: Any
    checked: bool = True


def look(things):
    """Return the entries of what a step uses, a list.

    Args:
        things: of links: parameters, gradients and whatever arrays, Variables and numbers are
            their attributes; of optimizers: those of the target, the rules' state, hyperparameters
            and counts of steps; of dicts: the values; and arrays.
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


def changed(entries):
    """Return what is no longer as it was, in words, or None."""
    for entry in entries:
        if entry.checked:
            now = entry.read()
            if now is not entry.value and not _same(now, entry.value):
                return f'{entry.name} {_difference(entry.value, now)}'
    return None


def put_back(entries):
    """Put back the arrays and numbers that were there; contents of arrays stay as they are."""
    for entry in entries:
        if entry.write is not None and entry.read() is not entry.value:
            entry.write(entry.value)


def arrays_of(entries):
    """Return the arrays that a step may not replace, as a dict by name."""
    return {entry.name: entry.value for entry in entries
            if entry.checked and is_array(entry.value)}


def _of_link(link):
    entries = []
    for path, child in link.namedlinks():
        for name, value in vars(child).items():
            full = f'{path.rstrip("/")}/{name}'
            if hasattr(value, 'update_rule'):
                entries += [_attribute(value, 'array', full),
                            _attribute(value, 'grad', f'the gradient of {full}', False)]
            elif is_array(value) or _is_number(value) or value is None and name[0] != '_':
                entries.append(_item(vars(child), name, full))
            elif is_array(getattr(value, 'array', None)):   # a Variable: h and c of an LSTM
                entries.append(Entry(full, lambda child=child, name=name: _array_in(child, name),
                                     lambda _, child=child, name=name, value=value:
                                     vars(child).__setitem__(name, value), value.array))
    return entries


def _of_optimizer(optimizer):
    entries = [*_of_link(optimizer.target), _attribute(optimizer, 't', "the optimizer's t")]
    entries += _numbers(optimizer.hyperparam, 'the optimizer')
    for path, parameter in optimizer.target.namedparams():
        rule = parameter.update_rule
        if rule is None:
            continue
        entries.append(_attribute(rule, 't', f'the t of the rule of {path}'))
        entries += _numbers(rule.hyperparam, f'the rule of {path}')
        entries.append(Entry(f'the state of {path}', lambda rule=rule: rule.state, None,
                             rule.state))
        entries += [_item(rule.state, key, f'the {key} of {path}') for key in rule.state or ()]
    return entries


def _numbers(hyperparam, owner):
    """Entries of numbers that are set here and not in a parent."""
    return [_item(vars(hyperparam), name, f'{name} of {owner}')
            for name, value in vars(hyperparam).items() if _is_number(value)]


def _attribute(owner, attribute, name, checked=True):
    return Entry(name, lambda: getattr(owner, attribute),
                 lambda value: setattr(owner, attribute, value), getattr(owner, attribute),
                 checked)


def _item(owner, key, name):
    return Entry(name, lambda: owner.get(key), lambda value: owner.__setitem__(key, value),
                 owner[key])


def _array_in(link, name):
    value = vars(link).get(name)
    return getattr(value, 'array', value)


def _is_number(value):
    return isinstance(value, (bool, int, float))


def _same(now, before):
    """Whether numbers are equal, or arrays the same memory."""
    if is_array(now) and is_array(before):
        return (hasattr(now, 'data') and now.shape == before.shape and now.dtype == before.dtype
                and _address(now) == _address(before))
    return type(now) is type(before) and _is_number(now) and now == before


def _address(array):
    return array.ctypes.data if hasattr(array, 'ctypes') else array.data.ptr


def _difference(before, now):
    if is_array(before) and is_array(now):
        return 'is another array than before'
    if _is_number(before) and _is_number(now):
        return f'went from {before!r} to {now!r}'
    return 'is no longer what it was'

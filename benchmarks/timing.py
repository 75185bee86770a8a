"""Timing in turns, in rounds that others did not disturb."""
import math
import statistics
import time

from benchmarks.machine import ForeignLoad, default_clock, n_cores, n_threads

SHORTEST = .02      # seconds of a turn: what is quicker is called several times
WINDOW = .2         # seconds over which the load is judged, which the kernel counts in 1/100 s
FEWEST = 5          # rounds that are measured, however long they take
BUDGET = 4.         # seconds after which no further round begins
WARM_UP = .01       # seconds of calls before a turn: threads of other libraries stop spinning
LONG_WARM_UP = .12  # of those after which onnxruntime's do, too


class Seconds(dict):
    """Seconds of a call, dict name -> list, one a round.

    Attributes:
        foreign: cores that others used in each round; None where it is not known.
        repeated: rounds that were disturbed and measured again.
        disturbed: rounds that are here although they were disturbed.
        clock: 'wall' or 'CPU'.
    """

    foreign, repeated, disturbed, clock = (), 0, 0, 'wall'

    def to_dict(self):
        """Return all of it for JSON."""
        return {'seconds': dict(self), **vars(self)}


def is_disturbed(foreign):
    """Whether others used so many cores that fewer were left than there are threads."""
    threads = n_threads()
    return foreign is not None and foreign > max(0, n_cores() - threads) + .1 * threads


def time_in_turns(functions, rounds, clock=None, finish=None, load=None, budget=BUDGET,
                  warm_up=WARM_UP):
    """Time functions in turns, so that what else the machine does hits all of them alike.

    A turn begins with calls that are not counted, so that it measures a function at work: pauses
    instead would measure how fast idle processors wake up.

    Rounds that others disturbed are repeated, as many as asked for at most, while the budget
    lasts; then the least disturbed ones are returned.

    Args:
        functions: dict name -> function without arguments, or an object with ``time(n)``, which
            calls itself n times and returns (wall seconds, CPU seconds), as RemoteFunction.
        rounds: how often each has its turn, after a call that is not counted. Every other round
            goes backwards and the next begins with another one: nobody comes after the same one
            always.
        clock: process_time, the CPU time of this process, or perf_counter, wall time; None: the
            first for one thread, the second for more.
        finish: function called before the clock is read: waits for a GPU; None: nothing to wait
            for.
        load: function of the CPU seconds of other processes of ours that returns the cores that
            others used since it was called last; None asks the kernel.
        budget: seconds after which no further round begins, once there are five, or ``rounds``.
        warm_up: seconds of the calls with which a turn begins, at least one call.
    Returns:
        Seconds, of one call.
    """
    clock = clock or default_clock()
    load = load or ForeignLoad().take
    names, repeats, tried = list(functions), {}, []
    for name, function in functions.items():
        spent, _ = one_turn(function, 1, clock, finish)
        repeats[name] = max(1, math.ceil(SHORTEST / max(spent, 1e-6)))
    load(0.)
    end = time.perf_counter() + budget
    while (len(tried) < 2 * rounds and sum(not is_disturbed(each) for each, _ in tried) < rounds
           and (len(tried) < min(FEWEST, rounds) or time.perf_counter() < end)):
        found, of_children, start = [], 0., time.perf_counter()
        while not found or (len(found) + len(tried) < rounds
                            and time.perf_counter() - start < WINDOW):
            number, seconds = len(tried) + len(found), {}
            first = number // 2 % len(names)
            for name in (names[first:] + names[:first])[::-1 if number % 2 else 1]:
                of_children += call_for(warm_up, functions[name], finish)
                spent, cpu = one_turn(functions[name], repeats[name], clock, finish)
                seconds[name] = spent / repeats[name]
                of_children += cpu
            found.append(seconds)
        foreign = load(of_children)
        tried += [(foreign, seconds) for seconds in found]
    return choose(names, tried, rounds, 'CPU' if clock is time.process_time else 'wall')


def call_for(seconds, function, finish):
    """Call a function for some seconds if there are threads to wake.

    Returns:
        CPU seconds of another process.
    """
    of_children, end = 0., time.perf_counter() + seconds
    while n_threads() > 1 and time.perf_counter() < end:
        of_children += one_turn(function, 1, time.perf_counter, finish)[1]
    return of_children


def one_turn(function, n_calls, clock, finish):
    """Return (seconds by the clock, CPU seconds of another process) of some calls."""
    if hasattr(function, 'time'):
        wall, cpu = function.time(n_calls)
        return (cpu if clock is time.process_time else wall), cpu
    start = clock()
    for _ in range(n_calls):
        function()
    if finish is not None:
        finish()
    return clock() - start, 0.


def choose(names, tried, rounds, clock):
    """Return the Seconds of the least disturbed rounds of ``tried``, (load, {name: seconds})."""
    order = sorted(range(len(tried)), key=lambda i: (is_disturbed(tried[i][0]), tried[i][0] or 0.))
    kept = [tried[i] for i in sorted(order[:rounds])]
    result = Seconds({name: [seconds[name] for _, seconds in kept] for name in names})
    result.foreign = [foreign for foreign, _ in kept]
    result.repeated = len(tried) - len(kept)
    result.disturbed = sum(map(is_disturbed, result.foreign))
    result.clock = clock
    return result


def compare(ours, peers):
    """Return (median, least) of ours / peers, pairs of the same round: two lists of seconds."""
    ratios = [a / b for a, b in zip(ours, peers)]
    return statistics.median(ratios), min(ratios)


def quantile(values, part):
    """Return the value below which a part of the values lies, one of them; part 0 to 1."""
    return sorted(values)[round(part * (len(values) - 1))]

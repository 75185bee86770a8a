"""Runs every case on Chainer and writes one .npz for each of its kinds beside itself.

Needs a Python with chainer==7.8.1, numpy==1.23.5 and scipy (special functions), which is not the
Python of minichain:
    cd tests && python -m chainer_reference.record [functions links optimizers initializers]
It says which names of Chainer have no case, and which cases Chainer itself could not run.
"""

import collections
import inspect
import pathlib
import sys
import warnings

import chainer

from . import cases_functions, cases_initializers, cases_links, cases_optimizers
from .runner import run_case, run_initializer, run_link, run_optimizer
from .storage import save

HERE = pathlib.Path(__file__).parent
MOST_BYTES = 700_000


def record_functions():
    """Return {id: result} of all function cases and print what Chainer could not do."""
    results = record_each(cases_functions.CASES, lambda case: run_case(case, chainer))
    refused = sorted({case.name for case in cases_functions.CASES
                      if isinstance(results.get(case.id, {}).get('second'), str)})
    print('no second gradient in Chainer:', ', '.join(refused))
    print_uncovered(chainer.functions, cases_functions.CASES)
    return results


def record_links():
    """Return {id: result} of all link cases."""
    print_uncovered(chainer.links, cases_links.CASES)
    return record_each(cases_links.CASES, lambda case: run_link(case, chainer))


def record_optimizers():
    """Return {id: result} of all cases of optimizers and hooks."""
    print_uncovered(chainer.optimizers, cases_optimizers.CASES)
    print_uncovered(chainer.optimizer_hooks, cases_optimizers.CASES)
    return record_each(cases_optimizers.CASES, lambda case: run_optimizer(case, chainer))


def record_initializers():
    """Return {id: result} of all initializer cases."""
    print_uncovered(chainer.initializers, cases_initializers.CASES)
    return record_each(cases_initializers.CASES, lambda case: run_initializer(case, chainer))


def record_each(cases, run):
    """Return {id: result}; a case marked as refused has to raise, every other has to run."""
    for word, count in collections.Counter(case.id for case in cases).items():
        if count > 1:
            raise ValueError(f'{count} cases are called {word}')
    results = {}
    for case in cases:
        try:
            result = run(case)
        except Exception as error:
            if not getattr(case, 'refused', False):
                print(f'FAILED {case.id}: {error!r}')
            result = {'refused': type(error).__name__}
        else:
            if getattr(case, 'refused', False):
                print(f'NOT REFUSED {case.id}')
        results[case.id] = result
    return results


def print_uncovered(module, cases):
    """Print the public names of a module that no case uses."""
    names = {name for name in dir(module)
             if not name.startswith('_') and not inspect.ismodule(getattr(module, name))}
    covered = names & {case.name for case in cases}
    print(f'{module.__name__}: {len(covered)} of {len(names)} names; without a case:',
          ', '.join(sorted(names - covered)) or 'none')


RECORDERS = {'functions': record_functions, 'links': record_links,
             'optimizers': record_optimizers, 'initializers': record_initializers}

if __name__ == '__main__':
    warnings.simplefilter('ignore')
    for word in sys.argv[1:] or RECORDERS:
        path = HERE / f'{word}.npz'
        save(path, RECORDERS[word]())
        size = path.stat().st_size
        print(f'{path.name}: {size} bytes', '' if size < MOST_BYTES else 'TOO LARGE')

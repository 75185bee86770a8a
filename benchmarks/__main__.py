"""Run benchmarks: python -m benchmarks [case ...]"""
import argparse
import dataclasses
import importlib
import json
import sys
import time

from benchmarks import frame
from minichain._atomic import write_atomically
from minichain.errors import InvalidArgument, MinichainError

CASES = {
    'tape': 'microseconds that the tape costs for each operation, beside eager PyTorch',
    'import': 'seconds that import minichain takes beyond the import of NumPy',
    'loading': 'time and memory to load a network of 244 MB, beside OpenCV',
    'article_004': "article 004's captioner: what stopped it, beside the same model in PyTorch",
    'flickr8k': 'scores on real photos, beside PyTorch and baselines (needs --data, --weights)',
}
MODULES = {'import': 'import_time'}


def parse_arguments(argv=None):
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.split(':')[0] + '. Each prints one table; a peer that is not '
                    'installed is\nshown as missing. Ratios are minichain / peer of one run, in '
                    'turns: below 1, minichain is faster.',
        epilog='cases:\n' + '\n'.join(f'  {name:12} {what}' for name, what in CASES.items()))
    add = parser.add_argument
    add('cases', nargs='*', metavar='case', help='which; without any, all of them')
    add('--quick', action='store_true', help='few rounds and epochs: shows that it runs, no more')
    add('--json', metavar='FILE', help='write the tables there too')
    add('--data', metavar='FOLDER', help='flickr8k: captions and images in the Flickr8k layout')
    add('--weights', metavar='FILE', help='flickr8k: squeezenet_v1.0.caffemodel')
    add('--cache', metavar='FOLDER', default='result/features',
        help='flickr8k: of computed image features (default: %(default)s)')
    options = parser.parse_args(argv)
    unknown = [case for case in options.cases if case not in CASES]
    if unknown:
        parser.error(f'no case {", ".join(unknown)}; there are {", ".join(CASES)}')
    return options


def run(case, options):
    """Return the Table of a case."""
    started = time.perf_counter()
    table = importlib.import_module(f'benchmarks.{MODULES.get(case, case)}').run(options)
    table.seconds = round(time.perf_counter() - started, 1)
    return table


def main(argv=None):
    """Run cases, print their tables."""
    options = parse_arguments(argv)
    machine = frame.describe_machine()
    print(machine)
    tables = {}
    for case in options.cases or CASES:
        tables[case] = run(case, options)
        print(f'\n=== {case} ({tables[case].seconds:.0f} s)\n{tables[case]}', flush=True)
    if options.json:
        found = {'machine': machine, 'quick': options.quick,
                 'tables': {case: dataclasses.asdict(table) for case, table in tables.items()}}
        write_atomically(options.json, (json.dumps(found, indent=1) + '\n').encode())


if __name__ == '__main__':
    try:
        main()
    except InvalidArgument as error:
        sys.exit(f'benchmarks: error: {error}')
    except MinichainError as error:
        sys.exit(f'benchmarks: {error}')

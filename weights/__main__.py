"""python -m weights: public weight files listed, described, fetched, converted."""
import signal

# Before the others are loaded: Ctrl-C meanwhile ends it without a word.
if __name__ == '__main__' and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os
import sys
import textwrap

from minichain import command_line
from minichain.command_line import Parser, number
from minichain.errors import InvalidArgument
from weights.convert import CONVERSIONS, convert
from weights.fetch import MAX_SIZE, Patience, fetch
from weights.registry import FOLDER, expect_file, find, identify, load

UNKNOWN = 'unknown'
LONGEST = 1_000_000     # seconds; sockets wait no longer than their clocks count
HELP = """\
  python -m weights list                          what there is, and what you have
  python -m weights info bvlc_googlenet           all that is known of one, with sources
  python -m weights fetch squeezenet_v1.1         download it into weights/, verified
  python -m weights convert A.caffemodel B.npz    another format

The exit code is 0, 2 after an error, and 130 after Ctrl-C, which keeps what has arrived."""
FETCH_HELP = f"""\
The file goes into weights/ (ignored by git) or --out, a Caffe network's prototxt beside it under
the same name, where train.py --weights finds it. What arrives is kept as NAME.part; after Ctrl-C
or a broken connection the same command goes on there. The size and the hash are compared with
those of the registry, and only the right file gets the name.

Where the registry knows no hash, one has to be named: --sha256, of somebody you trust. A file of
unknown size may have at most {MAX_SIZE >> 30} GiB, or --max-size.

Without a network: get the address that `info` shows by other means, put the file into weights/
under its name, and fetch it; then it is only verified.

examples:
  python -m weights fetch bvlc_reference_caffenet
  python -m weights fetch vgg16-7 --url https://my.mirror/vgg16-7.onnx
  python train.py DATA --weights weights/bvlc_reference_caffenet.caffemodel"""
CONVERT_HELP = f"""\
The formats are those of the endings:
{CONVERSIONS}

examples:
  python -m weights convert VGG_ILSVRC_16_layers.caffemodel vgg16.npz --model vgg16
  python -m weights convert det1.caffemodel det1.onnx --prototxt det1.prototxt"""


def parse_arguments(argv=None):
    """Return the options as a namespace; `run` is the function of the subcommand."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog='python -m weights', formatter_class=raw, epilog=HELP,
                    description='Weights of public networks: where they are and what they are.')
    commands = parser.add_subparsers(required=True, metavar='list|info|fetch|convert')

    def command(name, run, epilog, **arguments):
        added = commands.add_parser(name, formatter_class=raw, epilog=epilog, **arguments)
        added.set_defaults(run=run)
        return added.add_argument
    add = command('list', show_list, None, help='all files, a line each')
    add('--out', default=FOLDER, metavar='FOLDER', help='where to look for them (weights/)')
    add = command('info', show_info, None, help='all that is known of one, with sources')
    add('name', help='as `list` shows it, or a file, which is recognised by its content')
    add = command('fetch', run_fetch, FETCH_HELP, help='download one, verified')
    add('name', help='as `list` shows it')
    add('--url', help='another address for the weights, http or https')
    add('--sha256', type=sha256, help='what the weights must have, where it is unknown')
    add('--out', default=FOLDER, metavar='FOLDER', help='where to put it (weights/)')
    add('--max-size', type=number(int, 1), default=MAX_SIZE, metavar='BYTES',
        help='limit for a file of unknown size')
    add('--timeout', type=number(float, above=0, below=LONGEST), default=Patience.timeout,
        metavar='SECONDS',
        help=f'without a byte until a server is given up ({Patience.timeout})')
    add('--quiet', action='store_true', help='no progress bar, which only terminals get')
    add = command('convert', run_convert, CONVERT_HELP, help='into another format')
    add('source', metavar='IN', help='the file to read')
    add('target', metavar='OUT', help='the file to write')
    add('--prototxt', help="a Caffe network's description")
    add('--model', help='a network of models/ whose weights they are, such as vgg16')
    return parser.parse_args(argv)


def sha256(text):
    """Return 64 hexadecimal digits in lower case."""
    digits = text.lower()
    if len(digits) != 64 or set(digits) - set('0123456789abcdef'):
        raise argparse.ArgumentTypeError(f'64 hexadecimal digits expected, got {text!r:.80}')
    return digits


def size(count):
    """Return a number of bytes for reading, such as 4.7 MB."""
    if count is None:
        return UNKNOWN
    if count < 1e6:
        return f'{count / 1e3:.0f} kB'
    return f'{count / 1e6:.0f} MB' if count >= 1e7 else f'{count / 1e6:.1f} MB'


def is_there(entry, folder):
    """Whether a file of the right name, and of the right size if that is known, is there."""
    path = os.path.join(folder, entry.file)
    return os.path.isfile(path) and entry.size in (None, os.path.getsize(path))


def show_list(options):
    rows = [('name', 'network', 'format', 'size', 'licence', 'here')]
    rows += [(entry.name, entry.network, entry.format, size(entry.size), entry.licence or UNKNOWN,
              'yes' if is_there(entry, options.out) else '-') for entry in load().values()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def show_info(options):
    if os.path.isfile(options.name) or os.sep in options.name:
        expect_file(options.name)
        entry = identify(options.name)
    else:
        entry = find(options.name)
    if entry is None:
        raise InvalidArgument(f'{options.name}: no file of the registry; its content is another')
    preprocessing = entry.preprocessing and ', '.join(
        f'{name} {value}' for name, value in entry.preprocessing.to_dict().items()
        if value is not None)
    facts = {
        'name': entry.name, 'file': entry.file, 'network': entry.network, 'format': entry.format,
        'origin': entry.origin, 'licence': entry.licence, 'urls': '\n'.join(entry.urls),
        'size': entry.size and f'{entry.size} bytes', 'sha256': entry.sha256, 'sha1': entry.sha1,
        'input': entry.input and ' x '.join(map(str, entry.input)),
        'preprocessing': preprocessing}
    for name, value in facts.items():
        show(name, value or UNKNOWN, entry.sources.get(name))
    if entry.prototxt:
        show('prototxt', '\n'.join([entry.prototxt['file'],
                                    *(entry.prototxt['urls'] or ['no address is known']),
                                    f'{entry.prototxt["size"]} bytes',
                                    f'sha256 {entry.prototxt["sha256"]}']),
             entry.prototxt['source'])
    elif entry.format == 'caffemodel':
        show('prototxt', UNKNOWN, None)
    if entry.model:
        show('model', f'models.{entry.model}(pretrained_model=PATH)', None)
    if entry.note:
        show('note', entry.note, None)


def show(name, value, source):
    """Print one fact, long ones in several lines, and where it was read."""
    def lines(text, indent):
        return '\n'.join(textwrap.fill(line, 99, initial_indent=indent, subsequent_indent=indent,
                                       break_long_words=False, break_on_hyphens=False)
                         for line in text.splitlines())
    print(f'{name + ":":<15}{lines(value, " " * 15).lstrip()}')
    if source:
        print(lines(f'[{source}]', ' ' * 15))


def describe_prototxt(entry):
    """Return a sentence on where the description of a Caffe network is; '' for other files."""
    if entry.format != 'caffemodel':
        return ''
    if not (entry.prototxt and entry.prototxt['urls']):
        return 'No address of its prototxt is known'
    return (f'Its prototxt, {entry.prototxt["file"]}, is to be had at '
            + ' or '.join(entry.prototxt['urls']))


def run_fetch(options):
    entry = find(options.name)
    path = os.path.join(options.out, entry.file)
    digests = {**entry.digests, **({'sha256': options.sha256} if options.sha256 else {})}
    if options.sha256 and entry.sha256 not in (None, options.sha256):
        raise InvalidArgument(f'--sha256: {entry.name} has {entry.sha256}, as read in '
                              f'{entry.sources["sha256"]}; another file is not {entry.name}')
    urls = entry.urls if options.url is None else [options.url]
    if not urls:
        raise InvalidArgument(f'{entry.name}: its address is unknown ({entry.sources["urls"]}). '
                              'Name one with --url; what comes is verified. '
                              + describe_prototxt(entry))
    if not digests:
        raise InvalidArgument(f'{entry.name}: no hash of it is known, so nobody could tell what '
                              'comes. Name one that you trust with --sha256')
    patience = Patience(timeout=options.timeout)
    found = fetch(urls, path, digests, entry.size, options.max_size, patience, options.quiet)
    print(f'{path}: {size(os.path.getsize(path))}, sha256 {found}')
    if 'sha256' not in digests:
        print('Only its sha1 was known, which proves little against people of ill will.')
    if entry.prototxt and entry.prototxt['urls']:
        beside = os.path.splitext(path)[0] + '.prototxt'
        fetch(entry.prototxt['urls'], beside, {'sha256': entry.prototxt['sha256']},
              entry.prototxt['size'], patience=patience, quiet=options.quiet)
        print(f'{beside}: its description')
    elif entry.format == 'caffemodel':
        print(describe_prototxt(entry))
    print(f'licence: {entry.licence or UNKNOWN}')
    if entry.note:
        print(f'note: {entry.note}')


def run_convert(options):
    convert(options.source, options.target, options.prototxt, options.model)
    print(options.target)


def main(argv=None):
    options = parse_arguments(argv)
    return options.run(options)


if __name__ == '__main__':
    sys.exit(command_line.run('weights', main))

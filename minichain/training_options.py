"""What ``train.py`` can be told: its options, their defaults, what does not go together."""
import argparse
import os
import sys

from minichain.command_line import Parser, flag, number
from minichain.errors import InvalidArgument
from minichain.text import TOKENIZERS

SCENE_TOKENIZERS = {'en': 'words', 'ja': 'characters'}

# option: (type, default for drawn scenes, default for captions of your own, what it is)
OPTIONS = {
    'tokenizer': (str, None, 'words', 'how captions are cut; of scenes the language says it'),
    'threshold': (number(int, 1), 1, 3, 'words seen fewer times in the training captions become '
                  '<UNK>'),
    'embed': (number(int, 1), 128, 256, 'length of a word embedding'),
    'hidden': (number(int, 1), 192, 256, 'width of the LSTM'),
    'layers': (number(int, 1), 1, 1, 'LSTMs on top of each other'),
    'dropout': (number(float, 0, below=1), 0., .5, 'ratio on embeddings and LSTM outputs while '
                'training'),
    'inject': (str, 'first', 'state', 'where the image enters'),
    'bptt': (number(int, 0), 0, 0, 'steps of truncated backpropagation through time; 0: whole '
             'captions'),
    'batch': (number(int, 1), 64, 64, 'captions in a batch'),
    'epochs': (number(int, 1), 5, 25, 'passes over the training captions'),
    'lr': (number(float, 0), 4e-3, 1e-3, "Adam's step size alpha"),
    'decay': (str, 'linear', 'none', 'of the step size over the run: none, or down to 0'),
    'clip': (number(float, 0), 5., 5., 'the global norm that gradients are clipped to; 0: not at '
             'all'),
    'weight-decay': (number(float, 0), 0., 0., 'rate of L2 weight decay'),
    'beam': (number(int, 1), 3, 3, 'beam width for the captions of the test split'),
    'max-length': (number(int, 1), 50, 50, 'words after which a generated caption ends'),
    'samples': (number(int, 0), 4, 4, 'dev images whose captions are shown as they evolve'),
    'seed': (number(int, 0, below=2 ** 32), 0, 0, 'of everything random'),
}
CHOICES = {'decay': ('none', 'linear'), 'tokenizer': tuple(TOKENIZERS)}


def parse(description, inject, argv=None):
    """Return the options that are given, as a dict.

    Args:
        description: of the script; its first paragraph is shown.
        inject: where an image may enter the model, names.
        argv: list of words; None: those of the command line.
    """
    choices = {**CHOICES, 'inject': inject}
    parser = Parser(
        prog='train.py', argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=description.split('\n\n')[0], epilog="""\
what DATA may be:
  a folder or file in the layout of Flickr8k, COCO captions JSON, Karpathy JSON, JSON lines
  {"file": ..., "captions": [...]}, or boke data (items.json); images beside it in a folder or tar

what a run leaves in --out:
  model.npz, vocabulary.json, config.json   the best model on dev; generate.py reads these
  snapshot.zip                              everything, to go on with --resume
  log.jsonl, loss.png, samples.html         losses with units and floors, captions as they evolve
  test.jsonl, test.png, scores.json         captions and scores of the test split

examples:
  python train.py
  python train.py --language ja --out result/scenes_ja
  python train.py ~/flickr8k --weights squeezenet_v1.0.caffemodel --layer pool10
  python generate.py photo.jpg --model result/flickr8k

OPENBLAS_NUM_THREADS=1 in the environment is faster for small models and on a busy machine, all
processors are for large models on a quiet one.

With mpiexec -n N (pip install 'minichain[mpi]') N ranks train one model, and each learns from its
share of every batch: the same as one rank alone, up to rounding and to what dropout draws. With
--device cuda each rank takes a GPU of its own. All ranks need the same options; go on with as many
ranks as before.

The same command again goes on with a run that was interrupted, and makes one that was finished
anew; a different run that is in --out is never replaced. The exit code is 0 after a run, 2 after
an error, 130 after Ctrl-C or a polite kill, which leaves a snapshot.
""")
    add = parser.add_argument
    add('data', nargs='?', metavar='DATA', help='captioned images; without it, scenes drawn here')
    add('--images', help='folder or tar of the images, where they are not beside the captions')
    add('--strict', action='store_true', help='a captioned image that is missing or broken is an '
                                              'error; otherwise it is left out with a warning')
    add('--language', choices=tuple(SCENE_TOKENIZERS), help='of the drawn scenes (default: en)')
    add('--weights', help='the CNN, a .caffemodel or .onnx file (default for scenes: the bundled '
                          'one); of a public one, as `python -m weights list` shows, it is known '
                          'how images are prepared')
    add('--prototxt', help="the CNN's structure, where the .caffemodel does not hold it")
    add('--layer', help='the blob whose values are the image features (default: fc7, else what '
                        'the classifier reads); maps are averaged over positions')
    add('--preprocessing', help='how images are prepared, whatever the files and the registry '
                                'say: caffe (BGR minus 104 117 123), torch (RGB of mean 0 and '
                                'deviation 1 over ImageNet), or JSON {"size": [224, 224], ...}')
    for name, (kind, for_scenes, for_captions, what) in OPTIONS.items():
        default = (f'{for_captions}' if for_scenes in (for_captions, None) else
                   f'{for_scenes} for scenes, {for_captions} otherwise')
        add(f'--{name}', type=kind, choices=choices.get(name),
            metavar=None if name in choices else name.upper().replace('-', '_'),
            help=f'{what} (default: {default})')
    add('--by-stars', action='store_true', help='draw captions by their stars (boke data)')
    add('--blind', action=argparse.BooleanOptionalAction,
        help='also train the same model without images, to see what images are worth '
             '(default: yes, of scenes no, where the floor is known)')
    add('--article-units', action='store_true',
        help='also print losses as article 004 does: nats per caption / batch size')
    add('--snapshot-every', type=number(int, 1), metavar='N',
        help='iterations between snapshots (default: one each epoch)')
    add('--iterations', type=number(int, 1), help='stop after so many, with a snapshot')
    add('--out', help='result folder (default: result/scenes, or result/NAME of DATA)')
    add('--resume', metavar='FOLDER', help='go on with the run in this result folder; options '
                                           'that are given must be those of the run')
    add('--cache', help='folder of computed image features (default: result/features)')
    add('--device', help='cpu, cuda, cuda:1, or sim, where kernels run in a simulator (default: '
                         'cpu)')
    add('--precision', choices=('float32', 'tf32', 'bf16'),
        help='how a GPU computes: float32 as IEEE 754 has it; tf32, products of rounded numbers; '
             'bf16, that and activations of 16 bits (default: float32)')
    add('--deterministic', action='store_true',
        help='on a GPU, two runs agree in every bit, which costs some speed; a CPU always does so')
    add('--capture', action=argparse.BooleanOptionalAction,
        help='capture the steps of training as CUDA graphs, one for each length of captions, and '
             'replay them: the same steps up to rounding, with pads, in one launch each (default: '
             'on a GPU)')
    add('--quiet', action='store_true', help='no progress bars, which only terminals get')
    given = vars(parser.parse_args(argv))
    if not sys.stderr.isatty():
        given['quiet'] = True
    for name in {'data', 'images', 'weights', 'prototxt', 'cache'} & set(given):
        given[name] = os.path.abspath(given[name])
    return given


def settle(given, weights):
    """Return the options of a new run: those given, and defaults for the others.

    Args:
        given: dict of :func:`parse`.
        weights: path of the CNN that looks at drawn scenes.
    Returns:
        argparse.Namespace.
    Raises:
        InvalidArgument: some have no effect together, or one is missing.
    """
    drawn = 'data' not in given
    for name in sorted(({'images', 'strict', 'by_stars', 'tokenizer'} if drawn else {'language'})
                       & set(given)):
        raise InvalidArgument(f'{flag(name)} has no effect on '
                              f'{"drawn scenes" if drawn else "DATA"}; leave it out')
    if not drawn and 'weights' not in given:
        raise InvalidArgument('--weights cnn.caffemodel is needed with DATA: the network, a '
                              '.caffemodel or .onnx file, that turns images into features. '
                              'weights/README.md says where to get one')
    options = {name.replace('-', '_'): for_scenes if drawn else for_captions
               for name, (_, for_scenes, for_captions, _) in OPTIONS.items()}
    options.update(
        data=None, images=None, strict=False, language=None, prototxt=None, layer=None,
        preprocessing=None, weights=weights, by_stars=False,
        blind=not drawn, article_units=False, snapshot_every=None, iterations=None,
        cache=os.path.abspath(os.path.join('result', 'features')), device='cpu',
        precision='float32', deterministic=False, capture=None, quiet=False)
    if drawn:
        options['language'] = given.get('language', 'en')
        options['tokenizer'] = SCENE_TOKENIZERS[options['language']]
        name = 'scenes' if options['language'] == 'en' else f'scenes_{options["language"]}'
    else:
        name = os.path.splitext(os.path.basename(given['data']))[0]
    return argparse.Namespace(**{**options, 'out': os.path.join('result', name), **given})


def expect_none_for_gpus(given):
    """Raise InvalidArgument if options are given that have no effect on the CPU."""
    for name, cpu in (('capture', False), ('precision', 'float32')):
        if given.get(name, cpu) != cpu:
            raise InvalidArgument(f'{flag(name)} has no effect on the CPU; leave it out, or add '
                                  '--device cuda')

#!/usr/bin/env python3
"""Caption images: photos, folders or tars in, captions with probabilities out.

    python generate.py photo.jpg                              the demo's model
    python generate.py photo.jpg folder/ --model result/flickr --beam 5 --n-best 3
    python generate.py --export onnx/                         the model as ONNX files, for others

This file reads top to bottom in the order in which things happen.
"""
import signal

# Before the others are loaded: Ctrl-C meanwhile ends it without a word.
if __name__ == '__main__' and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import minichain  # before NumPy: see minichain/cpu/blas_waiting.py

# isort: split
import argparse
import concurrent.futures
import functools
import io
import json
import os
import sys
from typing import NamedTuple

import numpy as np
import tqdm
from PIL import Image

from minichain import command_line, decoding, pictures, result_folder
from minichain._atomic import write_atomically
from minichain.command_line import Parser, flag, make_folder, number, one_line
from minichain.errors import DataError, FileError
from minichain.features import THREADS
from minichain.image import encode_jpeg, load
from minichain.image_encoder import ImageEncoder
from minichain.image_store import open_images
from minichain.onnx import export_captioner
from minichain.serializers import load_npz
from minichain.text import get_tokenizer
from minichain.vocabulary import BOS, EOS, UNK
from models.caption_generator import CaptionGenerator

ROOT = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(ROOT, 'result', 'scenes')
THUMBNAIL = 480     # pixels of the longer side, as large as the HTML page shows it


def parse_arguments(argv=None):
    """Return the options as a namespace."""
    parser = Parser(
        prog='generate.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.split('\n\n')[0], epilog="""\
what --out gets:
  captions.jsonl   a line for each image: {"file", "caption", "probability", "n_best": [...]}
  captions.png     a contact sheet to look at (captions-2.png, ... if there are many)
  captions.html    the same with all of the n best, for a browser, in one file

what --export gets, for onnxruntime and other programs:
  encoder.onnx     images, prepared as its metadata 'preprocessing' says -> a state
  step.onnx        the last words and a state -> log probabilities of the next words, next state;
                   its metadata 'vocabulary' is the list of words, 'begin' and 'end' two of them

examples:
  python generate.py photo.jpg                            three captions on the terminal
  python generate.py photos/ --model result/flickr --out seen
  python generate.py photos.tar more/ cat.png --beam 10 --n-best 5
  python generate.py photo.jpg --sample --temperature 0.7 --seed 1
  python generate.py photo.jpg --weights ~/squeezenet_v1.0.caffemodel
  python generate.py --model result/flickr --export flickr_onnx

The exit code is 0 if all images were captioned, 1 if some could not be read (they are named, the
others are captioned), 2 if nothing could be done.
""")
    add = parser.add_argument
    add('images', nargs='*', metavar='IMAGE', help='image files, folders, or tars of images')
    add('--model', metavar='FOLDER', help='what train.py left in its --out (default: that of '
                                          'the demo, result/scenes)')
    add('--weights', metavar='FILE', help='the CNN, if it is no longer where it was in training; '
                                          'it must be the same file by its sha256')
    add('--beam', type=number(int, 1), help='beginnings that the search keeps; 1: greedy '
                                            '(default: 5)')
    add('--n-best', type=number(int, 1), metavar='N',
        help='captions for each image, at most the beam (default: 3, or the beam)')
    add('--length-penalty', type=number(float, 0), metavar='ALPHA',
        help='captions are ranked by log p / length ** ALPHA (default: 1), so a longer one may '
             'stand above a likelier one; 0: by probability')
    add('--sample', action='store_true', help='draw captions at random instead of searching')
    add('--temperature', type=number(float, above=0), metavar='T',
        help='of --sample; below 1: more cautious, above: more daring (default: 1)')
    add('--seed', type=number(int, 0), help='of --sample (default: others every time)')
    add('--max-length', type=number(int, 1), metavar='WORDS',
        help='longest caption, in words, or characters if the model writes these (default: as '
             'in training)')
    add('--allow-unknown', action='store_true', help='let the model say <UNK>, a rare word')
    add('--batch', type=number(int, 1), default=32, help='images at a time (default: 32)')
    add('--device', default='cpu', help='cpu, cuda, cuda:1, or sim, where kernels run in a '
                                        'simulator (default: cpu)')
    add('--out', metavar='FOLDER', help='where files are written (default: captions/ in the '
                                        'folder of the model; for one photo: nowhere)')
    add('--title', help='heading of the contact sheet and the page')
    add('--export', metavar='FOLDER', help='write the model there as ONNX files')
    options = parser.parse_args(argv)
    if not options.images and options.export is None:
        parser.error('name an image, a folder or a tar of images, or --export FOLDER')
    for name in ('temperature', 'seed'):
        if getattr(options, name) is not None and not options.sample:
            parser.error(f'{flag(name)} has no effect without --sample')
    for name in ('beam', 'length_penalty'):
        if getattr(options, name) is not None and options.sample:
            parser.error(f'{flag(name)} has no effect with --sample')
    options.beam = options.beam or max(5, options.n_best or 0)
    options.n_best = options.n_best or min(3, options.beam)
    if options.n_best > options.beam:
        parser.error(f'--n-best {options.n_best} needs a --beam of at least as many')
    if options.length_penalty is None:
        options.length_penalty = 1.
    return options


def load_model(folder, device):
    """Return (config, vocabulary, model), the model on the device."""
    if folder is None:
        folder = DEMO
        if not os.path.exists(DEMO):
            raise FileError(f'no --model is named, and the demo left none in {DEMO}. Make it with '
                            '`make demo` or `python train.py`, in minutes, or name the --out '
                            'folder of another run of train.py with --model')
    config, vocabulary, path = result_folder.load(folder)
    try:
        model = CaptionGenerator(**config['model'])
    except (TypeError, ValueError) as error:
        raise DataError(f'{folder}: config.json: model: {error}') from error
    load_npz(path, model)
    return config, vocabulary, model.to_device(device)


class Photo(NamedTuple):
    """An image to be captioned: its name, how to load it, whether it was named by itself."""

    name: str
    load: functools.partial
    named: bool


def find_images(paths):
    """Return (list of Photo, list of errors): of files, and of all that folders and tars hold."""
    photos, errors = [], []
    for path in paths:
        if not os.path.isdir(path) and not path.lower().endswith(('.tar', '.tar.gz', '.tgz')):
            photos.append(Photo(path, functools.partial(load, path), True))
            continue
        try:
            store = open_images(path)
        except (DataError, FileError) as error:
            errors.append(error)
            continue
        if store.refused:
            errors.append(DataError(f'{path}: {store.refused} links or names that are not UTF-8. '
                                    'Name these images one by one'))
        photos += [Photo(os.path.join(path, name), functools.partial(store.load, name), False)
                   for name in store.names()]
    return photos, errors


class Picture(NamedTuple):
    """An image that was read: its name, the network's input, and a small JPEG of it."""

    name: str
    prepared: np.ndarray
    thumbnail: bytes


def read_image(photo, encoder):
    """Return a Picture, or the error."""
    try:
        image = photo.load()
    except (DataError, FileError) as error:
        return error
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return Picture(photo.name, encoder.prepare(image), encode_jpeg(np.asarray(small), quality=92))


def read_batches(photos, encoder, size):
    """Yield lists of Pictures or errors, of `size` photos; threads read one batch ahead."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        ahead = []
        for start in range(0, len(photos) + size, size):
            coming = [pool.submit(read_image, photo, encoder)
                      for photo in photos[start:start + size]]
            if ahead:
                yield [future.result() for future in ahead]
            ahead = coming


class Decoder:
    """Says what a model sees: features -> captions.

    Args:
        config, vocabulary, model: of `load_model`.
        options: of `parse_arguments`.
    """

    def __init__(self, config, vocabulary, model, options):
        self.vocabulary, self.model, self.options = vocabulary, model, options
        self.step = model.prepare_step()
        self.n_feature = config['model']['n_feature']
        self.join = get_tokenizer(config['tokenizer']).join
        of_training = config['arguments'].get('max_length')
        self.max_length = options.max_length or (
            of_training if type(of_training) is int and of_training > 0 else 50)
        self.random = np.random.default_rng(options.seed)

    def __call__(self, features):
        """features, (N, D) -> for each image a list of (caption, Hypothesis), best first."""
        if features.shape[1] != self.n_feature:
            raise DataError(f'the CNN gives {features.shape[1]} numbers for an image, the model '
                            f'was trained on {self.n_feature}: config.json is damaged. Train it '
                            'again')
        options, model, n = self.options, self.model, len(features)
        state = model.start(model.device.send(features))
        arguments = {'bos': BOS, 'eos': EOS, 'max_length': self.max_length,
                     'length_penalty': options.length_penalty,
                     'banned': () if options.allow_unknown else (UNK,)}
        if options.sample:
            found = zip(*(decoding.sample(self.step, state, n, temperature=options.temperature
                                          or 1., random_state=self.random, **arguments)
                          for _ in range(options.n_best)))
        else:
            found = decoding.beam_search(self.step, state, n, beam=options.beam,
                                         n_best=options.n_best, **arguments)
        return [[(self.join(self.vocabulary.decode(hypothesis.words)), hypothesis)
                 for hypothesis in hypotheses] for hypotheses in found]


def caption_all(photos, encoder, decoder, batch):
    """Return ([(Picture without input, captions)], errors), with a progress bar."""
    seen, errors = [], []
    with tqdm.tqdm(total=len(photos), unit=' images', disable=None, delay=1) as bar:
        for results in read_batches(photos, encoder, batch):
            read = [result for result in results if isinstance(result, Picture)]
            broken = [result for result in results if not isinstance(result, Picture)]
            for error in broken:
                report_broken(error)
            if read:
                captions = decoder(encoder.compute([picture.prepared for picture in read]))
                seen += [(picture._replace(prepared=None), found)
                         for picture, found in zip(read, captions)]
            errors += broken
            bar.update(len(results))
    return seen, errors


def report_broken(error):
    """Say on standard error, in one line, that an image is left out and why."""
    tqdm.tqdm.write(f'generate.py: skipped: {one_line(error)}', file=sys.stderr)


def print_captions(name, found):
    """Print the captions of a photo with their probabilities."""
    print(name)
    for caption, hypothesis in found:
        print(f'  {pictures.percent(hypothesis.probability):>7}  {caption}')


def json_line(name, found):
    """Return the line of captions.jsonl for an image."""
    n_best = [{'caption': caption, 'probability': hypothesis.probability,
               'log_probability': hypothesis.log_probability, 'score': hypothesis.score}
              for caption, hypothesis in found]
    return json.dumps({'file': name, 'caption': n_best[0]['caption'],
                       'probability': n_best[0]['probability'], 'n_best': n_best},
                      ensure_ascii=False) + '\n'


def write_files(folder, title, seen):
    """Write captions.jsonl, captions.png and captions.html, and say so."""
    def items():
        for picture, found in seen:
            n_best = [(caption, hypothesis.probability) for caption, hypothesis in found]
            yield pictures.Item(load(io.BytesIO(picture.thumbnail)), found[0][0], n_best,
                                os.path.basename(picture.name))
    lines = ''.join(json_line(picture.name, found) for picture, found in seen)
    path = os.path.join(folder, 'captions')
    # names of files may hold bytes that are not UTF-8
    write_atomically(f'{path}.jsonl', lines.encode('utf-8', 'replace'))
    sheets = pictures.contact_sheet(items(), f'{path}.png', title)
    pictures.html_page(items(), f'{path}.html', title)
    if sheets.warning:
        print(f'generate.py: warning: {sheets.warning}, or look at captions.html',
              file=sys.stderr)
    print('wrote', f'{path}.jsonl', *sheets.paths, f'{path}.html', sep='\n  ')


def export_model(folder, vocabulary, model, encoder):
    """Write the CNN and the captioner as ONNX files, and say so."""
    metadata = {'vocabulary': json.dumps(list(vocabulary), ensure_ascii=False),
                'begin': str(BOS), 'end': str(EOS), 'unknown': str(UNK)}
    make_folder(folder)
    paths = export_captioner(model, folder, encoder, metadata=metadata)
    print('wrote', *paths, sep='\n  ')


def main(argv=None):
    """Caption images; returns the exit code."""
    options = parse_arguments(argv)
    device = minichain.get_device(options.device)
    config, vocabulary, model = load_model(options.model, device)
    encoder = ImageEncoder.from_description(config['encoder'], options.weights, device)
    if options.export is not None:
        export_model(options.export, vocabulary, model, encoder)
        if not options.images:
            return 0
    photos, errors = find_images(options.images)
    for error in errors:
        report_broken(error)
    named = {photo.name for photo in photos if photo.named}
    folder = options.out
    if folder is None and (len(photos) > 1 or len(named) < len(photos)):
        folder = os.path.join(options.model or DEMO, 'captions')
    if folder is not None:
        make_folder(folder)
    decoder = Decoder(config, vocabulary, model, options)
    seen, broken = caption_all(photos, encoder, decoder, options.batch)
    for picture, found in seen:
        if picture.name in named:
            print_captions(picture.name, found)
    if folder is not None and seen:
        name = os.path.basename(os.path.abspath(options.model or DEMO))
        write_files(folder, options.title or f'Captions by {name}', seen)
    failed = len(errors) + len(broken)
    if failed:
        print(f'generate.py: {failed} of {len(photos) + len(errors)} could not be read',
              file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(command_line.run('generate.py', main))

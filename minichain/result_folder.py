"""What train.py leaves and generate.py reads: config.json, vocabulary.json, model.npz in a folder.

config.json is written last and taken away first. So a folder that has one is whole: its files are
of one run, and model.npz is the one that config.json speaks of or, when a save of the same run was
killed, a newer one of it.
"""
import contextlib
import json
import os
import shutil
import tempfile

from minichain._atomic import write_atomically
from minichain.errors import DataError, FileError, InvalidArgument
from minichain.image_encoder import check_description, sha256_of
from minichain.serializers import save_npz
from minichain.text import TOKENIZERS
from minichain.vocabulary import Vocabulary

FORMAT, VERSION = 'minichain caption generator', 1
CONFIG, VOCABULARY, MODEL = 'config.json', 'vocabulary.json', 'model.npz'
LARGEST_CONFIG = 16 << 20       # bytes
LARGEST_SIZE = 1 << 20          # of a layer or vocabulary...
LARGEST_MATRIX = 1 << 30        # ...and the largest product of two of them
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What config.json holds besides format, version and vocabulary_sha256.
REQUIRED = {'arguments': dict, 'model': dict, 'tokenizer': str, 'encoder': dict, 'data': dict}
OPTIONAL = {'scores': dict}


def save(folder, config, vocabulary, model):
    """Write a trained model with all that is needed to use it.

    A result of another run in the folder is replaced; should the disk be full, it stays.

    Args:
        folder: made if it is missing.
        config: dict for JSON: 'arguments', the options of the run; 'model', the keyword arguments
            of the model's class; 'tokenizer', its name; 'encoder', ``ImageEncoder.description``;
            'data', what it was trained on; and maybe 'scores'.
        vocabulary: Vocabulary.
        model: Link.
    Raises:
        InvalidArgument: config has other keys or types, or does not fit the vocabulary.
        FileError: something cannot be written.
    """
    folder = os.path.abspath(folder)
    try:
        _check(config, len(vocabulary))
        config = {**config, 'encoder': _with_paths(config['encoder'], _shorten, folder)}
        json.dumps(config, allow_nan=False)
    except (DataError, TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f'result_folder.save: config: {error}') from error
    try:
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            if name.startswith('.saving-'):     # of a save that was killed
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix='.saving-', dir=folder) as new:
            vocabulary.save(os.path.join(new, VOCABULARY))
            save_npz(os.path.join(new, MODEL), model)
            config = {'format': FORMAT, 'version': VERSION, **config,
                      'vocabulary_sha256': sha256_of(os.path.join(new, VOCABULARY))}
            text = json.dumps(config, indent=1, ensure_ascii=False)
            write_atomically(os.path.join(new, CONFIG), text.encode('utf-8', 'replace') + b'\n')
            if not _is_same_run(os.path.join(folder, CONFIG), os.path.join(new, CONFIG)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, CONFIG))
            for name in (VOCABULARY, MODEL, CONFIG):
                os.replace(os.path.join(new, name), os.path.join(folder, name))
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f'{folder}: the result cannot be written '
                        f'({error.strerror or error}). Name another folder') from error


def load(folder):
    """Read a result.

    Args:
        folder: that :func:`save` wrote.
    Returns:
        (config, vocabulary, path): config as it was saved, the paths in config['encoder'] absolute
        where the files were found; Vocabulary; the path of model.npz for ``load_npz``.
    Raises:
        FileError: a file is missing or cannot be read.
        DataError: a file is damaged, of another version, or does not fit the others.
    """
    folder = os.path.abspath(folder)
    for name in (CONFIG, VOCABULARY, MODEL):
        if not os.path.isfile(os.path.join(folder, name)):
            raise FileError(f'{folder}: no trained model, {name} is missing. Make one with: '
                            f'python train.py --out {folder}')
    path = os.path.join(folder, CONFIG)
    config = _read_config(path)
    vocabulary_path = os.path.join(folder, VOCABULARY)
    vocabulary = Vocabulary.load(vocabulary_path)
    try:
        digest = config.pop('vocabulary_sha256')
        _check(config, len(vocabulary))
    except DataError as error:
        raise DataError(f'{path}: {error}. Put the file back that belongs to the model, or train '
                        f'again: python train.py --out {folder}') from error
    if digest != sha256_of(vocabulary_path):
        raise DataError(f'{vocabulary_path}: not the vocabulary that the model was trained with, '
                        f'by its sha256; {digest} expected. Put the right one back, or train '
                        f'again: python train.py --out {folder}')
    config['encoder'] = _with_paths(config['encoder'], _find, folder)
    return config, vocabulary, os.path.join(folder, MODEL)


def _read_config(path):
    """config.json without 'format' and 'version', if they are right."""
    hint = f'Make a new one with: python train.py --out {os.path.dirname(path)}'
    try:
        with open(path, 'rb') as file:
            data = file.read(LARGEST_CONFIG + 1)
    except OSError as error:
        raise FileError(f'{path}: cannot be read ({error.strerror})') from error
    try:
        config = json.loads(data[:LARGEST_CONFIG].decode('utf-8'))
    except (ValueError, RecursionError) as error:
        raise DataError(f'{path}: damaged, JSON expected: {str(error)[:100]}. {hint}') from error
    if not isinstance(config, dict) or config.pop('format', None) != FORMAT:
        raise DataError(f'{path}: the config.json of a {FORMAT} expected, got another file. '
                        f'{hint}')
    version = config.pop('version', None)
    if version != VERSION or isinstance(version, bool):
        raise DataError(f'{path}: version {VERSION} expected, got {version!r:.40}. It was written '
                        f'by another version of minichain. {hint}')
    if not isinstance(config.get('vocabulary_sha256'), str):
        raise DataError(f'{path}: damaged, vocabulary_sha256 is missing. {hint}')
    return config


def _check(config, n_vocabulary):
    """Raise DataError unless a config has the right keys and types and fits the vocabulary."""
    kinds = {**REQUIRED, **OPTIONAL}
    missing = [key for key in REQUIRED if key not in config]
    unknown = [str(key) for key in config if key not in kinds]
    if missing or unknown:
        raise DataError(f'the keys {", ".join(REQUIRED)}, and maybe {", ".join(OPTIONAL)}, '
                        f'expected; missing: {", ".join(missing) or "none"}; unknown: '
                        f'{", ".join(unknown)[:200] or "none"}')
    for key, value in config.items():
        if not isinstance(value, kinds[key]):
            raise DataError(f'{key}: {"text" if kinds[key] is str else "an object"} expected, got '
                            f'{value!r:.100}')
    if config['tokenizer'] not in TOKENIZERS:
        raise DataError(f'tokenizer: one of {", ".join(TOKENIZERS)} expected, got '
                        f'{config["tokenizer"]!r:.100}')
    check_description(config['encoder'])
    sizes = {name: value for name, value in config['model'].items() if name.startswith('n_')}
    for name, value in sizes.items():
        if type(value) is not int or not 1 <= value <= LARGEST_SIZE:
            raise DataError(f'model: {name}: an integer of 1 to {LARGEST_SIZE} expected, got '
                            f'{value!r:.100}')
    widest = sorted(sizes.values())[-2:]
    if len(widest) < 2 or widest[0] * widest[1] > LARGEST_MATRIX:
        raise DataError(f'model: sizes with products of at most {LARGEST_MATRIX} expected, got '
                        f'{sizes}')
    if config['model'].get('n_vocabulary') != n_vocabulary:
        raise DataError(f'the vocabulary does not fit the model: it has {n_vocabulary} words, the '
                        f'model {config["model"].get("n_vocabulary")}')


def _is_same_run(old, new):
    """Whether two config.json differ in nothing but the scores."""
    try:
        old, new = _read_config(old), _read_config(new)
    except (DataError, FileError):
        return False
    return {**old, 'scores': None} == {**new, 'scores': None}


def _with_paths(encoder, change, folder):
    return {**encoder, **{key: encoder[key] and change(encoder[key], folder)
                          for key in ('weights', 'prototxt')}}


def _shorten(path, folder):
    """A path inside the folder or the repository relative to it, with slashes."""
    for root in (folder, REPOSITORY):
        if os.path.abspath(path).startswith(root + os.sep):
            return os.path.relpath(path, root).replace(os.sep, '/')
    return os.path.abspath(path)


def _find(path, folder):
    """Where the file of a path is now: as written, or in the folder under its last name."""
    name = path.replace('\\', '/').rpartition('/')[2]
    candidates = [os.path.join(folder, path), os.path.join(REPOSITORY, path),
                  os.path.join(folder, name)]
    return next((place for place in candidates if '\0' not in place and os.path.isfile(place)),
                candidates[1])

"""What makes a run of training the same run: equal options and equal content of all files.

A run may go on (and a result may be replaced) only where these are those that it began with.
"""
import argparse
import hashlib
import os

from minichain import snapshot
from minichain.command_line import flag
from minichain.errors import DataError, FileError, InvalidArgument

SNAPSHOT = 'snapshot.zip'
STATE = {'options': dict, 'config': dict, 'iteration': int, 'epoch': int, 'best': dict,
         'losses': dict, 'log': str}
# Not the log: a run that was killed early may have left nothing else.
LEFT_BY_A_RUN = (SNAPSHOT, 'config.json', 'model.npz')

# What may differ between a run and its continuation: where it happens, how, and for how long. Of
# files the content decides, and is compared when it has been read.
UNTIED = ('resume', 'out', 'cache', 'device', 'precision', 'deterministic', 'capture', 'quiet',
          'iterations', 'snapshot_every', 'strict', 'data', 'images', 'weights', 'prototxt',
          'layer', 'preprocessing')


def arguments_of(options):
    """Return the options (a namespace) that make a run what it is, as a dict."""
    return {name: value for name, value in vars(options).items() if name not in UNTIED}


def resume_options(given, stored):
    """Return the options to go on with, as a namespace.

    Args:
        given: dict of the options that were given, 'resume' among them; those that make the run
            what it is must be the same as then.
        stored: dict of the options of the run.
    Raises:
        InvalidArgument: an option is another one than then.
    """
    if 'out' in given:
        raise InvalidArgument('--resume FOLDER goes on in FOLDER; leave out --out')
    tied = {flag(name): value for name, value in given.items()
            if name not in UNTIED or (name == 'data' and stored.get('data') is None)}
    expect_equal({flag(name): value for name, value in stored.items()}, tied,
                 f'--resume {given["resume"]}: the options of the run expected, got others',
                 'Leave them out, or start a new run')
    # The first four are younger than other options; a snapshot may be older.
    return argparse.Namespace(**{'precision': 'float32', 'deterministic': False, 'capture': None,
                                 'preprocessing': None, **stored, 'iterations': None,
                                 'quiet': False, 'out': given['resume'], **given})


def digest_of(data, splits, digests):
    """Return a sha256 of all that is learned from: captions as ids, stars, images by content.

    Args:
        data: CaptionData. splits: dict of CaptionSplit. digests: image name -> sha256.
    """
    total = hashlib.sha256(data.digest.encode())
    for name, split in sorted(splits.items()):
        total.update(repr([name, [(image, digests[image]) for image in split.names],
                           [ids.tolist() for ids in split.ids], split.image_of.tolist(),
                           split.stars is not None and split.stars.tolist()]).encode())
    return total.hexdigest()


def identity_of(config):
    """Return the config of a run as a flat dict: what must be equal -> its value."""
    encoder = config['encoder']
    return {**{flag(name): value for name, value in config['arguments'].items()},
            'data, by sha256,': config['data']['digest'],
            'weights, by sha256,': encoder['sha256'],
            'prototxt, by sha256,': encoder['prototxt_sha256'],
            'layer': encoder['layer'], 'preprocessing': encoder['preprocessing']}


def expect_equal(before, now, problem, advice):
    """Raise InvalidArgument that names what differs between two dicts; `now` may be a part."""
    differing = [f'{name} was {before.get(name)!r}, now {value!r}'
                 for name, value in now.items() if _plain(before.get(name)) != _plain(value)]
    if differing:
        raise InvalidArgument(f'{problem}: {"; ".join(differing)}. {advice}')


def _plain(value):
    return list(value) if isinstance(value, tuple) else (
        {key: _plain(entry) for key, entry in value.items()} if isinstance(value, dict) else value)


def load_run(folder):
    """Return (arrays, state) of the snapshot in a result folder, to go on from there.

    Raises:
        FileError: there is none. DataError: it is damaged or no snapshot.
    """
    path = os.path.join(folder, SNAPSHOT)
    if not os.path.exists(path):
        raise FileError(f'--resume {folder}: the result folder of a run expected, {path} is not '
                        'there. Start a new run without --resume')
    arrays, state = snapshot.load(path)
    wrong = [name for name, kind in STATE.items()
             if not isinstance(state, dict) or type(state.get(name)) is not kind]
    if wrong:
        raise DataError(f'{path}: the snapshot of a run of train.py expected, its state has no '
                        f'{", ".join(wrong)}. Another program wrote it')
    return arrays, state


def find_run(folder, arguments):
    """Return the snapshot of a run with the same arguments in a folder, None if it is free.

    Raises:
        InvalidArgument: another run is there.
    """
    if not any(os.path.exists(os.path.join(folder, name)) for name in LEFT_BY_A_RUN):
        return None
    advice = f'Name another --out, or remove {folder}'
    try:
        found = load_run(folder)
        before = {flag(name): value for name, value in found[1]['config']['arguments'].items()}
        identity_of(found[1]['config'])
    except (DataError, FileError, KeyError, TypeError, AttributeError):
        raise InvalidArgument(f'{folder} holds files that are not those of a whole run. {advice}'
                              ) from None
    expect_equal(before, {flag(name): value for name, value in arguments.items()},
                 f'{folder} holds another run',
                 f'{advice}; --resume {folder} goes on with the run that is there')
    return found

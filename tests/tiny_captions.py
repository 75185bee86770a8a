"""A tiny captioned data set, a tiny CNN, and runs of train.py on them, here or in a child."""
import json
import os
import sys
import threading
import time
import traceback

import numpy as np
import tqdm
from PIL import Image

import train
from minichain import command_line
from tests.tiny_result import write_cnn

COLOURS = {'red': (220, 30, 20), 'green': (10, 200, 40), 'blue': (20, 60, 230)}
SIZES = {'train': 14, 'dev': 5, 'test': 5}


def write_data(folder, sizes=SIZES, seed=0, name='captions.jsonl'):
    """Write pictures in two colours with two captions each, in the layout of JSON lines."""
    random = np.random.RandomState(seed)
    folder.mkdir(exist_ok=True)
    lines = []
    for split, n in sizes.items():
        for i in range(n):
            left, right = random.choice(list(COLOURS), 2)
            pixels = np.empty((8, 12, 3), 'uint8')
            pixels[:, :6], pixels[:, 6:] = COLOURS[left], COLOURS[right]
            pixels[0, 0] = i, random.randint(256), 0    # no two files are the same
            Image.fromarray(pixels).save(folder / f'{split}{i}.png')
            lines.append({'file': f'{split}{i}.png', 'split': split, 'captions': [
                f'{left} left of {right}', f'the picture is {right} right of a {left} half']})
    (folder / name).write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return folder


def arguments(folder, *more, out='out'):
    """Return options of a short run on the data in folder/data, made if it is missing."""
    data = folder / 'data'
    if not data.exists():
        write_data(data)
        write_cnn(folder)
    resume = '--resume' in more
    return [*([] if resume else [str(data), '--weights', str(folder / 'tiny.caffemodel'),
                                 '--embed', '6', '--hidden', '5', '--batch', '4', '--threshold',
                                 '1', '--epochs', '3', '--lr', '.05', '--max-length', '9',
                                 '--cache', str(folder / 'cache'), '--out', str(folder / out)]),
            '--quiet', *map(str, more)]


def run(*argv):
    """Run train.py in this process; returns the exit code."""
    return command_line.run('train.py', train.main, list(map(str, argv)))


def start(argv, errors):
    """Run train.py in a child process; returns its id. Standard error goes to a file."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        code = 99
        tqdm.tqdm.set_lock(threading.RLock())   # its own is shared, and a killed child may hold it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stdout, sys.stderr = os.fdopen(1, 'w'), os.fdopen(2, 'w', buffering=1)
        code = command_line.run('train.py', train.main, argv)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait(child, seconds=60):
    """Wait for a child; returns its exit code, -9 if it was killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise TimeoutError(f'train.py was not done after {seconds} s')

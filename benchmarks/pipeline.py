"""From JPEG files to features: images per second, beside plain loops over Pillow."""
import concurrent.futures
import os
import tempfile

import numpy as np
from PIL import Image

from benchmarks.comparison import Computation, add_row, make_table
from benchmarks.frame import n_threads
from benchmarks.networks import make_network
from benchmarks.variants import OURS, PLAIN, settle
from minichain import features, image, image_store

HEIGHT, WIDTH, SIDE, BATCH = 375, 500, 227, 16
LOOP, CNN = 'Pillow', 'the CNN alone'


def write_photos(folder, n):
    """Write n JPEG files, smooth noise of 500 x 375; return their names."""
    source = np.random.default_rng(0)
    names = [f'{number}.jpg' for number in range(n)]
    for name in names:
        coarse = Image.fromarray(source.integers(0, 256, (24, 32, 3), np.uint8))
        fine = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), 'int16')
        noisy = (fine + source.integers(-12, 13, fine.shape)).clip(0, 255).astype('uint8')
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(image.encode_jpeg(noisy))
    return names


def prepare_by_pillow(path, preprocessing):
    """Prepare a photo as many scripts do."""
    with Image.open(path) as photo:
        photo = photo.convert('RGB').resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    mean = np.array(preprocessing.mean, 'float32')[:, None, None]
    return np.asarray(photo, 'float32').transpose(2, 0, 1)[::-1] - mean


def prepare_by_minichain(path, preprocessing):
    """Prepare a photo with minichain's reader, which trusts no file."""
    return preprocessing.apply(image.load(path))


def prepare_all(prepare, paths, preprocessing, threads=None):
    """Return a function that prepares all photos, one by one or in threads: (n, 3, H, W)."""
    def function():
        if threads is None:
            return np.stack([prepare(path, preprocessing) for path in paths])
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return np.stack(list(pool.map(prepare, paths, [preprocessing] * len(paths))))
    return function


def end_to_end(net, folder, names, preprocessing):
    """Return a function that computes features of files, from reading to the cache's files."""
    store = image_store.open_images(folder)

    def function():
        with tempfile.TemporaryDirectory() as cache:
            found = features.cached_features(
                store, names, lambda batch: net.features('pool10', np.stack(batch)).array, {},
                cache, BATCH, preprocessing.apply, progress=False)
            return found.of(names)
    return function


def run(options):
    """Return the Table."""
    peers = [LOOP, CNN]
    table = make_table(f'JPEG files of {WIDTH} x {HEIGHT} -> {SIDE} x {SIDE} -> features of '
                       'SqueezeNet', peers)
    n, net = BATCH if options.quick else 4 * BATCH, make_network('squeezenet')
    preprocessing = image.Preprocessing((SIDE, SIDE), 'BGR', (104, 117, 123))
    with tempfile.TemporaryDirectory() as folder:
        names = write_photos(folder, n)
        paths = [os.path.join(folder, name) for name in names]
        for threads in [None] + [n_threads()] * (n_threads() > 1):
            functions = {name: prepare_all(prepare, paths, preprocessing, threads)
                         for name, prepare in ((PLAIN, prepare_by_minichain),
                                               (LOOP, prepare_by_pillow))}
            add_row(table, peers, Computation(
                'read and prepare' + f', {threads} threads' * bool(threads), f'{n} files',
                functions, work=n, unit='images', tolerance=.2, rounds=7), options)
        prepared = prepare_all(prepare_by_minichain, paths, preprocessing)()

        def cnn_alone():
            return np.concatenate([net.features('pool10', prepared[i:i + BATCH]).array
                                   for i in range(0, n, BATCH)])
        add_row(table, peers, Computation(
            'features end to end', f'{n} files', {
                PLAIN: settle(end_to_end(net, folder, names, preprocessing), OURS[PLAIN]),
                CNN: settle(cnn_alone, OURS[PLAIN])},
            work=n, unit='images', rounds=5), options)
    return table

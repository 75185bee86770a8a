"""CNN features of images, computed once and kept in a memory-mapped file.

A row belongs to the content of an image (sha256 of its file), a cache to a key: weights, layer,
preprocessing. So a changed image is computed anew, a new one is added, a renamed one is found
again.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import os

import numpy as np
import tqdm

from minichain.errors import DataError, FileError, InvalidArgument, InvalidType, NotFinite
from minichain.feature_cache import FeatureCache, RowWriter

THREADS = min(4, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of images.

    Attributes:
        array: float32, (rows, D), read-only memory map; may hold rows of other images too.
        rows: dict, image name -> row.
        failed: dict, name of an image that cannot be read -> why.
        digests: dict, image name -> sha256 of its file.
    """

    array: np.ndarray
    rows: dict
    failed: dict
    digests: dict

    def of(self, names):
        """Gathers the features of several images: names -> float32, (len(names), D)."""
        return np.asarray(self.array[[self.rows[name] for name in names]])


def cached_features(store, names, compute, key, folder, batch_size=32, prepare=None,
                    on_error='raise', progress=True):
    """Computes the features of images, or takes them from the cache in `folder`.

    Every image's file is hashed on every call, so that a changed image is always noticed. After an
    interruption the next call goes on where the last one stopped. Of two processes that want the
    same features one waits for the other.

    Args:
        store: the images; has digest(name) and load(name) as ImageStore.
        names: names of images in the store; repetitions are computed once.
        compute: function, list of n images -> (n, D), finite floats; the same D each time.
        key: dict for JSON, whatever the features depend on besides the image: sha256 of the
            weights, layer, preprocessing.
        folder: of the cache; made if it is missing.
        batch_size: images given to `compute` at a time; the last batch may be smaller.
        prepare: function run on each image in the reading threads, such as Preprocessing.apply;
            its results make the list for `compute`. None gives the images, uint8 (H, W, 3).
        on_error: about images that cannot be read, when all others are done: 'raise' one
            DataError that names them, or 'skip': leave them to `failed`.
        progress: show a bar with images per second on standard error.
    Returns:
        Features.
    Raises:
        DataError: broken or missing images, or none that can be read.
        FileError: the cache cannot be written; nothing half-written stays.
        NotFinite, InvalidType: what `compute` returned is no feature.
        InvalidArgument: key is no dict for JSON, or another argument is out of range.
    """
    if on_error not in ('raise', 'skip'):
        raise InvalidArgument(f"features: on_error 'raise' or 'skip' expected, got {on_error!r}.")
    if batch_size < 1:
        raise InvalidArgument(f'features: batch_size of at least 1 expected, got {batch_size}.')
    names = list(dict.fromkeys(names))
    if not names:
        raise DataError('features: names of images expected, got none.')
    cache = FeatureCache(folder, key)
    digests, failed = _digest_all(store, names, progress)
    name_of = {}
    for name, digest in digests.items():
        name_of.setdefault(digest, name)
    with cache.lock():
        cached = cache.read()
        known = set(cached.digests) if cached else set()
        wanted = {digest: name for digest, name in name_of.items() if digest not in known}
        if wanted:
            broken = _extend(cache, cached, wanted, store, compute, batch_size, prepare, progress)
            failed |= {name: broken[digest] for name, digest in digests.items()
                       if digest in broken}
            cached = cache.read()
    if failed and (on_error == 'raise' or len(failed) == len(names)):
        raise DataError(_failure_text(failed, len(names)))
    row_of = {digest: row for row, digest in enumerate(cached.digests)}
    rows = {name: row_of[digest] for name, digest in digests.items() if name not in failed}
    return Features(cached.array, rows, failed, digests)


def _digest_all(store, names, progress):
    """Returns ({name: sha256}, {name: error text})."""
    digests, failed = {}, {}
    checking = _in_threads(store.digest, names, 16 * THREADS, 'checking', progress, delay=1)
    with contextlib.closing(checking):
        for name, digest in checking:
            if isinstance(digest, Exception):
                failed[name] = str(digest)
            else:
                digests[name] = digest
    return digests, failed


def _extend(cache, cached, wanted, store, compute, batch_size, prepare, progress):
    """Computes the wanted {digest: name} behind the cached rows; returns {digest: error text}."""
    def load(digest):
        image = store.load(wanted[digest])
        return image if prepare is None else prepare(image)

    failed, batch = {}, {}
    writer = RowWriter(cache, cached)
    loading = _in_threads(load, wanted, 2 * batch_size, 'features', progress)
    with contextlib.closing(writer), contextlib.closing(loading):  # Ctrl-C keeps what is done
        for number, (digest, image) in enumerate(loading, 1):
            if isinstance(image, Exception):
                failed[digest] = str(image)
            else:
                batch[digest] = image
            if len(batch) == batch_size or (batch and number == len(wanted)):
                names = [wanted[digest] for digest in batch]
                writer.append(_check_rows(compute(list(batch.values())), names), list(batch))
                batch.clear()
    return failed


def _in_threads(function, items, ahead, title, progress, delay=0):
    """Yields (item, function(item) or the error that it raised), in order, up to `ahead` early."""
    pool = concurrent.futures.ThreadPoolExecutor(THREADS)
    pending, coming = collections.deque(), iter(items)
    bar = tqdm.tqdm(total=len(items), desc=title, unit=' images', delay=delay,
                    disable=not progress)
    try:
        while True:
            while len(pending) < ahead and (item := next(coming, None)) is not None:
                pending.append((item, pool.submit(function, item)))
            if not pending:
                return
            item, future = pending.popleft()
            try:
                result = future.result()
            except (DataError, FileError) as error:
                result = error
            yield item, result
            bar.update()
    finally:
        bar.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _check_rows(rows, names):
    rows = np.asarray(rows)
    if rows.ndim != 2 or len(rows) != len(names) or rows.shape[1] == 0 or rows.dtype.kind != 'f':
        raise InvalidType(f'features: compute must return floats, ({len(names)}, D), for '
                          f'{len(names)} images, got {rows.dtype} {rows.shape}.')
    with np.errstate(over='ignore'):
        rows = np.ascontiguousarray(rows, dtype='<f4')
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise NotFinite(f'features: those of {names[int(np.argmin(finite))]!r} are not finite in '
                        'float32. Check the weights and the preprocessing.')
    return rows


def _failure_text(failed, total):
    shown = ''.join(f'\n  {name}: {why}' for name, why in list(failed.items())[:10])
    more = f'\n  and {len(failed) - 10} more' if len(failed) > 10 else ''
    return (f'{len(failed)} of {total} images cannot be read:{shown}{more}\n'
            'Mend or remove them; the features of all others are kept.')

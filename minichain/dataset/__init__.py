"""What a data set and an iterator are, and how a batch of examples becomes arrays.

Read `dataset_mixin`, `iterator`, `convert`; `download` knows where Chainer keeps its data sets.
"""
from minichain.dataset.convert import (
    ConcatWithAsyncTransfer,
    Converter,
    concat_examples,
    converter,
    to_device,
)
from minichain.dataset.dataset_mixin import DatasetMixin
from minichain.dataset.download import (
    cache_or_load_file,
    cached_download,
    get_dataset_directory,
    get_dataset_root,
    set_dataset_root,
)
from minichain.dataset.iterator import Iterator

__all__ = [
    'ConcatWithAsyncTransfer',
    'Converter',
    'DatasetMixin',
    'Iterator',
    'cache_or_load_file',
    'cached_download',
    'concat_examples',
    'converter',
    'get_dataset_directory',
    'get_dataset_root',
    'set_dataset_root',
    'to_device',
]

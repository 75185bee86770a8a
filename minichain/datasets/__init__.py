"""Data sets: lists of examples that are made when they are asked for."""
from minichain.datasets.combined import (
    ConcatenatedDataset,
    DictDataset,
    TransformDataset,
    TupleDataset,
)
from minichain.datasets.downloaded import (
    get_cifar10,
    get_cifar100,
    get_fashion_mnist,
    get_fashion_mnist_labels,
    get_kuzushiji_mnist,
    get_kuzushiji_mnist_labels,
    get_mnist,
    get_ptb_words,
    get_ptb_words_vocabulary,
)
from minichain.datasets.images import ImageDataset, LabeledImageDataset
from minichain.datasets.sub_dataset import (
    SubDataset,
    get_cross_validation_datasets,
    get_cross_validation_datasets_random,
    split_dataset,
    split_dataset_n,
    split_dataset_n_random,
    split_dataset_random,
)
from minichain.datasets.text_dataset import TextDataset

__all__ = [
    'ConcatenatedDataset',
    'DictDataset',
    'ImageDataset',
    'LabeledImageDataset',
    'SubDataset',
    'TextDataset',
    'TransformDataset',
    'TupleDataset',
    'get_cifar10',
    'get_cifar100',
    'get_cross_validation_datasets',
    'get_cross_validation_datasets_random',
    'get_fashion_mnist',
    'get_fashion_mnist_labels',
    'get_kuzushiji_mnist',
    'get_kuzushiji_mnist_labels',
    'get_mnist',
    'get_ptb_words',
    'get_ptb_words_vocabulary',
    'split_dataset',
    'split_dataset_n',
    'split_dataset_n_random',
    'split_dataset_random',
]

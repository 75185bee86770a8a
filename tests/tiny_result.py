"""A tiny CNN as a pair of Caffe files, and the result folder of a model that was never trained."""
import numpy as np

from minichain import result_folder
from minichain.caffe.writer import save
from minichain.image import Preprocessing
from minichain.image_encoder import ImageEncoder
from minichain.vocabulary import Vocabulary
from models.caption_generator import CaptionGenerator

PREPROCESSING = Preprocessing((4, 6), 'BGR', (104., 117., 123.), .01)
WORDS = 'a red blue circle square above the left of große 丸'.split()


def layer(name, kind, bottom, top=None, blobs=(), **parameters):
    """Return a layer as the writer wants it."""
    return {'name': name, 'type': kind, 'bottom': [bottom], 'top': [top or name],
            'blobs': list(blobs), **parameters}


def inner_product(name, bottom, W, b):
    return layer(name, 'InnerProduct', bottom, blobs=(W, b),
                 inner_product_param={'num_output': len(b)})


def weights(seed=0):
    """Return dict of (W, b) of the tiny CNN."""
    random = np.random.RandomState(seed)
    return {name: (random.randn(*shape).astype('float32') / 4,
                   random.randn(shape[0]).astype('float32') / 4)
            for name, shape in (('conv1', (4, 3, 1, 1)), ('fc7', (8, 4 * 4 * 6)), ('fc8', (3, 8)))}


def write_cnn(folder, seed=0, name='tiny', head='fc7', preprocessing=PREPROCESSING):
    """Write the tiny CNN: conv1 1x1, ReLU, fc7 (called `head`), ReLU, fc8, softmax; its path."""
    w = weights(seed)
    layers = [layer('conv1', 'Convolution', 'data', blobs=w['conv1'],
                    convolution_param={'num_output': 4, 'kernel_size': [1]}),
              layer('relu1', 'ReLU', 'conv1', 'conv1'),
              inner_product(head, 'conv1', *w['fc7']), layer('relu7', 'ReLU', head, head),
              inner_product('fc8', head, *w['fc8']), layer('prob', 'Softmax', 'fc8')]
    path = folder / f'{name}.caffemodel'
    save(path, folder / f'{name}.prototxt', layers, (1, 3, 4, 6), preprocessing=preprocessing)
    return path


def config_of(encoder, vocabulary, **changes):
    """Return the config of a tiny model."""
    return {'arguments': {'seed': 0, 'max_length': 7},
            'model': {'n_vocabulary': len(vocabulary), 'n_feature': 8, 'n_embed': 6,
                      'n_hidden': 5},
            'tokenizer': 'words', 'encoder': encoder.description,
            'data': {'source': 'nothing'}, **changes}


def write_result(folder, cnn):
    """Write the result of a run without training; returns (config, vocabulary, model)."""
    np.random.seed(0)
    vocabulary = Vocabulary(WORDS)
    config = config_of(ImageEncoder(cnn), vocabulary)
    model = CaptionGenerator(**config['model'])
    model.out.W.array[...] *= 4     # so that it prefers some words
    result_folder.save(folder, config, vocabulary, model)
    return config, vocabulary, model

"""What ``memory.py`` measures, each in a fresh process: see ``fresh.call``.

The baseline is taken when everything that a function needs is imported.
"""
import os
import time

import numpy as np

import minichain
import models
from benchmarks.fresh import memory
from minichain import optimizers
from minichain.captioning import Learner
from minichain.dataset import concat_examples
from minichain.datasets import LabeledImageDataset
from minichain.iterators import BucketIterator, MultithreadIterator
from minichain.packing import pack
from minichain.vocabulary import BOS, EOS
from models.caption_generator import CaptionGenerator

N_FEATURE, LONGEST = 512, 20
STREAMED = 32       # images of a batch


def draw_captions(n, n_vocabulary, seed=0):
    """Return (features (n, D), n id arrays of 2 to 20 ids after BOS), random."""
    random = np.random.RandomState(seed)
    features = random.standard_normal((n, N_FEATURE)).astype('float32')
    lengths = random.randint(5, LONGEST, n)
    return features, [np.array([BOS, *random.randint(3, n_vocabulary, k), EOS], 'int32')
                      for k in lengths]


def learn(library, n_vocabulary, width, batch):
    """Update a new caption generator three times; return the last loss."""
    features, ids = draw_captions(batch, n_vocabulary)
    np.random.seed(0)
    model = CaptionGenerator(n_vocabulary, N_FEATURE, width // 2, width)
    if library == 'torch':
        from benchmarks.torch_captioner import TorchLearner
        learner = TorchLearner(model)
        del model
        order, (chunk,) = pack(ids)
        for _ in range(3):
            loss = learner.learn(features[order], chunk)[0]
        return loss
    learner = Learner(model, optimizers.Adam().setup(model), minichain.get_device('cpu'))
    for _ in range(3):
        loss = learner.update(features, ids)
    return loss.nats / loss.tokens


def caption_step(library, n_vocabulary, width, batch):
    """Three updates of the caption generator. Returns the peak and the last loss."""
    learn(library, 20, 4, 2)    # imports what is imported at first use
    before = memory()
    loss = learn(library, n_vocabulary, width, batch)
    return {'peak': memory() - before, 'check': float(loss)}


def caffenet(library, batch):
    """Inference of CaffeNet to fc7, weights of the library's own. Returns the peak."""
    if library == 'torch':
        import torch

        from benchmarks import torch_networks
        infer = torch.inference_mode()(lambda net, x: net(torch.tensor(x)))
        infer(torch_networks.Fire(3, 2), np.zeros((1, 3, 9, 9), 'float32'))
        before = memory()
        net = torch_networks.CaffeNet().eval()
        for _ in range(2):
            y = infer(net, np.zeros((batch, 3, 227, 227), 'float32'))
    else:
        minichain.config.use_onednn = 'never'
        net = models.squeezenet1_1(n_classes=2)
        net.features('fire2', np.zeros((1, 3, 39, 39), 'float32'))
        before = memory()
        net = models.caffenet(n_classes=1)      # PyTorch's has no fc8
        for _ in range(2):
            y = net.features('fc7', np.zeros((batch, 3, 227, 227), 'float32'))
    return {'peak': memory() - before, 'check': y.shape[1]}


def captions(n_captions, n_epochs):
    """Learn random captions with a small model for some epochs, as train.py does.

    Returns:
        dict: microseconds of CPU time a token, and MiB of memory held, after each epoch.
    """
    features, ids = draw_captions(n_captions, 500)
    np.random.seed(0)
    model = CaptionGenerator(500, N_FEATURE, 32, 32)
    learner = Learner(model, optimizers.Adam().setup(model), minichain.get_device('cpu'))
    batches = BucketIterator(range(n_captions), [len(caption) for caption in ids], 64)
    found = {'us_per_token': [], 'memory': []}
    for _ in range(n_epochs):
        start, tokens = time.process_time(), 0
        for _ in range(batches.n_batches):
            batch = batches.next()
            tokens += learner.update(features[batch], [ids[i] for i in batch]).tokens
        found['us_per_token'].append((time.process_time() - start) / tokens * 1e6)
        found['memory'].append(memory('VmRSS'))
    return found


def stream(folder, n_images):
    """Go once through a data set of labelled image files. Returns the peak
    beyond the list of their names.

    Args:
        folder: of images, which are taken again and again until there are ``n_images``.
        n_images: length of the data set.
    """
    names = sorted(os.listdir(folder))
    pairs = [(names[i % len(names)], i % 15) for i in range(n_images)]
    before = memory()
    data = LabeledImageDataset(pairs, folder)
    seen = 0
    for batch in MultithreadIterator(data, STREAMED, repeat=False, n_threads=2):
        x, _ = concat_examples(batch)
        seen += len(x)
    return {'peak': memory() - before, 'check': seen}

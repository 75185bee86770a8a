"""A caption generator as two ONNX files: one looks at images, one says a word after another."""
import json
import os

import numpy as np

from minichain.autograd import as_variable
from minichain.chain import Chain
from minichain.errors import InvalidArgument
from minichain.functions.mean import mean
from minichain.onnx.exporting.exporter import export

ENCODER, STEP = 'encoder.onnx', 'step.onnx'


def export_captioner(model, folder, encoder=None, *, opset=17, metadata=None):
    """Write encoder.onnx and step.onnx, which caption images in any program that runs ONNX.

    Captions are made as by ``minichain.decoding``: encoder.onnx gives a state, a row of each of
    its tensors for an image. step.onnx is called with the state and the ids of the words just
    read, the begin word first; it gives the logarithms of the probabilities of the next words and
    the next state. All have any number of rows, so finished captions can be left out, and those
    of a beam search copied.

        encoder.onnx: images (N, C, H, W), or features (N, D) -> state_0, state_1, ...
        step.onnx: words (N,), int64, state_0, ... -> log_probabilities (N, V), next_0, ...

    Args:
        model: has ``start(features) -> state`` and ``step(state, words) -> (state, scores)``, as
            of ``models.caption_generator.CaptionGenerator``, whose ``feature_mean``, (D,), it has.
        folder: where to write; it is made if it is missing.
        encoder: minichain.image_encoder.ImageEncoder; images are then prepared by its
            ``prepare``, which the file describes under the key 'preprocessing' of its metadata.
            None: the file begins with features.
        opset: as of :func:`export`.
        metadata: dict from text to text, written into both files; the vocabulary, for example.
    Returns:
        the paths of both files.
    Raises:
        as :func:`export`.
    """
    os.makedirs(folder, exist_ok=True)
    paths = tuple(os.path.join(folder, name) for name in (ENCODER, STEP))
    random, metadata = np.random.default_rng(0), dict(metadata or {})
    mean_feature = model.feature_mean
    features = mean_feature + model.xp.asarray(
        random.standard_normal((2, len(mean_feature))), mean_feature.dtype)
    state = model.start(features)
    names = [f'state_{i}' for i in range(len(state))]
    options = {'opset': opset, 'chain': model}

    if encoder is None:
        export(model.start, features, paths[0], input_names=['features'], output_names=names,
               metadata=metadata, **options)
    else:
        images = np.stack([encoder.prepare(random.integers(0, 256, (64, 64, 3), np.uint8))
                           for _ in range(2)])
        images = encoder.device.send(images)
        if not encoder.network.takes_batches(images, encoder.layer):
            raise InvalidArgument(f'{encoder.network.source}: it takes a fixed number of images '
                                  'at a time; export the captioner with features in place of it')
        export(lambda images: model.start(_look(encoder, images)), images,
               paths[0], input_names=['images'], output_names=names, opset=opset,
               chain=Chain(encoder=encoder.net, captioner=model), metadata={
                   'preprocessing': json.dumps(encoder.preprocessing.to_dict()), **metadata})

    def step(words, *state):
        state, scores = model.step(tuple(each.array for each in state), words)
        return (scores, *state)
    words = model.xp.arange(2)   # of which there are always more
    export(step, (words, *state), paths[1], input_names=['words', *names], metadata=metadata,
           output_names=['log_probabilities', *(f'next_{i}' for i in range(len(state)))],
           **options)
    return paths


def _look(encoder, images):
    """Return the features that ``encoder.compute`` gives, as a Variable."""
    values = encoder.network.look(images, encoder.layer)
    return mean(values, (2, 3)) if values.ndim == 4 else as_variable(values)

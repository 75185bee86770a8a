#!/usr/bin/env python3
"""Train a caption generator: images with captions in, a model that captions images out.

    python train.py                                   the embedded default: scenes drawn here
    python train.py DATA --weights cnn.caffemodel     captioned photos of your own
    python train.py DATA --resume result/flickr       go on exactly where a run stopped

This file reads top to bottom in the order in which things happen.
"""
import argparse
import dataclasses
import json
import math
import os
import sys
import time

import numpy as np
import tqdm

import minichain
from minichain import loss_floor, metrics, report, result_folder, snapshot, text
from minichain._atomic import write_atomically
from minichain.captioning import CaptionSplit, Learner
from minichain.datasets import captions as caption_files
from minichain.datasets import scenes
from minichain.errors import InvalidArgument, MinichainError
from minichain.features import cached_features
from minichain.image_encoder import ImageEncoder
from minichain.interruption import Interruption
from minichain.iterators import BucketIterator
from minichain.loss_floor import Loss
from minichain.training_log import TrainingLog
from models.caption_generator import INJECT, CaptionGenerator

ROOT = os.path.dirname(os.path.abspath(__file__))
SCENES = 'scenes'
SCENE_TOKENIZERS = {'en': 'words', 'ja': 'characters'}

# option: (default for drawn scenes, default for captions of your own, what it is)
OPTIONS = {
    'tokenizer': (None, 'words', 'how captions are cut: ' + ', '.join(text.TOKENIZERS)
                  + '; of scenes it follows the language'),
    'threshold': (1, 3, 'words seen fewer times in the training captions become <UNK>'),
    'embed': (128, 256, 'length of a word embedding'),
    'hidden': (256, 256, 'width of the LSTM'),
    'layers': (1, 1, 'LSTMs on top of each other'),
    'dropout': (0., .5, 'ratio on embeddings and LSTM outputs while training'),
    'inject': ('first', 'state', 'where the image enters: ' + ', '.join(INJECT)),
    'bptt': (0, 0, 'steps of truncated backpropagation through time; 0: whole captions'),
    'batch': (64, 64, 'captions in a batch'),
    'epochs': (12, 25, 'passes over the training captions'),
    'lr': (4e-3, 1e-3, "Adam's step size alpha"),
    'decay': ('linear', 'none', 'of the step size over the run: none, or linear down to 0'),
    'clip': (5., 5., 'the global norm that gradients are clipped to; 0: not at all'),
    'weight-decay': (0., 0., 'rate of L2 weight decay'),
    'beam': (3, 3, 'beam width for the captions of the test split'),
    'max-length': (50, 50, 'words after which a generated caption ends'),
    'seed': (0, 0, 'of everything random'),
}
CHOICES = {'inject': INJECT, 'decay': ('none', 'linear'), 'tokenizer': tuple(text.TOKENIZERS)}


def parse_arguments(argv=None):
    """Return (given options as a dict, the parser)."""
    parser = argparse.ArgumentParser(
        prog='train.py', argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.split('\n\n')[0], epilog="""\
what DATA may be:
  a folder or file in the layout of Flickr8k, COCO captions JSON, Karpathy JSON, JSON lines
  {"file": ..., "captions": [...]}, or boke data (items.json); images beside it in a folder or tar

what a run leaves in --out:
  model.npz, vocabulary.json, config.json   the best model on dev; generate.py reads these
  snapshot.zip                              everything, to go on with --resume
  log.jsonl, loss.png, samples.html         losses with units and floors, captions as they evolve
  test.jsonl, test.png, scores.json         captions and scores of the test split

examples:
  python train.py
  python train.py --language ja --out result/scenes_ja
  python train.py ~/flickr8k --weights squeezenet_v1.0.caffemodel --layer pool10
  python generate.py photo.jpg --model result/flickr8k
""")
    add = parser.add_argument
    add('data', nargs='?', metavar='DATA', help='captioned images; without it, scenes drawn here')
    add('--images', help='folder or tar of the images, where they are not beside the captions')
    add('--strict', action='store_true', help='a captioned image that is missing is an error')
    add('--language', choices=tuple(SCENE_TOKENIZERS), help='of the drawn scenes (default: en)')
    add('--weights', help='the CNN, a .caffemodel (default for scenes: the bundled one)')
    add('--prototxt', help="the CNN's structure, where the .caffemodel does not hold it")
    add('--layer', help='the blob whose values are the image features (default: fc7, else the '
                        'last that fits); maps are averaged over positions')
    for name, (for_scenes, for_captions, what) in OPTIONS.items():
        default = (f'{for_captions}' if for_scenes in (for_captions, None) else
                   f'{for_scenes} for scenes, {for_captions} otherwise')
        add(f'--{name}', type=type(for_captions), choices=CHOICES.get(name),
            metavar=None if name in CHOICES else name.upper().replace('-', '_'),
            help=f'{what} (default: {default})')
    add('--by-stars', action='store_true', help='draw captions by their stars (boke data)')
    add('--blind', action=argparse.BooleanOptionalAction,
        help='also train the same model without images, to see what images are worth '
             '(default: yes, of scenes no, where the floor is known)')
    add('--article-units', action='store_true',
        help='also print losses as article 004 does: nats per caption / batch size')
    add('--samples', type=int, help='dev images whose captions are shown as they evolve '
                                    '(default: 4)')
    add('--snapshot-every', type=int, metavar='N',
        help='iterations between snapshots (default: one each epoch)')
    add('--iterations', type=int, help='stop after so many, with a snapshot')
    add('--out', help='result folder (default: result/scenes, or result/NAME of DATA)')
    add('--resume', metavar='FOLDER', help='go on with the run in this result folder; options '
                                           'that are given must be those of the run')
    add('--cache', help='folder of computed image features (default: result/features)')
    add('--device', help='cpu, cuda or cuda:1 (default: cpu)')
    add('--quiet', action='store_true', help='no progress bars')
    return vars(parser.parse_args(argv)), parser


# What may differ between a run and its continuation: where it happens, not what happens.
UNTIED = ('resume', 'out', 'cache', 'device', 'quiet', 'iterations', 'snapshot_every', 'images')


def settle_options(given):
    """Return (options with defaults or those of the resumed run, its snapshot or None)."""
    state = None
    if 'resume' in given:
        if 'out' in given:
            raise InvalidArgument('--resume FOLDER goes on in FOLDER; leave out --out')
        path = os.path.join(given['resume'], 'snapshot.zip')
        state = snapshot.load(path)
        options = {**state[1]['options'], 'out': given['resume']}
        differing = {name: (options.get(name), value) for name, value in given.items()
                     if name not in UNTIED and options.get(name) != value
                     and not (name == 'data' and os.path.abspath(value) == options['data'])}
        if differing:
            lines = '; '.join(f'--{name.replace("_", "-")} was {was!r}, now {now!r}'
                              for name, (was, now) in differing.items())
            raise InvalidArgument(f'--resume {given["resume"]}: the options of the run expected, '
                                  f'got others: {lines}. Leave them out, or start a new run')
        for name in UNTIED:
            if name in given:
                options[name] = given[name]
        options['iterations'] = given.get('iterations')
        return argparse.Namespace(**options), state
    drawn = given.get('data') is None
    options = {name.replace('-', '_'): pair[0] if drawn else pair[1]
               for name, pair in OPTIONS.items()}
    name = os.path.splitext(os.path.basename(os.path.abspath(given.get('data') or SCENES)))[0]
    options.update(
        data=None, images=None, strict=False, language='en' if drawn else None, weights=None,
        prototxt=None, layer=None, by_stars=False, blind=not drawn, article_units=False,
        samples=4, snapshot_every=None, iterations=None, cache=os.path.join('result', 'features'),
        device='cpu', quiet=False)
    options['out'] = os.path.join('result', name if not drawn or given.get(
        'language', 'en') == 'en' else f'{name}_{given["language"]}')
    options.update(given)
    options = argparse.Namespace(**options)
    check_options(options, given, drawn)
    return options, None


def check_options(options, given, drawn):
    """Refuse options that are out of range or that this run would not use."""
    unused = {'images', 'strict', 'by_stars', 'tokenizer'} if drawn else {'language'}
    for name in sorted(unused & set(given)):
        raise InvalidArgument(f'--{name.replace("_", "-")} has no effect on '
                              f'{"drawn scenes" if drawn else "DATA"}; leave it out')
    if drawn:
        options.tokenizer = SCENE_TOKENIZERS[options.language]
        options.weights = options.weights or os.path.join(ROOT, 'weights', 'scenes_cnn.caffemodel')
    else:
        options.data = os.path.abspath(options.data)
        if options.weights is None:
            raise InvalidArgument('--weights cnn.caffemodel is needed with DATA: the network that '
                                  'turns images into features. weights/README.md says where to '
                                  'get one')
    for name, least in (('embed', 1), ('hidden', 1), ('layers', 1), ('batch', 1), ('epochs', 1),
                        ('threshold', 1), ('beam', 1), ('max_length', 1), ('bptt', 0), ('lr', 0),
                        ('clip', 0), ('weight_decay', 0), ('samples', 0), ('seed', 0),
                        ('dropout', 0), ('snapshot_every', 1), ('iterations', 1)):
        value = getattr(options, name)
        if value is not None and not (value >= least and math.isfinite(value)):
            raise InvalidArgument(f'--{name.replace("_", "-")}: {least} or more expected, got '
                                  f'{value}')
    if options.dropout >= 1:
        raise InvalidArgument(f'--dropout: less than 1 expected, got {options.dropout}')


def load_captions(options):
    """Return the captioned images, from files or drawn."""
    if options.data is None:
        return scenes.load(options.language, seed=options.seed)
    data = caption_files.load(options.data, images=options.images, strict=options.strict,
                              split_seed=options.seed)
    if data.warning:
        print(f'train.py: warning: {data.warning}', file=sys.stderr)
    return data


def prepare(data, options, encoder, device, vocabulary=None):
    """Return (splits, vocabulary, tokenizer): features computed, captions turned into ids."""
    tokenizer = text.get_tokenizer(options.tokenizer)

    def tokens_of(image):
        return image.tokens or [tokenizer.tokenize(caption) for caption in image.captions]
    if vocabulary is None:
        train = [tokens for image in data.splits['train'] for tokens in tokens_of(image)]
        vocabulary = text.Vocabulary.build(train, options.threshold)
    names = [image.name for images in data.splits.values() for image in images]
    features = cached_features(data.images, names, encoder.compute, encoder.key, options.cache,
                               prepare=encoder.prepare, progress=not options.quiet)
    splits = {}
    for name, images in data.splits.items():
        tokens = [tokens_of(image) for image in images]
        stars = [image.stars for image in images]
        splits[name] = CaptionSplit(
            [image.name for image in images],
            device.send(features.of([image.name for image in images])),
            [vocabulary.encode(caption) for captions in tokens for caption in captions],
            np.repeat(np.arange(len(images)), [len(captions) for captions in tokens]),
            None if None in stars else np.concatenate(stars))
    return splits, vocabulary, tokenizer


def make_optimizer(model, options):
    """Return Adam with the hooks that the options ask for."""
    optimizer = minichain.optimizers.Adam(alpha=options.lr).setup(model)
    if options.weight_decay:
        optimizer.add_hook(minichain.optimizer_hooks.WeightDecay(options.weight_decay))
    if options.clip:
        optimizer.add_hook(minichain.optimizer_hooks.GradientClipping(options.clip))
    return optimizer


def floors(data, splits, vocabulary, tokenizer):
    """Return {split: {what: Loss or number}}, what the losses are to be compared with."""
    found = {}
    for name, split in splits.items():
        tokens = sum(len(ids) - 1 for ids in split.ids)
        if hasattr(data, 'floor'):
            floor = data.floor(name, tokenizer.tokenize)
            found[name] = {'true entropy floor': Loss(
                floor.nats_per_caption * len(split.ids), tokens, len(split.ids))}
            continue
        found[name] = {'unigram baseline': loss_floor.unigram_loss(
            splits['train'].ids, split.ids, len(vocabulary))}
        if name == 'train':
            found[name]['empirical entropy given the image'] = loss_floor.caption_entropy(
                split.groups())
    return found


def print_floors(found):
    """Print what no model can get below, and what any model should."""
    for name, losses in found.items():
        for what, loss in losses.items():
            print(f'{name:8} {what:35} {loss}')
        if name != 'train' and 'true entropy floor' not in losses:
            print(f'{name:8} floor unknown')


class Run:
    """A training run: everything that changes while it goes on, and what it leaves.

    Attributes:
        iteration, epoch: updates made, epochs completed.
        losses: {learner: Loss of the current epoch so far}.
        best: (dev loss, epoch) of the model in the result folder.
    """

    def __init__(self, options, data, splits, vocabulary, tokenizer, config, learners, batches):
        self.options, self.data, self.splits = options, data, splits
        self.vocabulary, self.tokenizer, self.config = vocabulary, tokenizer, config
        self.learners, self.batches = learners, batches
        self.iteration, self.epoch, self.best = 0, 0, [math.inf, 0]
        self.losses = {name: Loss() for name in learners}
        self.samples = []
        self.log = None

    def path(self, name):
        """Return the path of a file in the result folder."""
        return os.path.join(self.options.out, name)

    def save(self):
        """Write the snapshot: all that an exact continuation needs."""
        arrays = snapshot.collect(batches=self.batches, **{
            f'{name}_{part}': getattr(learner, part)
            for name, learner in self.learners.items() for part in ('model', 'optimizer')})
        snapshot.save(self.path('snapshot.zip'), arrays, {
            'options': {name: value for name, value in vars(self.options).items()
                        if name not in ('resume', 'out')},
            'config': self.config, 'vocabulary': self.vocabulary.tokens[len(text.SPECIAL_TOKENS):],
            'iteration': self.iteration, 'epoch': self.epoch, 'best': self.best,
            'losses': {name: dataclasses.astuple(loss) for name, loss in self.losses.items()},
            'samples': self.samples, 'random': snapshot.get_random_state(np.random),
            'log': self.log.text})

    def restore(self, arrays, state):
        """Take everything from a snapshot."""
        snapshot.restore(arrays, batches=self.batches, **{
            f'{name}_{part}': getattr(learner, part)
            for name, learner in self.learners.items() for part in ('model', 'optimizer')})
        self.iteration, self.epoch, self.best = state['iteration'], state['epoch'], state['best']
        self.losses = {name: Loss(*values) for name, values in state['losses'].items()}
        self.samples = state['samples']
        self.log = TrainingLog(self.path('log.jsonl'), state['log'])
        snapshot.set_random_state(np.random, state['random'])

    def train(self):
        """Run epoch after epoch; a snapshot after each, and at an interruption."""
        with Interruption() as interruption:
            while self.epoch < self.options.epochs and not self.finished():
                self.train_epoch(interruption)
                if interruption.raised:
                    raise KeyboardInterrupt

    def finished(self):
        """Return whether ``--iterations`` are done."""
        return self.options.iterations is not None and self.iteration >= self.options.iterations

    def train_epoch(self, interruption):
        """Go through the rest of an epoch, then report on it."""
        n = self.batches.n_batches
        bar = tqdm.tqdm(total=n, initial=self.batches.current_position, unit=' batches',
                        desc=f'epoch {self.epoch + 1}/{self.options.epochs}', leave=False,
                        disable=self.options.quiet)
        started, done = time.perf_counter(), 0
        with bar:
            while not self.finished():
                examples = self.batches.next()
                self.update(examples)
                done += len(examples)
                bar.set_postfix_str(
                    f'{self.losses["model"].per_token:.3f} nats/token '
                    f'{done / (time.perf_counter() - started):.0f} captions/s', refresh=False)
                bar.update()
                if self.batches.is_new_epoch or interruption.raised:
                    break
                every = self.options.snapshot_every
                if every and self.iteration % every == 0:
                    self.save()
        if self.batches.is_new_epoch:
            self.end_epoch(time.perf_counter() - started)
        self.save()

    def update(self, examples):
        """Let every learner learn one batch, a list of indexes of training captions."""
        options, split = self.options, self.splits['train']
        if options.decay == 'linear':
            left = 1 - self.iteration / (options.epochs * self.batches.n_batches)
            for learner in self.learners.values():
                learner.optimizer.alpha = options.lr * left
        ids = [split.ids[i] for i in examples]
        features = split.features[split.image_of[examples]]
        for name, learner in self.learners.items():
            self.losses[name] += learner.update(features, ids)
        self.iteration += 1

    def end_epoch(self, seconds):
        """Measure, print and log the losses; keep the model if it is the best on dev."""
        self.epoch += 1
        losses = {'train': self.losses['model'],
                  'dev': self.learners['model'].evaluate(self.splits['dev']),
                  'dev, images shuffled': self.learners['model'].evaluate(
                      self.splits['dev'], shuffled=True)}
        if 'blind' in self.learners:
            losses['train, image-blind'] = self.losses['blind']
            losses['dev, image-blind'] = self.learners['blind'].evaluate(self.splits['dev'])
        self.losses = {name: Loss() for name in self.learners}
        is_best = losses['dev'].per_token < self.best[0]
        print(f'epoch {self.epoch}, iteration {self.iteration}'
              f'{", best on dev so far" if is_best else ""}')
        for what, loss in losses.items():
            article = f'   article 004: {loss.per_caption / self.options.batch:.4f}'
            print(f'  {what:22} {loss}{article if self.options.article_units else ""}')
        self.show_samples()
        self.log.append(
            epoch=self.epoch, iteration=self.iteration, unit='nats',
            losses={what: {'per_token': loss.per_token, 'per_caption': loss.per_caption,
                           'perplexity': loss.perplexity} for what, loss in losses.items()},
            samples=self.samples[-1] if self.samples else [], seconds=round(seconds, 3))
        if is_best:
            self.best = [losses['dev'].per_token, self.epoch]
            result_folder.save(self.options.out, self.config, self.vocabulary,
                               self.learners['model'].model)
        self.draw()

    def show_samples(self):
        """Caption a few dev images, so that one can see the captions evolve."""
        n = min(self.options.samples, len(self.splits['dev'].names))
        if n:
            found = [(self.words(best), best.probability) for best in self.learners['model'].say(
                self.splits['dev'].features[:n], self.options.max_length)]
            self.samples.append(found)
            for name, (caption, _) in zip(self.splits['dev'].names, found):
                print(f'  {name}: {caption}')

    def words(self, hypothesis):
        """Return a decoded caption as text."""
        return self.tokenizer.join(self.vocabulary.decode(hypothesis.words))

    def draw(self):
        """Draw the loss curve, and the sample images with their captions of each epoch."""
        series = {}
        for record in self.log.records:
            for what, loss in record.get('losses', {}).items():
                series.setdefault(what, []).append((record['epoch'], loss['per_token']))
        lines = {f'{name}: {what}': loss['per_token']
                 for record in self.log.records for name, found in record.get('floors', {}).items()
                 for what, loss in found.items() if name in ('train', 'dev')}
        report.loss_curve(series, self.path('loss.png'), title=os.path.basename(self.options.out),
                          x_label='epoch', references=lines)
        items = []
        for i, name in enumerate(self.splits['dev'].names[:self.options.samples]):
            history = [(f'epoch {epoch}: {samples[i][0]}', samples[i][1])
                       for epoch, samples in enumerate(self.samples, 1)]
            items.append(report.Item(self.data.images.load(name), self.samples[-1][i][0],
                                     history[::-1], name))
        if items:
            report.html_page(items, self.path('samples.html'), 'Captions as they evolve')


def test(run):
    """Score the best model on the test split (of scenes, on held-out combinations too)."""
    minichain.serializers.load_npz(run.path('model.npz'), run.learners['model'].model)
    scores = {'epoch': run.best[1], 'unit': 'nats/token'}
    for name in [name for name in run.splits if name not in ('train', 'dev')]:
        split, learner = run.splits[name], run.learners['model']
        scores[name] = found = {}
        found['loss'] = learner.evaluate(split).per_token
        found['loss, images shuffled'] = learner.evaluate(split, shuffled=True).per_token
        if 'blind' in run.learners:
            found['loss, image-blind'] = run.learners['blind'].evaluate(split).per_token
        captions = {'model': learner}
        if 'blind' in run.learners:
            captions['image-blind'] = run.learners['blind']
        for who, other in captions.items():
            said = other.say(split.features, run.options.max_length, run.options.beam)
            found[who] = score_captions(run, name, split, said)
            if who == 'model':
                write_captions(run, name, split, said)
    print_scores(scores)
    write_atomically(run.path('scores.json'), json.dumps(scores, indent=1).encode())


def score_captions(run, name, split, said):
    """Return BLEU, ROUGE-L and CIDEr; of drawn scenes also the share that the grammar finds right.
    """
    references = {image.name: [
        ' '.join(tokens) for tokens in (image.tokens or map(run.tokenizer.tokenize,
                                                            image.captions))]
        for image in run.data.splits[name]}
    hypotheses = {image: [' '.join(run.vocabulary.decode(best.words))]
                  for image, best in zip(split.names, said)}
    found = metrics.evaluate(references, hypotheses)
    if hasattr(run.data, 'check'):
        right = [run.data.check(image, run.words(best)).right
                 for image, best in zip(split.names, said)]
        found['right'] = sum(right) / len(right)
    return found


def write_captions(run, name, split, said):
    """Write all captions of a split as JSON lines, and the first images as a contact sheet."""
    lines = [json.dumps({'file': image, 'caption': run.words(best),
                         'probability': best.probability}, ensure_ascii=False)
             for image, best in zip(split.names, said)]
    write_atomically(run.path(f'{name}.jsonl'), ('\n'.join(lines) + '\n').encode())
    items = [report.Item(run.data.images.load(image), run.words(best), None, image)
             for image, best in zip(split.names[:24], said)]
    report.contact_sheet(items, run.path(f'{name}.png'), title=f'{name} split')


def print_scores(scores):
    """Print the scores as a table."""
    for name, found in scores.items():
        if not isinstance(found, dict):
            continue
        for what, value in found.items():
            if isinstance(value, dict):
                values = '  '.join(f'{metric} {score:.3f}' for metric, score in value.items())
                print(f'{name:8} {what:24} {values}')
            else:
                print(f'{name:8} {what:24} {value:.4f} nats/token')


def main(argv=None):
    """Train, test, report."""
    options, state = settle_options(parse_arguments(argv)[0])
    device = minichain.get_device(options.device)
    np.random.seed(options.seed)
    data = load_captions(options)
    print(f'data     {data.source}')
    for name, images in data.splits.items():
        print(f'{name:8} {len(images)} images, {sum(len(i.captions) for i in images)} captions')
    encoder = ImageEncoder(options.weights, options.prototxt, options.layer, options.device)
    splits, vocabulary, tokenizer = prepare(
        data, options, encoder, device,
        None if state is None else text.Vocabulary(state[1]['vocabulary']))
    config = {
        'model': {'n_vocabulary': len(vocabulary), 'n_feature': splits['train'].features.shape[1],
                  'n_embed': options.embed, 'n_hidden': options.hidden,
                  'n_layers': options.layers, 'dropout': options.dropout,
                  'inject': options.inject},
        'tokenizer': options.tokenizer, 'encoder': encoder.description,
        'data': {'source': data.source, 'digest': data.digest},
        'arguments': {name: value for name, value in vars(options).items()
                      if name not in UNTIED}}
    if state is not None:
        expect_same(state[1]['config'], config, options.resume)
    learners = {}
    for name in ('model', 'blind') if options.blind else ('model',):
        model = CaptionGenerator(**config['model'])
        model.standardize_by(minichain.to_cpu(splits['train'].features))
        model.to_device(device)
        learners[name] = Learner(model, make_optimizer(model, options), device,
                                 options.bptt or None, sees=name == 'model')
    train = splits['train']
    if options.by_stars and train.stars is None:
        raise InvalidArgument('--by-stars: captions with stars expected (boke data)')
    batches = BucketIterator(range(len(train.ids)), [len(ids) for ids in train.ids],
                             options.batch, seed=options.seed,
                             weights=train.stars if options.by_stars else None)
    os.makedirs(options.out, exist_ok=True)
    run = Run(options, data, splits, vocabulary, tokenizer, config, learners, batches)
    print(f'model    {learners["model"].model.count_params():,} parameters trained: '
          f'{", ".join(path for path, _ in learners["model"].model.namedparams())}')
    print(f'frozen   {encoder.description["weights"]}, layer {encoder.description["layer"]}')
    print(f'device   {device.name}, float32')
    found = floors(data, splits, vocabulary, tokenizer)
    print_floors(found)
    if state is None:
        run.log = TrainingLog(run.path('log.jsonl'))
        run.log.append(config=config, floors={
            name: {what: {'per_token': loss.per_token, 'per_caption': loss.per_caption}
                   for what, loss in losses.items()} for name, losses in found.items()})
    else:
        run.restore(*state)
        print(f'resumed  at iteration {run.iteration}, epoch {run.epoch}')
    run.train()
    if run.epoch >= options.epochs:
        test(run)
    print(f'result   {options.out}')
    print(f'next     python generate.py IMAGE --model {options.out}')


def expect_same(before, now, folder):
    """Refuse to go on with other data or another network than the run began with."""
    for part, what in (('data', 'digest'), ('encoder', 'sha256'), ('encoder', 'layer')):
        if before[part].get(what) != now[part].get(what):
            raise InvalidArgument(
                f'--resume {folder}: the {part} of the run expected ({what} '
                f'{before[part].get(what)}), got {now[part].get(what)}. Put the old files back, '
                'or start a new run')


if __name__ == '__main__':
    try:
        main()
    except MinichainError as error:
        sys.exit(f'train.py: error: {error}')
    except KeyboardInterrupt:
        print('\ntrain.py: interrupted; python train.py --resume FOLDER goes on from the last '
              'snapshot', file=sys.stderr)
        sys.exit(130)

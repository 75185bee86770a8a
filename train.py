#!/usr/bin/env python3
"""Train a caption generator: images with captions in, a model that captions images out.

    python train.py                                   the embedded default: scenes drawn here
    python train.py DATA --weights cnn.caffemodel     captioned photos of your own
    python train.py --resume result/flickr            go on exactly where a run stopped
    mpiexec -n 2 python train.py ...                  on several processors or GPUs

This file reads top to bottom in the order in which things happen.
"""
import signal

# Before the others are loaded: Ctrl-C meanwhile ends it without a word.
if __name__ == '__main__' and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import minichain  # before NumPy: see minichain/cpu/blas_waiting.py

# isort: split
import contextlib
import dataclasses
import json
import math
import os
import sys
import time

import numpy as np
import tqdm

from minichain import (
    caption_scores,
    distributed,
    loss_floor,
    result_folder,
    run_identity,
    snapshot,
    training_options,
    training_report,
)
from minichain._atomic import remove_leftovers, write_atomically
from minichain.backend import CpuDevice, GpuDevice
from minichain.captioning import CaptionSplit, leave_out, rows, tokens_of
from minichain.captured_learning import CapturedUpdates
from minichain.command_line import make_folder
from minichain.configuration import using_config
from minichain.datasets import captions as caption_files
from minichain.datasets import scenes
from minichain.distributed import Communicator, SharedLearner, create_multi_node_optimizer
from minichain.errors import InvalidArgument
from minichain.features import cached_features
from minichain.folder_lock import held
from minichain.gpu import memory
from minichain.image_encoder import ImageEncoder
from minichain.interruption import Interruption
from minichain.iterators import BucketIterator
from minichain.loss_floor import Loss
from minichain.text import get_tokenizer
from minichain.training_log import TrainingLog
from minichain.vocabulary import Vocabulary
from models.caption_generator import INJECT, CaptionGenerator
from weights import registry

READ_EVERY = 20   # updates; a GPU is not waited for in between
DRAWN_SCENES_CNN = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'weights',
                                'scenes_cnn.caffemodel')


def load_captions(options):
    """Return the captioned images, from files or drawn."""
    if options.data is None:
        return scenes.load(options.language, seed=options.seed, captions_per_image=4)
    data = caption_files.load(options.data, images=options.images, strict=options.strict,
                              split_seed=options.seed)
    if data.warning:
        print(f'train.py: warning: {data.warning}', file=sys.stderr)
    if options.by_stars and None in [i.stars for images in data.splits.values() for i in images]:
        raise InvalidArgument(f'--by-stars: boke data, captions with stars, expected in '
                              f'{options.data}')
    return data


def describe(options, data, splits, features, vocabulary, encoder):
    """Return the config of the run, which the result keeps."""
    return {
        'model': {'n_vocabulary': len(vocabulary), 'n_feature': splits['train'].features.shape[1],
                  'n_embed': options.embed, 'n_hidden': options.hidden,
                  'n_layers': options.layers, 'dropout': options.dropout,
                  'inject': options.inject},
        'tokenizer': options.tokenizer, 'encoder': encoder.description,
        'data': {'source': data.source,
                 'digest': run_identity.digest_of(data, splits, features.digests)},
        'arguments': run_identity.arguments_of(options)}


def make_learner(config, options, split, device, communicator, sees):
    """Return a new model with its optimizer: Adam with the hooks that the options ask for."""
    model = CaptionGenerator(**config['model'])
    model.standardize_by(minichain.to_cpu(split.features))
    model.to_device(device)
    optimizer = create_multi_node_optimizer(minichain.optimizers.Adam(alpha=options.lr),
                                            communicator).setup(model)
    if options.weight_decay:
        optimizer.add_hook(minichain.optimizer_hooks.WeightDecay(options.weight_decay))
    if options.clip:
        optimizer.add_hook(minichain.optimizer_hooks.GradientClipping(options.clip))
    return SharedLearner(model, optimizer, device, options.bptt or None, sees, communicator)


def capture(options, learners, device, communicator):
    """Let learners capture their steps, where that is asked for and can be done."""
    wanted = isinstance(device, GpuDevice) if options.capture is None else options.capture
    if not wanted or isinstance(device, CpuDevice):
        return
    if options.bptt or communicator.size > 1:
        print(f'capture  no: {"--bptt" if options.bptt else "several ranks"} run steps as written')
        return
    for learner in learners.values():
        learner.captured = CapturedUpdates(learner, options.batch)
    print('capture  each step is one launch, of captions with pads')


class Run:
    """A training run: everything that changes while it goes on, and what it leaves.

    Attributes:
        iteration, epoch: updates made, epochs completed.
        losses: {learner: Loss of the current epoch so far, of what this rank learned from; of a
            GPU it may still be there}.
        writes: whether this rank is the one that writes files: the first.
        best: {learner: (dev loss, epoch) of its model in the result folder}.
    """

    def __init__(self, options, data, splits, vocabulary, tokenizer, config, learners,
                 communicator):
        self.communicator, self.writes = communicator, communicator.rank == 0
        self.options, self.data, self.splits, self.config = options, data, splits, config
        self.vocabulary, self.tokenizer, self.learners = vocabulary, tokenizer, learners
        train = splits['train']
        self.batches = BucketIterator(
            range(len(train.ids)), [len(ids) for ids in train.ids], options.batch,
            seed=options.seed, weights=train.stars if options.by_stars else None)
        self.state = {'batches': self.batches, **{
            f'{name}_{part}': getattr(learner, part)
            for name, learner in learners.items() for part in ('model', 'optimizer')}}
        self.iteration, self.epoch, self.log = 0, 0, None
        self.losses = {name: Loss() for name in learners}
        self.best = dict.fromkeys(learners, (math.inf, 0))

    def path(self, name):
        """Return the path of a file in the result folder."""
        return os.path.join(self.options.out, name)

    def begin(self, floors):
        """Start the log, and leave the first snapshot."""
        if self.writes:
            self.log = TrainingLog(self.path('log.jsonl'))
            device = self.learners['model'].device
            self.log.append(config=self.config, device=training_report.describe_device(device),
                            floors={name: training_report.numbers(losses)
                                    for name, losses in floors.items()})
        self.save()

    def save(self):
        """Write the snapshot: all that an exact continuation needs."""
        for learner in self.learners.values():
            learner.expect_finite()
        losses = self.whole_losses()
        if self.writes:
            snapshot.save(self.path(run_identity.SNAPSHOT), snapshot.collect(**self.state), {
                'options': {name: value for name, value in vars(self.options).items()
                            if name not in ('resume', 'out')},
                'config': self.config, 'iteration': self.iteration, 'epoch': self.epoch,
                'best': self.best, 'log': self.log.text, 'losses': {
                    name: dataclasses.astuple(loss) for name, loss in losses.items()}})
        self.communicator.barrier()

    def whole_losses(self):
        """Return the losses of the current epoch so far, of what all ranks learned from."""
        return {name: learner.whole(self.read(name)) for name, learner in self.learners.items()}

    def read(self, name):
        """Return the Loss of one learner in the current epoch, which waits for its GPU."""
        self.losses[name] = self.learners[name].read(self.losses[name])
        return self.losses[name]

    def restore(self, arrays, state):
        """Take everything from a snapshot."""
        snapshot.restore(arrays, **self.state)
        self.iteration, self.epoch, self.best = state['iteration'], state['epoch'], state['best']
        if self.writes:
            self.losses = {name: Loss(*values) for name, values in state['losses'].items()}
            self.log = TrainingLog(self.path('log.jsonl'), state['log'])

    def train(self):
        """Run epoch after epoch; a snapshot after each, and at an interruption."""
        with Interruption() as interruption:
            while not self.is_finished():
                self.train_epoch(interruption)
                if self.communicator.any(interruption.raised):
                    raise KeyboardInterrupt

    def is_finished(self):
        """Return whether all epochs are done, or ``--iterations``."""
        return self.epoch >= self.options.epochs or (
            self.options.iterations is not None and self.iteration >= self.options.iterations)

    def train_epoch(self, interruption):
        """Go through the rest of an epoch, then report on it."""
        started, done, every = time.perf_counter(), 0, self.options.snapshot_every
        on_cpu = isinstance(self.learners['model'].device, CpuDevice)
        with tqdm.tqdm(total=self.batches.n_batches, initial=self.batches.current_position,
                       desc=f'epoch {self.epoch + 1}/{self.options.epochs}', unit=' batches',
                       leave=False, disable=self.options.quiet) as bar:
            while not self.is_finished() and not self.communicator.any(interruption.raised):
                examples = self.batches.next()
                self.update(examples)
                done += len(examples)
                if on_cpu or self.iteration % READ_EVERY == 0:
                    bar.set_postfix_str(
                        f'{self.read("model").per_token:.3f} nats/token '
                        f'{done / (time.perf_counter() - started):.0f} captions/s', refresh=False)
                bar.update()
                if self.batches.is_new_epoch:
                    break
                if every and self.iteration % every == 0:
                    self.save()
        if done and self.batches.is_new_epoch:
            self.end_epoch(time.perf_counter() - started)
        self.save()

    def update(self, examples):
        """Let every learner learn one batch, a list of indexes of training captions."""
        options, split, rank = self.options, self.splits['train'], self.communicator.rank
        left = 1 - self.iteration / (options.epochs * self.batches.n_batches)
        ids = [split.ids[i] for i in examples]
        features = rows(split.features, split.image_of[examples])
        for name, learner in self.learners.items():
            # So dropout depends on iteration and rank alone, and a resumed run draws the same.
            learner.seed(
                (options.seed * 1_000_003 + self.iteration + 1 + rank * 777_767_777) % 2 ** 32)
            learner.optimizer.alpha = options.lr * (left if options.decay == 'linear' else 1)
            self.losses[name] += learner.update(features, ids)
        self.iteration += 1

    def end_epoch(self, seconds):
        """Measure, print and log the losses; keep the models that are the best on dev."""
        self.epoch += 1
        losses, dev, trained = {}, self.splits['dev'], self.whole_losses()
        for name, learner in self.learners.items():
            blind = '' if learner.sees else ', image-blind'
            losses[f'train{blind}'] = trained[name]
            losses[f'dev{blind}'] = loss = learner.evaluate(dev)
            if learner.sees:
                losses['dev, images shuffled'] = learner.evaluate(dev, shuffled=True)
            if loss.per_token < self.best[name][0]:
                self.best[name] = (loss.per_token, self.epoch)
                if self.writes:
                    self.keep(name, learner.model)
        print(f'epoch {self.epoch}, iteration {self.iteration}'
              f'{", best on dev so far" if self.best["model"][1] == self.epoch else ""}')
        training_report.print_losses(losses, self.options.article_units and self.options.batch)
        captions = self.say('model', 'dev', self.options.samples)
        for caption in captions:
            print(f'  {caption.file}: {caption.text}')
        if self.writes:
            self.tell(losses, seconds, captions)
        self.losses = {name: Loss() for name in self.learners}

    def tell(self, losses, seconds, captions):
        """Log an epoch; draw the losses and write the samples of all so far."""
        self.log.append(
            epoch=self.epoch, iteration=self.iteration, unit='nats',
            losses=training_report.numbers(losses), seconds=round(seconds, 3), samples=[
                {'file': caption.file, 'caption': caption.text, 'per_word': caption.per_word}
                for caption in captions])
        training_report.draw_losses(self.log.records, self.path('loss.png'),
                                    os.path.basename(os.path.abspath(self.options.out)))
        training_report.write_samples(self.log.records, self.data.images,
                                      self.path('samples.html'))

    def keep(self, name, model):
        """Write the model that is the best so far; generate.py reads the one that sees images."""
        if name == 'model':
            result_folder.save(self.options.out, self.config, self.vocabulary, model)
        else:
            minichain.serializers.save_npz(self.path(f'{name}.npz'), model)

    def say(self, learner, split, n=None, beam=1):
        """Return the captions of a learner for the first n images of a split (None: all)."""
        split = self.splits[split]
        found = self.learners[learner].say(split.features[:n], self.options.max_length, beam)
        return caption_scores.in_words(split.names, found, self.vocabulary, self.tokenizer)


def test(run):
    """Score the best models on the test split (of scenes, on held-out combinations too)."""
    for name, learner in run.learners.items():
        minichain.serializers.load_npz(run.path(f'{name}.npz'), learner.model)
    scores, check = {}, getattr(run.data, 'check', None)
    for split in [split for split in run.splits if split not in ('train', 'dev')]:
        references = {image.name: tokens_of(image, run.tokenizer)
                      for image in run.data.splits[split]}
        scores[split] = found = {}
        for name, learner in run.learners.items():
            who = name if learner.sees else 'image-blind'
            found[f'{who}, loss'] = learner.evaluate(run.splits[split]).per_token
            if learner.sees:
                found[f'{who}, images shuffled'] = learner.evaluate(
                    run.splits[split], shuffled=True).per_token
            captions = run.say(name, split, beam=run.options.beam)
            found[who] = caption_scores.score(captions, references, check)
            if learner.sees and run.writes:
                warning = caption_scores.write(captions, run.data.images, run.path(split),
                                               f'{split} split')
                if warning:
                    print(f'train.py: warning: {warning}', file=sys.stderr)
    caption_scores.print_scores(scores)
    text = json.dumps({'unit': 'nats/token', 'epochs': run.epoch,
                       'best epoch': run.best['model'][1], **scores}, indent=1)
    if run.writes:
        write_atomically(run.path('scores.json'), text.encode())


def main(argv=None, communicator=None):
    """Train, test, report; on every rank of a communicator (None: on one)."""
    communicator = communicator or Communicator()
    given = training_options.parse(__doc__, INJECT, argv)
    if 'resume' in given:
        before = run_identity.load_run(given['resume'])
        options = run_identity.resume_options(given, before[1]['options'])
    else:
        options = training_options.settle(given, DRAWN_SCENES_CNN)
        before = run_identity.find_run(options.out, run_identity.arguments_of(options))
    device = distributed.device_of(options.device, communicator)
    if isinstance(device, CpuDevice):
        training_options.expect_none_for_gpus(given)
    device.use()
    make_folder(options.out)
    with held(options.out) if communicator.rank == 0 else contextlib.nullcontext():
        if communicator.rank == 0:
            remove_leftovers(options.out)
        with using_config('precision', options.precision), \
                using_config('deterministic', options.deterministic):
            work(options, before, 'resume' in given, device, communicator)
        communicator.barrier()


def work(options, before, resumes, device, communicator):
    """Do what the options ask for, from the data to the result.

    Args:
        before: (arrays, state) of the snapshot that is in the result folder, or None.
        resumes: whether to go on from it even if the run was finished.
    """
    encoder = ImageEncoder(options.weights, options.prototxt, options.layer, device,
                           options.preprocessing, registry.identify(options.weights))
    data = load_captions(options)
    training_report.print_data(data)
    with communicator.rank_0_first():       # the others find the features in the cache
        features = cached_features(
            data.images, [image.name for images in data.splits.values() for image in images],
            encoder.compute, encoder.key, options.cache, prepare=encoder.prepare,
            progress=not options.quiet, on_error='raise' if options.strict else 'skip')
    for warning in leave_out(features.failed, data):
        print(f'train.py: warning: {warning}', file=sys.stderr)
    tokenizer = get_tokenizer(options.tokenizer)
    vocabulary = Vocabulary.build([tokens for image in data.splits['train']
                                   for tokens in tokens_of(image, tokenizer)],
                                  options.threshold)
    splits = {name: CaptionSplit.of(images, features, tokenizer, vocabulary, device)
              for name, images in data.splits.items()}
    config = describe(options, data, splits, features, vocabulary, encoder)
    if before:
        run_identity.expect_equal(
            run_identity.identity_of(before[1]['config']), run_identity.identity_of(config),
            f'{options.out} holds a run of other data or another network',
            'Put the old files back, name --layer and --preprocessing as then, or start a new '
            'run in another --out')
    np.random.seed(options.seed)
    learners = {name: make_learner(config, options, splits['train'], device, communicator,
                                   name == 'model')
                for name in ('model', 'blind')[:1 + options.blind]}
    training_report.print_model(learners['model'].model, encoder, device)
    capture(options, learners, device, communicator)
    if communicator.size > 1:
        print(f'ranks    {communicator.size}, each learns from its share of every batch')
    floors = loss_floor.find_floors(data, splits, len(vocabulary), tokenizer.tokenize)
    training_report.print_floors(floors)
    run = Run(options, data, splits, vocabulary, tokenizer, config, learners, communicator)
    if before and (resumes or before[1]['epoch'] < options.epochs):
        run.restore(*before)
        print(f'resumed  at iteration {run.iteration}, epoch {run.epoch}; to begin anew, remove '
              f'{options.out}')
    else:
        run.begin(floors)
    resume = f'python train.py --resume {options.out}'
    try:
        run.train()
        if run.epoch >= options.epochs:
            test(run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f'{resume} goes on') from None
    if isinstance(device, GpuDevice):
        print(f'memory   {memory.report()}')
    print(f'result   {options.out}')
    print('next     ' + (f'python generate.py IMAGE --model {options.out}'
                         if run.epoch >= options.epochs else resume))


if __name__ == '__main__':
    sys.exit(distributed.run('train.py', main))

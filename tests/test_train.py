"""train.py from end to end: exact continuation after any kill, and bad input in one line."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minichain
from minichain import captioning, snapshot
from minichain.caffe.writer import save as save_caffe
from minichain.datasets import scenes
from minichain.errors import FileError
from minichain.folder_lock import held
from minichain.image import Preprocessing
from minichain.image_encoder import sha256_of
from tests import strict_cupy
from tests.tiny_captions import arguments, run, start, wait, write_data
from tests.tiny_result import PREPROCESSING, inner_product, layer, weights, write_cnn
from weights import registry

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / 'shared' / 'data'
needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='kills child processes')


def load(folder):
    return snapshot.load(folder / 'snapshot.zip')


def without_times(log):
    return [{name: value for name, value in json.loads(line).items() if name != 'seconds'}
            for line in log.splitlines()]


def assert_same_run(folder, expected):
    (arrays, state), (expected_arrays, expected_state) = load(folder), load(expected)
    assert set(arrays) == set(expected_arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected_arrays[name], err_msg=name)
    assert any(name.startswith('model_optimizer') and name.endswith('/m') for name in arrays)
    assert any(name.endswith('random_keys') for name in arrays)
    for name in ('config', 'iteration', 'epoch', 'best', 'losses'):
        assert state[name] == expected_state[name], name
    assert without_times(state['log']) == without_times(expected_state['log'])
    log = (folder / 'log.jsonl').read_text()
    assert without_times(log) == without_times((expected / 'log.jsonl').read_text())


def error_of(capfd, *argv):
    """Run what must fail; returns the message."""
    capfd.readouterr()
    began = time.monotonic()
    assert run(*argv) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if 'warning: ' not in line]
    assert time.monotonic() - began < 60
    assert len(errors) == 1 and errors[0].startswith('train.py: error: '), errors
    return errors[0]


# A whole run -------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp('finished')
    assert run(*arguments(folder)) == 0
    return folder


def test_a_folder_that_another_run_is_writing_is_left_alone(tmp_path, capfd):
    (tmp_path / 'out').mkdir()
    with held(tmp_path / 'out'):
        message = error_of(capfd, *arguments(tmp_path))
    assert 'another program is writing' in message and '--out' in message
    assert not list((tmp_path / 'out').iterdir())


def test_a_run_leaves_all_that_it_promises(finished, capfd):
    out = finished / 'out'
    assert {path.name for path in out.iterdir()} == {
        'model.npz', 'blind.npz', 'vocabulary.json', 'config.json', 'snapshot.zip', 'log.jsonl',
        'loss.png', 'samples.html', 'test.jsonl', 'test.png', 'scores.json'}
    for name in ('loss.png', 'test.png'):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 200
    scores = json.loads((out / 'scores.json').read_text())
    assert scores['unit'] == 'nats/token' and scores['epochs'] == 3
    assert set(scores['test']['model']) == set(scores['test']['image-blind']) == {
        'BLEU-1', 'BLEU-2', 'BLEU-3', 'BLEU-4', 'ROUGE-L', 'CIDEr'}
    lines = [json.loads(line) for line in (out / 'test.jsonl').read_text().splitlines()]
    assert [line['file'] for line in lines] == [f'test{i}.png' for i in range(5)]
    page = (out / 'samples.html').read_text()
    assert page.count('<figure>') == 4 and page.count('epoch 2:') == 4


def test_every_loss_has_split_and_unit(tmp_path, capfd):
    assert run(*arguments(tmp_path, '--article-units', '--epochs', 1)) == 0
    text = capfd.readouterr().out
    for what in ('train', 'dev', 'dev, images shuffled', 'train, image-blind', 'dev, image-blind'):
        numbers = re.search(rf'^  {what} +([\d.]+) nats/token +([\d.]+) nats/caption +perplexity '
                            rf'+([\d.]+)  article 004 ([\d.]+)$', text, re.M)
        per_token, per_caption, perplexity, article = map(float, numbers.groups())
        assert perplexity == pytest.approx(np.exp(per_token), rel=1e-2)
        assert article == pytest.approx(per_caption / 4, abs=1e-3)
    for line in ('train    unigram baseline', 'train    entropy given the image',
                 'dev      unigram baseline', 'dev      floor unknown', 'test     floor unknown',
                 'test     model, loss', 'test     model, images shuffled',
                 'test     image-blind, loss'):
        assert re.search(f'^{line}', text, re.M), line


def test_the_log_tells_the_run(finished):
    first, *epochs = [json.loads(line) for line in
                      (finished / 'out' / 'log.jsonl').read_text().splitlines()]
    assert first['config']['arguments']['hidden'] == 5
    # two different captions an image leave ln 2 nats to each
    assert first['floors']['train']['entropy given the image']['per_caption'] == \
        pytest.approx(np.log(2))
    assert [record['epoch'] for record in epochs] == [1, 2, 3]
    assert [record['iteration'] for record in epochs] == [7, 14, 21]
    assert all(record['unit'] == 'nats' for record in epochs)
    losses = [record['losses']['train']['per_token'] for record in epochs]
    assert losses == sorted(losses, reverse=True)


def test_the_result_holds_the_models_that_were_best_on_dev(finished, tmp_path):
    _, state = load(finished / 'out')
    records = [json.loads(line) for line in state['log'].splitlines()][1:]
    for name, what in (('model', 'dev'), ('blind', 'dev, image-blind')):
        per_token = [record['losses'][what]['per_token'] for record in records]
        assert state['best'][name] == [min(per_token), 1 + per_token.index(min(per_token))]
    with np.load(finished / 'out' / 'model.npz') as model:
        for key in model:
            stored = load(finished / 'out')[0][f'model_model/{key}']
            assert model[key].shape == stored.shape
            if state['best']['model'][1] == 3:
                np.testing.assert_array_equal(model[key], stored)


def test_learning_helps_and_images_are_worth_something(tmp_path):
    write_data(tmp_path / 'data', {'train': 120, 'dev': 20, 'test': 20})
    write_cnn(tmp_path)
    assert run(*arguments(tmp_path, '--epochs', 4, '--dropout', 0, '--hidden', 20)) == 0
    scores = json.loads((tmp_path / 'out' / 'scores.json').read_text())['test']
    assert scores['model, loss'] < .8 * scores['image-blind, loss']
    assert scores['model, loss'] < .6 * scores['model, images shuffled']
    assert scores['model']['BLEU-4'] > scores['image-blind']['BLEU-4']


# Going on ----------------------------------------------------------------------------------------

VARIANTS = {
    'dropout and the blind twin': [], 'no dropout': ['--dropout', '0'],
    'every hook': ['--weight-decay', '1e-3', '--decay', 'linear', '--clip', '.1', '--layers', '2'],
    'truncated': ['--bptt', '3', '--inject', 'every', '--no-blind']}


@pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
def test_twenty_iterations_are_ten_and_ten(tmp_path, options):
    assert run(*arguments(tmp_path, '--iterations', 20, *options)) == 0
    assert run(*arguments(tmp_path, '--iterations', 10, *options, out='other')) == 0
    assert load(tmp_path / 'other')[1]['iteration'] == 10
    np.random.seed(99)      # a new process knows nothing of the old one
    assert run('--resume', tmp_path / 'other', '--iterations', 20, '--quiet') == 0
    assert load(tmp_path / 'other')[1]['iteration'] == 20
    assert_same_run(tmp_path / 'other', tmp_path / 'out')


def test_the_path_of_the_gpu_goes_on_exactly_too_and_its_snapshots_need_no_gpu(tmp_path):
    argv = ['--device', 'cuda', '--no-capture', '--iterations']   # it has no streams
    with strict_cupy.installed():
        assert run(*arguments(tmp_path, *argv, 10)) == 0
        assert run(*arguments(tmp_path, *argv, 8, out='other')) == 0
        assert run('--resume', tmp_path / 'other', '--iterations', 10, '--quiet') == 0
        assert_same_run(tmp_path / 'other', tmp_path / 'out')
    assert run('--resume', tmp_path / 'other', '--device', 'cpu', '--quiet') == 0
    assert load(tmp_path / 'other')[1]['epoch'] == 3


def iteration_of(folder):
    try:
        return load(folder)[1]['iteration']
    except FileError:
        return -1


@needs_fork
def test_twenty_iterations_are_ten_a_kill_and_the_rest(tmp_path, monkeypatch):
    assert run(*arguments(tmp_path, '--iterations', 20)) == 0
    other = tmp_path / 'other'
    update = captioning.Learner.update

    def slow(*args):
        time.sleep(.01)
        return update(*args)
    monkeypatch.setattr(captioning.Learner, 'update', slow)
    child = start(arguments(tmp_path, '--iterations', 20, '--snapshot-every', 1, out='other'),
                  tmp_path / 'errors')
    while iteration_of(other) < 10:
        time.sleep(.002)
    time.sleep(random.Random().random() * .05)
    os.kill(child, signal.SIGKILL)
    assert wait(child) == -signal.SIGKILL
    assert 10 <= load(other)[1]['iteration'] < 20
    monkeypatch.undo()
    assert run('--resume', other, '--iterations', 20, '--quiet') == 0
    assert_same_run(other, tmp_path / 'out')


def kill_at_random(tmp_path, n_kills, seed):
    """Kill a run n times at random moments; it goes on each time. Checks every snapshot."""
    began = time.monotonic()
    assert wait(start(arguments(tmp_path), tmp_path / 'errors')) == 0
    duration = time.monotonic() - began
    other, generator, last = tmp_path / 'other', random.Random(seed), -1
    options = arguments(tmp_path, '--snapshot-every', 1, out='other')
    for _ in range(n_kills):
        argv = options if last < 0 else arguments(tmp_path, '--resume', other)
        child = start(argv, tmp_path / 'errors')
        time.sleep(generator.random() * 1.2 * duration)
        os.kill(child, signal.SIGKILL)
        assert wait(child) in (-signal.SIGKILL, 0), (tmp_path / 'errors').read_text()
        iteration = iteration_of(other)     # reads and checks all of it
        assert iteration >= last
        last = iteration
        if last == 21:      # all done: again from the beginning
            assert_same_run(other, tmp_path / 'out')
            shutil.rmtree(other)
            last = -1
    argv = options if last < 0 else ['--resume', other, '--quiet']
    assert run(*argv) == 0
    assert_same_run(other, tmp_path / 'out')
    for name in ('scores.json', 'test.jsonl', 'samples.html', 'vocabulary.json'):
        assert (other / name).read_bytes() == (tmp_path / 'out' / name).read_bytes()
    assert not [path for path in other.iterdir() if path.suffix == '.tmp']


@needs_fork
def test_random_kills_never_lose_the_last_whole_snapshot(tmp_path):
    kill_at_random(tmp_path, 5, seed=0)


@needs_fork
@pytest.mark.slow
def test_fifty_random_kills_never_lose_the_last_whole_snapshot(tmp_path):
    kill_at_random(tmp_path, 50, seed=1)


@needs_fork
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_a_whole_snapshot_and_says_how_to_go_on(tmp_path, number):
    out = tmp_path / 'out'
    child = start(arguments(tmp_path, '--epochs', 1000, '--snapshot-every', 1),
                  tmp_path / 'errors')
    while iteration_of(out) < 3:
        time.sleep(.002)
    os.kill(child, number)
    assert wait(child) == 130
    assert (tmp_path / 'errors').read_text() == (
        f'\ntrain.py: interrupted: python train.py --resume {out} goes on\n')
    reached = load(out)[1]['iteration']
    assert run('--resume', out, '--iterations', reached + 9, '--quiet') == 0
    assert run(*arguments(tmp_path, '--epochs', 1000, '--iterations', reached + 9, out='o')) == 0
    assert_same_run(out, tmp_path / 'o')


@needs_fork
def test_an_interruption_before_training_keeps_the_features_that_are_done(tmp_path, monkeypatch):
    compute = train_encoder().compute
    monkeypatch.setattr(train_encoder(), 'compute', lambda self, prepared: (
        time.sleep(.3), compute(self, prepared))[1])
    write_data(tmp_path / 'data', {'train': 200, 'dev': 5, 'test': 5})
    write_cnn(tmp_path)
    child = start(arguments(tmp_path), tmp_path / 'errors')
    sizes = set()
    while len(sizes) < 4:   # empty, with a header, with rows of a batch, of a second: one is done
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        sizes.update(path.stat().st_size for path in (tmp_path / 'cache').glob('*.npy'))
        time.sleep(.01)
    os.kill(child, signal.SIGTERM)
    assert wait(child) == 130
    assert (tmp_path / 'errors').read_text() == '\ntrain.py: interrupted\n'
    assert not (tmp_path / 'out' / 'snapshot.zip').exists()
    assert list((tmp_path / 'cache').glob('*.json'))
    monkeypatch.undo()
    assert run(*arguments(tmp_path, '--epochs', 1)) == 0


def train_encoder():
    return minichain.image_encoder.ImageEncoder


def test_a_finished_run_may_be_resumed_and_only_scores_again(finished, tmp_path):
    shutil.copytree(finished / 'out', tmp_path / 'out')
    (tmp_path / 'out' / 'scores.json').unlink()
    assert run('--resume', tmp_path / 'out', '--quiet') == 0
    assert_same_run(tmp_path / 'out', finished / 'out')
    assert (tmp_path / 'out' / 'scores.json').read_bytes() == \
        (finished / 'out' / 'scores.json').read_bytes()


@pytest.mark.parametrize('option, message', [
    (['--lr', '.1'], '--lr was 0.05, now 0.1'), (['--seed', '1'], '--seed was 0, now 1'),
    (['--by-stars'], '--by-stars was False, now True'),
    (['--language', 'ja'], "--language was None, now 'ja'"),
    (['--epochs', '5', '--hidden', '7'], '--epochs was 3, now 5; --hidden was 5, now 7'),
    (['--out', 'x'], 'leave out --out')])
def test_resuming_with_other_arguments_is_refused_by_name(finished, capfd, option, message):
    assert message in error_of(capfd, '--resume', finished / 'out', *option)


def test_resuming_with_the_same_arguments_and_moved_files_goes_on(tmp_path):
    assert run(*arguments(tmp_path, '--iterations', 5)) == 0
    for name in ('data', 'tiny.caffemodel', 'tiny.prototxt', 'out'):
        (tmp_path / 'new').mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / 'new' / name)
    assert run(tmp_path / 'new' / 'data', '--weights', tmp_path / 'new' / 'tiny.caffemodel',
               '--resume', tmp_path / 'new' / 'out', '--lr', '.05', '--quiet') == 0
    assert load(tmp_path / 'new' / 'out')[1]['epoch'] == 3


@pytest.mark.parametrize('change, message', [
    ('caption', 'data, by sha256, was'), ('picture', 'data, by sha256, was'),
    ('weights', 'weights, by sha256, was'), ('layer', "layer was 'fc7', now 'fc8'")])
def test_other_data_or_weights_of_the_same_names_are_refused(tmp_path, capfd, change, message):
    assert run(*arguments(tmp_path, '--iterations', 5)) == 0
    before = (tmp_path / 'out' / 'snapshot.zip').read_bytes()
    more = []
    if change == 'caption':
        path = tmp_path / 'data' / 'captions.jsonl'
        path.write_text(path.read_text().replace('red', 'rod'))
    elif change == 'picture':
        Image.new('RGB', (5, 5)).save(tmp_path / 'data' / 'dev1.png')
    elif change == 'weights':
        write_cnn(tmp_path, seed=1)
    else:
        more = ['--layer', 'fc8']
    assert message in error_of(capfd, '--resume', tmp_path / 'out', *more)
    assert (tmp_path / 'out' / 'snapshot.zip').read_bytes() == before


def test_what_is_no_snapshot_is_refused(finished, tmp_path, capfd):
    assert 'snapshot.zip is not there' in error_of(capfd, '--resume', tmp_path)
    path = tmp_path / 'snapshot.zip'
    shutil.copy(finished / 'out' / 'model.npz', path)
    assert 'a training snapshot expected' in error_of(capfd, '--resume', tmp_path)
    whole = (finished / 'out' / 'snapshot.zip').read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert 'half of one' in error_of(capfd, '--resume', tmp_path)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    path.write_bytes(damaged)
    assert str(path) in error_of(capfd, '--resume', tmp_path)
    snapshot.save(path, {}, {'options': {}})
    assert 'its state has no config' in error_of(capfd, '--resume', tmp_path)


# A folder that holds a run -----------------------------------------------------------------------

def test_the_same_command_makes_a_finished_run_anew(finished, tmp_path):
    argv = arguments(tmp_path, '--epochs', 1)
    assert run(*argv) == 0
    first = load(tmp_path / 'out')
    assert run(*argv, '--iterations', 4) == 0
    assert load(tmp_path / 'out')[1]['iteration'] == 4
    assert run(*argv) == 0
    assert without_times(load(tmp_path / 'out')[1]['log']) == without_times(first[1]['log'])


def test_the_same_command_goes_on_with_an_interrupted_run(tmp_path, capfd):
    assert run(*arguments(tmp_path, '--iterations', 16)) == 0
    assert run(*arguments(tmp_path, '--iterations', 7, out='other')) == 0
    assert run(*arguments(tmp_path, '--iterations', 16, out='other')) == 0
    assert 'resumed  at iteration 7, epoch 1; to begin anew, remove' in capfd.readouterr().out
    assert_same_run(tmp_path / 'out', tmp_path / 'other')


def test_a_different_run_is_never_replaced(tmp_path, capfd):
    assert run(*arguments(tmp_path, '--iterations', 5)) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()}
    message = error_of(capfd, *arguments(tmp_path, '--epochs', 2))
    assert 'holds another run: --epochs was 3, now 2. Name another --out' in message
    write_cnn(tmp_path, seed=1)
    assert 'weights, by sha256, was' in error_of(capfd, *arguments(tmp_path))
    assert {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == before
    (tmp_path / 'out' / 'snapshot.zip').write_bytes(b'?')
    assert 'not those of a whole run' in error_of(capfd, *arguments(tmp_path))


def test_a_run_that_was_killed_before_its_first_snapshot_may_begin_again(tmp_path):
    argv = arguments(tmp_path, '--iterations', 1)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'log.jsonl').write_text('{"config"')
    assert run(*argv) == 0
    assert load(tmp_path / 'out')[1]['iteration'] == 1


def test_public_weights_are_recognised_whatever_their_name_and_it_is_said(
        tmp_path, capfd, monkeypatch):
    argv = arguments(tmp_path, '--epochs', '1')
    public = Preprocessing((4, 6), 'RGB', (9., 9., 9.))
    cnn = write_cnn(tmp_path, preprocessing=None)
    entry = {'name': 'tiny_net', 'file': 'another.caffemodel', 'network': 'Tiny',
             'format': 'caffemodel', 'origin': 'made here', 'sources': {},
             'size': cnn.stat().st_size, 'sha256': sha256_of(cnn),
             'preprocessing': public.to_dict()}
    (tmp_path / 'registry.json').write_text(json.dumps({'sources': {}, 'files': [entry]}))
    monkeypatch.setattr(registry.load, '__defaults__', (tmp_path / 'registry.json',))
    assert run(*argv) == 0
    assert 'images   4 x 6 RGB, warp, mean 9 9 9; as published for tiny_net\n' in (
        capfd.readouterr().out)
    config = json.loads((tmp_path / 'out' / 'config.json').read_text())
    assert config['encoder']['preprocessing'] == public.to_dict()
    (tmp_path / 'registry.json').write_text(json.dumps({'sources': {}, 'files': []}))
    assert 'how to prepare images is not known' in error_of(capfd, *argv, '--out',
                                                            str(tmp_path / 'other'))


# Bad input ---------------------------------------------------------------------------------------

def test_bad_weights_end_in_one_line(tmp_path, capfd):
    argv = arguments(tmp_path)
    path = tmp_path / 'tiny.caffemodel'
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert 'tiny.caffemodel' in error_of(capfd, *argv)
    path.write_bytes(b'PK\x03\x04' + bytes(1000))
    assert 'tiny.caffemodel' in error_of(capfd, *argv)
    path.write_bytes(b'')
    assert 'tiny.caffemodel' in error_of(capfd, *argv)
    path.unlink()
    assert 'tiny.caffemodel' in error_of(capfd, *argv)
    path.mkdir()
    assert 'tiny.caffemodel' in error_of(capfd, *argv)


def test_bad_data_ends_in_one_line(tmp_path, capfd):
    argv = arguments(tmp_path)
    data = tmp_path / 'data'
    captions = (data / 'captions.jsonl').read_text()
    for content, message in (('', 'no captions found'), ('[]', 'no captions found'),
                             (captions[:-9], 'captions.jsonl'), ('\0\xff', 'data')):
        (data / 'captions.jsonl').write_text(content)
        assert message in error_of(capfd, *argv)
    (data / 'captions.jsonl').write_text(captions)
    for path in data.glob('dev*.png'):
        path.unlink()
    assert 'no image left in the dev split' in error_of(capfd, *argv)
    for path in data.glob('*.png'):
        path.unlink()
    assert 'no images found' in error_of(capfd, *argv)
    shutil.rmtree(data)
    assert 'nothing is there' in error_of(capfd, str(data), *argv[1:])


def test_missing_and_broken_images_are_left_out_with_a_warning(tmp_path, capfd):
    argv = arguments(tmp_path)
    (tmp_path / 'data' / 'train3.png').unlink()
    (tmp_path / 'data' / 'dev2.png').write_bytes(b'\x89PNG no more')
    assert 'train3.png' in error_of(capfd, *argv, '--strict')
    assert run(*argv) == 0
    warnings = capfd.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert '1 train images are not in' in warnings[0] and 'dev2.png' in warnings[1]
    Image.new('RGB', (4, 4)).save(tmp_path / 'data' / 'train3.png')
    strict = arguments(tmp_path, '--strict', out='strict')
    assert 'dev2.png' in error_of(capfd, *strict)
    for i in range(5):
        (tmp_path / 'data' / f'dev{i}.png').write_bytes(b'\x89PNG no more')
    assert 'none of the 5 images of the dev split' in error_of(
        capfd, *arguments(tmp_path, out='other'))


@pytest.mark.parametrize('options, message', [
    (['--threshold', 99], 'Vocabulary'), (['--device', 'cuda:99'], 'GPU|CuPy'),
    (['--device', 'tpu'], 'tpu'), (['--layer', 'fc9'], 'there are conv1'),
    (['--by-stars'], 'captions with stars'), (['--language', 'ja'], '--language has no effect'),
    (['--dropout', 1], 'dropout'), (['--epochs', 0], '--epochs: at least 1 expected, got 0'),
    (['--lr', 'nan'], '--lr'), (['--lr', 'inf'], '--lr'), (['--hidden', '1e3'], '--hidden'),
    (['--inject', 'last'], '--inject'), (['--seed', -1], '--seed'), (['--hiden', 3], '--hiden'),
    (['--resume'], 'expected one argument'), (['--images', 'nowhere'], 'nowhere')])
def test_bad_options_end_in_one_line(tmp_path, capfd, options, message):
    assert re.search(message, error_of(capfd, *arguments(tmp_path, *options)))
    assert not (tmp_path / 'out' / 'snapshot.zip').exists()


def test_data_needs_weights(tmp_path, capfd):
    assert '--weights cnn.caffemodel is needed' in error_of(capfd, tmp_path)


@pytest.mark.parametrize('option', [['--strict'], ['--by-stars'], ['--images', 'x'],
                                    ['--tokenizer', 'words']])
def test_options_that_scenes_do_not_use_are_refused(capfd, option):
    assert f'{option[0]} has no effect on drawn scenes' in error_of(capfd, *option)


def test_out_must_be_a_folder(tmp_path, capfd):
    argv = arguments(tmp_path)
    (tmp_path / 'out').write_text('a file')
    assert '--out' in error_of(capfd, *argv)
    assert (tmp_path / 'out').read_text() == 'a file'
    (tmp_path / 'cache').write_text('a file')
    assert 'cache' in error_of(capfd, *arguments(tmp_path, out='other'))


def test_a_loss_that_is_not_finite_ends_the_run_and_the_snapshot_is_from_before(tmp_path, capfd):
    argv = arguments(tmp_path, '--lr', '1e38', '--snapshot-every', 1)
    assert re.search('the (train|dev or test) loss became|parameter .* became',
                     error_of(capfd, *argv))
    arrays, state = load(tmp_path / 'out')
    assert all(np.isfinite(array).all() for array in arrays.values() if array is not None)


@pytest.mark.parametrize('full_after', [20, 45, 70])
def test_a_full_disk_ends_in_one_line_and_the_snapshot_is_from_before(tmp_path, full_after):
    """In a process of its own, as the limit of the size of files cannot be raised again."""
    argv = arguments(tmp_path, '--snapshot-every', 1)
    code = (
        'import os, sys, resource, signal, train\n'
        'from minichain import command_line\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'fsync, calls = os.fsync, []\n'
        'def count(descriptor):\n'
        '    calls.append(1)\n'
        f'    if len(calls) == {full_after}:\n'
        '        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n'
        '    fsync(descriptor)\n'
        'os.fsync = count\n'
        'sys.exit(command_line.run("train.py", train.main, sys.argv[1:]))\n')
    done = subprocess.run([sys.executable, '-c', code, *argv], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2
    assert re.fullmatch('train.py: error: .*(could not|cannot) be written.*\n', done.stderr)
    before = load(tmp_path / 'out')[1]['iteration']
    assert 0 < before < 21
    assert run('--resume', tmp_path / 'out', '--quiet') == 0
    assert run(*arguments(tmp_path, out='other')) == 0
    assert_same_run(tmp_path / 'out', tmp_path / 'other')


# Kinds of data -----------------------------------------------------------------------------------

def test_boke_data_is_drawn_by_its_stars(tmp_path, capfd):
    argv = arguments(tmp_path)
    pictures = sorted(path.name for path in (tmp_path / 'data').glob('*.png'))
    (tmp_path / 'data' / 'captions.jsonl').unlink()
    items = [{'boke': caption, 'star': star, 'images': [{'path': name}]} for name in pictures
             for caption, star in (('never said', 0), ('often said here', 3))]
    (tmp_path / 'data' / 'items.json').write_text(json.dumps(items))
    assert run(*argv, '--by-stars', '--epochs', 6, '--hidden', 20, '--max-length', 30,
               '--dropout', 0, '--tokenizer', 'characters', '--no-blind') == 0
    lines = (tmp_path / 'out' / 'test.jsonl').read_text().splitlines()
    assert all(json.loads(line)['caption'].startswith('often said') for line in lines)


@pytest.mark.parametrize('language', ['en', 'ja'])
def test_drawn_scenes_run_without_data(tmp_path, monkeypatch, language):
    monkeypatch.chdir(tmp_path)
    load_all = scenes.load
    monkeypatch.setattr(scenes, 'load', lambda language, seed, captions_per_image: load_all(
        language, 40, 8, 8, 8, seed, side=32))
    w = weights()
    save_caffe(tmp_path / 'scenes.caffemodel', tmp_path / 'scenes.prototxt', [
        layer('conv1', 'Convolution', 'data', blobs=w['conv1'],
              convolution_param={'num_output': 4, 'kernel_size': [1]}),
        inner_product('fc7', 'conv1', *w['fc7'])], (1, 3, 4, 6), preprocessing=PREPROCESSING)
    assert run('--language', language, '--weights', 'scenes.caffemodel', '--epochs', 1,
               '--hidden', 8, '--embed', 8, '--beam', 1, '--quiet') == 0
    name = {'en': 'scenes', 'ja': 'scenes_ja'}[language]
    scores = json.loads(Path(f'result/{name}/scores.json').read_text())
    assert set(scores) == {'unit', 'epochs', 'best epoch', 'test', 'heldout'}
    assert set(scores['test']['model']) >= {'right', 'CIDEr'} and 'blind' not in scores['test']
    log = json.loads(Path(f'result/{name}/log.jsonl').read_text().splitlines()[0])
    for split in ('train', 'dev', 'test', 'heldout'):
        assert 0 < log['floors'][split]['true entropy floor']['per_token'] < 2


@pytest.mark.slow
@pytest.mark.parametrize('name', ['vi_sports', 'coco_mini'])
def test_real_captions_are_learned_for_an_epoch(tmp_path, name):
    data = SHARED / 'captions' / name
    if not data.exists():
        pytest.skip(f'needs ../shared/data/captions/{name}')
    assert run(data, '--weights', write_cnn(tmp_path), '--epochs', 1, '--no-blind', '--lr', '.01',
               '--out', tmp_path / 'out', '--cache', tmp_path) == 0
    scores = json.loads((tmp_path / 'out' / 'scores.json').read_text())
    log = json.loads((tmp_path / 'out' / 'log.jsonl').read_text().splitlines()[0])
    assert scores['test']['model, loss'] < log['floors']['test']['unigram baseline']['per_token']

import io
import json
import math
import os
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

import generate
from minichain import command_line, decoding, image, result_folder
from minichain.image_encoder import ImageEncoder
from minichain.serializers import load_npz, save_npz
from minichain.vocabulary import BOS, EOS, UNK, Vocabulary
from models.caption_generator import CaptionGenerator
from tests import strict_cupy
from tests.tiny_result import WORDS, write_cnn, write_result


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    """The result folder of a tiny model, not to be changed by a test."""
    folder = tmp_path_factory.mktemp('tiny')
    write_result(folder / 'result', write_cnn(folder))
    return folder / 'result'


@pytest.fixture
def own_result(tmp_path):
    """A result folder that a test may change."""
    (tmp_path / 'cnn').mkdir()
    write_result(tmp_path / 'result', write_cnn(tmp_path / 'cnn'))
    return tmp_path / 'result'


def write_photo(path, seed=0):
    random = np.random.RandomState(seed)
    Image.fromarray(random.randint(0, 256, (40, 50, 3)).astype('uint8')).save(path)
    return str(path)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos'
    (folder / 'sub').mkdir(parents=True)
    for seed, name in enumerate(('a.jpg', 'b.png', 'sub/c é.jpg')):
        write_photo(folder / name, seed)
    return folder


def run(*arguments):
    return command_line.run('generate.py', generate.main, list(map(str, arguments)))


def read_lines(folder):
    return [json.loads(line) for line in
            (folder / 'captions.jsonl').read_text('utf-8').splitlines()]


def assert_one_line_error(capsys, code, *parts):
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith('generate.py: error: ') and error.count('\n') == 1, error
    for part in parts:
        assert part in error


def test_one_photo_is_captioned_on_the_terminal(result, photos, capsys):
    before = sorted(os.listdir(result))
    assert run(photos / 'a.jpg', '--model', result) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(photos / 'a.jpg') and len(lines) == 4
    assert sorted(os.listdir(result)) == before     # nothing was written


def test_the_captions_are_those_of_the_model(result, photos, tmp_path):
    out = tmp_path / 'out'
    assert run(photos / 'b.png', '--model', result, '--beam', 4, '--n-best', 2,
               '--length-penalty', .5, '--out', out) == 0
    config, vocabulary, path = result_folder.load(result)
    model = CaptionGenerator(**config['model'])
    load_npz(path, model)
    encoder = ImageEncoder(config['encoder']['weights'])
    features = encoder.compute([encoder.prepare(image.load(photos / 'b.png'))])
    found, = decoding.beam_search(model.step, model.start(features), 1, BOS, EOS, 7, 4, 2, .5,
                                  (UNK,))
    line, = read_lines(out)
    assert line['file'] == str(photos / 'b.png')
    assert [said['caption'] for said in line['n_best']] == [
        ' '.join(vocabulary[i] for i in h.words) for h in found]
    for said, h in zip(line['n_best'], found):
        assert said['log_probability'] == pytest.approx(h.log_probability, rel=1e-5)
        assert said['score'] == pytest.approx(h.score, rel=1e-5)
        assert said['probability'] == pytest.approx(math.exp(h.log_probability), rel=1e-5)
    assert line['caption'] == line['n_best'][0]['caption']
    assert line['probability'] == line['n_best'][0]['probability']


def test_a_folder_becomes_lines_a_sheet_and_a_page(result, photos, tmp_path, capsys):
    out = tmp_path / 'out'
    assert run(photos, '--model', result, '--out', out, '--title', 'What <I> saw') == 0
    assert [line['file'] for line in read_lines(out)] == [
        os.path.join(photos, name) for name in ('a.jpg', 'b.png', 'sub/c é.jpg')]
    with Image.open(out / 'captions.png') as sheet:
        assert min(sheet.size) > 200
    page = (out / 'captions.html').read_text('utf-8')
    assert 'What &lt;I&gt; saw' in page and page.count('<figure>') == 3 and 'c é.jpg' in page
    printed = capsys.readouterr().out
    assert 'captions.jsonl' in printed and 'captions.png' in printed and 'a.jpg' not in printed


def test_files_folders_and_tars_mix_and_go_beside_the_model_by_default(own_result, photos,
                                                                       tmp_path, capsys):
    with tarfile.open(tmp_path / 'more.tar', 'w') as tar:
        tar.add(photos / 'b.png', 'in/tar.png')
    single = write_photo(tmp_path / 'single.jpg', 9)
    assert run(tmp_path / 'more.tar', single, photos, '--model', own_result, '--batch', 2) == 0
    names = [line['file'] for line in read_lines(own_result / 'captions')]
    assert names[:2] == [os.path.join(tmp_path / 'more.tar', 'in/tar.png'), single]
    assert len(names) == 5
    assert capsys.readouterr().out.startswith(single + '\n')


def test_batches_do_not_change_captions(result, photos, tmp_path):
    for batch in (1, 2, 32):
        assert run(photos, '--model', result, '--batch', batch, '--out',
                   tmp_path / str(batch)) == 0
    one, two, many = (read_lines(tmp_path / str(batch)) for batch in (1, 2, 32))
    for a, b, c in zip(one, two, many):
        assert a['caption'] == b['caption'] == c['caption']
        assert a['probability'] == pytest.approx(c['probability'], rel=1e-4)


def test_a_broken_image_is_reported_and_the_rest_goes_on(result, photos, tmp_path, capsys):
    (photos / 'b.png').write_bytes((photos / 'b.png').read_bytes()[:200])
    (photos / 'empty.jpg').write_bytes(b'')
    assert run(photos, tmp_path / 'none.jpg', tmp_path / 'none.tar', '--model', result,
               '--out', tmp_path / 'out') == 1
    error = capsys.readouterr().err
    for name in ('b.png', 'empty.jpg', 'none.jpg', 'none.tar'):
        assert sum(name in line and line.startswith('generate.py: skipped: ')
                   for line in error.splitlines()) == 1
    assert '4 of 6 could not be read' in error
    assert len(read_lines(tmp_path / 'out')) == 2


def test_with_nothing_but_broken_images_nothing_is_written(result, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    assert run(tmp_path / 'empty', '--model', result, '--out', tmp_path / 'out') == 1
    assert 'no images found' in capsys.readouterr().err
    assert os.listdir(tmp_path / 'out') == []


def test_samples_differ_and_a_seed_repeats_them(result, photos, tmp_path):
    def sampled(*options):
        run(photos, '--model', result, '--out', tmp_path / 'out', '--sample', *options)
        return read_lines(tmp_path / 'out')
    one = sampled('--seed', 1, '--n-best', 4)
    assert one == sampled('--seed', 1, '--n-best', 4) != sampled('--seed', 2, '--n-best', 4)
    assert len({said['caption'] for said in one[0]['n_best']}) > 1
    cold = sampled('--temperature', 1e-6)
    run(photos, '--model', result, '--out', tmp_path / 'greedy', '--beam', 1)
    assert [line['caption'] for line in cold] == [
        line['caption'] for line in read_lines(tmp_path / 'greedy')]


def test_unknown_words_are_said_only_if_allowed(own_result, photos, tmp_path):
    config, vocabulary, path = result_folder.load(own_result)
    model = CaptionGenerator(**config['model'])
    model.out.b.array[...] = -20
    model.out.b.array[UNK] = 20
    save_npz(path, model)
    out = tmp_path / 'out'
    assert run(photos / 'a.jpg', '--model', own_result, '--out', out) == 0
    assert '<UNK>' not in json.dumps(read_lines(out))
    assert run(photos / 'a.jpg', '--model', own_result, '--out', out, '--allow-unknown',
               '--max-length', 3) == 0
    assert read_lines(out)[0]['caption'] == '<UNK> <UNK> <UNK>'


def test_a_missing_model_is_an_error_that_says_how_to_make_one(tmp_path, capsys, monkeypatch):
    photo = write_photo(tmp_path / 'a.jpg')
    assert_one_line_error(capsys, run(photo, '--model', tmp_path / 'none'),
                          'config.json is missing', 'python train.py --out')
    monkeypatch.setattr(generate, 'DEMO', str(tmp_path / 'demo'))
    assert_one_line_error(capsys, run(photo), 'make demo', '--model')


def test_missing_or_other_weights_are_errors(own_result, tmp_path, capsys):
    photo = write_photo(tmp_path / 'a.jpg')
    cnn = tmp_path / 'cnn' / 'tiny.caffemodel'
    other = write_cnn(tmp_path, seed=1, name='other')
    digest = ImageEncoder(cnn).key['sha256']
    moved = cnn.rename(tmp_path / 'moved.caffemodel')
    (tmp_path / 'cnn' / 'tiny.prototxt').rename(tmp_path / 'moved.prototxt')
    assert_one_line_error(capsys, run(photo, '--model', own_result), 'tiny.caffemodel',
                          '--weights', digest)
    assert_one_line_error(capsys, run(photo, '--model', own_result, '--weights', other), digest,
                          ImageEncoder(other).key['sha256'])
    assert run(photo, '--model', own_result, '--weights', moved) == 0


def test_truncated_weights_and_model_are_errors(own_result, tmp_path, capsys):
    photo = write_photo(tmp_path / 'a.jpg')
    path = own_result / 'model.npz'
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert_one_line_error(capsys, run(photo, '--model', own_result), 'model.npz')
    path.write_bytes(whole)
    cnn = tmp_path / 'cnn' / 'tiny.caffemodel'
    cnn.write_bytes(cnn.read_bytes()[:100])
    assert_one_line_error(capsys, run(photo, '--model', own_result), 'tiny.caffemodel')


def test_a_vocabulary_that_does_not_fit_is_an_error(own_result, tmp_path, capsys):
    Vocabulary(WORDS[:-2]).save(own_result / 'vocabulary.json')
    photo = write_photo(tmp_path / 'a.jpg')
    assert_one_line_error(capsys, run(photo, '--model', own_result), 'vocabulary')


@pytest.mark.parametrize('change, part', [
    ({'n_hidden': 6}, 'model.npz'), ({'surprise': 1}, 'surprise'), ({'inject': 'x'}, 'inject'),
    ({'n_feature': 9}, 'model.npz')])
def test_a_config_of_another_model_is_an_error(own_result, tmp_path, capsys, change, part):
    path = own_result / 'config.json'
    config = json.loads(path.read_text())
    config['model'].update(change)
    path.write_text(json.dumps(config))
    photo = write_photo(tmp_path / 'a.jpg')
    assert_one_line_error(capsys, run(photo, '--model', own_result), part)


def test_a_cnn_that_gives_other_features_is_an_error(own_result, tmp_path, capsys):
    path = own_result / 'config.json'
    config = json.loads(path.read_text())
    config['encoder']['layer'] = 'conv1'
    path.write_text(json.dumps(config))
    photo = write_photo(tmp_path / 'a.jpg')
    assert_one_line_error(capsys, run(photo, '--model', own_result), '4 numbers', 'trained on 8')


def test_parameters_that_are_not_finite_are_an_error(own_result, tmp_path, capsys):
    config, _, path = result_folder.load(own_result)
    model = CaptionGenerator(**config['model'])
    model.out.b.array[3] = np.nan
    save_npz(path, model)
    photo = write_photo(tmp_path / 'a.jpg')
    assert_one_line_error(capsys, run(photo, '--model', own_result), 'NaN')


def test_a_gpu_that_is_not_there_is_an_error_within_seconds(result, tmp_path, capsys):
    photo = write_photo(tmp_path / 'a.jpg')
    with strict_cupy.installed(available=False):
        start = time.monotonic()
        assert_one_line_error(capsys, run(photo, '--model', result, '--device', 'cuda'),
                              '--device cpu')
        assert time.monotonic() - start < 60
    assert_one_line_error(capsys, run(photo, '--model', result, '--device', 'toaster'), 'toaster')


def test_a_gpu_says_what_the_cpu_says(result, photos, tmp_path):
    assert run(photos, '--model', result, '--out', tmp_path / 'cpu') == 0
    with strict_cupy.installed():
        assert run(photos, '--model', result, '--out', tmp_path / 'gpu', '--device', 'cuda') == 0
    for a, b in zip(read_lines(tmp_path / 'cpu'), read_lines(tmp_path / 'gpu')):
        assert a['caption'] == b['caption']


def test_an_out_that_cannot_be_written_is_an_error_before_the_work(result, photos, capsys,
                                                                   monkeypatch):
    monkeypatch.setattr(generate, 'caption_all', None)
    assert_one_line_error(capsys, run(photos, '--model', result, '--out', photos / 'a.jpg' / 'x'),
                          '--out')


@pytest.mark.parametrize('arguments, message', [
    (['a.jpg', '--temperature', '2'], '--temperature has no effect without --sample'),
    (['a.jpg', '--seed', '2'], '--seed has no effect without --sample'),
    (['a.jpg', '--beam', '2', '--sample'], '--beam has no effect with --sample'),
    (['a.jpg', '--length-penalty', '2', '--sample'], '--length-penalty has no effect'),
    (['a.jpg', '--beam', '2', '--n-best', '3'], 'needs a --beam of at least'),
    (['a.jpg', '--beam', '0'], 'at least 1 expected'),
    (['a.jpg', '--beam', 'wide'], 'invalid int value'),
    (['a.jpg', '--sample', '--temperature', '0'], 'above 0 expected'),
    (['a.jpg', '--length-penalty', 'nan'], 'at least 0 expected'),
    (['a.jpg', '--length-penalty', 'inf'], 'at least 0 expected'),
    (['a.jpg', '--surprise'], 'unrecognized arguments'),
    ([], 'name an image'),
])
def test_wrong_usage_ends_with_code_2_and_says_why(arguments, message, capsys):
    assert_one_line_error(capsys, run(*arguments), message, '--help')


def test_the_beam_widens_for_many_captions_and_few_are_shown_of_a_narrow_one():
    assert generate.parse_arguments(['a', '--n-best', '9']).beam == 9
    options = generate.parse_arguments(['a', '--beam', '2'])
    assert (options.beam, options.n_best) == (2, 2)


def test_an_interruption_ends_with_code_130(result, photos, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(ImageEncoder, 'compute', interrupted)
    assert run(photos, '--model', result) == 130
    assert capsys.readouterr().err == '\ngenerate.py: interrupted\n'


def test_too_little_memory_is_one_line(result, photos, tmp_path, capsys, monkeypatch):
    def greedy(*_):
        raise MemoryError
    monkeypatch.setattr(ImageEncoder, 'compute', greedy)
    assert_one_line_error(capsys, run(photos, '--model', result, '--out', tmp_path), '--batch')


def test_characters_without_letters_on_the_terminal_do_not_stop_it(result, tmp_path, capsys,
                                                                   monkeypatch):
    photo = write_photo(tmp_path / '犬.jpg')
    terminal = io.TextIOWrapper(io.BytesIO(), encoding='ascii')
    monkeypatch.setattr(sys, 'stdout', terminal)
    assert run(photo, '--model', result) == 0
    terminal.flush()
    assert b'\\u72ac.jpg' in terminal.buffer.getvalue()


def test_names_that_are_not_utf8_do_not_stop_it(result, tmp_path, capsys, monkeypatch):
    folder = tmp_path / 'photos'
    folder.mkdir()
    try:
        os.rename(os.fsencode(write_photo(folder / 'a.jpg')), os.fsencode(folder) + b'/\xff.jpg')
    except OSError:
        pytest.skip('this file system has only names in UTF-8')
    photo = os.path.join(folder, os.fsdecode(b'\xff.jpg'))
    terminal = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')
    monkeypatch.setattr(sys, 'stdout', terminal)
    assert run(photo, '--model', result, '--out', tmp_path / 'out') == 0
    assert read_lines(tmp_path / 'out')[0]['file'].endswith('?.jpg')
    write_photo(folder / 'b.jpg')
    assert run(folder, '--model', result, '--out', tmp_path / 'all') == 1
    assert len(read_lines(tmp_path / 'all')) == 1
    error = capsys.readouterr().err
    assert 'skipped' in error and '1 links or names that are not UTF-8' in error


def test_from_another_folder_and_into_a_pipe_that_closes_it_has_no_traceback(result, tmp_path):
    photo = write_photo(tmp_path / 'a.jpg')
    script = os.path.abspath(generate.__file__)
    environment = {name: value for name, value in os.environ.items() if name[:6] != 'PYTHON'}
    process = subprocess.Popen([sys.executable, script, photo, '--model', str(result)],
                               cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141 and error == b''


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit) as caught:
        run('--help')
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for part in ('captions.jsonl', 'captions.png', 'captions.html', 'examples:', 'exit code',
                 '--weights'):
        assert part in text


# The model for other programs --------------------------------------------------------------------

def test_exported_files_say_in_another_program_what_generate_says(result, tmp_path, capsys):
    """Greedy search by hand in ONNX's reference evaluator, images prepared by the metadata."""
    reference = pytest.importorskip('onnx.reference', reason='needs onnx')
    photo = write_photo(tmp_path / 'photo.png')
    assert run(photo, '--model', result, '--export', tmp_path / 'onnx', '--beam', 1,
               '--n-best', 1, '--allow-unknown', '--length-penalty', 0) == 0
    said = capsys.readouterr().out.splitlines()
    encoder, step = (reference.ReferenceEvaluator(str(tmp_path / 'onnx' / name))
                     for name in ('encoder.onnx', 'step.onnx'))
    metadata = {entry.key: entry.value for entry in step.proto_.metadata_props}
    prepare = image.Preprocessing.from_dict(json.loads(next(
        entry.value for entry in encoder.proto_.metadata_props if entry.key == 'preprocessing')))
    state = encoder.run(None, {'images': prepare.apply(image.load(photo))[None]})
    words, word = [], int(metadata['begin'])
    while len(words) < 20:
        feeds = {f'state_{i}': value for i, value in enumerate(state)}
        scores, *state = step.run(None, {'words': np.array([word]), **feeds})
        scores[:, int(metadata['begin'])] = -np.inf
        word = int(scores.argmax())
        if word == int(metadata['end']):
            break
        words.append(json.loads(metadata['vocabulary'])[word])
    assert ' '.join(words[:3]) in ' '.join(said)


def test_nothing_to_do_is_an_error_that_names_the_choices(capsys):
    assert run() == 2
    assert '--export FOLDER' in capsys.readouterr().err

import json
import subprocess
import sys
import types

import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks import article_004, flickr8k, frame, import_time, neighbours, tape
from benchmarks.learners import MinichainLearner, make_learners
from minichain.packing import pack
from minichain.vocabulary import BOS, EOS
from models.caption_generator import CaptionGenerator

QUICK = types.SimpleNamespace(quick=True, data=None, weights=None, cache=None)


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)      # import torch raises ImportError


# The frame ---------------------------------------------------------------------------------------

def test_a_table_shows_columns_numbers_gaps_and_notes():
    table = frame.Table('How fast?', ['library', 'us'], notes=['a note'])
    table.add('minichain', 1.23456)
    table.add('other', None)
    assert str(table).splitlines() == [
        'How fast?', '', 'library       us', '----------------', 'minichain  1.235',
        'other          -', '', 'a note']


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match='2 cells'):
        frame.Table('?', ['a', 'b']).add(1)


def test_functions_are_timed_in_turns_and_the_first_call_is_not_counted():
    calls, now = [], iter(range(1000))
    seconds = frame.time_in_turns({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')},
                                  rounds=2, clock=lambda: next(now))
    assert calls == ['a', 'b', 'a', 'b', 'b', 'a']
    assert seconds == {'a': [1, 1], 'b': [1, 1]}


def test_ratios_are_of_pairs_of_a_round():
    assert frame.compare([2., 30., 9.], [1., 10., 2.]) == (3., 2.)


def test_a_bar_is_met_up_to_its_value():
    assert frame.verdict(2.5, 2.5) == '2.5 met' and frame.verdict(2.6, 2.5) == '2.5 MISSED'


def test_a_peer_that_is_not_installed_is_none(no_torch):
    assert frame.find_peer('torch') is None and frame.find_peer('math').pi > 3
    assert 'no torch' in frame.describe_machine()


# The command line --------------------------------------------------------------------------------

def test_an_unknown_case_ends_with_the_names_of_those_there_are(capsys):
    with pytest.raises(SystemExit):
        main.main(['tap'])
    assert 'no case tap; there are tape, import, article_004, flickr8k' in capsys.readouterr().err


def test_every_case_is_explained_and_can_be_imported(capsys):
    with pytest.raises(SystemExit):
        main.main(['--help'])
    printed = capsys.readouterr().out
    for case, what in main.CASES.items():
        assert case in printed and what in printed


def test_tables_are_printed_and_written_as_json(tmp_path, capsys):
    main.main(['tape', '--quick', '--json', str(tmp_path / 'found.json')])
    printed, found = capsys.readouterr().out, json.loads((tmp_path / 'found.json').read_text())
    assert '=== tape' in printed and found['quick'] and found['machine'] in printed
    table = found['tables']['tape']
    assert table['rows'][0][0] == 'minichain' and len(table['rows'][0]) == len(table['columns'])
    assert table['rows'][0][1] > 0


# The cases ---------------------------------------------------------------------------------------

def test_the_tape_multiplies_and_adds_in_turns():
    # y' = x y + x: at x = 1/2 y -> 1, and dy/dx -> (y + 1) / (1 - x) = 4
    np.testing.assert_allclose(tape.ours(), 4, rtol=1e-5)


def test_a_missing_peer_is_shown_as_missing(no_torch):
    table = tape.run(QUICK)
    assert table.rows[1][:2] == ['torch', 'missing'] and 'not installed' in table.notes[0]
    assert isinstance(table.rows[0][1], float)


def test_import_is_timed_in_a_fresh_interpreter_without_numpy_itself(monkeypatch, no_torch):
    _, cpu = import_time.measure('numpy')
    assert 0 < cpu < .01      # it is there already
    monkeypatch.setattr(import_time, 'measure', lambda module: (.25, .1))
    table = import_time.run(QUICK)
    assert table.rows[0] == ['minichain', .25, .25, .1, '0.2 MISSED']
    assert table.rows[1][1] == 'missing'


def test_article_captions_are_reproducible_and_follow_their_law():
    features, groups = article_004.generate(20, 3, seed=5)
    again = article_004.generate(20, 3, seed=5)
    assert features.shape == (20, 256) and [len(g) for g in groups] == [3] * 20
    np.testing.assert_array_equal(features, again[0])
    captions = [ids for group in groups for ids in group]
    for ids, same in zip(captions, (ids for group in again[1] for ids in group)):
        np.testing.assert_array_equal(ids, same)
        assert ids[0] == BOS and ids[-1] == EOS and 7 <= len(ids) <= 18
        assert ids[1:-1].min() >= 3
    words = np.concatenate([ids[1:-1] for ids in captions])
    assert (words < 3 + 100).mean() > .4     # the hundred frequent ones


def test_published_batches_are_groups_of_one_length_in_order():
    captions = [np.zeros(n, int) for n in (5, 4, 5, 4, 4)]
    assert [list(b) for b in article_004.batches_as_published(captions)] == [[1, 3, 4], [0, 2]]


def test_states_are_carried_over_where_there_are_rows_for_them():
    captions = [np.arange(4)] * 3
    carried = (np.zeros((16, 2)), np.zeros((16, 2)))
    seen = []

    def read(features, chunk, states):
        seen.append([state.copy() for state in states])
        return 1., (states[0] + 1, states[1] + 2)
    nats = article_004.go_through(read, [[0, 1], [2]], captions, np.zeros((3, 5)), carried)
    assert nats == 9.       # 1 nat for each of 3 words of 3 captions
    assert seen[1][0].tolist() == [[1., 1.]] and carried[1][:3, 0].tolist() == [4., 2., 0.]


@pytest.mark.parametrize('library', ['here', 'missing'])
def test_article_004_runs_in_its_quick_form(library, monkeypatch):
    if library == 'missing':
        monkeypatch.setitem(sys.modules, 'torch', None)
    else:
        pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    monkeypatch.setattr(article_004, 'EXPERIMENTS', {'tiny': (40, 2, 4, 2, (9., 8.))})
    table = article_004.run(QUICK)
    (name, epoch, *figures), = table.rows
    assert (name, epoch) == ('tiny', 1) and '[9.000]' in figures
    assert (figures[1] == 'missing') == (library == 'missing')
    assert figures[4] == '0.69 [0.043]'      # ln 2: two captions an image
    if library == 'here':
        assert figures[-1].endswith('met')


@pytest.mark.parametrize('inject', ['first', 'state'])
def test_both_libraries_judge_decode_and_learn_alike(inject):
    pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    np.random.seed(0)
    learners = make_learners(CaptionGenerator(11, 5, 6, 6, inject=inject), lr=.01, clip=.5)
    random = np.random.RandomState(1)
    x = random.randn(4, 5).astype('float32')
    _, (chunk,) = pack([np.array([1, *random.randint(3, 11, n), 2]) for n in (5, 4, 4, 1)])
    ours, theirs = (learners[name].judge(x, chunk) for name in ('minichain', 'torch'))
    again = [learners[name].judge(x, chunk, ours[1])[0] for name in ('minichain', 'torch')]
    assert ours[0] == pytest.approx(theirs[0], rel=1e-6)
    assert again[0] == pytest.approx(again[1], rel=1e-6) and abs(again[0] - ours[0]) > 1e-4
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
    states = {name: learner.start(x) for name, learner in learners.items()}
    for word in (1, 5):
        scores = {}
        for name, learner in learners.items():
            states[name], scores[name] = learner.step(states[name], np.full(4, word))
        np.testing.assert_allclose(scores['minichain'], scores['torch'], atol=1e-5)
    for _ in range(50):
        ours, theirs = (learners[name].learn(x, chunk) for name in ('minichain', 'torch'))
        assert ours[0] == pytest.approx(theirs[0], rel=1e-5)


def test_weights_of_a_learner_can_be_kept_and_put_back():
    for learner in make_learners(CaptionGenerator(11, 5, 6, 6)).values():
        x, (_, (chunk,)) = np.ones((1, 5), 'float32'), pack([np.array([1, 5, 2])])
        before, weights = learner.judge(x, chunk)[0], learner.get_weights()
        learner.learn(x, chunk)
        assert learner.judge(x, chunk)[0] != before
        learner.set_weights(weights)
        assert learner.judge(x, chunk)[0] == before


def tiny_photos(extra=True):
    """Six kinds of images, whose captions name the kind."""
    random = np.random.RandomState(0)
    kinds = ['cat', 'dog', 'bird', 'boat', 'tree', 'man']

    def split(n):
        which = np.arange(n) % 6
        return flickr8k.Split(
            (np.eye(6)[which] * 3 + .1 * random.randn(n, 6) + 1).astype('float32'),
            [[f'a {kinds[i]} is here'.split(), f'the {kinds[i]} stands'.split()] for i in which])
    return flickr8k.make_data({'train': split(60), 'dev': split(12), 'test': split(12)},
                              ['a cat is there'.split()] * 5 if extra else [])


@pytest.fixture
def small(monkeypatch):
    for name, value in (('WIDTH', 16), ('BATCH', 12), ('DROPOUT', .1), ('LR', .02), ('STEPS', 5)):
        monkeypatch.setattr(flickr8k, name, value)


def test_flickr8k_in_quick_form_has_a_row_for_everyone(small):
    pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    table = flickr8k.measure(tiny_photos(), quick=True)
    assert [row[0] for row in table.rows] == [
        'minichain', 'torch', 'image-blind', 'with more text', 'minichain, mean', 'torch, mean',
        'image-blind, mean', 'with more text, mean', 'nearest neighbour', 'consensus of 20',
        'a human against the others']
    assert 'bar 1e-05 met' in table.notes[0]
    assert any(note.startswith('stretch') for note in table.notes)


def test_flickr8k_without_torch_says_so_and_without_more_text_leaves_it_out(small, no_torch):
    table = flickr8k.measure(tiny_photos(extra=False), quick=True)
    assert not any('torch' in row[0] or 'text' in row[0] for row in table.rows)
    assert 'torch is not installed' in table.notes[0]


def test_training_learns_to_look_at_images(small):
    data = tiny_photos()
    seeing, blind = (flickr8k.train(MinichainLearner(flickr8k.make_model(data, 0), .02), data, 0,
                                    blind, epochs=12)[0] for blind in (False, True))
    assert seeing['dev'] < blind['dev'] - .2 and seeing['shuffling costs'] > .3
    assert blind['shuffling costs'] == 0 and seeing['CIDEr'] > 2 * blind['CIDEr']


def test_neighbours_are_of_the_same_kind_and_agree_on_a_caption():
    data = tiny_photos()
    train, test = data.splits['train'], data.splits['test']
    rows = neighbours.nearest(test.features, train.features, 10)
    assert (rows % 6 == np.arange(12)[:, None] % 6).all()
    chosen = neighbours.consensus(rows, train.tokens)
    assert all(caption in group for caption, group in zip(chosen, test.tokens))


def test_the_consensus_is_the_caption_that_most_others_resemble():
    groups = [['a red ball'.split(), 'a red ball there'.split()],
              ['two men'.split(), 'the red ball there'.split()]]
    assert neighbours.consensus([[0, 1]], groups) == ['a red ball there'.split()]


def test_flickr8k_without_data_says_what_it_needs():
    assert ['--data, a folder with captions and images', 'missing'] in flickr8k.run(QUICK).rows


def test_the_package_runs_as_a_command_with_one_thread():
    done = subprocess.run([sys.executable, '-m', 'benchmarks', 'flickr8k'], capture_output=True,
                          text=True, cwd=import_time.ROOT)
    assert done.returncode == 0 and 'missing' in done.stdout, done.stderr
    assert '1 BLAS thread' in done.stdout

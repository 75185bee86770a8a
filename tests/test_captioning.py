import contextlib
import math
import warnings

import numpy as np
import pytest

import minichain
from minichain.captioning import CaptionSplit, Learner, leave_out, rows, tokens_of
from minichain.datasets.captions import CaptionedImage
from minichain.errors import DataError, NotFinite
from minichain.text import get_tokenizer
from minichain.vocabulary import UNK, Vocabulary
from models.caption_generator import CaptionGenerator
from tests import strict_cupy

IDS = [[1, 3, 4, 2], [1, 5, 2], [1, 4, 4, 3, 6, 2], [1, 6, 2], [1, 3, 2]]


def features(n, seed=0):
    return np.random.RandomState(seed).randn(n, 5).astype('float32')


def split_of(n_images=3):
    return CaptionSplit([f'{i}.png' for i in range(n_images)], features(n_images),
                        [np.array(ids) for ids in IDS], np.arange(5) % n_images, None)


def make_learner(n_steps=None, sees=True, device='cpu', **options):
    np.random.seed(0)
    device = minichain.get_device(device)
    model = CaptionGenerator(7, 5, 4, 6, **options)
    model.standardize_by(features(20))
    model.to_device(device)
    return Learner(model, minichain.optimizers.SGD(.1).setup(model), device, n_steps, sees)


def step_by_step(model, feature, ids):
    """Return the nats of a caption, one word after the other through start and step."""
    state, nats = model.start(feature[None]), 0.
    for word, target in zip(ids, ids[1:]):
        state, scores = model.step(state, np.array([word]))
        nats -= float(scores[0, target])
    return nats


@pytest.mark.parametrize('inject', ['first', 'every', 'state'])
@pytest.mark.parametrize('n_steps', [None, 2])
def test_the_loss_is_that_of_every_caption_by_itself(inject, n_steps):
    learner, split = make_learner(n_steps, inject=inject, n_layers=2), split_of()
    expected = sum(step_by_step(learner.model, split.features[image], ids)
                   for image, ids in zip(split.image_of, split.ids))
    loss = learner.evaluate(split)
    assert loss.nats == pytest.approx(expected, rel=1e-5)
    assert (loss.tokens, loss.captions) == (sum(len(ids) - 1 for ids in IDS), len(IDS))
    assert learner.evaluate(split, batch=2).nats == pytest.approx(expected, rel=1e-5)
    if n_steps is None:     # else weights change between the chunks
        loss = learner.update(split.features[split.image_of], split.ids)
        assert loss.nats == pytest.approx(expected, rel=1e-5)
        assert (loss.tokens, loss.captions) == (sum(len(ids) - 1 for ids in IDS), len(IDS))


def test_updates_lower_the_loss():
    learner, split = make_learner(), split_of()
    losses = [learner.update(split.features[split.image_of], split.ids).nats for _ in range(30)]
    assert all(after < before for before, after in zip(losses, losses[1:]))
    assert losses[-1] < .9 * losses[0]


def test_truncated_updates_are_one_for_each_chunk():
    learner, split = make_learner(n_steps=2), split_of()
    learner.update(split.features[split.image_of], split.ids)
    assert learner.optimizer.t == 3     # the longest caption has five steps


def test_a_blind_learner_sees_the_mean_image_only():
    learner, split = make_learner(sees=False), split_of()
    mean = np.tile(learner.model.feature_mean, (3, 1))
    expected = make_learner().evaluate(CaptionSplit(split.names, mean, split.ids, split.image_of,
                                                    None)).nats
    assert learner.evaluate(split).nats == pytest.approx(expected)
    assert learner.evaluate(split, shuffled=True).nats == pytest.approx(expected)
    assert len({found.words for found in learner.say(split.features, 5)}) == 1


@pytest.mark.parametrize('n_images', [2, 3, 4, 50])
def test_shuffled_means_that_every_caption_gets_the_image_of_another(n_images):
    learner = make_learner()
    split = CaptionSplit([''] * n_images, np.arange(n_images * 5.).reshape(n_images, 5),
                         [np.array([1, 3, 2])] * n_images, np.arange(n_images), None)
    seen = []
    learner.look = lambda features: seen.append(features) or features.astype('float32')
    learner.evaluate(split, shuffled=True)
    shown, = seen
    assert sorted(shown[:, 0]) == sorted(split.features[:, 0])
    assert (shown[:, 0] != split.features[:, 0]).all()


def test_evaluation_changes_nothing_and_uses_no_dropout():
    learner, split = make_learner(dropout=.5), split_of()
    before = {path: param.array.copy() for path, param in learner.model.namedparams()}
    assert learner.evaluate(split).nats == learner.evaluate(split).nats
    for path, param in learner.model.namedparams():
        np.testing.assert_array_equal(param.array, before[path])
    noisy = {learner.model.loss(learner.model.image(split.features[:1]), chunk)[0].array.item()
             for chunk in minichain.packing.pack([IDS[2]])[1] for _ in range(5)}
    assert len(noisy) > 1


def test_captions_do_not_depend_on_the_batch():
    learner, x = make_learner(), features(7, seed=3)
    assert [found.words for found in learner.say(x, 6, beam=2)] == \
        [found.words for found in learner.say(x, 6, beam=2, batch=2)]
    assert all(UNK not in found.words for found in learner.say(x, 6))


def test_captions_between_updates_are_those_of_the_parameters_of_the_time():
    learner, split = make_learner(), split_of()
    learner.optimizer.lr = 1.
    seen = set()
    for _ in range(5):
        learner.update(split.features[split.image_of], split.ids)
        found = learner.say(split.features, 6, beam=2)
        expected = minichain.decoding.beam_search(
            learner.model.step, learner.model.start(split.features), 3, 1, 2, 6, 2, banned=(UNK,))
        assert [best.words for best in found] == [best.words for best, *_ in expected]
        np.testing.assert_allclose([best.log_probability for best in found],
                                   [best.log_probability for best, *_ in expected], rtol=1e-4)
        seen.add(tuple(best.words for best in found))
    assert len(seen) > 1


def test_a_loss_or_parameter_that_is_not_finite_is_an_error():
    learner, split = make_learner(), split_of()
    learner.expect_finite()
    learner.model.out.b.array[2] = math.nan
    with pytest.raises(NotFinite, match='parameter /out/b became'):
        learner.expect_finite()
    with pytest.raises(NotFinite, match='train loss became nan.*--lr'):
        learner.update(split.features[split.image_of], split.ids)
    with pytest.raises(NotFinite, match='dev or test loss'):
        learner.evaluate(split)
    with pytest.raises(NotFinite, match='NaN'):
        learner.say(split.features, 4)


def test_a_model_that_ran_away_does_not_warn_of_the_inside_while_it_captions():
    learner = make_learner()
    learner.model.img2x.W.array[:] = 3e38
    with warnings.catch_warnings(record=True) as caught, contextlib.suppress(NotFinite):
        warnings.simplefilter('always')
        learner.say(split_of().features * 1000, 4)
    assert not caught


def test_groups_are_the_captions_of_each_image_without_their_ends():
    assert split_of(2).groups() == [[(3, 4), (4, 4, 3, 6), (3,)], [(5,), (6,)]]


class Table:
    """Features by name."""

    def of(self, names):
        return np.array([[float(name)] for name in names], 'float32')


def test_a_split_is_made_of_images_with_their_captions():
    images = [CaptionedImage('7', ['a red cat', 'a cat'], stars=[1, 2]),
              CaptionedImage('8', ['red'], stars=[5])]
    vocabulary = Vocabulary(['a', 'cat'])
    split = CaptionSplit.of(images, Table(), get_tokenizer('words'), vocabulary,
                            minichain.get_device('cpu'))
    assert split.names == ['7', '8'] and split.features.tolist() == [[7.], [8.]]
    assert [ids.tolist() for ids in split.ids] == [[1, 3, 0, 4, 2], [1, 3, 4, 2], [1, 0, 2]]
    assert split.image_of.tolist() == [0, 0, 1] and split.stars.tolist() == [1, 2, 5]
    images[1].stars = None
    assert CaptionSplit.of(images, Table(), get_tokenizer('words'), vocabulary,
                           minichain.get_device('cpu')).stars is None


def test_tokens_of_the_data_come_before_those_of_the_tokenizer():
    words = get_tokenizer('words')
    assert tokens_of(CaptionedImage('a', ['Red cat.']), words) == [['red', 'cat']]
    assert tokens_of(CaptionedImage('a', ['Red cat.'], [['Red', 'cat.']]), words) == \
        [['Red', 'cat.']]


class Data:
    """Splits of two images each."""

    def __init__(self):
        self.splits = {name: [CaptionedImage(f'{name}{i}', ['x']) for i in range(2)]
                       for name in ('train', 'dev')}
        self.images = type('Store', (), {'path': 'folder'})


def test_broken_images_are_left_out_unless_none_remains():
    data = Data()
    assert leave_out({}, data) == [] and len(data.splits['dev']) == 2
    assert leave_out({'dev1': 'dev1 is broken'}, data) == ['left out: dev1 is broken']
    assert [image.name for image in data.splits['dev']] == ['dev0']
    with pytest.raises(DataError, match='folder: none of the 2 images of the train split'):
        leave_out({'train0': 'no PNG', 'train1': 'no PNG'}, data)


def test_the_path_of_the_gpu_does_what_numpy_does():
    expected, split = make_learner(), split_of()
    expected_losses = [expected.update(split.features[split.image_of], split.ids).nats,
                       expected.evaluate(split, shuffled=True).nats]
    with strict_cupy.installed():
        learner = make_learner(device='cuda')
        split.features = learner.device.send(split.features)
        losses = [learner.update(rows(split.features, split.image_of), split.ids).read().nats,
                  learner.evaluate(split, shuffled=True).nats]
        learner.expect_finite()
        said = [found.words for found in learner.say(split.features, 6, beam=2)]
    assert losses == pytest.approx(expected_losses, rel=1e-6)
    assert said == [found.words for found in expected.say(split_of().features, 6, beam=2)]

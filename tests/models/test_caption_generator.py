import numpy as np
import pytest

import minichain
from minichain.errors import InvalidArgument
from minichain.packing import pack
from models.caption_generator import INJECT, CaptionGenerator

V, D, E, H = 11, 5, 4, 6


def make(inject='first', n_layers=1, dropout=0., seed=0):
    np.random.seed(seed)
    return CaptionGenerator(V, D, E, H, n_layers, dropout, inject)


def captions(n=7, seed=1):
    random = np.random.RandomState(seed)
    return [np.array([1, *random.randint(3, V, random.randint(1, 6)), 2]) for _ in range(n)]


def features(n=7):
    return np.random.RandomState(2).randn(n, D).astype('float32')


def whole_loss(model, ids, x, n_steps=None):
    order, chunks = pack(ids, n_steps)
    total, states, tokens = 0., None, 0
    for chunk in chunks:
        loss, states = model.loss(model.image(x[order]), chunk, states)
        total += float(loss.array) * len(chunk.targets)
        tokens += len(chunk.targets)
    return total / tokens


@pytest.mark.parametrize('inject', INJECT)
@pytest.mark.parametrize('n_layers', [1, 2])
def test_loss_is_the_sum_of_what_single_steps_say(inject, n_layers):
    model, ids, x = make(inject, n_layers), captions(), features()
    nats = tokens = 0.
    for caption, row in zip(ids, x):
        state = model.start(row[None])
        for word, following in zip(caption[:-1], caption[1:]):
            state, scores = model.step(state, np.array([word]))
            nats -= scores[0, following]
            tokens += 1
    assert whole_loss(model, ids, x) == pytest.approx(nats / tokens, rel=1e-5)


@pytest.mark.parametrize('inject', INJECT)
@pytest.mark.parametrize('n_steps', [1, 2, 3])
def test_truncation_changes_gradients_but_not_the_loss(inject, n_steps):
    model, ids, x = make(inject), captions(), features()
    assert whole_loss(model, ids, x, n_steps) == pytest.approx(whole_loss(model, ids, x), rel=1e-6)


@pytest.mark.parametrize('inject', INJECT)
def test_the_image_matters_and_every_parameter_gets_a_gradient(inject):
    model, ids, x = make(inject), captions(), features()
    assert abs(whole_loss(model, ids, x) - whole_loss(model, ids, x[::-1])) > 1e-4
    order, (chunk,) = pack(ids)
    loss, _ = model.loss(model.image(x[order]), chunk)
    loss.backward()
    for path, parameter in model.namedparams():
        assert parameter.grad is not None and np.abs(parameter.grad).max() > 0, path


def test_features_are_standardized_by_those_of_training_and_saved_with_the_model():
    model, x = make(), features(50) * 100 + 7
    model.standardize_by(x)
    z = (x - model.feature_mean) * model.feature_scale
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-3)
    assert {'feature_mean', 'feature_scale'} <= model._persistent


def test_dropout_acts_in_training_only():
    model, ids, x = make(dropout=.5), captions(), features()
    assert whole_loss(model, ids, x) != whole_loss(model, ids, x)
    with minichain.using_config('train', False):
        assert whole_loss(model, ids, x) == whole_loss(model, ids, x)


def test_an_unknown_way_to_inject_is_refused():
    with pytest.raises(InvalidArgument, match='first, every, state'):
        make('second')


def torch_twin(model, torch):
    """The same model in PyTorch, with the same weights: gates i, f, g, o in blocks."""
    lstm = torch.nn.LSTM(E, H)
    rows = np.arange(4 * H).reshape(H, 4)[:, [1, 2, 0, 3]].T.ravel()
    source = dict(model.namedparams())
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.tensor(source['/lstm/0/upward/W'].array[rows]))
        lstm.weight_hh_l0.copy_(torch.tensor(source['/lstm/0/lateral/W'].array[rows]))
        lstm.bias_ih_l0.copy_(torch.tensor(source['/lstm/0/upward/b'].array[rows]))
        lstm.bias_hh_l0.zero_()
    lstm.bias_hh_l0.requires_grad_(False)
    other = {name: torch.tensor(source[name].array.copy(), requires_grad=True)
             for name in ('/embed/W', '/img2x/W', '/img2x/b', '/out/W', '/out/b')}

    def loss(ids, x):
        total, tokens = 0., 0
        for caption, row in zip(ids, torch.tensor(x)):
            words = other['/embed/W'][torch.tensor(caption[:-1])]
            image = other['/img2x/W'] @ row + other['/img2x/b']
            words = torch.cat([words[:1] + image, words[1:]])
            hs, _ = lstm(words[:, None])
            scores = hs[:, 0] @ other['/out/W'].T + other['/out/b']
            total = total + torch.nn.functional.cross_entropy(
                scores, torch.tensor(caption[1:]), reduction='sum')
            tokens += len(caption) - 1
        return total / tokens
    parameters = [p for p in lstm.parameters() if p.requires_grad] + list(other.values())
    return loss, parameters


def test_fifty_steps_of_training_equal_pytorch():
    torch = pytest.importorskip('torch', reason='compares with PyTorch (extra peers)')
    torch.set_num_threads(1)
    model = make()
    torch_loss, parameters = torch_twin(model, torch)
    ours = minichain.optimizers.Adam(alpha=.01).setup(model)
    theirs = torch.optim.Adam(parameters, lr=.01)
    for step in range(50):
        ids, x = captions(seed=step), np.random.RandomState(step).randn(7, D).astype('float32')
        order, (chunk,) = pack(ids)
        loss, _ = model.loss(model.image(x[order]), chunk)
        model.cleargrads()
        loss.backward()
        ours.update()
        expected = torch_loss(ids, x)
        theirs.zero_grad()
        expected.backward()
        theirs.step()
        assert float(loss.array) == pytest.approx(expected.item(), rel=1e-5), step

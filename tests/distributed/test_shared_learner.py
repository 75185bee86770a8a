"""Captions on several ranks: the gradients, losses and captions of one rank."""
import numpy as np
import pytest

from minichain import optimizers as O
from minichain.backend import CpuDevice
from minichain.captioning import CaptionSplit, Learner
from minichain.distributed import SharedLearner, create_multi_node_optimizer
from minichain.distributed.shared_learner import tokens_of_chunks
from minichain.packing import pack
from minichain.vocabulary import BOS, EOS
from models.caption_generator import CaptionGenerator
from tests.distributed.ranks import on_ranks

V, D = 9, 4


def make_split(n=11, seed=0):
    random = np.random.RandomState(seed)
    ids = [np.array([BOS, *random.randint(3, V, random.randint(1, 9)), EOS]) for _ in range(n)]
    features = random.normal(size=(5, D)).astype('f')
    return CaptionSplit([str(i) for i in range(5)], features, ids, np.arange(n) % 5, None)


def make_model(inject):
    model = CaptionGenerator(V, D, 6, 5, n_layers=2, inject=inject)
    random = np.random.RandomState(1)       # threads share numpy.random
    for param in model.params():
        param.array[...] = random.normal(size=param.shape) / 2
    return model


def learn(learner, split, n=None, steps=3):
    loss = None
    for _ in range(steps):
        loss = learner.update(split.features[split.image_of[:n]], split.ids[:n])
    return loss


def alone(split, inject='first', n_steps=None, n=None, steps=3):
    model = make_model(inject)
    learner = Learner(model, O.SGD(.5).setup(model), CpuDevice(), n_steps)
    return learner, learn(learner, split, n, steps)


def make_shared(communicator, inject='first', n_steps=None):
    model = make_model(inject)
    optimizer = create_multi_node_optimizer(O.SGD(.5), communicator, bucket_bytes=200).setup(model)
    return SharedLearner(model, optimizer, CpuDevice(), n_steps, communicator=communicator)


@pytest.mark.parametrize('size', [1, 2, 3])
@pytest.mark.parametrize('inject, n_steps', [
    ('first', None), ('state', None), ('every', 2), ('state', 3), ('first', 1)])
def test_ranks_learn_a_batch_as_one_rank_does(size, inject, n_steps):
    split = make_split()

    def work(communicator):
        learner = make_shared(communicator, inject, n_steps)
        return learner, learner.whole(learn(learner, split))
    expected, loss = alone(split, inject, n_steps)
    for learner, whole in on_ranks(size, work):
        assert (whole.tokens, whole.captions) == (loss.tokens, loss.captions)
        assert whole.nats == pytest.approx(loss.nats, rel=1e-6)
        assert learner.optimizer.t == expected.optimizer.t
        for (path, param), other in zip(learner.model.namedparams(), expected.model.params()):
            np.testing.assert_allclose(param.array, other.array, rtol=2e-5, atol=2e-6,
                                       err_msg=path)


@pytest.mark.parametrize('n', [1, 2, 5])
@pytest.mark.parametrize('n_steps', [None, 2])
def test_a_batch_may_have_fewer_captions_than_ranks(n, n_steps):
    split = make_split(seed=3)

    def work(communicator):
        learner = make_shared(communicator, n_steps=n_steps)
        learn(learner, split, n)
        return learner.model
    expected, _ = alone(split, n_steps=n_steps, n=n)
    for model in on_ranks(3, work):
        for param, other in zip(model.params(), expected.model.params()):
            np.testing.assert_allclose(param.array, other.array, rtol=2e-5, atol=2e-6)


def test_losses_are_those_of_one_rank_shuffled_or_not():
    split = make_split()
    expected, _ = alone(split, steps=0)
    wanted = [expected.evaluate(split), expected.evaluate(split, shuffled=True)]
    assert abs(wanted[0].nats - wanted[1].nats) > 1e-3

    def work(communicator):
        learner = make_shared(communicator)
        return [learner.evaluate(split), learner.evaluate(split, shuffled=True, batch=2)]
    for size in (1, 3, 12):
        for found in on_ranks(size, work):
            for loss, want in zip(found, wanted):
                assert loss.nats == pytest.approx(want.nats, rel=1e-6)
                assert (loss.tokens, loss.captions) == (want.tokens, want.captions)


def test_captions_come_in_the_order_of_the_images():
    features = np.random.RandomState(5).normal(size=(7, D)).astype('f') * 9
    expected, _ = alone(make_split(), 'every', steps=0)
    wanted = expected.say(features, 6, beam=2)
    assert len({hypothesis.words for hypothesis in wanted}) > 1

    def work(communicator):
        learner = make_shared(communicator, 'every')
        return learner.say(features, 6, beam=2), learner.say(features[:1], 6)
    for size in (1, 2, 3):
        for found, one in on_ranks(size, work):
            assert [hypothesis.words for hypothesis in found] == [
                hypothesis.words for hypothesis in wanted]
            np.testing.assert_allclose([hypothesis.score for hypothesis in found],
                                       [hypothesis.score for hypothesis in wanted], rtol=1e-5)
            assert len(one) == 1


def test_tokens_are_counted_as_captions_are_packed():
    ids = make_split(30).ids
    lengths = np.array([len(caption) - 1 for caption in ids])
    for n_steps in (None, 1, 3, 100):
        _, chunks = pack(ids, n_steps)
        assert tokens_of_chunks(lengths, n_steps) == [len(chunk.targets) for chunk in chunks]

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minichain.captioning import CaptionSplit
from minichain.errors import InvalidArgument
from minichain.loss_floor import Loss, caption_entropy, find_floors, unigram_loss


def test_losses_add_up_and_are_told_in_three_units():
    loss = Loss(3., 2, 1) + Loss(5., 6, 3)
    assert (loss.per_token, loss.per_caption) == (1., 2.)
    assert loss.perplexity == pytest.approx(math.e)
    assert str(loss) == ' 1.0000 nats/token    2.000 nats/caption perplexity     2.72'


def test_no_loss_is_nan_and_a_huge_one_does_not_overflow():
    assert math.isnan(Loss().per_token) and math.isnan(Loss().perplexity)
    assert math.isnan(Loss().per_caption)
    assert math.isfinite(Loss(1e9, 1, 1).perplexity)


def test_a_loss_that_ran_away_stays_readable():
    assert str(Loss(1.25e30, 1, 1)) == (
        '1.250e+30 nats/token 1.250e+30 nats/caption perplexity 1.014e+304')
    assert len(str(Loss(40., 2, 1)).split()) == 6


def test_captions_that_all_differ_leave_the_logarithm_of_their_number():
    loss = caption_entropy([[('a', 'b'), ('c',), ('d',), ('e', 'f', 'g')]])
    assert loss.per_caption == pytest.approx(math.log(4))
    assert (loss.tokens, loss.captions) == (3 + 2 + 2 + 4, 4)


def test_one_caption_or_the_same_again_leaves_nothing():
    assert caption_entropy([[('a',)], [('b',)] * 3]).nats == 0


def test_the_entropy_is_that_of_the_frequencies():
    # by hand: 3 of one, 1 of another: 3 ln(4/3) + 1 ln 4
    loss = caption_entropy([[(1, 2), (1, 2), (1, 2), (3,)]])
    assert loss.nats == pytest.approx(3 * math.log(4 / 3) + math.log(4))


def test_the_unigram_loss_counts_words_and_ends_with_one_added():
    # ids: 1 begins, 2 ends, 3 and 4 are words; of 0..4 are counted 0, 0, 2, 3, 0, each + 1
    train = [np.array([1, 3, 3, 2]), np.array([1, 3, 2])]
    loss = unigram_loss(train, [np.array([1, 3, 4, 2])], 5)
    expected = -sum(math.log(n / 10) for n in (4, 1, 3))
    assert loss.nats == pytest.approx(expected) and (loss.tokens, loss.captions) == (3, 1)


def test_no_captions_are_refused():
    with pytest.raises(InvalidArgument, match='captions'):
        unigram_loss([], [np.array([1, 2])], 3)


def split_of(*captions):
    return CaptionSplit(['a', 'b'], None, [np.array(ids) for ids in captions],
                        np.array([0] * (len(captions) - 1) + [1]), None)


def test_of_real_captions_train_has_an_entropy_and_the_others_no_floor():
    splits = {'train': split_of([1, 3, 2], [1, 4, 2], [1, 3, 2]), 'dev': split_of([1, 3, 2])}
    floors = find_floors(SimpleNamespace(), splits, 5, str.split)
    assert list(floors['train']) == ['unigram baseline', 'entropy given the image']
    assert floors['train']['entropy given the image'].nats == pytest.approx(2 * math.log(2))
    assert list(floors['dev']) == ['unigram baseline']


def test_drawn_scenes_know_their_floor():
    data = SimpleNamespace(floor=lambda split, tokenize: SimpleNamespace(nats_per_caption=6.))
    floors = find_floors(data, {'test': split_of([1, 3, 2], [1, 4, 4, 2])}, 5, str.split)
    floor = floors['test']['true entropy floor']
    assert (floor.nats, floor.tokens, floor.captions) == (12., 5, 2)

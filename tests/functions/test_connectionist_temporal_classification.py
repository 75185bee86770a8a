import itertools

import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import connectionist_temporal_classification
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
XS = list(RANDOM.uniform(-1, 1, (4, 2, 3)))
T = np.array([[1, 2], [2, 2]])


def by_counting(xs, t, blank, input_length, label_length):
    """Losses by going through all sequences of emissions."""
    y = np.zeros(len(t))
    for n in range(len(t)):
        scores = np.exp([x[n] for x in xs[:input_length[n]]])
        p = scores / scores.sum(axis=1, keepdims=True)
        total = 0
        for emitted in itertools.product(range(p.shape[1]), repeat=len(p)):
            merged = [k for k, _ in itertools.groupby(emitted) if k != blank]
            if merged == t[n, :label_length[n]].tolist():
                total += np.prod([p[i, k] for i, k in enumerate(emitted)])
        y[n] = -np.log(total)
    return y


def ctc(*xs, t=T, blank=0, **options):
    return connectionist_temporal_classification(list(xs), xs[0].xp.asarray(t), blank, **options)


@pytest.mark.parametrize('t, blank, input_length, label_length', [
    (T, 0, [4, 4], [2, 2]), (T, 0, [3, 4], [2, 1]), (T, 0, [4, 1], [0, 1]),
    (np.array([[0, 1], [1, -7]]), 2, [2, 4], [2, 1]), (np.zeros((2, 0), int), 0, [4, 2], [0, 0])])
def test_the_loss_sums_over_all_alignments(t, blank, input_length, label_length):
    check_function(
        lambda *xs: ctc(*xs, t=t, blank=blank, reduce='no', input_length=np.array(input_length),
                        label_length=np.array(label_length)),
        XS, lambda *xs: by_counting(xs, t, blank, input_length, label_length))


def test_full_lengths_are_the_default_and_the_mean_the_reduction():
    check_function(ctc, XS, lambda *xs: by_counting(xs, T, 0, [4, 4], [2, 2]).mean(),
                   dtypes=('float32',))


def test_long_sequences_agree_with_torch():
    torch = pytest.importorskip('torch', reason='PyTorch is the reference')
    xs = RANDOM.uniform(-3, 3, (40, 5, 6))
    t, lengths = RANDOM.randint(1, 6, (5, 9)), np.array([9, 1, 4, 7, 5])
    ours, theirs = [Variable(x) for x in xs], torch.tensor(xs, requires_grad=True)
    steps = np.array([40, 9, 30, 22, 40])
    loss = connectionist_temporal_classification(ours, t, 0, steps, lengths)
    loss.backward()
    expected = torch.nn.functional.ctc_loss(
        theirs.log_softmax(2), torch.tensor(t), torch.tensor(steps), torch.tensor(lengths),
        reduction='none').mean()
    expected.backward()
    np.testing.assert_allclose(loss.array, expected.item(), rtol=1e-9)
    for x, gx in zip(ours, theirs.grad.numpy()):
        np.testing.assert_allclose(x.grad, gx, rtol=1e-7, atol=1e-12)


def test_labels_that_do_not_fit_into_the_steps_cost_much_and_have_finite_gradients():
    xs = [Variable(x.astype('float32')) for x in XS[:2]]
    loss = connectionist_temporal_classification(xs, T, 0, reduce='no')
    assert loss.array[0] < 10 and 9e9 < loss.array[1] < 2e10
    minichain.functions.sum(loss).backward()
    assert all(np.isfinite(x.grad).all() for x in xs)


@pytest.mark.parametrize('change, error, message', [
    ({'t': T + 1}, InvalidType, 'labels from 0 to 2 expected'),
    ({'blank': 3}, InvalidType, 'labels from 0 to 2 expected'),
    ({'t': T[:1]}, InvalidType, r't.shape \(2, any\) expected'),
    ({'input_length': np.array([5, 4])}, InvalidType, 'input_length from 1 to 4'),
    ({'label_length': np.array([3, 1])}, InvalidType, 'label_length from 0 to 2'),
    ({'reduce': 'sum'}, InvalidArgument, "'sum'")])
def test_what_does_not_fit_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        ctc(*[Variable(x) for x in XS], **change)

import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from minichain.onnx.exporting import export
from tests.onnx.exporting.running import RUNNERS, call, expect_same, run

RANDOM = np.random.default_rng(0)
X, Y, Z = RANDOM.standard_normal((3, 5, 4), 'f')


@pytest.mark.parametrize('runner', RUNNERS)
def test_remainders_have_the_sign_of_the_dividend(runner):
    expect_same(lambda x, y: F.fmod(x, abs(y) + .5), (7 * X, Y), runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_mixtures(runner):
    expect_same(F.linear_interpolate, (X, Y, Z), runner)


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('reduce', ['no', 'sum_along_second_axis'])
def test_hubers_loss_on_both_sides_of_delta(reduce, runner):
    expect_same(lambda x, t: F.huber_loss(x, t, .7, reduce), (X, Y), runner)


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('multioutput', ['uniform_average', 'raw_values'])
def test_the_share_of_variance_explained(multioutput, runner):
    true = Y.copy()
    true[:, 1] = 0   # does not vary
    expect_same(lambda x, t: F.r2_score(x, t, multioutput=multioutput), (X, true), runner,
                rows=(3, 6))


@pytest.mark.parametrize('runner', RUNNERS)
def test_precision_and_recall_of_classes_that_are_seen_and_not(runner):
    labels, pixels = np.array([0, 1, 3, 1, -1]), X[:4].reshape(2, 4, 2)
    for code, y, t in ((lambda y, t: F.classification_summary(y, t, 4, beta=2.), X, labels),
                       (lambda y, t: (F.f1_score(y, t, 3, ignore_label=1)[0],), X, labels + 1),
                       (lambda y, t: F.recall(y, t, 4), pixels, labels[:4].reshape(2, 2))):
        with np.errstate(invalid='ignore'):   # 0 / 0 in the reference evaluator
            found = run(export(code, (y, t)), {'y': y, 't': t}, runner)
        for expected, z in zip(call(code, (y, t)), found, strict=True):
            np.testing.assert_allclose(z, expected, rtol=1e-6)
            assert z.dtype == expected.dtype


def test_how_many_classes_there_are_must_be_said():
    with pytest.raises(InvalidArgument, match='give label_num'):
        export(F.precision, (X, np.array([0, 1, 3, 1, 2])))

import numpy as np
import pytest

import minichain.functions as F
from tests.onnx.exporting.running import RUNNERS, expect_same

X = np.random.default_rng(7).standard_normal((4, 6), 'f')


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('options', [{}, {'ignore_label': 2}, {'normalize': False},
                                     {'reduce': 'no'}])
@pytest.mark.parametrize('labels', [[0, 5, 3, 4], [-1, 5, 2, 2]])
def test_cross_entropy_of_labels_that_are_an_input(labels, options, runner):
    if options.get('ignore_label') == 2:
        labels = [max(label, 2) for label in labels]
    expect_same(lambda x, t: F.softmax_cross_entropy(x, t, **options), (X, np.array(labels)),
                runner)


def test_labels_of_pixels():
    x = np.random.default_rng(8).standard_normal((2, 3, 2, 2), 'f')
    labels = np.array([[[0, 1], [2, -1]], [[1, 1], [-1, 0]]])
    for opset in (13, 17, 21):
        expect_same(F.softmax_cross_entropy, (x, labels), opset=opset)


@pytest.mark.parametrize('runner', RUNNERS)
def test_shares_of_right_answers(runner):
    labels = np.array([0, 5, 3, 4])
    expect_same(lambda x, t: (F.accuracy(x, t), F.accuracy(x, t, ignore_label=5)), (X, labels),
                runner)
    expect_same(F.accuracy, (X[..., None], labels[:, None]), runner)
    expect_same(F.binary_accuracy, (X, np.sign(X.round()).astype('int32')), runner)

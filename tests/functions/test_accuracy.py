import numpy as np
import pytest

import minichain
from minichain.errors import InvalidType
from minichain.functions import accuracy, binary_accuracy

Y = np.array([[.1, .9, .3], [.2, .1, 0], [.5, .6, .7], [1, 0, 0]], 'float32')


def test_the_share_of_labels_with_the_largest_score():
    assert accuracy(Y, np.array([1, 0, 0, 2])).array == .5
    assert accuracy(Y, np.array([1, 0, 0, 2])).dtype == np.float32


def test_an_ignored_label_does_not_count():
    assert accuracy(Y, np.array([1, -1, 0, -1]), ignore_label=-1).array == .5
    assert accuracy(Y, np.full(4, -1), ignore_label=-1).array == 0


def test_scores_of_images_have_their_classes_on_axis_1():
    y = np.zeros((1, 2, 2, 2))
    y[0, 1, 0, :] = 1
    assert accuracy(y, np.array([[[1, 0], [0, 0]]])).array == .75


def test_trailing_axes_of_length_1_may_be_left_out():
    assert accuracy(Y.reshape(4, 3, 1, 1), np.array([1, 0, 2, 0])).array == 1


def test_nothing_is_right_among_no_labels():
    assert accuracy(Y[:0], np.zeros(0, int)).array == 0


def test_no_gradient_flows():
    y = minichain.Variable(Y)
    accuracy(y, np.array([1, 0, 0, 2])).backward()
    assert y.grad is None


def test_binary_accuracy_tells_by_the_sign():
    y = np.array([[-1., 2.], [0., 3.]])
    assert binary_accuracy(y, np.array([[0, 1], [1, 0]])).array == .75
    assert binary_accuracy(y, np.array([[0, -1], [0, -1]])).array == .5
    assert binary_accuracy(y, np.full((2, 2), -1)).array == 0


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(InvalidType, match=r't.shape \(4\) expected, got \(3,\)'):
        accuracy(Y, np.zeros(3, int))
    with pytest.raises(InvalidType, match='integer'):
        accuracy(Y, np.zeros(4))
    with pytest.raises(InvalidType, match=r't.shape \(4, 3\) expected'):
        binary_accuracy(Y, np.zeros(4, int))

import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import classification_summary, f1_score, precision, recall

PREDICTED = np.array([0, 0, 1, 1, 1, 3])
T = np.array([0, 1, 1, 1, -1, 2])
Y = np.eye(4)[PREDICTED]
NAN = np.nan


def values(variables):
    return [variable.array.tolist() for variable in variables]


def test_the_figures_of_every_class_as_counted_by_hand():
    """Class 0: 1 of 2 predictions and 1 of 1 label; 1: 2 of 2 and 2 of 3; 2: 0 of 0 and 0 of 1."""
    found = classification_summary(Y, T)
    np.testing.assert_allclose(found[0].array, [1 / 2, 1, NAN])
    np.testing.assert_allclose(found[1].array, [1, 2 / 3, 0])
    np.testing.assert_allclose(found[2].array, [2 / 3, 4 / 5, NAN])
    assert found[3].array.tolist() == [1, 3, 1]


def test_the_single_figures_are_those_of_the_summary():
    summary = classification_summary(Y, T)
    for function, i in ((precision, 0), (recall, 1), (f1_score, 2)):
        np.testing.assert_array_equal(values(function(Y, T)), [summary[i].array, summary[3].array])


def test_beta_weighs_recall():
    score = classification_summary(Y, T, beta=2.)[2].array
    np.testing.assert_allclose(score[:2], [5 * .5 / (4 * .5 + 1), 5 * 2 / 3 / (4 + 2 / 3)])


def test_the_number_of_classes_can_be_given():
    assert classification_summary(Y, T, label_num=5)[3].array.tolist() == [1, 3, 1, 0, 0]
    assert classification_summary(Y, T, label_num=2)[3].array.tolist() == [1, 3]


def test_no_labels_give_no_classes():
    assert values(classification_summary(Y, np.full(6, -1))) == [[], [], [], []]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidType, match='got -1'):
        classification_summary(Y, T, ignore_label=0)
    with pytest.raises(InvalidType, match=r'\(6\) expected, got \(5,\)'):
        recall(Y, T[1:])
    with pytest.raises(InvalidArgument, match='beta > 0'):
        classification_summary(Y, T, beta=0)

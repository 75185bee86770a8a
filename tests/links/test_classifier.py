import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import Sequential
from minichain.errors import InvalidArgument
from minichain.reporter import Reporter
from tests.links.check import check_link

X, T = np.random.RandomState(0).randn(4, 3), np.array([0, 1, 1, 0], 'i')


def cross_entropy(link, x, t):
    y = x @ link.predictor.W.array.T + link.predictor.b.array
    return np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(y, t)])


def test_the_loss_and_the_accuracy_are_those_of_the_predictor():
    link = check_link(lambda: L.Classifier(L.Linear(3, 2)), [X, T], cross_entropy)
    loss = link(X, T)
    assert link.loss is loss
    np.testing.assert_allclose(link.y.array, link.predictor(X).array)
    assert link.accuracy.array == np.mean(link.y.array.argmax(axis=1) == T)


def test_the_label_may_be_elsewhere():
    expected = L.Classifier(L.Linear(3, 2, initialW=.5))(X, T).array
    assert L.Classifier(L.Linear(3, 2, initialW=.5), label_key=0)(T, X).array == expected
    assert L.Classifier(L.Linear(3, 2, initialW=.5), label_key='t')(X, t=T).array == expected


def test_losses_without_accuracy_and_plain_functions_serve_too():
    link = L.Classifier(F.relu, F.mean_squared_error)
    link.compute_accuracy = False
    assert link(X, X).array == np.mean(np.minimum(X, 0) ** 2)
    assert link.accuracy is None
    assert isinstance(L.Classifier(Sequential(L.Linear(2)))(X, T).array, np.ndarray)


def test_a_missing_label_is_named():
    link = L.Classifier(L.Linear(3, 2), label_key='t')
    with pytest.raises(InvalidArgument, match="'t'"):
        link(X, T)
    with pytest.raises(InvalidArgument, match='label_key'):
        L.Classifier(L.Linear(3, 2), label_key=None)


def test_loss_and_accuracy_are_reported():
    reporter, link, observed = Reporter(), L.Classifier(L.Linear(3, 2)), {}
    reporter.add_observer('main', link)
    with reporter, reporter.scope(observed):
        loss = link(X.astype('f'), T)
    assert observed['main/loss'].array == loss.array
    assert observed['main/accuracy'].array == link.accuracy.array
    assert set(observed) == {'main/loss', 'main/accuracy'}

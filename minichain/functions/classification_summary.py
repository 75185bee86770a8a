"""Precision, recall and F score of every class."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument, InvalidType
from minichain.type_check import expect_integer, expect_shape

LABEL = 'classification_summary'


def _ratio(xp, numerator, denominator):
    """Divide; 0 / 0 is NaN, without a warning."""
    return xp.where(denominator == 0, xp.nan, numerator / xp.where(denominator == 0, 1,
                                                                   denominator))


class ClassificationSummary(Primitive):
    label = LABEL

    def __init__(self, label_num, beta, ignore_label):
        self.label_num, self.beta, self.ignore_label = label_num, beta, ignore_label

    def check_type_forward(self, in_types):
        y, t = in_types
        expect_integer(LABEL, t=t)
        if y.ndim < 2 or y.shape[1] == 0:
            raise InvalidType(f'{LABEL}: y of shape (N, V, ...) with V > 0 expected, got '
                              f'{y.shape}')
        expect_shape(LABEL, y.shape[:1] + y.shape[2:], t=t)
        if bool(((t < 0) & (t != self.ignore_label)).any()):
            raise InvalidType(f'{LABEL}: labels from 0 on, or ignore_label, expected, got '
                              f'{int(t.min())}')

    def forward(self, arrays):
        y, t = arrays
        xp, counted = get_array_module(y), t != self.ignore_label
        labels, predicted, classes = t[counted], y.argmax(axis=1)[counted], self.label_num
        if classes is None:
            classes = int(labels.max()) + 1 if labels.size else 0

        def count(labels):
            return xp.bincount(labels, minlength=classes)[:classes]
        support, right = count(labels), count(labels[labels == predicted])
        precision, recall = _ratio(xp, right, count(predicted)), _ratio(xp, right, support)
        weight = self.beta * self.beta
        score = _ratio(xp, (1 + weight) * precision * recall, weight * precision + recall)
        return precision, recall, score, support


def classification_summary(y, t, label_num=None, beta=1.0, ignore_label=-1):
    """Precision P, recall R and F = (1 + beta ** 2) P R / (beta ** 2 P + R) of every class.

    Args:
        y: scores, (N, V, ...).
        t: labels, (N, ...), integer.
        label_num: number of classes in the results; None: the largest label + 1.
        beta: how much more recall weighs than precision.
        ignore_label: the label that does not count.
    Returns:
        (precision, recall, F, support): (label_num,) each; float64, NaN where nothing was
        predicted or nothing was there. Support, the number of labels of a class, is integer. No
        gradient flows.
    Raises:
        InvalidType: shapes or dtypes do not fit, or a label is negative and not ignored.
        InvalidArgument: ``beta`` is not positive.
    """
    if not beta > 0:
        raise InvalidArgument(f'{LABEL}: beta > 0 expected, got {beta}')
    return ClassificationSummary(label_num, beta, ignore_label).apply((y, t))


def precision(y, t, label_num=None, ignore_label=-1):
    """The share of predictions of each class that are right.

    Args:
        y, t, label_num, ignore_label: as of :func:`classification_summary`.
    Returns:
        (precision, support), as of :func:`classification_summary`.
    """
    summary = classification_summary(y, t, label_num, ignore_label=ignore_label)
    return summary[0], summary[3]


def recall(y, t, label_num=None, ignore_label=-1):
    """The share of labels of each class that are predicted.

    Args:
        y, t, label_num, ignore_label: as of :func:`classification_summary`.
    Returns:
        (recall, support), as of :func:`classification_summary`.
    """
    summary = classification_summary(y, t, label_num, ignore_label=ignore_label)
    return summary[1], summary[3]


def f1_score(y, t, label_num=None, ignore_label=-1):
    """Harmonic mean of precision and recall of each class.

    Args:
        y, t, label_num, ignore_label: as of :func:`classification_summary`.
    Returns:
        (F, support), as of :func:`classification_summary`.
    """
    summary = classification_summary(y, t, label_num, ignore_label=ignore_label)
    return summary[2], summary[3]

"""A model together with its loss and its accuracy."""
from minichain.chain import Chain
from minichain.errors import InvalidArgument
from minichain.functions.accuracy import accuracy
from minichain.functions.softmax_cross_entropy import softmax_cross_entropy
from minichain.reporter import report


class Classifier(Chain):
    """Calls ``predictor`` and measures what it predicts against the label.

    Reports ``loss`` and ``accuracy``, see ``minichain.reporter``.

    Args:
        predictor: link or function.
        lossfun: callable(y, t) -> scalar Variable.
        accfun: callable(y, t) -> scalar Variable.
        label_key: which argument is the label t: its position (int) or its keyword (str).
    Attributes:
        predictor, lossfun, accfun, label_key: as given.
        y, loss, accuracy: of the last call, None before.
        compute_accuracy: whether to call ``accfun``.
    Raises:
        InvalidArgument: ``label_key`` is neither int nor str.
    """

    compute_accuracy = True

    def __init__(self, predictor, lossfun=softmax_cross_entropy, accfun=accuracy, label_key=-1):
        if not isinstance(label_key, (int, str)):
            raise InvalidArgument('Classifier: label_key, an int (position) or a str (keyword) '
                                  f'expected, got {label_key!r}')
        super().__init__()
        self.lossfun, self.accfun, self.label_key = lossfun, accfun, label_key
        self.y = self.loss = self.accuracy = None
        with self.init_scope():
            self.predictor = predictor

    def forward(self, *args, **kwargs):
        """Return the loss, a scalar Variable; ``args`` and ``kwargs`` but the label go on.

        Raises:
            InvalidArgument: the label is missing.
        """
        args, kwargs = list(args), dict(kwargs)
        try:
            t = (kwargs if isinstance(self.label_key, str) else args).pop(self.label_key)
        except (KeyError, IndexError):
            raise InvalidArgument(f'Classifier: a label as argument {self.label_key!r} expected, '
                                  f'got {len(args)} arguments and {sorted(kwargs)}') from None
        self.y = self.loss = self.accuracy = None
        self.y = self.predictor(*args, **kwargs)
        self.loss = self.lossfun(self.y, t)
        report({'loss': self.loss}, self)
        if self.compute_accuracy:
            self.accuracy = self.accfun(self.y, t)
            report({'accuracy': self.accuracy}, self)
        return self.loss

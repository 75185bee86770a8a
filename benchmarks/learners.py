"""The caption generator as the benchmarks train it: two libraries behind the same methods."""
import minichain
from benchmarks.frame import find_peer
from minichain import Variable, as_array


class MinichainLearner:
    """A CaptionGenerator with Adam.

    Args:
        model: CaptionGenerator of one LSTM.
        lr: Adam's step size.
        clip: largest global norm of the gradients; None: any.
    """

    def __init__(self, model, lr=1e-3, clip=None):
        self.model, self.start, self.step = model, model.start, model.step
        self.optimizer = minichain.optimizers.Adam(alpha=lr).setup(model)
        if clip is not None:
            self.optimizer.add_hook(minichain.optimizer_hooks.GradientClipping(clip))

    def learn(self, features, chunk, states=None):
        """Update by one batch. Returns (nats per token before it, (c, h) after it, arrays)."""
        loss, (after,) = self.model.loss(self.model.image(features), chunk, wrap(states))
        self.model.cleargrads()
        loss.backward()
        self.optimizer.update()
        return float(loss.array), tuple(map(as_array, after))

    def judge(self, features, chunk, states=None):
        """Return what ``learn`` does, but learn nothing."""
        with minichain.using_config('train', False), minichain.no_backprop_mode():
            loss, (after,) = self.model.loss(self.model.image(features), chunk, wrap(states))
        return float(loss.array), tuple(map(as_array, after))

    def get_weights(self):
        """Return a copy of all parameters."""
        return {path: parameter.array.copy() for path, parameter in self.model.namedparams()}

    def set_weights(self, weights):
        """Take parameters that ``get_weights`` returned."""
        for path, parameter in self.model.namedparams():
            parameter.array[...] = weights[path]


def wrap(states):
    """Turn (c, h) arrays into what CaptionGenerator.loss expects."""
    return None if states is None else [tuple(map(Variable, states))]


def make_learners(model, lr=1e-3, clip=None):
    """Return {library: learner} of the same model; only minichain's where torch is missing."""
    learners = {}
    if find_peer('torch') is not None:
        from benchmarks.torch_captioner import TorchLearner
        learners['torch'] = TorchLearner(model, lr, clip)
    return {'minichain': MinichainLearner(model, lr, clip), **learners}

"""Cases: optimizers and hooks."""

import numpy as np

from .table import OptimizerCase

OPTIONS = {
    'SGD': [{}, {'lr': .5}],
    'MomentumSGD': [{}, {'lr': .1, 'momentum': .5}],
    'CorrectedMomentumSGD': [{}, {'lr': .1, 'momentum': .5}],
    'NesterovAG': [{}, {'lr': .1, 'momentum': .5}],
    'AdaGrad': [{}, {'lr': .1, 'eps': 1e-2}],
    'AdaDelta': [{}, {'rho': .5, 'eps': 1e-2}],
    'RMSprop': [{}, {'lr': .1, 'alpha': .5, 'eps': 1e-2}, {'eps_inside_sqrt': True, 'eps': 1e-2}],
    'RMSpropGraves': [{}, {'lr': .1, 'alpha': .5, 'momentum': .5, 'eps': 1e-2}],
    'SMORMS3': [{}, {'lr': .1, 'eps': 1e-2}],
    'Adam': [{}, {'alpha': .1, 'beta1': .5, 'beta2': .9, 'eps': 1e-2}, {'eta': .5},
             {'weight_decay_rate': .1}, {'amsgrad': True, 'beta2': .5},
             {'adabound': True, 'final_lr': .01, 'gamma': .1}, {'adabound': True, 'amsgrad': True},
             {'eta': .5, 'weight_decay_rate': .1, 'amsgrad': True}],
    'AdamW': [{}, {'weight_decay_rate': .1, 'alpha': .1}],
    'AMSGrad': [{}, {'alpha': .1, 'beta2': .5}],
    'AdaBound': [{}, {'alpha': .1, 'final_lr': .5, 'gamma': .1}],
    'AMSBound': [{}, {'alpha': .1, 'final_lr': .5, 'gamma': .1, 'beta2': .5}],
    'MSVAG': [{}, {'lr': .5, 'beta': .5, 'eta': .5, 'weight_decay_rate': .1}],
}


def hooked(name, variant, *arguments, optimizer='SGD', prepare=None, seed=None, **options):
    """One case of a hook; the optimizer is SGD with lr 0.5 if nothing else is said."""
    def build(library):
        return library.optimizers.SGD(.5) if optimizer == 'SGD' else getattr(
            library.optimizers, optimizer)()

    def add(library, made, target):
        made.add_hook(getattr(library.optimizer_hooks, name)(*arguments, **options))

    return OptimizerCase(f'{name}-{variant}' if variant else name, name, build, prepare or add,
                         seed=seed)


CASES = []
for word, several in OPTIONS.items():
    for options in several:
        variant = '-'.join(f'{key}={value}' for key, value in options.items())
        CASES.append(OptimizerCase(
            f'{word}-{variant}' if variant else word, word,
            lambda library, word=word, options=options: getattr(library.optimizers, word)(
                **options)))
    CASES.append(OptimizerCase(
        f'{word}-float32', word,
        lambda library, word=word: getattr(library.optimizers, word)(), dtype='float32',
        tolerance=1e-5))

CASES += [
    hooked('WeightDecay', '', .1),
    hooked('WeightDecay', 'momentum', .1, optimizer='MomentumSGD'),
    hooked('Lasso', '', .1),
    hooked('GradientClipping', '', .5),
    hooked('GradientClipping', 'beyond_the_norm', 100.),
    hooked('GradientHardClipping', '', -.2, .3),
    hooked('GradientNoise', 'noise_func', .1, noise_func=lambda xp, shape, dtype, hook, optimizer:
           np.full(shape, .01 * optimizer.t, dtype)),
    hooked('GradientNoise', 'seeded', .1, seed=0),
    hooked('GradientLARS', ''),
    hooked('GradientLARS', 'options', threshold=.1, weight_decay=.2, eps=1e-3),
    hooked('WeightDecay', 'then_clipping', prepare=lambda library, made, target: _two_hooks(
        library, made)),
    hooked('WeightDecay', 'of_one_parameter', prepare=lambda library, made, target:
           target.W.update_rule.add_hook(library.optimizer_hooks.WeightDecay(.1))),
    hooked('WeightDecay', 'post', prepare=lambda library, made, target: made.add_hook(
        library.optimizer_hooks.WeightDecay(.1), timing='post')),
    hooked('WeightDecay', 'removed', prepare=lambda library, made, target: _remove_a_hook(
        library, made)),
    hooked('WeightDecay', 'function_hook', prepare=lambda library, made, target: made.add_hook(
        _halve, 'halve')),
    OptimizerCase('Adam-alpha_set_after_setup', 'Adam', lambda library: library.optimizers.Adam(),
                  lambda library, made, target: setattr(made, 'alpha', .1)),
    OptimizerCase('SGD-lr_of_one_parameter', 'SGD', lambda library: library.optimizers.SGD(),
                  lambda library, made, target: setattr(target.W.update_rule.hyperparam, 'lr', 1)),
    OptimizerCase('MomentumSGD-one_parameter_disabled', 'MomentumSGD',
                  lambda library: library.optimizers.MomentumSGD(),
                  lambda library, made, target: setattr(target.W.update_rule, 'enabled', False)),
    OptimizerCase('MomentumSGD-link_disabled', 'MomentumSGD',
                  lambda library: library.optimizers.MomentumSGD(),
                  lambda library, made, target: target.disable_update()),
    OptimizerCase('Adam-float16', 'Adam', lambda library: library.optimizers.Adam(eps=1e-4),
                  dtype='float16', tolerance=5e-3),
    OptimizerCase('SGD-float16-fp32_update', 'SGD', lambda library: library.optimizers.SGD(),
                  lambda library, made, target: made.use_fp32_update(), dtype='float16',
                  tolerance=5e-3),
]


def _two_hooks(library, made):
    made.add_hook(library.optimizer_hooks.WeightDecay(.1))
    made.add_hook(library.optimizer_hooks.GradientClipping(.5), 'clip')


def _remove_a_hook(library, made):
    made.add_hook(library.optimizer_hooks.WeightDecay(.1), 'decay')
    made.add_hook(library.optimizer_hooks.Lasso(.1))
    made.remove_hook('decay')


def _halve(optimizer):
    for param in optimizer.target.params():
        if param.grad is not None:
            param.grad = param.grad / 2

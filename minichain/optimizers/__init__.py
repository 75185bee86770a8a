"""Optimizers: one update rule a file."""
from minichain.optimizers.adam import AMSBound, AMSGrad, AdaBound, Adam, AdamW
from minichain.optimizers.momentum_sgd import MomentumSGD
from minichain.optimizers.sgd import SGD

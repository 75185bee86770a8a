"""Optimizers: one update rule a file; what they share is in ``minichain/optimizer.py``."""
from minichain.optimizers.ada_delta import AdaDelta
from minichain.optimizers.ada_grad import AdaGrad
from minichain.optimizers.adam import AMSBound, AMSGrad, AdaBound, Adam, AdamW
from minichain.optimizers.corrected_momentum_sgd import CorrectedMomentumSGD
from minichain.optimizers.momentum_sgd import MomentumSGD
from minichain.optimizers.msvag import MSVAG
from minichain.optimizers.nesterov_ag import NesterovAG
from minichain.optimizers.rmsprop import RMSprop
from minichain.optimizers.rmsprop_graves import RMSpropGraves
from minichain.optimizers.sgd import SGD
from minichain.optimizers.smorms3 import SMORMS3

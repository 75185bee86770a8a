"""Differentiable functions under Chainer's names: ``import minichain.functions as F``."""
from minichain.functions.broadcast import broadcast, broadcast_to, sum_to
from minichain.functions.cast import cast
from minichain.functions.exponential import exp, expm1, log, log1p, log2, log10
from minichain.functions.get_item import get_item
from minichain.functions.matmul import batch_matmul, matmul
from minichain.functions.operators import absolute, add
from minichain.functions.reshape import reshape, transpose

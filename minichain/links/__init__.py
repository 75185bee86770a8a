"""Links with parameters under Chainer's names: ``import minichain.links as L``."""
from minichain.links.embed_id import EmbedID
from minichain.links.linear import Linear
from minichain.links.lstm import LSTM, StatelessLSTM

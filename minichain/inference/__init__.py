"""A network prepared for inference: a copy that computes the same for one shape, faster."""
from minichain.inference.prepared import PreparedNetwork, prepare

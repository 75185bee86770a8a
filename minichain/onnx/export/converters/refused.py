"""Functions that are refused, each with the reason."""
from minichain.functions.convolution import ConvolutionWeight
from minichain.functions.embed_id import EmbedIDGrad
from minichain.functions.get_item import GetItemGrad

GRADIENT = 'it occurs in gradients, which are not exported'

REFUSALS = {
    ConvolutionWeight: GRADIENT,
    EmbedIDGrad: GRADIENT,
    GetItemGrad: GRADIENT,
}

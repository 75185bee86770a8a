"""Functions that are refused, each with the reason."""
from minichain.functions.convolution import ConvolutionWeight
from minichain.functions.diagonal import DiagonalGrad
from minichain.functions.dropout import Dropout
from minichain.functions.embed_id import EmbedIDGrad
from minichain.functions.forget import Forget
from minichain.functions.get_item import GetItemGrad
from minichain.functions.linear_softmax_cross_entropy import LinearSoftmaxCrossEntropy
from minichain.functions.local_response_normalization import InversePower, SumNeighbours
from minichain.functions.max_pooling import GatherWinners, ScatterToWinners
from minichain.functions.sigmoid_cross_entropy import SigmoidCrossEntropy

GRADIENT = 'it occurs in gradients, which are not exported'
WINNERS = ('its winners are looked for outside of functions, so they would be those of the '
           'examples')

REFUSALS = {
    ConvolutionWeight: GRADIENT,
    DiagonalGrad: GRADIENT,
    Dropout: 'its zeros are drawn at random; models are exported as in test mode, without them',
    EmbedIDGrad: GRADIENT,
    Forget: 'it only saves memory in a backward pass; in the export its functions appear instead',
    GatherWinners: WINNERS,
    GetItemGrad: GRADIENT,
    InversePower: GRADIENT,
    LinearSoftmaxCrossEntropy: 'it is for training; export softmax_cross_entropy of linear',
    ScatterToWinners: WINNERS,
    SigmoidCrossEntropy: 'its labels are converted outside of functions, so they would be those '
                         'of the examples; export the scores',
    SumNeighbours: GRADIENT,
}

"""Functions that are refused, each with the reason."""
from minichain.functions.batch_normalization import NormalizationForInference
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
# Why functions that apply others cannot be followed, where a step of theirs is refused.
COMPUTED_INSIDE = {
    **dict.fromkeys((
        'batch_renormalization', 'connectionist_temporal_classification', 'contrastive',
        'deformable_convolution_2d_sampler', 'hinge', 'roi_average_align_2d',
        'roi_average_pooling_2d', 'roi_max_align_2d', 'roi_max_pooling_2d', 'roi_pooling_2d',
        'spatial_transformer_sampler'),
        'it computes with NumPy inside, where its steps cannot be followed: it has no form in '
        'ONNX here'),
    'gumbel_softmax': 'its noise is drawn at random inside',
}
# Those that can be exported but for the indices that they may return.
WITH_INDICES = frozenset({'max_pooling_1d', 'max_pooling_2d', 'max_pooling_3d', 'max_pooling_nd'})

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
    NormalizationForInference: 'it is for calls at whose steps nobody looks; in the export its '
                               'steps appear instead',
    ScatterToWinners: WINNERS,
    SigmoidCrossEntropy: 'its labels are converted outside of functions, so they would be those '
                         'of the examples; export the scores',
    SumNeighbours: GRADIENT,
}

"""The messages of Caffe's file format as a table: field numbers, names, types, defaults.

``wire`` (binary), ``prototxt`` (text) and ``writer`` all read this one table, so the three agree.
A message becomes a `Message`: a dict of the fields that are set, whose attributes also know the
defaults. To add a message or a field, add its line here.
"""

import math

import numpy as np

from minichain.errors import DataError
from minichain.protobuf import Message, Schema

# Caffe's own bound on the number of axes of a blob.
MAX_AXES = 32

# identifier=number; the first one is the default of a field that states none.
ENUMS = """
Phase
    TRAIN=0 TEST=1
PoolMethod
    MAX=0 AVE=1 STOCHASTIC=2
RoundMode
    CEIL=0 FLOOR=1
BNMode
    LEARN=0 INFERENCE=1
EltwiseOp
    PROD=0 SUM=1 MAX=2
NormRegion
    ACROSS_CHANNELS=0 WITHIN_CHANNEL=1
ReductionOp
    SUM=1 ASUM=2 SUMSQ=3 MEAN=4
Engine
    DEFAULT=0 CAFFE=1 CUDNN=2
Normalization
    FULL=0 VALID=1 BATCH_SIZE=2 NONE=3
HingeNorm
    L1=1 L2=2
ConvolutionSeeker
    GET=0 FINDEX=1
CodeType
    CORNER=1 CENTER_SIZE=2 CORNER_SIZE=3
V1LayerType
    NONE=0 ACCURACY=1 BNLL=2 CONCAT=3 CONVOLUTION=4 DATA=5 DROPOUT=6 EUCLIDEAN_LOSS=7 FLATTEN=8
    HDF5_DATA=9 HDF5_OUTPUT=10 IM2COL=11 IMAGE_DATA=12 INFOGAIN_LOSS=13 INNER_PRODUCT=14 LRN=15
    MULTINOMIAL_LOGISTIC_LOSS=16 POOLING=17 RELU=18 SIGMOID=19 SOFTMAX=20 SOFTMAX_LOSS=21
    SPLIT=22 TANH=23 WINDOW_DATA=24 ELTWISE=25 POWER=26 SIGMOID_CROSS_ENTROPY_LOSS=27
    HINGE_LOSS=28 MEMORY_DATA=29 ARGMAX=30 THRESHOLD=31 DUMMY_DATA=32 SLICE=33 MVN=34 ABSVAL=35
    SILENCE=36 CONTRASTIVE_LOSS=37 EXP=38 DECONVOLUTION=39 CROP=40
"""

# A name, then its fields: number, name, type (* if repeated), default. Types in lower case are
# scalars; Blob is a BlobProto that becomes an array; any other is an enum or a message. Numbers
# above ten million are ours: forks of Caffe do not agree on one, or it means something else in
# Caffe itself. Such a field is read from text.
MESSAGES = """
NetParameter
    1 name string; 2 layers V1LayerParameter*; 3 input string*; 4 input_dim int*;
    5 force_backward bool; 6 state NetState; 7 debug_info bool; 8 input_shape BlobShape*;
    100 layer LayerParameter*
NetState
    1 phase Phase TEST; 2 level int 0; 3 stage string*
NetStateRule
    1 phase Phase; 2 min_level int; 3 max_level int; 4 stage string*; 5 not_stage string*
BlobShape
    1 dim int*
BlobProto
    1 num int; 2 channels int; 3 height int; 4 width int; 5 data float*; 6 diff float*;
    7 shape BlobShape; 8 double_data double*; 9 double_diff double*
ParamSpec
    1 name string; 3 lr_mult float 1; 4 decay_mult float 1
LayerParameter
    1 name string; 2 type string; 3 bottom string*; 4 top string*; 5 loss_weight float*;
    6 param ParamSpec*; 7 blobs Blob*; 8 include NetStateRule*; 9 exclude NetStateRule*;
    10 phase Phase; 11 propagate_down bool*; 100 transform_param TransformationParameter;
    101 loss_param LossParameter; 102 accuracy_param AccuracyParameter;
    103 argmax_param ArgMaxParameter; 104 concat_param ConcatParameter;
    105 contrastive_loss_param ContrastiveLossParameter;
    106 convolution_param ConvolutionParameter; 108 dropout_param DropoutParameter;
    110 eltwise_param EltwiseParameter; 111 exp_param ExpParameter;
    114 hinge_loss_param HingeLossParameter; 116 infogain_loss_param InfogainLossParameter;
    117 inner_product_param InnerProductParameter;
    118 lrn_param LRNParameter; 119 memory_data_param MemoryDataParameter;
    120 mvn_param MVNParameter; 121 pooling_param PoolingParameter;
    122 power_param PowerParameter; 123 relu_param ReLUParameter;
    124 sigmoid_param EngineParameter; 125 softmax_param SoftmaxParameter;
    126 slice_param SliceParameter; 127 tanh_param EngineParameter;
    128 threshold_param ThresholdParameter; 130 python_param PythonParameter;
    131 prelu_param PReLUParameter; 132 spp_param SPPParameter;
    133 reshape_param ReshapeParameter; 134 log_param LogParameter;
    135 flatten_param FlattenParameter; 136 reduction_param ReductionParameter;
    137 embed_param EmbedParameter; 138 tile_param TileParameter;
    139 batch_norm_param BatchNormParameter; 140 elu_param ELUParameter;
    141 bias_param BiasParameter; 142 scale_param ScaleParameter;
    143 input_param InputParameter; 144 crop_param CropParameter;
    145 parameter_param ParameterParameter; 146 recurrent_param RecurrentParameter;
    147 swish_param SwishParameter; 148 clip_param ClipParameter;
    164 shuffle_channel_param ShuffleChannelParameter; 202 permute_param PermuteParameter;
    203 prior_box_param PriorBoxParameter; 204 detection_output_param DetectionOutputParameter;
    206 norm_param NormalizeParameter; 8266711 roi_pooling_param ROIPoolingParameter;
    10000001 interp_param InterpParameter; 10000002 upsample_param UpsampleParameter;
    10000003 bn_param BNParameter; 10000004 proposal_param ProposalParameter;
    10000005 psroi_pooling_param PSROIPoolingParameter; 10000006 reorg_param ReorgParameter
V1LayerParameter
    1 layer V0LayerParameter; 2 bottom string*; 3 top string*; 4 name string;
    5 type V1LayerType; 6 blobs Blob*; 7 blobs_lr float*; 8 weight_decay float*;
    9 concat_param ConcatParameter; 10 convolution_param ConvolutionParameter;
    12 dropout_param DropoutParameter; 16 infogain_loss_param InfogainLossParameter;
    17 inner_product_param InnerProductParameter;
    18 lrn_param LRNParameter; 19 pooling_param PoolingParameter;
    21 power_param PowerParameter; 22 memory_data_param MemoryDataParameter;
    23 argmax_param ArgMaxParameter; 24 eltwise_param EltwiseParameter;
    25 threshold_param ThresholdParameter; 27 accuracy_param AccuracyParameter;
    29 hinge_loss_param HingeLossParameter; 30 relu_param ReLUParameter;
    31 slice_param SliceParameter; 32 include NetStateRule*; 33 exclude NetStateRule*;
    34 mvn_param MVNParameter; 35 loss_weight float*;
    36 transform_param TransformationParameter; 37 tanh_param EngineParameter;
    38 sigmoid_param EngineParameter; 39 softmax_param SoftmaxParameter;
    40 contrastive_loss_param ContrastiveLossParameter;
    41 exp_param ExpParameter; 42 loss_param LossParameter; 1001 param string*
V0LayerParameter
    1 name string; 2 type string
TransformationParameter
    1 scale float 1; 2 mirror bool; 3 crop_size uint 0; 4 mean_file string;
    5 mean_value float*; 6 force_color bool; 7 force_gray bool
LossParameter
    1 ignore_label int; 2 normalize bool; 3 normalization Normalization VALID
AccuracyParameter
    1 top_k uint 1; 2 axis int 1; 3 ignore_label int
ArgMaxParameter
    1 out_max_val bool; 2 top_k uint 1; 3 axis int
ConcatParameter
    1 concat_dim uint 1; 2 axis int 1
BatchNormParameter
    1 use_global_stats bool; 2 moving_average_fraction float .999; 3 eps float 1e-5;
    5 scale_filler FillerParameter; 6 bias_filler FillerParameter; 7 scale_bias bool;
    10000001 engine Engine
BNParameter
    1 scale_filler FillerParameter; 2 shift_filler FillerParameter; 3 bn_mode BNMode;
    10000001 slope_filler FillerParameter; 10000002 bias_filler FillerParameter;
    10000003 momentum float .9; 10000004 eps float 1e-5; 10000005 frozen bool;
    10000006 engine Engine
BiasParameter
    1 axis int 1; 2 num_axes int 1; 3 filler FillerParameter
ClipParameter
    1 min float; 2 max float
ContrastiveLossParameter
    1 margin float 1; 2 legacy_version bool
ConvolutionParameter
    1 num_output uint; 2 bias_term bool true; 3 pad uint*; 4 kernel_size uint*; 5 group uint 1;
    6 stride uint*; 7 weight_filler FillerParameter; 8 bias_filler FillerParameter;
    9 pad_h uint 0; 10 pad_w uint 0; 11 kernel_h uint; 12 kernel_w uint; 13 stride_h uint;
    14 stride_w uint; 15 engine Engine; 16 axis int 1; 17 force_nd_im2col bool;
    18 dilation uint*; 19 cudnn_convolution_algo_seeker ConvolutionSeeker;
    10000001 hole uint; 10000002 hole_h uint; 10000003 hole_w uint
CropParameter
    1 axis int 2; 2 offset uint*
DetectionOutputParameter
    1 num_classes uint; 2 share_location bool true; 3 background_label_id int 0;
    4 nms_param NonMaximumSuppressionParameter; 5 save_output_param SaveOutputParameter;
    6 code_type CodeType; 7 keep_top_k int -1; 8 variance_encoded_in_target bool;
    9 confidence_threshold float; 10 visualize bool; 11 visualize_threshold float;
    12 save_file string
DropoutParameter
    1 dropout_ratio float .5; 2 scale_train bool true; 10000001 sample_weights_test bool
EltwiseParameter
    1 operation EltwiseOp SUM; 2 coeff float*; 3 stable_prod_grad bool true
ELUParameter
    1 alpha float 1
EmbedParameter
    1 num_output uint; 2 input_dim uint; 3 bias_term bool true;
    4 weight_filler FillerParameter; 5 bias_filler FillerParameter
ExpParameter
    1 base float -1; 2 scale float 1; 3 shift float 0
FillerParameter
    1 type string; 2 value float 0; 3 min float 0; 4 max float 1; 5 mean float 0;
    6 std float 1; 7 sparse int -1; 8 variance_norm int
FlattenParameter
    1 axis int 1; 2 end_axis int -1
HingeLossParameter
    1 norm HingeNorm L1
InfogainLossParameter
    1 source string; 2 axis int 1
InterpParameter
    1 height int 0; 2 width int 0; 3 zoom_factor int 1; 4 shrink_factor int 1; 5 pad_beg int 0;
    6 pad_end int 0
InnerProductParameter
    1 num_output uint; 2 bias_term bool true; 3 weight_filler FillerParameter;
    4 bias_filler FillerParameter; 5 axis int 1; 6 transpose bool
InputParameter
    1 shape BlobShape*
LogParameter
    1 base float -1; 2 scale float 1; 3 shift float 0
LRNParameter
    1 local_size uint 5; 2 alpha float 1; 3 beta float .75; 4 norm_region NormRegion;
    5 k float 1; 6 engine Engine
MemoryDataParameter
    1 batch_size uint; 2 channels uint; 3 height uint; 4 width uint
MVNParameter
    1 normalize_variance bool true; 2 across_channels bool; 3 eps float 1e-9
NonMaximumSuppressionParameter
    1 nms_threshold float .3; 2 top_k int -1; 3 eta float 1
NormalizeParameter
    1 across_spatial bool true; 2 scale_filler FillerParameter; 3 channel_shared bool true;
    4 eps float 1e-10
ParameterParameter
    1 shape BlobShape
PermuteParameter
    1 order uint*
PoolingParameter
    1 pool PoolMethod; 2 kernel_size uint; 3 stride uint 1; 4 pad uint 0; 5 kernel_h uint;
    6 kernel_w uint; 7 stride_h uint; 8 stride_w uint; 9 pad_h uint 0; 10 pad_w uint 0;
    11 engine Engine; 12 global_pooling bool; 13 round_mode RoundMode;
    10000001 ceil_mode bool true
PowerParameter
    1 power float 1; 2 scale float 1; 3 shift float 0
PriorBoxParameter
    1 min_size float*; 2 max_size float*; 3 aspect_ratio float*; 4 flip bool true; 5 clip bool;
    6 variance float*; 7 img_size uint; 8 img_h uint; 9 img_w uint; 10 step float;
    11 step_h float; 12 step_w float; 13 offset float .5
ProposalParameter
    1 feat_stride uint 16; 2 base_size uint 16; 3 min_size uint 16; 4 ratio float*;
    5 scale float*; 6 pre_nms_topn uint 6000; 7 post_nms_topn uint 300; 8 nms_thresh float .7
PSROIPoolingParameter
    1 spatial_scale float; 2 output_dim int; 3 group_size int
PythonParameter
    1 module string; 2 layer string; 3 param_str string; 4 share_in_parallel bool
PReLUParameter
    1 filler FillerParameter; 2 channel_shared bool
RecurrentParameter
    1 num_output uint; 2 weight_filler FillerParameter; 3 bias_filler FillerParameter;
    4 debug_info bool; 5 expose_hidden bool
ReductionParameter
    1 operation ReductionOp SUM; 2 axis int 0; 3 coeff float 1
ReLUParameter
    1 negative_slope float 0; 2 engine Engine
ReorgParameter
    1 stride uint 1; 2 reverse bool
ReshapeParameter
    1 shape BlobShape; 2 axis int 0; 3 num_axes int -1
ROIPoolingParameter
    1 pooled_h uint 0; 2 pooled_w uint 0; 3 spatial_scale float 1
SaveOutputParameter
    1 output_directory string
ScaleParameter
    1 axis int 1; 2 num_axes int 1; 3 filler FillerParameter; 4 bias_term bool;
    5 bias_filler FillerParameter
ShuffleChannelParameter
    1 group uint 1
SPPParameter
    1 pyramid_height uint; 2 pool PoolMethod; 6 engine Engine
SwishParameter
    1 beta float 1
EngineParameter
    1 engine Engine
SliceParameter
    1 slice_dim uint 1; 2 slice_point uint*; 3 axis int 1
SoftmaxParameter
    1 engine Engine; 2 axis int 1
ThresholdParameter
    1 threshold float 0
TileParameter
    1 axis int 1; 2 tiles int
UpsampleParameter
    1 scale uint 2; 2 scale_h uint 2; 3 scale_w uint 2; 4 pad_out_h bool; 5 pad_out_w bool;
    6 upsample_h uint; 7 upsample_w uint
"""


SCHEMA = Schema(MESSAGES, ENUMS)
ENUMS, ENUM_NAMES = SCHEMA.enums, SCHEMA.enum_names
FIELDS, NUMBERS = SCHEMA.fields, SCHEMA.numbers


def message(kind, fields=(), unknown=()):
    """A `minichain.protobuf.Message` of one of Caffe's kinds."""
    return Message(SCHEMA, kind, fields, unknown)


def make_blob(blob, values, where):
    """Gives the values of a BlobProto their shape, without copying them.

    Args:
        blob: the BlobProto, for its `shape` or its older num, channels, height, width.
        values: 1-d float array.
        where: what to call the blob in an error.
    Returns:
        A view of ``values``; 1-d when the file gives no shape.
    Raises:
        DataError: negative or too many dimensions, or not as many values as the shape says.
    """
    if 'shape' in blob:
        shape = tuple(blob.shape.dim)
    elif any(name in blob for name in ('num', 'channels', 'height', 'width')):
        shape = (blob.num, blob.channels, blob.height, blob.width)
    else:
        shape = values.shape
    if len(shape) > MAX_AXES or any(dim < 0 for dim in shape):
        raise DataError(f'{where}: a blob needs at most {MAX_AXES} dimensions, none negative, '
                        f'got {shape[:MAX_AXES + 1]}. The file is damaged.')
    if math.prod(shape) != values.size:
        raise DataError(f'{where}: shape {shape} needs {math.prod(shape)} values, the file has '
                        f'{values.size}. The file is damaged or cut off.')
    # A shape with a zero may hold other dimensions that NumPy refuses.
    return values.reshape(shape) if values.size else np.zeros(0, values.dtype)

"""How many inputs and outputs each operator has, and which attributes, of which kinds.

From the ONNX specification, https://onnx.ai/onnx/operators: what any version of the operator has
had. What a file says beside it would be ignored, so it is refused.
"""
import numpy as np

from minichain.errors import DataError

# Operator, least..most inputs, most outputs, attributes; * stands for any number.
SIGNATURES = """
Abs 1..1 1 consumed_inputs:ints
Acos 1..1 1
Acosh 1..1 1
Add 2..2 1 axis:int broadcast:int consumed_inputs:ints
AffineGrid 2..2 1 align_corners:int
And 2..2 1 axis:int broadcast:int
ArgMax 1..1 1 axis:int keepdims:int select_last_index:int
ArgMin 1..1 1 axis:int keepdims:int select_last_index:int
Asin 1..1 1
Asinh 1..1 1
Atan 1..1 1
Atanh 1..1 1
Attention 3..7 4 is_causal:int kv_num_heads:int left_window_size:int q_num_heads:int
    qk_matmul_output_mode:int right_window_size:int scale:float softcap:float
    softmax_precision:int
AveragePool 1..1 1 auto_pad:string ceil_mode:int count_include_pad:int dilations:ints
    kernel_shape:ints pads:ints strides:ints
BatchNormalization 5..5 5 consumed_inputs:ints epsilon:float is_test:int momentum:float
    spatial:int training_mode:int
Bernoulli 1..1 1 dtype:int seed:float
BitCast 1..1 1 to:int
BitShift 2..2 1 direction:string
BitwiseAnd 2..2 1
BitwiseNot 1..1 1
BitwiseOr 2..2 1
BitwiseXor 2..2 1
BlackmanWindow 1..1 1 output_datatype:int periodic:int
Cast 1..1 1 round_mode:string saturate:int to:int|string
CastLike 2..2 1 round_mode:string saturate:int
Ceil 1..1 1 consumed_inputs:ints
Celu 1..1 1 alpha:float
CenterCropPad 2..2 1 axes:ints
Clip 1..3 1 consumed_inputs:ints max:float min:float
Col2Im 3..3 1 dilations:ints pads:ints strides:ints
Compress 2..2 1 axis:int
Concat 1..* 1 axis:int
ConcatFromSequence 1..1 1 axis:int new_axis:int
Constant 0..0 1 sparse_value:sparse_tensor value:tensor value_float:float value_floats:floats
    value_int:int value_ints:ints value_string:string value_strings:strings
ConstantOfShape 1..1 1 value:tensor
Conv 2..3 1 auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints strides:ints
ConvInteger 2..4 1 auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints
    strides:ints
ConvTranspose 2..3 1 auto_pad:string dilations:ints group:int kernel_shape:ints
    output_padding:ints output_shape:ints pads:ints strides:ints
Cos 1..1 1
Cosh 1..1 1
CumProd 2..2 1 exclusive:int reverse:int
CumSum 2..2 1 exclusive:int reverse:int
DFT 1..3 1 axis:int inverse:int onesided:int
DeformConv 3..5 1 dilations:ints group:int kernel_shape:ints offset_group:int pads:ints
    strides:ints
DepthToSpace 1..1 1 blocksize:int mode:string
DequantizeLinear 2..3 1 axis:int block_size:int output_dtype:int
Det 1..1 1
Div 2..2 1 axis:int broadcast:int consumed_inputs:ints
Dropout 1..3 2 consumed_inputs:ints is_test:int ratio:float seed:int
DynamicQuantizeLinear 1..1 3
Einsum 1..* 1 equation:string
Elu 1..1 1 alpha:float consumed_inputs:ints
Equal 2..2 1 axis:int broadcast:int
Erf 1..1 1
Exp 1..1 1 consumed_inputs:ints
Expand 2..2 1
EyeLike 1..1 1 dtype:int k:int
Flatten 1..1 1 axis:int
Floor 1..1 1 consumed_inputs:ints
GRU 3..6 2 activation_alpha:floats activation_beta:floats activations:strings clip:float
    direction:string hidden_size:int layout:int linear_before_reset:int output_sequence:int
Gather 2..2 1 axis:int
GatherElements 2..2 1 axis:int
GatherND 2..2 1 batch_dims:int
Gelu 1..1 1 approximate:string
Gemm 2..3 1 alpha:float beta:float broadcast:int transA:int transB:int
GlobalAveragePool 1..1 1
GlobalLpPool 1..1 1 p:float|int
GlobalMaxPool 1..1 1
Greater 2..2 1 axis:int broadcast:int
GreaterOrEqual 2..2 1
GridSample 2..2 1 align_corners:int mode:string padding_mode:string
GroupNormalization 3..3 1 epsilon:float num_groups:int stash_type:int
HammingWindow 1..1 1 output_datatype:int periodic:int
HannWindow 1..1 1 output_datatype:int periodic:int
HardSigmoid 1..1 1 alpha:float beta:float consumed_inputs:ints
HardSwish 1..1 1
Hardmax 1..1 1 axis:int
Identity 1..1 1
If 1..1 * else_branch:graph then_branch:graph
InstanceNormalization 3..3 1 consumed_inputs:ints epsilon:float
IsInf 1..1 1 detect_negative:int detect_positive:int
IsNaN 1..1 1
LRN 1..1 1 alpha:float beta:float bias:float size:int
LSTM 3..8 3 activation_alpha:floats activation_beta:floats activations:strings clip:float
    direction:string hidden_size:int input_forget:int layout:int output_sequence:int
LayerNormalization 2..3 3 axis:int epsilon:float stash_type:int
LeakyRelu 1..1 1 alpha:float consumed_inputs:ints
Less 2..2 1 axis:int broadcast:int
LessOrEqual 2..2 1
Log 1..1 1 consumed_inputs:ints
LogSoftmax 1..1 1 axis:int
Loop 2..* * body:graph
LpNormalization 1..1 1 axis:int p:int
LpPool 1..1 1 auto_pad:string ceil_mode:int dilations:ints kernel_shape:ints p:float|int pads:ints
    strides:ints
MatMul 2..2 1
MatMulInteger 2..4 1
Max 1..* 1 consumed_inputs:ints
MaxPool 1..1 2 auto_pad:string ceil_mode:int dilations:ints kernel_shape:ints pads:ints
    storage_order:int strides:ints
MaxRoiPool 2..2 1 pooled_shape:ints spatial_scale:float
MaxUnpool 2..3 1 kernel_shape:ints pads:ints strides:ints
Mean 1..* 1 consumed_inputs:ints
MeanVarianceNormalization 1..1 1 across_channels:int axes:ints normalize_variance:int
MelWeightMatrix 5..5 1 output_datatype:int
Min 1..* 1 consumed_inputs:ints
Mish 1..1 1
Mod 2..2 1 fmod:int
Mul 2..2 1 axis:int broadcast:int consumed_inputs:ints
Multinomial 1..1 1 dtype:int sample_size:int seed:float
Neg 1..1 1 consumed_inputs:ints
NegativeLogLikelihoodLoss 2..3 1 ignore_index:int reduction:string
NonMaxSuppression 2..5 1 center_point_box:int
NonZero 1..1 1
Not 1..1 1
OneHot 3..3 1 axis:int
Optional 0..1 1 type:type_proto
OptionalGetElement 1..1 1
OptionalHasElement 0..1 1
Or 2..2 1 axis:int broadcast:int
PRelu 2..2 1 consumed_inputs:ints
Pad 1..4 1 mode:string paddings:ints pads:ints value:float
Pow 2..2 1 axis:int broadcast:int
QLinearConv 8..9 1 auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints
    strides:ints
QLinearMatMul 8..8 1
QuantizeLinear 2..3 1 axis:int block_size:int output_dtype:int precision:int saturate:int
RMSNormalization 2..2 1 axis:int epsilon:float stash_type:int
RNN 3..6 2 activation_alpha:floats activation_beta:floats activations:strings clip:float
    direction:string hidden_size:int layout:int output_sequence:int
RandomNormal 0..0 1 dtype:int mean:float scale:float seed:float shape:ints
RandomNormalLike 1..1 1 dtype:int mean:float scale:float seed:float
RandomUniform 0..0 1 dtype:int high:float low:float seed:float shape:ints
RandomUniformLike 1..1 1 dtype:int high:float low:float seed:float
Range 3..3 1 stash_type:int
Reciprocal 1..1 1 consumed_inputs:ints
ReduceL1 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceL2 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceLogSum 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceLogSumExp 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceMax 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceMean 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceMin 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceProd 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceSum 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
ReduceSumSquare 1..2 1 axes:ints keepdims:int noop_with_empty_axes:int
Relu 1..1 1 consumed_inputs:ints
Reshape 1..2 1 allowzero:int consumed_inputs:ints shape:ints
Resize 1..4 1 antialias:int axes:ints coordinate_transformation_mode:string cubic_coeff_a:float
    exclude_outside:int extrapolation_value:float keep_aspect_ratio_policy:string mode:string
    nearest_mode:string
ReverseSequence 2..2 1 batch_axis:int time_axis:int
RoiAlign 3..3 1 coordinate_transformation_mode:string mode:string output_height:int
    output_width:int sampling_ratio:int spatial_scale:float
RotaryEmbedding 3..4 1 interleaved:int num_heads:int rotary_embedding_dim:int
Round 1..1 1
STFT 2..4 1 onesided:int
Scan 1..* * body:graph directions:ints num_scan_inputs:int scan_input_axes:ints
    scan_input_directions:ints scan_output_axes:ints scan_output_directions:ints
Scatter 3..3 1 axis:int
ScatterElements 3..3 1 axis:int reduction:string
ScatterND 3..3 1 reduction:string
Selu 1..1 1 alpha:float consumed_inputs:ints gamma:float
SequenceAt 2..2 1
SequenceConstruct 1..* 1
SequenceEmpty 0..0 1 dtype:int
SequenceErase 1..2 1
SequenceInsert 2..3 1
SequenceLength 1..1 1
SequenceMap 1..* * body:graph
Shape 1..1 1 end:int start:int
Shrink 1..1 1 bias:float lambd:float
Sigmoid 1..1 1 consumed_inputs:ints
Sign 1..1 1
Sin 1..1 1
Sinh 1..1 1
Size 1..1 1
Slice 1..5 1 axes:ints ends:ints starts:ints
Softmax 1..1 1 axis:int
SoftmaxCrossEntropyLoss 2..3 2 ignore_index:int reduction:string
Softplus 1..1 1
Softsign 1..1 1
SpaceToDepth 1..1 1 blocksize:int mode:string
Split 1..2 * axis:int num_outputs:int split:ints
SplitToSequence 1..2 1 axis:int keepdims:int
Sqrt 1..1 1 consumed_inputs:ints
Squeeze 1..2 1 axes:ints
Sub 2..2 1 axis:int broadcast:int consumed_inputs:ints
Sum 1..* 1 consumed_inputs:ints
SwiGLU 2..2 1 alpha:float
Swish 1..1 1 alpha:float
Tan 1..1 1
Tanh 1..1 1 consumed_inputs:ints
TensorScatter 2..3 1 axis:int mode:string
ThresholdedRelu 1..1 1 alpha:float
Tile 2..3 1
TopK 1..2 2 axis:int k:int largest:int sorted:int
Transpose 1..1 1 perm:ints
Trilu 1..2 1 upper:int
Unique 1..1 4 axis:int sorted:int
Unsqueeze 1..2 1 axes:ints
Upsample 1..2 1 height_scale:float mode:string scales:floats width_scale:float
Where 3..3 1
Xor 2..2 1 axis:int broadcast:int
"""
KINDS = {
    'int': lambda value: type(value) is int,
    'float': lambda value: type(value) in (int, float),
    'string': lambda value: isinstance(value, str),
    'tensor': lambda value: isinstance(value, np.ndarray),
    'sparse_tensor': lambda value: False,   # refused where it is read
    'graph': lambda value: hasattr(value, 'nodes'),
    'type_proto': lambda value: isinstance(value, tuple),
}


def parse(text):
    """dict, operator -> (least inputs, most inputs, most outputs, dict: attribute -> kinds)."""
    operators = {}
    for line in text.replace('\n    ', ' ').split('\n')[1:-1]:
        name, inputs, outputs, *attributes = line.split()
        least, most = inputs.split('..')
        most, outputs = (float('inf') if n == '*' else int(n) for n in (most, outputs))
        operators[name] = int(least), most, outputs, {
            key: kinds.split('|') for key, kinds in (each.split(':') for each in attributes)}
    return operators


OPERATORS = parse(SIGNATURES)


def check_signature(node, source):
    """Refuses a node of ONNX's own domain that its operator does not fit.

    Args:
        source: the file, for messages.
    Raises:
        DataError: too few or too many inputs or outputs, an attribute that the operator does not
            have, or of another kind than it has.
    """
    least, most, outputs, attributes = OPERATORS[node.op_type]
    given, made = count(node.inputs), count(node.outputs)
    if not least <= given <= most:
        number = least if most == least else f'{least} to {most}'
        raise DataError(f'{source}: {node}: {number} inputs expected, got {given}')
    if made > outputs:
        raise DataError(f'{source}: {node}: at most {outputs} outputs expected, got {made}')
    for name, value in node.attributes.items():
        if name not in attributes:
            raise DataError(f'{source}: {node}: no attribute {name!r} is known; the operator has '
                            f'{", ".join(attributes) or "none"}')
        if not any(fits(value, kind) for kind in attributes[name]):
            raise DataError(f'{source}: {node}: the attribute {name!r} expected as '
                            f'{" or ".join(attributes[name])}, got {value!r:.200}')


def fits(value, kind):
    """Whether the value of an attribute is of a kind, such as 'int' or 'ints'."""
    if kind in KINDS:
        return KINDS[kind](value)
    return isinstance(value, list) and all(map(KINDS[kind.removesuffix('s')], value))


def count(names):
    """How many names there are, up to the last that is not left out."""
    return max((place for place, name in enumerate(names, 1) if name), default=0)

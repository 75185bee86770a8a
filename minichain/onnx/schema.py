"""The messages of the ONNX format as a table, and its types of elements.

Field numbers are those of the ONNX specification, https://onnx.ai/onnx/api/classes.html.
"""
import numpy as np

from minichain.errors import DataError
from minichain.protobuf import Schema

# Tensor is a TensorProto that becomes an array or, if its data lie elsewhere, an `External`.
# MetadataProto is a StringStringEntryProto of which nobody promises that it is UTF-8.
MESSAGES = """
ModelProto
    1 ir_version int; 2 producer_name string; 3 producer_version string; 4 domain string;
    5 model_version int; 7 graph GraphProto; 8 opset_import OperatorSetIdProto*;
    14 metadata_props MetadataProto*; 25 functions FunctionProto*
MetadataProto
    1 key bytes; 2 value bytes
OperatorSetIdProto
    1 domain string; 2 version int
FunctionProto
    1 name string; 4 input string*; 5 output string*; 6 attribute string*; 7 node NodeProto*;
    9 opset_import OperatorSetIdProto*; 10 domain string; 11 attribute_proto AttributeProto*;
    13 overload string
GraphProto
    1 node NodeProto*; 2 name string; 5 initializer Tensor*; 11 input ValueInfoProto*;
    12 output ValueInfoProto*; 15 sparse_initializer SparseTensorProto*
NodeProto
    1 input string*; 2 output string*; 3 name string; 4 op_type string;
    5 attribute AttributeProto*; 7 domain string; 8 overload string
AttributeProto
    1 name string; 2 f float; 3 i int; 4 s bytes; 5 t Tensor; 6 g GraphProto; 7 floats float*;
    8 ints int*; 9 strings bytes*; 10 tensors Tensor*; 11 graphs GraphProto*; 14 tp TypeProto;
    15 type_protos TypeProto*; 20 type AttributeType; 21 ref_attr_name string;
    22 sparse_tensor SparseTensorProto; 23 sparse_tensors SparseTensorProto*
ValueInfoProto
    1 name string; 2 type TypeProto
TypeProto
    1 tensor_type TensorTypeProto; 4 sequence_type ElementTypeProto; 5 map_type MapTypeProto;
    8 sparse_tensor_type TensorTypeProto; 9 optional_type ElementTypeProto
TensorTypeProto
    1 elem_type int; 2 shape TensorShapeProto
ElementTypeProto
    1 elem_type TypeProto
MapTypeProto
    1 key_type int; 2 value_type TypeProto
TensorShapeProto
    1 dim DimensionProto*
DimensionProto
    1 dim_value int; 2 dim_param string
TensorProto
    1 dims int*; 2 data_type int; 4 float_data float*; 5 int32_data int*; 6 string_data bytes*;
    7 int64_data int*; 8 name string; 9 raw_data bytes; 10 double_data double*;
    11 uint64_data uint*; 13 external_data StringStringEntryProto*; 14 data_location int
StringStringEntryProto
    1 key string; 2 value string
SparseTensorProto
    1 values Tensor; 2 indices Tensor; 3 dims int*
"""
ENUMS = """
AttributeType
    UNDEFINED=0 FLOAT=1 INT=2 STRING=3 TENSOR=4 GRAPH=5 FLOATS=6 INTS=7 STRINGS=8 TENSORS=9
    GRAPHS=10 SPARSE_TENSOR=11 SPARSE_TENSORS=12 TYPE_PROTO=13 TYPE_PROTOS=14
"""
SCHEMA = Schema(MESSAGES, ENUMS)

# TensorProto.DataType -> NumPy's type. Bfloat16 (16) is widened to float32 when it is read.
DTYPES = {number: np.dtype(name) for number, name in {
    1: 'float32', 2: 'uint8', 3: 'int8', 4: 'uint16', 5: 'int16', 6: 'int32', 7: 'int64',
    8: 'object', 9: 'bool', 10: 'float16', 11: 'float64', 12: 'uint32', 13: 'uint64',
    14: 'complex64', 15: 'complex128', 16: 'float32'}.items()}
BFLOAT16, STRING = 16, 8
NEWEST = 28     # version of ONNX's operators, of the release 1.23
NAMES = {17: 'float8e4m3fn', 18: 'float8e4m3fnuz', 19: 'float8e5m2', 20: 'float8e5m2fnuz',
         21: 'uint4', 22: 'int4', 23: 'float4e2m1', 24: 'float8e8m0', 25: 'uint2', 26: 'int2'}


def dtype_of(number, where):
    """NumPy's dtype of a TensorProto.DataType.

    Raises:
        DataError: not a type, or one that this library does not have.
    """
    if number not in DTYPES:
        name = NAMES.get(number, f'number {number}')
        raise DataError(f'{where}: elements of type {name} are not supported; float16/32/64, '
                        'bfloat16, int8..64, uint8..64, bool and string are.')
    return DTYPES[number]

"""What each function becomes: one table from the class of a function to its converter.

A converter is called with the Graph and a Node; it adds nodes and returns the name of the tensor
of the result, or a list of names. What it cannot express it refuses with CannotExport.
"""
from minichain.onnx.exporting.converters import (
    activation,
    arithmetic,
    arrays,
    columns,
    convolution,
    get_item,
    linear,
    linear_algebra,
    loss,
    normalization,
    padding,
    pooling,
    recurrent,
    reduction,
    rounding,
    scores,
    special,
    trigonometric,
)
from minichain.onnx.exporting.converters.refused import (
    COMPUTED_INSIDE,
    WINNERS,
    WITH_INDICES,
)
from minichain.onnx.exporting.converters.refused import REFUSALS as WITHOUT_FORM

FAMILIES = (activation, arithmetic, arrays, columns, convolution, get_item, linear,
            linear_algebra, loss, normalization, padding, pooling, recurrent, reduction, rounding,
            scores, special, trigonometric)
CONVERTERS = {kind: converter for family in FAMILIES
              for kind, converter in family.CONVERTERS.items()}
REFUSALS = {**WITHOUT_FORM, **linear_algebra.REFUSALS, **special.REFUSALS}

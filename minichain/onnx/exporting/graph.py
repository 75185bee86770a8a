"""The ONNX graph under construction: nodes, weights, names, and lengths that follow the batch."""
import math
import os

import numpy as np

from minichain.backend import to_cpu
from minichain.onnx.exporting.batch import Rows, merged_constant
from minichain.onnx.exporting.refusal import CannotExport

SMALL = 1 << 16   # bytes; equal constants up to this size are written once


class Graph:
    """What converters write to.

    Args:
        traces: of the same code, for all batch sizes.
        rows: the batch sizes.
        opset: version of the operators.
        first_rows: (name, axis) of the input that tells the batch size, or None.
    Attributes:
        nodes: list of (op_type, inputs, outputs, attributes).
        initializers: dict from name to NumPy array.
        wanted: dict from tensor to the name that was asked for; numbers make them unique.
        scope: path of the link that is being converted; names begin with it.
        input_numbers: numbers of the traced values that are inputs.
    """

    def __init__(self, traces, rows, opset, first_rows=None):
        self.traces, self.rows, self.opset, self.scope = traces, rows, opset, ''
        self.nodes, self.initializers = [], {}
        self._sources = {number: application for application in traces[0].applications
                         for number in application.results}
        self.input_numbers = {number for _, number in traces[0].inputs}
        self._first_rows, self._batch, self._shapes = first_rows, None, {}
        self.wanted = {}
        self._tensors, self._equal, self._origins, self._derived = {}, {}, {}, {}

    def fresh(self, name):
        """Return a name that no tensor has yet, this one or it with a number."""
        wanted, number = name, 1
        while name in self.wanted:
            number += 1
            name = f'{wanted}_{number}'
        self.wanted[name] = wanted
        return name

    def bind(self, number, tensor):
        """Say which tensor holds a traced value."""
        self._tensors[number] = tensor

    def follow(self, number, sources):
        """Name a constant after the parameter that it was computed from, or their folder."""
        names = sorted({name for source in sources if (name := self.origin(source))})
        folder = os.path.commonprefix(names).rpartition('/')[0]
        if len(names) == 1:
            self._origins[number] = names[0]
        elif folder:
            self._origins[number] = f'{folder}/joined'

    def origin(self, number):
        """Return the path of the parameter that a constant is or was computed from, or None."""
        return self.traces[0].names.get(number) or self._origins.get(number)

    def source(self, number, kind):
        """Return the Application of a class of function that computed a value, or None."""
        application = self._sources.get(number)
        return application if application and isinstance(application.function, kind) else None

    def tensor(self, number):
        """Return the name of the tensor that holds a traced value."""
        if number not in self._tensors:
            name = self.origin(number)
            array, shape = merged_constant([t.arrays[number] for t in self.traces], self.rows)
            tensor = self.constant(array, name)
            if array.shape != shape:
                tensor = self.add('Expand', [tensor, self.shape(shape)])
            self._tensors[number] = tensor
        return self._tensors[number]

    def constant(self, value, name=None, dtype=None):
        """Return the name of a new initializer.

        Args:
            value: array or number.
            name: wanted; None lets equal constants share one.
            dtype: of the array, None: as it is.
        """
        array = np.asarray(to_cpu(value) if hasattr(value, 'dtype') else value, dtype)
        key = None
        if name is None and array.nbytes <= SMALL:
            key = array.dtype.str, array.shape, array.tobytes()
            if key in self._equal:
                return self._equal[key]
        name = self.fresh(name or 'constant')
        self.initializers[name] = array
        if key:
            self._equal[key] = name
        return name

    def derived(self, number, how, make):
        """Return the name of a constant made from a constant value, once for each `how`.

        Args:
            number: of the traced value.
            how: short name of what is done to it.
            make: function of its array.
        """
        if (number, how) not in self._derived:
            origin = self.origin(number)
            array = make(to_cpu(self.traces[0].arrays[number]))
            self._derived[number, how] = self.constant(array, origin and f'{origin}_{how}')
        return self._derived[number, how]

    def ints(self, values):
        """Return the name of an int64 vector."""
        return self.constant(list(values), dtype='int64')

    def add(self, op_type, inputs, outputs=1, **attributes):
        """Add a node; attributes that are None are left out.

        Args:
            op_type: name of the ONNX operator.
            inputs: names of tensors; '' leaves an optional one out.
            outputs: how many.
        Returns:
            the name of the output, or a list of names if there are several.
        Raises:
            CannotExport: the opset is too old for the operator.
        """
        self._expect_operator(op_type)
        scope = f'{self.scope}/' if self.scope else ''
        names = [self.fresh(f'{scope}{op_type}') for _ in range(outputs)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append((op_type, list(inputs), names, attributes))
        return names[0] if outputs == 1 else names

    def _expect_operator(self, op_type):
        import onnx
        if not onnx.defs.has(op_type, self.opset):
            first = min(schema.since_version for schema in onnx.defs.get_all_schemas_with_history()
                        if schema.name == op_type and schema.domain == '')
            self.expect_opset(first, op_type)

    def expect_opset(self, least, what):
        """Raise CannotExport if `what` needs a newer opset."""
        if self.opset < least:
            raise CannotExport(f'{what} needs opset {least}, got opset={self.opset}')

    def batch_size(self):
        """Return the name of an int64 tensor of shape (1,): the batch size at run time."""
        if self._batch is None:
            name, axis = self._first_rows
            shape = self.add('Shape', [name])
            self._batch = self.add('Slice', [shape, self.ints([axis]), self.ints([axis + 1])])
        return self._batch

    def shape(self, shape):
        """Return the name of an int64 vector with these lengths, ints and :class:`Rows`."""
        if not any(isinstance(n, Rows) for n in shape):
            return self.ints(shape)
        if shape not in self._shapes:
            parts, fixed = [], []
            for n in (*shape, None):
                if isinstance(n, int):
                    fixed.append(n)
                    continue
                if fixed:
                    parts.append(self.ints(fixed))
                    fixed = []
                if n is not None:
                    parts.append(self.batch_size() if n.factor == 1 else self.add(
                        'Mul', [self.batch_size(), self.ints([n.factor])]))
            self._shapes[shape] = parts[0] if len(parts) == 1 else self.add(
                'Concat', parts, axis=0)
        return self._shapes[shape]

    def reshape(self, tensor, shape):
        """Add a Reshape to a shape of ints and :class:`Rows`; one of these is inferred."""
        open_axes = [axis for axis, n in enumerate(shape) if isinstance(n, Rows)]
        if len(open_axes) == 1 and math.prod(n for n in shape if isinstance(n, int)):
            shape = tuple(-1 if isinstance(n, Rows) else n for n in shape)
        return self.add('Reshape', [tensor, self.shape(shape)],
                        allowzero=1 if 0 in shape else None)

    def transpose(self, tensor, axes):
        """Add a Transpose."""
        return self.add('Transpose', [tensor], perm=list(axes))

    def slice(self, tensor, axis, start, stop, step=1):
        """Add a Slice along one axis."""
        return self.add('Slice', [tensor, *(self.ints([n]) for n in (start, stop, axis, step))])

    def reduce(self, op_type, tensor, axes, keepdims=False):
        """Add ReduceSum, ReduceMean, ...; no axes leave the tensor as it is."""
        if not axes:
            return self.add('Identity', [tensor])
        if op_type == 'ReduceSum' or self.opset >= 18:
            return self.add(op_type, [tensor, self.ints(axes)], keepdims=int(keepdims))
        return self.add(op_type, [tensor], axes=list(axes), keepdims=int(keepdims))

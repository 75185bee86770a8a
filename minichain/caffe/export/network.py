"""A Caffe network under construction: layers and their names, and the steps of a trace."""
import numpy as np

from minichain.backend import is_array, to_cpu
from minichain.errors import InvalidArgument


class CannotExport(InvalidArgument):
    """Something that a model does and that has no form in Caffe, or none here; says why."""


class Network:
    """What converters write to.

    Args:
        trace: :class:`minichain.tracing.Trace` of the model.
    Attributes:
        layers: list of dicts, as ``minichain.caffe.writer`` takes them.
        sources: dict from the number of a value to the Application that made it.
        scope: path of the link that is being converted; names begin with it.
    """

    def __init__(self, trace):
        self.trace, self.layers, self.scope = trace, [], ''
        self.sources = {number: application for application in trace.applications
                        for number in application.results}
        self._blobs = {}
        self._folders = {number: {name.rpartition('/')[0]} for number, name in trace.names.items()}

    def bind(self, number, blob):
        """Say which blob holds a value."""
        self._blobs[number] = blob

    def is_constant(self, number):
        """Return whether a value depends on no input."""
        return number not in self._blobs

    def blob(self, number):
        """Return the name of the blob that holds a value.

        Raises:
            CannotExport: the value is a constant.
        """
        if number in self._blobs:
            return self._blobs[number]
        raise CannotExport('one of its operands is a constant, where Caffe takes none')

    def array(self, number):
        """Return the NumPy array of a value."""
        return to_cpu(self.trace.arrays[number])

    def follow(self, application):
        """Remember which links a constant comes from, that was computed from their parameters."""
        folders = set().union(*(self._folders.get(n, ()) for n in application.operands))
        self._folders.update(dict.fromkeys(application.results, folders))

    def add(self, kind, bottoms, tops=None, weights=(), owner=None, **fields):
        """Add a layer.

        Args:
            kind: Caffe's name of its type.
            bottoms: names of blobs.
            tops: how many blobs it makes; None: one, which is returned.
            weights: arrays.
            owner: number of a value; its link gives the layer its name. None: the running link
                and the kind do.
            fields: of the layer, such as ``relu_param={'negative_slope': .1}``.
        Returns:
            the top, or a list of them, by names that are only used until :meth:`finish`.
        """
        names = [f'\0{len(self.layers)}_{i}' for i in range(tops or 1)]
        layer = {'name': self._layer_name(kind, owner), 'type': kind, 'bottom': list(bottoms),
                 'top': names, **fields}
        if weights:
            layer['blobs'] = [np.asarray(array, np.float32) for array in weights]
        self.layers.append(layer)
        return names[0] if tops is None else names

    def _layer_name(self, kind, owner):
        folders = self._folders.get(owner, set())
        folder = next(iter(folders)) if len(folders) == 1 else self.scope
        if len(folders) == 1 and folder and not folder.rpartition('/')[2].isdigit():
            return folder
        return f'{folder}/{kind.lower()}'.lstrip('/')

    def finish(self, inputs, outputs):
        """Return the layers that are needed for the outputs, under their names.

        Args:
            inputs: names of blobs.
            outputs: list of (name, number), the names to be those of the blobs; a single 'output'
                is the only top of the last layer and has the name of that.
        """
        single, wanted = [name for name, _ in outputs] == ['output'], {}
        for name, number in outputs:
            blob = self._blobs[number]
            if blob in wanted or single and len(self._tops_beside(blob)) > 1:
                blob = self.add('Power', [blob])
            wanted[blob] = name
        layers, layer_names, blob_names = self._needed(wanted), set(inputs), set(inputs)
        names = {} if single else {
            blob: unused(name, blob_names) for blob, name in wanted.items()}
        for layer in layers:
            layer['name'] = name = unused(layer['name'], layer_names)
            tops = layer.get('top', ())
            for i, blob in enumerate(tops):
                if blob not in names:
                    names[blob] = unused(name if len(tops) == 1 else f'{name}_{i}', blob_names)
            for side in {'bottom', 'top'}.intersection(layer):
                layer[side] = [names.get(blob, blob) for blob in layer[side]]
        return layers

    def _needed(self, blobs):
        """Return the layers that blobs are computed by.

        Tops that nobody takes are silenced, lest Caffe counts them among its outputs.
        """
        needed, layers = set(blobs), []
        for layer in reversed(self.layers):
            silent = [top for top in layer['top'] if top not in needed]
            if len(silent) < len(layer['top']):
                needed.update(layer['bottom'])
                layers += [{'name': 'silence', 'type': 'Silence', 'bottom': silent}] * bool(silent)
                layers.append(layer)
        return layers[::-1]

    def _tops_beside(self, blob):
        """Return all tops of the layer that makes a blob."""
        return next(layer['top'] for layer in self.layers if blob in layer['top'])

    def power(self, x, power=1, scale=1, shift=0):
        """Add (scale x + shift) ** power, unless that is x."""
        values = {'power': (power, 1), 'scale': (scale, 1), 'shift': (shift, 0)}
        given = {name: float(value) for name, (value, default) in values.items()
                 if value != default}
        return self.add('Power', [x], power_param=given) if given else x

    def reshape(self, x, shape, wanted):
        """Add what gives x of a shape another one; the first axis stays free if it is kept."""
        shape, wanted = tuple(shape), tuple(wanted)
        if shape == wanted:
            return x
        kept = bool(wanted) and shape[:1] == wanted[:1]
        if kept and len(wanted) == 2 < len(shape):
            return self.add('Flatten', [x])
        dim = [0, *wanted[1:]] if kept else list(wanted)
        return self.add('Reshape', [x], reshape_param={'shape': {'dim': dim}})

    def permute(self, x, order):
        """Add a Permute, unless the order is the present one."""
        if list(order) == sorted(order):
            return x
        return self.add('Permute', [x], permute_param={'order': list(order)})

    def cut(self, x, length, axis, start, stop):
        """Add what keeps start .. stop of an axis of this length."""
        points = [point for point in (start, stop) if 0 < point < length]
        if not points:
            return x
        parts = self.add('Slice', [x], len(points) + 1,
                         slice_param={'axis': axis, 'slice_point': points})
        return parts[1 if start else 0]

    def tile(self, x, shape, wanted):
        """Add what broadcasts x of a shape to the wanted one."""
        filled = (1,) * (len(wanted) - len(shape)) + tuple(shape)
        x = self.reshape(x, shape, filled)
        for axis, (n, m) in enumerate(zip(filled, wanted)):
            if n != m:
                x = self.add('Tile', [x], tile_param={'axis': axis, 'tiles': m})
        return x


def unused(name, names):
    """Return the name, or it with a number, that is not among these, and add it to them."""
    wanted, number = name, 1
    while name in names:
        number += 1
        name = f'{wanted}_{number}'
    names.add(name)
    return name


class Step:
    """One function that was applied, as a converter sees it.

    Attributes:
        function: the FunctionNode, with its attributes.
        operands, results: numbers of values.
        path: of the link that was running.
    """

    def __init__(self, network, application):
        self.network = network
        self.function, self.operands, self.results, self.path = application[:4]

    def bottom(self, place=0):
        """Return the name of the blob of an operand."""
        return self.network.blob(self.operands[place])

    def shape(self, place=0):
        """Return the shape of an operand."""
        return self.network.trace.arrays[self.operands[place]].shape

    @property
    def result_shape(self):
        """Shape of the first result."""
        return self.network.trace.arrays[self.results[0]].shape

    def is_constant(self, place):
        """Return whether an operand depends on no input."""
        return self.network.is_constant(self.operands[place])

    def weights(self, first=1):
        """Return the arrays of the operands from this place on.

        Raises:
            CannotExport: one of them is computed from inputs.
        """
        places = range(first, len(self.operands))
        if not all(map(self.is_constant, places)):
            raise CannotExport('its weights are computed from the inputs, Caffe keeps them in '
                               'the file')
        return [self.network.array(self.operands[place]) for place in places]


def kept_arrays(function):
    """Yield the arrays among the attributes of a function, those in tuples and lists too."""
    for value in vars(function).values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if is_array(each):
                yield each

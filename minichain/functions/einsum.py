"""Sums of products in index notation.

Axes that only one operand has, and diagonals, are dealt with first; what remains is a product
whose gradients are again such products.
"""
import string

import numpy as np

from minichain.autograd import Primitive, as_variable
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.broadcast import sum_to
from minichain.functions.diagonal import diagonal
from minichain.functions.sum import sum
from minichain.type_check import expect_float


class EinSum(Primitive):
    """Each label of an operand occurs once in it, and again in another or in the output."""

    label = 'einsum'

    def __init__(self, labels, output):
        self.labels, self.output = labels, output

    def forward(self, arrays):
        self.retain_inputs(tuple(range(len(arrays))))
        return _einsum(self.labels, self.output, arrays),

    def backward(self, indexes, grads):
        operands, gxs = self.get_retained_inputs(), []
        for i in indexes:
            others = [(self.output, grads[0])] + [
                pair for j, pair in enumerate(zip(self.labels, operands)) if j != i]
            labels, arrays = zip(*others)
            gx = EinSum(labels, self.labels[i]).apply(arrays)[0]
            gxs.append(sum_to(gx, self.inputs[i].shape))   # an axis of length 1 behind '...'
        return gxs


def _einsum(labels, output, arrays):
    xp = get_array_module(*arrays)
    dtype = arrays[0].dtype
    if dtype == np.float16 and xp is np:    # its products are a hundred times slower than these
        arrays = [array.astype(np.float32) for array in arrays]
    result = xp.einsum(f'{",".join(labels)}->{output}', *arrays, optimize=len(arrays) > 1)
    return result.astype(dtype, copy=False)


def _parse(operands):
    """Return the labels of each operand, those of the output or None, and the operands."""
    if operands and isinstance(operands[0], str):
        inputs, arrow, output = operands[0].replace(' ', '').partition('->')
        return inputs.split(','), output if arrow else None, operands[1:]
    count = len(operands) // 2 * 2
    output = _letters(operands[-1]) if len(operands) % 2 else None
    return [_letters(labels) for labels in operands[1:count:2]], output, operands[:count:2]


def _letters(labels):
    """Return a list of ints and Ellipsis as a string."""
    try:
        return ''.join('...' if i is Ellipsis else string.ascii_letters[i] for i in labels)
    except (TypeError, IndexError):
        raise InvalidArgument('einsum: labels as a list of ints from 0 to 51 and Ellipsis '
                              f'expected, got {labels!r}') from None


def _expand(labels, output, operands):
    """Write letters for '...', and the implicit output; check against the operands."""
    used = set(''.join(labels))
    free = [letter for letter in string.ascii_letters if letter not in used]
    widths = [x.ndim - len(each.replace('...', '')) for each, x in zip(labels, operands)]
    broadcast = ''.join(free[:max((w for each, w in zip(labels, widths) if '...' in each),
                                  default=0)])
    expanded = [each.replace('...', broadcast[len(broadcast) - max(w, 0):])
                for each, w in zip(labels, widths)]
    if output is None:
        everything = ''.join(expanded)
        output = broadcast + ''.join(sorted(
            c for c in set(everything) - set(broadcast) if everything.count(c) == 1))
    output = output.replace('...', broadcast)
    known = set(''.join(expanded))
    if not set(output) <= known or len(set(output)) < len(output) or not (
            set(broadcast) <= set(output)) or not known <= set(string.ascii_letters):
        raise InvalidArgument(f'einsum: an output of labels of the operands, each once, and with '
                              f"... where an operand has it, expected, got '{output}'")
    return expanded, output, broadcast


def _expect_lengths(labels, operands, broadcast):
    lengths = {}
    for each, x in zip(labels, operands):
        if len(each) != x.ndim:
            raise InvalidType(f"einsum: a label for each axis expected, got '{each}' for shape "
                              f'{x.shape}')
        for label, n in zip(each, x.shape):
            if label in broadcast and 1 in (n, lengths.get(label, n)):
                n = max(n, lengths.get(label, n))
            elif lengths.get(label, n) != n:
                raise InvalidType(f"einsum: one length for label '{label}' expected, got "
                                  f'{lengths[label]} and {n}')
            lengths[label] = n


def einsum(*operands):
    """Sum of products in index notation:  einsum('ij,jk->ik', a, b) is the matrix product.

    Args:
        operands: subscripts, then Variables or arrays; or Variables and arrays, each followed by
            a list of ints as its labels, and at the end, if wanted, the labels of the output.
            '...' stands for axes that broadcast. A label twice in one operand takes the
            diagonal. Without '->' the output has the labels that occur once, sorted.
    Raises:
        InvalidArgument: the subscripts cannot be read.
        InvalidType: they do not fit the operands.
    """
    labels, output, operands = _parse(operands)
    if len(labels) != len(operands) or not operands:
        raise InvalidArgument(f'einsum: labels for each operand expected, got {len(labels)} for '
                              f'{len(operands)} operands')
    operands = [as_variable(x) for x in operands]
    labels, output, broadcast = _expand(labels, output, operands)
    _expect_lengths(labels, operands, broadcast)
    for i, x in enumerate(operands):
        expect_float('einsum', **{f'operand_{i}': x})
        for label in set(labels[i]):
            while labels[i].count(label) > 1:
                first = labels[i].index(label)
                second = labels[i].index(label, first + 1)
                x = diagonal(x, 0, first, second)   # which becomes the last axis
                labels[i] = (labels[i][:first] + labels[i][first + 1:second]
                             + labels[i][second + 1:] + label)
        rest = output + ''.join(labels[:i] + labels[i + 1:])
        alone = tuple(place for place, c in enumerate(labels[i]) if c not in rest)
        if alone:
            x = sum(x, alone)
            labels[i] = ''.join(c for c in labels[i] if c in rest)
        operands[i] = x
    return EinSum(tuple(labels), output).apply(operands)[0]

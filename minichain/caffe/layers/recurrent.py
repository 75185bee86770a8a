"""Caffe's recurrent layers. Their sequences restart wherever the second bottom, `cont`, is 0."""
import minichain.functions as F
from minichain.autograd import as_variable
from minichain.caffe.geometry import planned
from minichain.caffe.layers.weights import along, expect_blobs, shaped
from minichain.errors import DataError


def lstm(layer, blobs):
    """Gates in blocks i, f, o, a;  c = cont f c + i a,  h = o tanh(c).

    Donahue et al. 2015, "Long-term recurrent convolutional networks", arXiv:1411.4389.
    """
    static, states = optional_bottoms(layer, ('h', 'c'))
    size = layer.recurrent_param.num_output
    names = ['W_xc', 'b_c', *['W_xc_static'] * static, 'W_hc']
    expect_blobs(blobs, len(names))
    weights = dict(zip(names, blobs))
    for name, array in weights.items():
        shape = (size * 4,) if name == 'b_c' else (size * 4, array.size // max(size * 4, 1))
        weights[name] = shaped(array, shape if name != 'W_hc' else (size * 4, size), name)

    def forward(x, cont, *bottoms, W_xc, b_c, W_xc_static=None, W_hc):
        gates = project(x, W_xc, b_c, bottoms[0] if static else None, W_xc_static)
        h, c = initial_states(x, bottoms[static:], 2, size)
        outputs = []
        for gate, kept in zip(gates, restarts(x, cont)):
            kept = along(h, 0, kept)
            gate = gate + F.linear(h * kept, W_hc)
            i, f, o = (F.sigmoid(gate[:, k * size:(k + 1) * size]) for k in range(3))
            c = f * (c * kept) + i * F.tanh(gate[:, 3 * size:])
            h = o * F.tanh(c)
            outputs.append(h)
        return with_states(F.stack(outputs), states, h, c)
    return planned(forward, plan_of(size, 4)), weights


def rnn(layer, blobs):
    """h = tanh(W_hh (cont h) + W_xh x + b_h),  y = tanh(W_ho h + b_o)."""
    static, states = optional_bottoms(layer, ('h',))
    size = layer.recurrent_param.num_output
    names = ['W_xh', 'b_h', *['W_xh_static'] * static, 'W_hh', 'W_ho', 'b_o']
    expect_blobs(blobs, len(names))
    weights = dict(zip(names, blobs))
    for name, array in weights.items():
        shape = ((size,) if name[0] == 'b' else (size, size) if name in ('W_hh', 'W_ho') else
                 (size, array.size // max(size, 1)))
        weights[name] = shaped(array, shape, name)

    def forward(x, cont, *bottoms, W_xh, b_h, W_xh_static=None, W_hh, W_ho, b_o):
        inputs = project(x, W_xh, b_h, bottoms[0] if static else None, W_xh_static)
        h, = initial_states(x, bottoms[static:], 1, size)
        outputs = []
        for term, kept in zip(inputs, restarts(x, cont)):
            h = F.tanh(term + F.linear(h * along(h, 0, kept), W_hh))
            outputs.append(F.tanh(F.linear(h, W_ho, b_o)))
        return with_states(F.stack(outputs), states, h)
    return planned(forward, plan_of(size, 2)), weights


def optional_bottoms(layer, states):
    """(Whether there is a bottom that all steps see, whether states come and go as blobs)."""
    p = layer.recurrent_param
    count = len(states) * p.expose_hidden
    static = len(layer.bottom) - 2 - count
    if not p.num_output or static not in (0, 1) or len(layer.top) != 1 + count:
        raise DataError(f'num_output above 0, {2 + count} or {3 + count} bottoms and {1 + count} '
                        f'tops expected, got num_output {p.num_output}, {len(layer.bottom)} and '
                        f'{len(layer.top)}')
    return static == 1, count > 0


def plan_of(size, blocks):
    def plan(x, *bottoms):
        count = x[0] * x[1] if len(x) > 1 else 0
        return (*x[:2], size), (2 * blocks + 8) * count * size
    return plan


def project(x, W, b, static, W_static):
    """What x, (T, N, ...), and a blob that is the same in all steps give each step, (N, H)."""
    if x.ndim < 2 or not len(x):
        raise DataError(f'an input (T, N, ...) with at least one step expected, got {x.shape}')
    steps, batch = x.shape[:2]
    y = F.linear(F.reshape(x, (steps * batch, x.size // max(steps * batch, 1))), W, b)
    y = F.reshape(y, (steps, batch, len(W)))
    if static is not None:
        if static.shape[:1] != (batch,):
            raise DataError(f'a static input ({batch}, ...) expected, got {static.shape}')
        y = y + F.broadcast_to(
            F.linear(F.reshape(static, (batch, static.size // max(batch, 1))), W_static), y.shape)
    return [y[t] for t in range(steps)]


def restarts(x, cont):
    """What the state before each step is multiplied by, (N,): 0 where a sequence begins."""
    if cont.shape != x.shape[:2]:
        raise DataError(f'cont of shape {x.shape[:2]} expected, got {cont.shape}')
    return as_variable(cont.array.astype(x.dtype))


def initial_states(x, given, count, size):
    shape = (x.shape[1], size)
    if not given:
        return [as_variable(x.xp.zeros(shape, x.dtype))] * count
    return [F.reshape(state, shape) for state in given]


def with_states(y, exposed, *states):
    return (y, *(F.reshape(state, (1, *state.shape)) for state in states)) if exposed else y

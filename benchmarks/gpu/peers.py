"""PyTorch on the same device in three forms: eager, as one CUDA graph, compiled.

Import it where torch may be missing; it is asked for when a peer is made.
"""
import contextlib

from benchmarks.comparison import COMPILED, TORCH
from benchmarks.frame import find_peer

GRAPH = 'torch graph'
FORMS = TORCH, GRAPH, COMPILED
WARM_UPS = 3        # calls before a graph is captured, as PyTorch's manual has it


class MissingPeerError(Exception):
    """Why a peer is not there."""


def place_of(device):
    """Return where torch has its tensors for a device of minichain, and why it has none.

    Args:
        device: 'cuda', 'cuda:1' and the like, or 'sim'.
    Returns:
        ('cuda:0' or the like, None), ('cpu', None) for 'sim', or (None, reason).
    """
    torch = find_peer('torch')
    if torch is None:
        return None, 'torch is not installed: pip install torch'
    if device == 'sim':
        return 'cpu', None
    if not torch.cuda.is_available():
        return None, f'torch {torch.__version__} sees no GPU; install its build for CUDA'
    return f'cuda:{device.partition(":")[2] or 0}', None


def missing(reason, peers, options):
    """Return {name of a peer: function that raises MissingPeerError}."""
    def make():
        raise MissingPeerError(reason)
    return {peer: make for peer in peers if peer != COMPILED or options.compile}


def forms(make, place, options):
    """Return {name of a peer: function that makes it}, in the order of FORMS.

    Args:
        make: makes the eager function, whose operands lie on the device and stay where they are.
            Where a call changes them, the function has an attribute ``reset``, which puts them
            back in place; where it returns no results, ``read``, which does.
        place: of :func:`place_of`.
        options: of the command line; ``compile`` asks for torch.compile.
    """
    torch = find_peer('torch')

    def compiled():
        torch.compiler.reset()      # it compiles a function for few settings only
        function = make()
        result = torch.compile(function)
        result()                    # compiles; what fails, fails here
        return as_before(result, function)
    return {TORCH: make, GRAPH: lambda: graphed(torch, place, make),
            **({COMPILED: compiled} if options.compile else {})}


def as_before(result, function):
    """Return ``result`` with the attributes of ``function``; its calls until now are undone."""
    def again():
        return result()
    vars(again).update(vars(function))
    getattr(again, 'reset', lambda: None)()
    return again


def graphed(torch, place, make):
    """Return a function that does what the one of ``make`` does by replaying one graph.

    Raises:
        MissingPeerError: there is no GPU to capture on.
    """
    if place == 'cpu':
        raise MissingPeerError('a graph wants a GPU')
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        # Backward goes on the stream of forward, which may have been run to make the function.
        function = make()
        for _ in range(WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=aside):
        results = function()

    def replay():
        graph.replay()
        return results
    return as_before(replay, function)


@contextlib.contextmanager
def settled(precision):
    """Let torch multiply float32 as minichain's precision says, as long as the block lasts.

    Products of bfloat16 tensors do not depend on it. cuDNN may look for its best algorithms.
    """
    torch = find_peer('torch')
    if torch is None:
        yield
        return
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    exact = precision == 'float32'

    def settle(products, tf32, benchmark):
        torch.set_float32_matmul_precision(products)
        cudnn.allow_tf32, cudnn.benchmark = tf32, benchmark
    settle('highest' if exact else 'high', not exact, True)
    try:
        yield
    finally:
        settle(*before)


def autocast(precision, place):
    """Return a context manager: bfloat16 where PyTorch thinks fit, under 'bf16'; else nothing.

    Casts of weights are not kept from one region to the next, so that a graph repeats them.
    """
    torch = find_peer('torch')
    return torch.autocast(place.partition(':')[0], dtype=torch.bfloat16,
                          enabled=precision == 'bf16', cache_enabled=False)


def dtype_of(precision):
    """Return the dtype of weights and activations where they are all cast."""
    torch = find_peer('torch')
    return torch.bfloat16 if precision == 'bf16' else torch.float32

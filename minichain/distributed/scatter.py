"""What ranks share besides gradients: the examples of a data set, the results of evaluators."""
import numpy as np

from minichain.datasets.sub_dataset import SubDataset
from minichain.errors import InvalidArgument, InvalidType


def scatter_dataset(dataset, comm, root=0, shuffle=False, seed=None, max_buf_len=None, *,
                    force_equal_length=True):
    """Return this rank's part of a data set; called by all ranks.

    Args:
        dataset: has ``len`` and indices; of ranks other than ``root`` it is ignored. Examples
            are made of arrays, numbers, strings, tuples, lists and dicts.
        comm: Communicator.
        root: rank that has the data set.
        shuffle: shuffle the examples before.
        seed: of the shuffling; None: another one each time.
        max_buf_len: of Chainer; messages here have no limit.
        force_equal_length: all parts get the same length; some examples are then in two of them.
            Otherwise lengths differ by one at most, and every example is in one part.
    Returns:
        SubDataset.
    Raises:
        InvalidArgument: the data set has no examples, or ``root`` has none to give.
    """
    failure = parts = None
    if comm.rank == root:
        try:
            parts = _parts(dataset, comm.size, shuffle, seed, force_equal_length)
        except TypeError:
            failure = f'a data set on rank {root} expected, got {type(dataset).__name__}'
        except InvalidArgument as error:
            failure = str(error)
    failure, parts = comm.bcast_obj((failure, parts), root=root)
    if failure:
        raise InvalidArgument(f'scatter_dataset: {failure}')
    mine = parts[comm.rank]
    return SubDataset(mine, 0, len(mine))


def _parts(dataset, n_parts, shuffle, seed, equal):
    """Return a list of lists of examples."""
    n = len(dataset)
    if n == 0:
        raise InvalidArgument('at least one example expected, got none')
    order = np.random.RandomState(seed).permutation(n) if shuffle else np.arange(n)
    length = -(-n // n_parts)
    parts = []
    for part in range(n_parts):
        start, end = part * n // n_parts, (part + 1) * n // n_parts
        if equal:
            end = start + length
        parts.append([dataset[int(i)] for i in order[np.arange(start, end) % n]])
    return parts


def create_multi_node_evaluator(actual_evaluator, communicator):
    """Let an evaluator return the means of its results over all ranks; returns the evaluator.

    Args:
        actual_evaluator: has a method ``evaluate`` that returns a dict of numbers.
        communicator: Communicator; ``evaluate`` is then called by all ranks.
    Raises:
        InvalidType: it has no method ``evaluate``.
    """
    evaluate = getattr(actual_evaluator, 'evaluate', None)
    if not callable(evaluate):
        raise InvalidType('create_multi_node_evaluator: an object with a method evaluate '
                          f'expected, got {type(actual_evaluator).__name__}')

    def evaluate_together(*args, **kwds):
        mine = {name: float(value) for name, value in evaluate(*args, **kwds).items()}
        found = communicator.allgather_obj(mine)
        return {name: sum(results[name] for results in found) / len(found) for name in found[0]}
    actual_evaluator.evaluate = evaluate_together
    return actual_evaluator

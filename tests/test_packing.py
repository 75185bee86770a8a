import numpy as np
import pytest

from minichain import backend
from minichain.errors import InvalidArgument
from minichain.packing import PAD, pack, pad

CAPTIONS = [np.array(ids) for ids in ([1, 5, 2], [1, 7, 8, 9, 2], [1, 4, 2], [1, 2])]


def unpack(order, chunks):
    """The (input, target) pairs of every caption, gathered row by row."""
    pairs = [[] for _ in order]
    for chunk in chunks:
        row = 0
        for size in chunk.batch_sizes:
            for k in range(size):
                pairs[order[k]].append((chunk.inputs[row], chunk.targets[row]))
                row += 1
    return pairs


@pytest.mark.parametrize('n_steps', [None, 1, 2, 3, 10])
def test_every_caption_comes_back_whatever_the_length_of_chunks(n_steps):
    order, chunks = pack(CAPTIONS, n_steps)
    assert list(order) == [1, 0, 2, 3]   # longest first, equal ones in their own order
    expected = [list(zip(ids[:-1], ids[1:])) for ids in CAPTIONS]
    assert unpack(order, chunks) == expected
    assert [chunk.is_first for chunk in chunks] == [True] + [False] * (len(chunks) - 1)


def test_there_are_no_pads():
    _, (chunk,) = pack(CAPTIONS)
    assert chunk.batch_sizes == [4, 3, 1, 1]
    assert len(chunk.inputs) == sum(len(ids) - 1 for ids in CAPTIONS)
    assert chunk.inputs.dtype == np.int32


def test_a_chunk_is_sent_to_a_device_with_its_arrays():
    _, (chunk,) = pack(CAPTIONS)
    sent = chunk.send(backend.get_device('cpu'))
    np.testing.assert_array_equal(sent.targets, chunk.targets)


def test_captions_without_words_are_refused():
    for captions, n_steps in (([], None), ([[1]], None), ([[1, 2]], 0)):
        with pytest.raises(InvalidArgument):
            pack(captions, n_steps)


def test_pads_stand_where_a_caption_has_no_step_and_in_rows_without_one():
    inputs, targets = pad(CAPTIONS, 5, 4)
    assert inputs.dtype == targets.dtype == np.int32
    assert inputs.reshape(4, 5).T.tolist() == [
        [1, 5, PAD, PAD], [1, 7, 8, 9], [1, 4, PAD, PAD], [1, PAD, PAD, PAD], [PAD] * 4]
    assert targets.reshape(4, 5).T.tolist() == [
        [5, 2, PAD, PAD], [7, 8, 9, 2], [4, 2, PAD, PAD], [2, PAD, PAD, PAD], [PAD] * 4]

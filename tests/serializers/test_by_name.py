"""Loading what fits, and the report."""
import io

import numpy as np

import minichain
from minichain import links as L
from minichain import serializers


def test_what_fits_is_loaded_and_the_rest_reported():
    file = io.BytesIO()
    old = minichain.Chain(a=L.Linear(3, 2), b=L.Linear(2, 5), gone=L.Linear(1, 1, nobias=True))
    serializers.save_npz(file, old)
    new = minichain.Chain(a=L.Linear(3, 2), b=L.Linear(2, 4), new=L.Linear(1, 1, nobias=True))
    kept = new.b.W.array.copy(), new.new.W.array.copy()
    file.seek(0)
    report = serializers.load_by_name(file, new)
    assert report.matched == ['a/W', 'a/b']
    assert report.missing == ['new/W']
    assert report.unused == ['gone/W']
    assert report.wrong_shape == {'b/W': ((4, 2), (5, 2)), 'b/b': ((4,), (5,))}
    np.testing.assert_array_equal(new.a.W.array, old.a.W.array)
    np.testing.assert_array_equal(new.b.W.array, kept[0])
    np.testing.assert_array_equal(new.new.W.array, kept[1])
    assert str(report).splitlines() == [
        '2 entries loaded, 1 missing, 2 of wrong shape, 1 unused',
        '  missing in the file: new/W',
        '  wrong shape: b/W: (4, 2) expected, got (5, 2)',
        '  wrong shape: b/b: (4,) expected, got (5,)',
        '  unused: gone/W']

"""HDF5 files."""
import builtins
import importlib

import numpy as np
import pytest

from minichain import links as L
from minichain import serializers
from minichain.errors import DataError, FileError, InvalidArgument
from tests.serializers.test_npz import Model, Values


def test_without_h5py_the_message_says_what_to_install(monkeypatch, tmp_path):
    real = importlib.import_module

    def absent(name):
        if name == 'h5py':
            raise ImportError('No module named h5py')
        return real(name)
    monkeypatch.setattr(importlib, 'import_module', absent)
    with pytest.raises(InvalidArgument, match='pip install'):
        serializers.save_hdf5(tmp_path / 'model', Model())
    with pytest.raises(InvalidArgument, match='pip install'):
        serializers.load_hdf5(tmp_path / 'model', Model())
    assert 'h5py' not in vars(builtins)


def test_a_model_comes_back(tmp_path):
    h5py = pytest.importorskip('h5py', reason='reads and writes HDF5')
    model, other = Model(), Model()
    model.steps, model.label = 11, 'あ'
    serializers.save_hdf5(tmp_path / 'model.h5', model)
    with h5py.File(tmp_path / 'model.h5') as file:
        assert file['l2/0/W'].shape == (1, 2) and file['steps'][()] == 11
    serializers.load_hdf5(tmp_path / 'model.h5', other)
    np.testing.assert_array_equal(other.l1.W.array, model.l1.W.array)
    assert (other.steps, other.rate, other.label) == (11, .5, 'あ')
    serializers.save_hdf5(tmp_path / 'lazy.h5', L.Linear(None, 2))
    fresh = L.Linear(None, 2)
    serializers.load_hdf5(tmp_path / 'lazy.h5', fresh)
    assert fresh.W.array is None


def test_files_that_do_not_fit_are_refused(tmp_path):
    h5py = pytest.importorskip('h5py', reason='reads and writes HDF5')
    path = tmp_path / 'x.h5'
    with pytest.raises(FileError):
        serializers.load_hdf5(path, Values(x=1))
    path.write_bytes(b'no')
    with pytest.raises(DataError, match='an HDF5 file expected'):
        serializers.load_hdf5(path, Values(x=1))
    serializers.save_hdf5(path, Values(x=np.ones(3)))
    for values in (Values(x=np.ones((2, 3))), Values(y=1), Values(x=np.ones(3, 'i'))):
        with pytest.raises(DataError):
            serializers.load_hdf5(path, values)
    with h5py.File(path, 'w') as file:
        file['x'] = h5py.ExternalLink('/etc/hostname', '/x')
        file.create_group('g')
    for values in (Values(x=1), Values(g=1)):
        with pytest.raises(DataError):
            serializers.load_hdf5(path, values)

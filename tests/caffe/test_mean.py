"""Mean images: both formats, and files that are none."""

import numpy as np
import pytest

from minichain.caffe import load_mean
from minichain.errors import DataError, FileError
from minichain.image import Preprocessing
from tests.caffe.encoding import blob, small_net

MEAN = np.random.default_rng(0).uniform(90, 130, (1, 3, 6, 5)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / 'mean.binaryproto'
        path.write_bytes(data)
        return path
    return write


@pytest.mark.parametrize('packed', [True, False])
@pytest.mark.parametrize('legacy', [True, False])
def test_a_binaryproto_is_read_without_its_first_axis(write, packed, legacy):
    mean = load_mean(write(blob(MEAN, packed, legacy)))
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, MEAN[0])


def test_the_mean_of_each_channel_goes_into_the_preprocessing(write):
    mean = load_mean(write(blob(MEAN)))
    preprocessing = Preprocessing((4, 4), 'BGR', mean.mean((1, 2)).tolist())
    np.testing.assert_allclose(preprocessing.mean, MEAN.mean((0, 2, 3)), rtol=1e-5)


def test_an_npy_file_is_read_too(tmp_path):
    np.save(tmp_path / 'mean.npy', MEAN[0].astype(np.float64))
    np.testing.assert_array_equal(load_mean(tmp_path / 'mean.npy'), MEAN[0])


def npy(header):
    header = header.encode().ljust(117) + b'\n'
    return b'\x93NUMPY\1\0' + len(header).to_bytes(2, 'little') + header


@pytest.mark.parametrize('data', [
    b'', b'\0' * 50, small_net(np.zeros((2, 4, 1, 1), np.float32), np.zeros(2, np.float32)),
    blob(MEAN)[:-1], blob(MEAN[0, 0]), blob(MEAN * np.nan), blob(MEAN[:, :0]),
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1000000000, 1000000000), }"),
    npy("{'descr': '|O', 'fortran_order': False, 'shape': (3, 1, 1), }") + b'N' * 99,
    npy("{'descr': '<i4', 'fortran_order': False, 'shape': (1, 1, 1), }") + b'1234',
    npy("{'descr': ((((((((1"), npy('9' * 100), b'\x93NUMPY\1\0\xff\xff{', b'\x93NUMPY\7\0'])
def test_what_is_no_mean_image_is_refused_with_its_name(write, data):
    with pytest.raises(DataError, match=r'mean\.binaryproto'):
        load_mean(write(data))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r'nothing\.npy'):
        load_mean(tmp_path / 'nothing.npy')

"""npz files: Chainer's keys and bytes, and files that mean harm."""
import gzip
import io
import os
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest

import minichain
from minichain import functions as F
from minichain import links as L
from minichain import optimizers, serializers
from minichain.errors import DataError, FileError, InvalidArgument, InvalidType
from tests import strict_cupy

SHARED = os.path.join(os.path.dirname(__file__), *['..'] * 3, 'shared', 'data')


class Model(minichain.Chain):
    def __init__(self, in_size=3):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(in_size, 2)
            self.l2 = minichain.ChainList(L.Linear(2, 1))
        self.add_persistent('steps', 7)
        self.add_persistent('rate', 0.5)
        self.add_persistent('label', 'word')
        self.add_persistent('mean', np.arange(2.))


class Values:
    """Anything with values: serialize passes them all."""

    def __init__(self, **values):
        self.__dict__.update(values)

    def serialize(self, serializer):
        for name in list(vars(self)):
            setattr(self, name, serializer(name, getattr(self, name)))


def saved(**values):
    file = io.BytesIO()
    serializers.save_npz(file, Values(**values))
    file.seek(0)
    return file


def zipped(**members):
    """A zip file with members as they are given, bytes or arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f'{name}.npy', data)
    file.seek(0)
    return file


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def header(text, version=1):
    text = text.encode() + b'\n'
    return (b'\x93NUMPY' + bytes([version, 0])
            + struct.pack('<H' if version == 1 else '<I', len(text)) + text)


def test_keys_and_shapes_are_those_of_chainer(tmp_path):
    serializers.save_npz(tmp_path / 'model', Model())
    with np.load(tmp_path / 'model') as npz:
        assert {name: npz[name].shape for name in npz} == {
            'l1/W': (2, 3), 'l1/b': (2,), 'l2/0/W': (1, 2), 'l2/0/b': (1,),
            'steps': (), 'rate': (), 'label': (), 'mean': (2,)}
        assert (npz['steps'].dtype.kind, npz['rate'].dtype.kind, str(npz['label'])) == (
            'i', 'f', 'word')
    assert os.listdir(tmp_path) == ['model']


@pytest.mark.parametrize('compression', [True, False])
def test_a_model_comes_back(compression):
    file, model, other = io.BytesIO(), Model(), Model()
    model.steps, model.rate, model.label, model.mean = 11, 2.25, 'other', np.array([5., 6.])
    serializers.save_npz(file, model, compression)
    file.seek(0)
    mean, array = other.mean, other.l1.W.array
    serializers.load_npz(file, other)
    assert other.l1.W.array is array and other.mean is mean   # filled in place
    np.testing.assert_array_equal(array, model.l1.W.array)
    np.testing.assert_array_equal(mean, [5, 6])
    assert (other.steps, other.rate, other.label) == (11, 2.25, 'other')
    assert (type(other.steps), type(other.rate), type(other.label)) == (int, float, str)


def test_the_same_model_gives_the_same_bytes():
    assert saved(a=np.ones(3), b=2).getvalue() == saved(a=np.ones(3), b=2).getvalue()


def test_every_dtype_order_and_size_comes_back():
    arrays = {'f2': np.arange(6, dtype='f2').reshape(2, 3), 'u1': np.arange(6, dtype='u1'),
              'big': np.arange(3, dtype='>i4'), 'fortran': np.asfortranarray(np.eye(3, 2)),
              'empty': np.zeros((0, 4), 'f'), 'c8': np.array([1j], 'c8'), 'yes': np.array(True),
              'strided': np.arange(10.)[::3], 'text': np.array(['あ', 'bc'])}
    targets = Values(**dict.fromkeys(arrays))
    serializers.load_npz(saved(**arrays), targets)
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(targets, name), array)
        assert getattr(targets, name).dtype == array.dtype
    with np.load(saved(**arrays)) as npz:
        np.testing.assert_array_equal(npz['fortran'], arrays['fortran'])


def test_a_parameter_without_value_is_stored_as_the_none_that_chainer_reads():
    file = io.BytesIO()
    serializers.save_npz(file, L.Linear(None, 2))
    file.seek(0)
    with np.load(file, allow_pickle=True) as npz, warnings.catch_warnings():
        warnings.simplefilter('ignore')   # NumPy 2 says that numpy.core has another name now
        assert npz['W'].dtype == object and npz['W'].shape == () and npz['W'][()] is None
        assert npz['b'].shape == (2,)


@pytest.mark.parametrize('protocol, module', [
    (2, b'numpy.core'), (3, b'numpy.core'), (4, b'numpy.core'), (3, b'numpy._core'),
    (4, b'numpy._core')])
def test_none_is_known_as_every_numpy_pickled_it(protocol, module):
    data = pickle.dumps(np.array(None, dtype=object), protocol)
    data = data.replace(b'numpy._core', b'numpy.core')
    if module == b'numpy._core':
        data = data.replace(b'numpy.core', module)
    if protocol == 4:   # the lengths of the frame and of the name
        length = {b'numpy.core': 0x15, b'numpy._core': 0x16}[module]
        data = (data[:3] + struct.pack('<Q', 0x71 + length) + b'\x8c' + bytes([length])
                + data[13:])
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')   # numpy.core has another name now
        assert pickle.loads(data).item() is None
    text = "{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    values = Values(x=np.ones(2), y=3)
    serializers.load_npz(zipped(x=header(text) + data, y=npy(4)), values)
    assert values.x is None and values.y == 4


def test_an_uninitialized_parameter_takes_the_shape_in_the_file():
    file, lazy = io.BytesIO(), L.Linear(None, 2)
    serializers.save_npz(file, L.Linear(5, 2))
    file.seek(0)
    serializers.load_npz(file, lazy)
    assert lazy.W.shape == (2, 5)


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ['BOMB'],)


def test_object_arrays_are_refused_and_never_opened(tmp_path, monkeypatch):
    monkeypatch.setenv('BOMB', str(tmp_path / 'exploded'))
    for array in (np.array(Bomb()), np.array([None, None]), np.array({}, dtype=object)):
        file = zipped(x=npy(array, allow_pickle=True))
        for value in (None, 1, np.ones(2)):
            with pytest.raises(DataError, match="'x'.*pickle"):
                serializers.load_npz(file, Values(x=value))
    assert not (tmp_path / 'exploded').exists()


@pytest.mark.parametrize('stored, value', [
    (np.zeros(3), np.zeros((2, 3))), (np.zeros(1), np.zeros(3)), (np.zeros(()), np.zeros(3)),
    (np.zeros((1, 3)), np.zeros(3)), (np.zeros(1), np.zeros(())), (np.zeros(3), 1.)])
def test_another_shape_is_refused_and_never_broadcast(stored, value):
    with pytest.raises(DataError) as caught:
        serializers.load_npz(saved(x=stored), Values(x=value))
    for part in ("'x'", str(stored.shape), str(np.shape(value))):
        assert part in str(caught.value)


@pytest.mark.parametrize('stored, value, result', [
    (np.array([1., 2.]), np.zeros(2, 'f'), np.array([1, 2], 'f')),
    (np.array([1, 2]), np.zeros(2, 'f'), np.array([1, 2], 'f')),
    (np.array([1, 2]), np.zeros(2, 'i2'), np.array([1, 2], 'i2')),
    (np.array(3), 1., 3.), (np.array(True), 5, 1)])
def test_casts_are_those_of_chainer(stored, value, result):
    values = Values(x=value)
    serializers.load_npz(saved(x=stored), values)
    np.testing.assert_array_equal(values.x, result)
    assert type(values.x) is type(result)


@pytest.mark.parametrize('stored, value', [
    (np.array([1., 2.]), np.zeros(2, 'i')), (np.array(1.5), 1), (np.array(1.), True),
    (np.array(1), True), (np.array(2j), 1.), (np.array('word'), 1.),
    (np.array('word'), np.ones(())), (np.array(1), [])])
def test_casts_that_lose_something_are_refused(stored, value):
    with pytest.raises(DataError, match="'x'"):
        serializers.load_npz(saved(x=stored), Values(x=value))


def test_a_missing_entry_is_named_and_may_be_allowed():
    with pytest.raises(DataError, match="no entry 'y'; there are: x"):
        serializers.load_npz(saved(x=1), Values(y=2))
    with pytest.raises(KeyError):   # what scripts for Chainer catch
        serializers.load_npz(saved(x=1), Values(y=2))
    values = Values(x=0, y=2)
    serializers.load_npz(saved(x=1), values, strict=False)
    assert (values.x, values.y) == (1, 2)


def test_ignored_names_stay_and_path_picks_a_part():
    values = Values(x=0, y=0, z=0)
    serializers.load_npz(saved(x=1, y=1, z=1), values,
                         ignore_names=['x', lambda name: name == 'y'])
    assert (values.x, values.y, values.z) == (0, 0, 1)
    with pytest.raises(InvalidArgument, match='ignore_names'):
        serializers.load_npz(saved(x=1), values, ignore_names=3)
    model = Values(W=0)
    serializers.load_npz(saved(**{'updater/model:main/W': 4}), model, path='updater/model:main/')
    assert model.W == 4


def test_serializers_of_children_join_paths():
    serializer = serializers.DictionarySerializer()
    serializer['/x/']('/y', 1)
    serializer['x']['z']('w', None)
    assert set(serializer.target) == {'x/y', 'x/z/w'}
    assert serializer.target['x/z/w'].dtype == object
    reader = serializers.NpzDeserializer(serializer.target)
    assert reader['x']('y', 0) == 1 and reader['x']['z']('w', np.ones(3)) is None
    with pytest.raises(InvalidType, match='d: .*dict'):
        serializer('d', {})
    with pytest.raises(InvalidType, match='Parameter'):
        serializer('d', minichain.Parameter(np.ones(3)))


def test_what_is_no_npz_file_is_refused(tmp_path):
    with pytest.raises(FileError, match='absent'):
        serializers.load_npz(tmp_path / 'absent', Values())
    with pytest.raises(FileError, match='not a file'):
        serializers.load_npz(tmp_path, Values())
    for data in (b'', b'PK\3\4', b'some text', b'\x93NUMPY' * 20, os.urandom(3000)):
        (tmp_path / 'file').write_bytes(data)
        with pytest.raises(DataError, match='file: an npz file expected'):
            serializers.load_npz(tmp_path / 'file', Values(x=1))


def test_every_truncated_or_damaged_file_is_refused():
    data = saved(x=np.arange(200.), y=1).getvalue()
    for length in range(0, len(data), 7):
        with pytest.raises(DataError):
            serializers.load_npz(io.BytesIO(data[:length]), Values(x=np.zeros(200), y=1))
    refused = 0
    for place in range(0, len(data), 3):
        broken = bytearray(data)
        broken[place] ^= 0x55
        values = Values(x=np.zeros(200), y=0)
        try:
            serializers.load_npz(io.BytesIO(bytes(broken)), values)
        except DataError:
            refused += 1
        else:   # a byte that carries nothing, such as a date
            np.testing.assert_array_equal(values.x, np.arange(200.))
            assert values.y == 1
    assert refused > len(data) / 6


def test_sizes_are_judged_before_memory_is_taken():
    zeros = bytes(64 << 20)
    for text, version in (
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", 1),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8), }", 1),
            ("{'descr': '<U999999999', 'fortran_order': False, 'shape': (), }", 1),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (8,), }", 2),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (" + '1, ' * 40 + '), }', 1),
            ("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (8388608,), }", 1),
            ('(' * 60000, 1), ('{' * 9000, 1), ('', 1), ("{'descr': 'nonsense'}", 1)):
        for value in (None, 1., np.zeros(8)):
            with pytest.raises(DataError, match="'x'"):
                serializers.load_npz(zipped(x=header(text, version) + zeros[:1 << 20]),
                                     Values(x=value))
    with pytest.raises(DataError, match="'x'"):
        serializers.load_npz(zipped(x=b'\x93NUMPY\2\0\xff\xff\xff\xff' + zeros), Values(x=None))


def test_an_unexpected_array_may_not_take_more_than_the_file_accounts_for(monkeypatch):
    file = saved(x=np.zeros(1 << 20))
    with monkeypatch.context() as patch:
        patch.setattr('minichain.npz_file.MAX_SURPRISE', 1 << 20)
        with pytest.raises(DataError, match='would take 8388608 bytes'):
            serializers.load_npz(file, Values(x=None))
        values = Values(x=np.ones(1 << 20))   # as large as the one that waits for it
        serializers.load_npz(file, values)
        assert not values.x.any()
        wild = np.random.RandomState(0).randn(1 << 18)
        values = Values(x=None)
        serializers.load_npz(saved(x=wild), values)
        np.testing.assert_array_equal(values.x, wild)


def test_encrypted_and_unknown_compression_are_refused():
    data = bytearray(zipped(x=npy(1)).getvalue())
    directory = data.index(b'PK\1\2')
    for offset, value in ((8, 1), (10, 97)):
        broken = bytearray(data)
        broken[directory + offset] = value
        with pytest.raises(DataError, match="'x'"):
            serializers.load_npz(io.BytesIO(bytes(broken)), Values(x=0))


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'model'
    serializers.save_npz(path, Values(x=1))
    before = path.read_bytes()
    with pytest.raises(InvalidType):
        serializers.save_npz(path, Values(x=1, y={}))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ['model']
    with pytest.raises(FileError, match='could not be written'):
        serializers.save_npz(tmp_path / 'absent' / 'model', Values(x=1))


def test_a_file_from_a_gpu_loads_anywhere_and_fills_arrays_on_a_gpu():
    def model(device, in_size=3):
        link = L.Linear(in_size, 2)
        link.add_persistent('mean', np.ones(2))
        return link.to_device(device)

    file = io.BytesIO()
    with strict_cupy.installed() as cupy:
        written = model('cuda')
        serializers.save_npz(file, written)
        for in_size in (3, None):
            again = model('cuda', in_size)
            serializers.load_npz(file, again)
            assert isinstance(again.W.array, cupy.ndarray) and isinstance(again.mean, cupy.ndarray)
            np.testing.assert_array_equal(again.W.array.get(), written.W.array.get())
        values = written.W.array.get()
    again = model('cpu')
    serializers.load_npz(file, again)
    np.testing.assert_array_equal(again.W.array, values)


def test_chainers_own_model_classifies_mnist():
    folder = os.path.join(SHARED, 'models', 'chainer_npz')
    mnist = os.path.join(SHARED, 'classification', 'mnist')
    if not os.path.isdir(folder) or not os.path.isdir(mnist):
        pytest.skip("needs Chainer's models and MNIST in ../shared/data")
    with gzip.open(os.path.join(mnist, 't10k-images-idx3-ubyte.gz')) as file:
        images = np.frombuffer(file.read(), 'u1', offset=16).reshape(-1, 784) / np.float32(255)
    with gzip.open(os.path.join(mnist, 't10k-labels-idx1-ubyte.gz')) as file:
        labels = np.frombuffer(file.read(), 'u1', offset=8)
    model = minichain.Chain(l1=L.Linear(784, 50), l2=L.Linear(None, 50), l3=L.Linear(50, 10))
    serializers.load_npz(os.path.join(folder, 'mlp1.model'), model)
    with minichain.no_backprop_mode():
        y = model.l3(F.relu(model.l2(F.relu(model.l1(images)))))
    assert (y.array.argmax(1) == labels).mean() == pytest.approx(.9723)
    nested = minichain.Chain(predictor=model.copy('copy'))
    serializers.load_npz(os.path.join(folder, 'classifier_mlp1.model'), nested)
    for one, other in zip(model.params(), nested.params()):
        np.testing.assert_array_equal(one.array, other.array)


def test_chainers_own_optimizer_state_is_read():
    folder = os.path.join(SHARED, 'models', 'chainer_npz')
    if not os.path.isdir(folder):
        pytest.skip("needs Chainer's models in ../shared/data")
    model = minichain.Chain(predictor=minichain.Chain(
        l1=L.Linear(784, 50), l2=L.Linear(50, 50), l3=L.Linear(50, 10)))
    adam = optimizers.Adam().setup(model)
    path = os.path.join(folder, 'mlp1.state')
    serializers.load_npz(path, adam)
    with np.load(path) as npz:
        assert adam.t == npz['t'] == 12000
        np.testing.assert_array_equal(model.predictor.l1.W.update_rule.state['m'],
                                      npz['predictor/l1/W/m'])

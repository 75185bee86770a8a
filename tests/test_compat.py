"""Chainer's ground: its module paths under our name, and its scripts under its own."""
import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

import minichain
from minichain import compat
from minichain.errors import InvalidArgument

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

SCRIPT = '''\
"""A training script as people wrote them for Chainer."""
import argparse

import numpy as np

import chainer
import chainer.functions as F
import chainer.links as L
import helper_of_script
from chainer import Chain, Variable, optimizers, serializers
from chainer import cuda as old_cuda
from chainer.backends import cuda
from chainer.dataset import concat_examples, convert
from chainer.datasets import TupleDataset
from chainer.function_node import FunctionNode
from chainer.iterators import SerialIterator
from chainer.optimizer_hooks import WeightDecay
from chainer.utils import type_check


class Double(FunctionNode):
    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 1, in_types[0].dtype.kind == 'f')

    def forward(self, inputs):
        return 2 * inputs[0],

    def backward(self, indexes, grad_outputs):
        return 2 * grad_outputs[0],


class Net(Chain):
    def __init__(self, n_units):
        super(Net, self).__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, n_units)
            self.l2 = L.Linear(n_units, 2)

    def __call__(self, x):
        return self.l2(F.relu(Double().apply((self.l1(x),))[0]))


parser = argparse.ArgumentParser()
parser.add_argument('--unit', '-u', type=int)
parser.add_argument('--gpu', '-g', type=int, default=-1)
args = parser.parse_args()

assert not chainer.cuda.available and not cuda.available
assert issubclass(Net, chainer.Link) and Variable is chainer.Variable is chainer.variable.Variable
np.random.seed(0)
x = np.random.randn(64, 2).astype(np.float32)
t = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
model = L.Classifier(Net(args.unit))
if args.gpu >= 0:
    chainer.backends.cuda.get_device_from_id(args.gpu).use()
    model.to_gpu()
optimizer = optimizers.Adam(alpha=0.02)
optimizer.setup(model)
optimizer.add_hook(WeightDecay(1e-5))
iterator = SerialIterator(TupleDataset(x, t), 16)
first = None
while iterator.epoch < 30:
    batch = concat_examples(iterator.next(), args.gpu)
    with chainer.using_config('train', True):
        loss = model(*batch)
    model.cleargrads()
    loss.backward()
    loss.unchain_backward()
    optimizer.update()
    first = float(loss.data) if first is None else first
with chainer.no_backprop_mode(), chainer.using_config('train', False):
    model(x, t)
serializers.save_npz('model.npz', model)
print(__name__, helper_of_script.NAME, first > 0.5 > 2 * float(model.loss.array),
      float(model.accuracy.array) > 0.9, sorted(np.load('model.npz').files))
'''


def run(arguments, folder):
    return subprocess.run([sys.executable, '-W', 'error', '-m', 'minichain.compat', *arguments],
                          cwd=folder, capture_output=True, text=True, timeout=120,
                          env={**os.environ, 'PYTHONPATH': ROOT})


def test_a_training_script_for_chainer_runs_unchanged(tmp_path):
    (tmp_path / 'script.py').write_text(SCRIPT)
    (tmp_path / 'helper_of_script.py').write_text("NAME = 'beside the script'\n")
    done = run(['script.py', '--unit', '16', '-g', '-1'], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("__main__ beside the script True True ['predictor/l1/W', "
                           "'predictor/l1/b', 'predictor/l2/W', 'predictor/l2/b']\n")


@pytest.mark.parametrize('path', """
    backend backends backends.cuda configuration cuda dataset dataset.convert dataset.iterator
    datasets function function_hook function_hooks function_node functions gradient_check
    initializer initializers iterators link link_hook link_hooks links links.caffe
    links.caffe.caffe_function optimizer optimizer_hooks optimizers reporter sequential serializers
    testing utils utils.argument utils.type_check variable""".split())
def test_chainers_module_paths_are_modules_and_attributes(path):
    module = importlib.import_module(f'minichain.{path}')
    value = minichain
    for name in path.split('.'):
        value = getattr(value, name)
    assert value is module and module.__name__ == f'minichain.{path}'


@pytest.mark.parametrize('path, names, home', [
    ('backends.cuda', 'to_cpu to_gpu get_array_module get_device_from_id elementwise', 'cuda'),
    ('function_node', 'FunctionNode grad', 'autograd'),
    ('variable', 'Variable Parameter VariableNode as_variable', 'variable'),
    ('links.caffe', 'CaffeFunction', 'caffe'),
    ('links.caffe.caffe_function', 'CaffeFunction', 'caffe'),
    ('utils', 'type_check argument force_array', 'compat'),
    ('utils.argument', 'parse_kwargs', 'compat'),
    ('utils.type_check', 'expect prod eval', 'type_check'),
    ('optimizer', 'Optimizer GradientMethod UpdateRule', 'optimizer'),
    ('optimizer', 'WeightDecay Lasso GradientClipping GradientHardClipping GradientNoise '
     'GradientLARS', 'optimizer_hooks'),
    ('link', 'Chain ChainList', 'chain'),
    ('serializer', 'AbstractSerializer Serializer Deserializer', 'serializers.base'),
    ('utils.conv', 'get_conv_outsize get_deconv_outsize', 'functions.windows'),
    ('function', 'Function', 'function'),
])
def test_names_under_chainers_paths_are_those_of_our_rooms(path, names, home):
    module, own = (importlib.import_module(f'minichain.{name}') for name in (path, home))
    for name in names.split():
        ours = getattr(own, name, None)
        assert getattr(module, name) is ours if ours is not None else hasattr(module, name)


def test_a_path_or_a_name_that_is_not_there_is_refused_by_name():
    with pytest.raises(ModuleNotFoundError, match='minichain.backends.intel64'):
        importlib.import_module('minichain.backends.intel64')
    with pytest.raises(AttributeError, match='nothing'):
        minichain.backends.cuda.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="minichain has no 'nothing'.*Chainer 7"):
        minichain.nothing  # noqa: B018


ALL_NAMES = """
import sys
from minichain import compat
compat.install_chainer()
compat.install_chainer()
assert sum(type(finder).__name__ == 'ChainerFinder' for finder in sys.meta_path) == 1
import chainer, minichain, chainerx
import chainer.links.caffe, chainer.utils.type_check as type_check
assert chainer.Variable is minichain.Variable and chainer.config is minichain.config
assert chainer.links.Linear is minichain.links.Linear
assert type_check.expect is minichain.type_check.expect
assert chainer.__version__ == '7.8.1' and not chainerx.is_available()
assert not isinstance(1, chainerx.ndarray)
import chainermn
assert chainermn.create_communicator().size == 1
for name in ('chainer.nothing', 'chainer.backends.nothing', 'chainermn.nothing'):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error.name)
"""


def test_import_chainer_gives_minichain_once_installed(tmp_path):
    done = subprocess.run([sys.executable, '-W', 'error', '-c', ALL_NAMES], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60,
                          env={**os.environ, 'PYTHONPATH': ROOT})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['chainer.nothing', 'chainer.backends.nothing',
                                   'chainermn.nothing']


def test_importing_the_library_leaves_the_name_chainer_alone():
    done = subprocess.run(
        [sys.executable, '-c', 'import minichain, minichain.compat, sys;'
         'print([name for name in sys.modules if name.startswith("chainer")])'],
        capture_output=True, text=True, timeout=60, env={**os.environ, 'PYTHONPATH': ROOT})
    assert done.stdout == '[]\n', done.stderr


@pytest.mark.parametrize('name, reason', [('missing.py', 'No such file'), ('.', 'folder')])
def test_a_script_that_is_not_there_is_one_line_and_exit_code_2(tmp_path, name, reason):
    done = run([name], tmp_path)
    assert done.returncode == 2 and not done.stdout
    assert 'Traceback' not in done.stderr and f'{name}: ' in done.stderr.splitlines()[-1]
    assert reason in done.stderr


def test_a_missing_file_inside_the_script_is_the_scripts_own(tmp_path):
    (tmp_path / 'bad.py').write_text("open('missing.txt')\n")
    done = run(['bad.py'], tmp_path)
    assert done.returncode == 1 and 'bad.py' in done.stderr and 'missing.txt' in done.stderr


def test_an_error_in_the_script_is_the_scripts_own(tmp_path):
    (tmp_path / 'bad.py').write_text('import chainer\nchainer.functions.relu([1.])\n')
    done = run(['bad.py'], tmp_path)
    assert done.returncode == 1 and 'InvalidType' in done.stderr and 'bad.py' in done.stderr


def test_keyword_arguments_are_parsed_as_in_chainer():
    parse = compat.parse_kwargs
    assert parse({'a': 1}, ('a', 0), ('b', 2)) == (1, 2) and parse({}) == ()
    with pytest.raises(InvalidArgument, match="unexpected keyword argument 'c'; there are: a"):
        parse({'c': 1}, ('a', 0))
    with pytest.raises(InvalidArgument, match='use config.train'):
        parse({'test': 1}, ('a', 0), test='use config.train')


def test_force_array_makes_arrays_of_scalars_and_leaves_arrays():
    x = np.zeros(2, 'f')
    assert compat.force_array(x) is x and compat.force_array(x, 'd').dtype == np.float64
    y = compat.force_array(np.float32(3))
    assert type(y) is np.ndarray and y.shape == () and y.dtype == np.float32


@pytest.fixture
def chainer_installed(monkeypatch):
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    monkeypatch.setattr(sys, 'argv', list(sys.argv))
    monkeypatch.setattr(sys, 'path', list(sys.path))
    compat.install_chainer()
    yield
    for name in [name for name in sys.modules
                 if name.split('.')[0] in ('chainer', 'chainermn', 'chainerx')]:
        del sys.modules[name]


def test_chainers_modules_are_found_where_ours_are(chainer_installed):
    assert importlib.import_module('chainer.links').Linear is minichain.links.Linear
    assert importlib.import_module('chainer.backends.cuda').to_cpu is minichain.cuda.to_cpu
    for name in ('chainer.nothing', 'chainer.nothing.below'):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    with pytest.raises(AttributeError):
        importlib.import_module('chainer.links').__wrapped__  # noqa: B018


def test_a_star_imports_the_names_of_an_alias_and_dir_lists_them(chainer_installed):
    names = {}
    exec('from chainer.functions import *; from chainer.backends.cuda import *', names)
    assert names['relu'] is minichain.functions.relu and names['to_cpu'] is minichain.cuda.to_cpu
    assert 'relu' in dir(importlib.import_module('chainer.functions'))
    assert '_Reporters' not in importlib.import_module('chainer.reporter').__all__


def test_main_runs_a_script_with_its_arguments(chainer_installed, tmp_path, capsys):
    (tmp_path / 'script.py').write_text(
        'import sys, chainer\nprint(__name__, sys.argv[1:], chainer.config.train)\n')
    sys.argv = ['compat', str(tmp_path / 'script.py'), '--unit', '3']
    compat.main()
    assert capsys.readouterr().out == "__main__ ['--unit', '3'] True\n"


@pytest.mark.parametrize('line', [
    'from chainer.functions.loss.vae import gaussian_kl_divergence as name',
    'from chainer.functions.activation import lstm; name = lstm.lstm',
    'from chainer.functions.activation.relu import ReLU as name',
    'import chainer.functions.connection.convolution_2d as m; name = m.convolution_2d',
    'from chainer.links.connection.linear import Linear as name',
    'from chainer.links.connection import n_step_rnn; name = n_step_rnn.NStepRNNTanh',
    'from chainer.datasets.tuple_dataset import TupleDataset as name',
    'from chainer.datasets import tuple_dataset; name = tuple_dataset.TupleDataset',
    'from chainer.iterators.serial_iterator import SerialIterator as name',
    'from chainer.function_hooks.timer import TimerHook as name',
    'from chainer.optimizer_hooks import weight_decay; name = weight_decay.WeightDecay',
    'from minichain.functions.array.concat import concat as name',
])
def test_chainers_modules_are_importable_one_by_one(chainer_installed, line):
    names = {}
    exec(line, names)
    assert names['name'].__module__.startswith('minichain.')


@pytest.mark.parametrize('line', [
    'import chainer.functions.losses.vae', 'import chainer.functions.loss.vae.below',
    'import chainer.datasets.nothing', 'from chainer.functions.loss.vae import nothing',
])
def test_modules_and_names_that_are_nowhere_are_import_errors(chainer_installed, line):
    with pytest.raises(ImportError):
        exec(line, {})

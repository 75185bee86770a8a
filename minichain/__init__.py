"""minichain: define-by-run autograd on NumPy and CuPy, with an image caption generator.

Start reading at ``autograd.py``; ARCHITECTURE.md has the floor plan.
"""
import importlib

from minichain.cpu import blas_waiting

blas_waiting.load_numpy()

from minichain import (
    aliases, backend, configuration, cuda, functions, initializers, links, optimizer,
    optimizer_hooks, optimizers)
from minichain._version import __version__
from minichain.autograd import (
    FunctionNode, Variable, VariableNode, as_array, as_variable, grad)
from minichain.backend import get_array_module, get_device, to_cpu, to_gpu, using_device
from minichain.chain import Chain, ChainList
from minichain.configuration import (
    config, force_backprop_mode, get_dtype, get_function_hooks, global_config, is_debug,
    no_backprop_mode, set_debug, using_config, using_debug)
from minichain.function import Function
from minichain.function_hook import FunctionHook
from minichain.initializer import Initializer
from minichain.link import Link
from minichain.link_hook import LinkHook
from minichain.optimizer import GradientMethod, Hyperparameter, Optimizer, UpdateRule
from minichain.reporter import (
    DictSummary, Reporter, Summary, get_current_reporter, report, report_scope)
from minichain.sequential import Sequential
from minichain.serializers import Deserializer, Serializer
from minichain.variable import Parameter

# Imported when first asked for, as attributes of the package.
_ROOMS = frozenset("""
    caffe compat computational_graph dataset datasets decoding distributed errors features function
    function_hook function_hooks gradient_check graph_drawing image image_encoder inference
    iterators link_hook link_hooks metrics onnx packing pictures reporter result_folder
    serializers snapshot testing text type_check""".split())

aliases.install()


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module(f'minichain.{name}')
    raise AttributeError(f"minichain has no '{name}'. docs/ and ARCHITECTURE.md list what there "
                         'is; names are those of Chainer 7')

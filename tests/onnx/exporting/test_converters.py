import importlib
import pkgutil

import minichain.functions
from minichain.autograd import FunctionNode
from minichain.onnx.exporting.converters import CONVERTERS, REFUSALS


def function_classes():
    """Return the classes of functions that are applied: those with a forward of their own."""
    for module in pkgutil.iter_modules(minichain.functions.__path__, 'minichain.functions.'):
        importlib.import_module(module.name)
    found, stack = set(), [FunctionNode]
    while stack:
        for kind in stack.pop().__subclasses__():
            stack.append(kind)
            if kind.__module__.startswith('minichain.functions.') and not kind.__subclasses__():
                found.add(kind)
    return found


def test_every_function_has_a_converter_or_a_reason_why_not():
    named = {kind.__name__ for kind in function_classes() - set(CONVERTERS) - set(REFUSALS)}
    assert not named


def test_no_function_is_both_converted_and_refused():
    assert not set(CONVERTERS) & set(REFUSALS)


def test_reasons_are_sentences_of_a_report():
    assert all(isinstance(reason, str) and len(reason) > 10 for reason in REFUSALS.values())

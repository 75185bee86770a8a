"""Functions that run by kernels: each is compared with its body, which is its specification."""
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minichain
import minichain.decoding
from minichain.configuration import config, using_config
from minichain.errors import InvalidArgument
from minichain.functions.lstm_sequence import run_steps
from minichain.functions.max_pooling import max_of_windows
from minichain.functions.windows import Windows
from minichain.gpu import dispatch, kernels
from minichain.gpu.dropout import Draws
from minichain.gpu.many_arrays import ArrayTables
from minichain.gpu.simulator.builder import missing
from tests.gpu import image_cases

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
random = np.random.default_rng(0)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


IDS = {-1: np.array([3, 0, -1, 3, 6, 0]), 3: np.array([3, 0, 1, 3, 6, 0])}   # by what is ignored
LABELS = np.array([2, -1, 0, 4, 4, 1])
STEPS = [(0, 3, 3), (3, 6, 3), (6, 8, 2), (8, 9, 1)]   # of four sequences, one of them empty
GRADIENTS = [((normal(9, 2), normal(4, 2), normal(4, 2)), (0, 1, 2, 3)),
             ((normal(9, 2), None, None), (0, 1)), ((None, normal(4, 2), None), (0, 2))]
IMAGES = normal(2, 3, 7, 9)   # and windows of 3 x 2, some of them partly beyond the padding
WINDOWS = Windows((7, 9), (3, 2), (2, 3), (1, 0), (1, 1), (4, 4))
DILATED = Windows((7, 9), (3, 2), (2, 3), (1, 0), (2, 1), (3, 3))   # dilated
# By name of an entry: arguments, and those of the function that is among its results, if any.
CASES = {
    **image_cases.CASES,
    'adam.adam_step': [
        ((normal(4, 3), gx, np.array([.01, .95, 1, .02, .5, .01, .03], np.float32), normal(4, 3),
          normal(4, 3) ** 2, vhat, SimpleNamespace(beta1=.8, beta2=.95, eps=1e-6, adabound=bounded,
                                                   weight_decay_rate=decay)), None)
        for gx, vhat, bounded, decay in (
            (normal(4, 3), None, False, .1), (normal(3, 4).T, None, False, .1),
            (normal(4, 3), np.ones((4, 3), np.float32), False, 0),
            (normal(4, 3), None, True, 0))],
    'sgd.sgd_step': [((normal(4, 3), gx, np.array([.1, 1], np.float32)), None)
                     for gx in (normal(4, 3), normal(3, 4).T)],
    'momentum_sgd.momentum_sgd_step': [
        ((normal(4, 3), gx, normal(4, 3), np.array([.1, 1], np.float32), .8), None)
        for gx in (normal(4, 3), normal(3, 4).T)],
    'dropout.draw_mask': [((normal(4, 3), 0.), None)],   # of other ratios by other generators
    'max_pooling.max_of_windows': [((IMAGES, each), None) for each in (WINDOWS, DILATED)] + [
        ((IMAGES[:, :, ::-1], WINDOWS), None)],
    'max_pooling.max_gradient': [
        ((normal(2, 3, *each.out), IMAGES, max_of_windows.body(IMAGES, each), each), None)
        for each in (WINDOWS, DILATED)],
    'optimizer_hooks.squared_norm': [((x,), None) for x in (
        normal(4, 3), normal(3, 4).T, normal(70, 70))],
    'optimizer_hooks.clip': [((normal(4, 3), [normal(5), other, normal(60, 90)],
                               threshold, ArrayTables()), None) for threshold in (.5, 1e4)
                             for other in (normal(4, 3), normal(3, 4).T)],
    'matmul.product': [
        ((a, b, a.shape != (4, 3), b.shape != (3, 5), *out), None)
        for a in (normal(4, 3), normal(3, 4), normal(3, 8)[:, ::2])
        for b in (normal(3, 5), normal(5, 3), np.broadcast_to(normal(5, 1), (5, 3)))
        for out in ((), (np.zeros((4, 5), np.float32),))] + [
        ((normal(2, 4, 3), normal(2, 3, 5), False, False), None),
        ((normal(4, 3), normal(3, 0), False, False), None)],
    'linear.operands': [((x, W), None) for x in (normal(4, 3), normal(3, 4).T)
                        for W in (normal(5, 3), normal(5, 6)[:, ::2], normal(3, 5).T)],
    'linear.affine': [((normal(4, 3), normal(5, 3), b), None)
                      for b in (None, normal(5), normal(10)[::2])] + [
        ((normal(3, 4).T, normal(3, 5).T, normal(5)), None)],
    # ties in a row and across rows; fewer words than beginnings; a beginning that ended
    'beams.continue_beams': [
        ((np.round(normal(len(totals) * len(totals[0]), words), 1), np.array(totals, np.float32),
          banned, beam), None)
        for totals, words, banned, beam in (
            ([[0], [0]], 40, (1, 0), 3), ([[-.5, -1, -1], [-1, -np.inf, -.5]], 7, (1,), 3),
            ([[0]], 3, (2,), 5), ([[0, 0]], 2, (0, 1), 2))],
    'embed_id.pick_rows': [((normal(7, 3), ids, ignored), None) for ignored, ids in IDS.items()],
    'embed_id.table_gradient': [
        ((normal(6, 3), ids, 7, ignored), None) for ignored, ids in IDS.items()] + [
        ((normal(2, 3), np.array([1, 1], dtype), 2, None), None) for dtype in 'BIql'],
    'softmax_cross_entropy.row_losses': [
        ((normal(6, 5), LABELS, LABELS >= 0, True), (normal(6) * np.float32(LABELS >= 0),)),
        ((normal(6, 9), LABELS.astype(np.int8) % 5, LABELS != 4, True),
         (normal(6) * np.float32(LABELS != 4),)),
        ((normal(6, 9), LABELS, LABELS != -1, False), None)],
    'linear_softmax_cross_entropy.score': [
        ((normal(6, 3), normal(5, 3), [], np.zeros((6, 5), np.float32)), None)],
    'linear_softmax_cross_entropy.to_gradient': [
        ((normal(6, 5), b, LABELS, LABELS != -1, np.asarray(.3, np.float32)), None)
        for b in ([normal(5)], [])],
    'lstm_sequence.run_steps': [
        ((x := normal(9, 8), W := normal(8, 2), h0 := normal(4, 2), c0 := normal(4, 2), STEPS),
         (x, W, h0, c0, run_steps.body(x, W, h0, c0, STEPS)[0], *more)) for more in GRADIENTS],
}


def move(value, where):
    if type(value) in (tuple, list):
        return type(value)(move(part, where) for part in value)
    return where(value) if isinstance(value, np.ndarray) else value


def results(function, arguments, behind, where):
    """Return what comes out, and the arguments afterwards, as NumPy arrays."""
    arguments = move(arguments, where)
    found = function(*arguments)
    found = list(found) if isinstance(found, tuple) else [found]
    after = found.pop()(*move(behind, where)) if behind else None
    found += after if isinstance(after, tuple) else [after]
    return [value.get() if hasattr(value, 'get') else value for value in (*found, *arguments)
            if value is None or hasattr(value, 'dtype')]


def test_every_function_that_runs_by_kernels_has_cases_here():
    assert set(CASES) == set(dispatch.FUSED)


@pytest.mark.parametrize('deterministic', [False, True])
@pytest.mark.parametrize('name', sorted(CASES))
def test_kernels_do_what_the_body_does(name, deterministic, monkeypatch):
    entry, sim, launched = dispatch.FUSED[name], minichain.get_device('sim'), []
    by = entry.by
    monkeypatch.setattr(entry, 'by', lambda *arguments: launched.append(1) or by(*arguments))
    for arguments, behind in CASES[name]:
        expected = results(entry.body, arguments, behind, np.copy)
        with using_config('deterministic', deterministic), Draws().using():
            assert entry.fuses(sim.send(arguments[0]))
            found = results(entry, arguments, behind, sim.send)
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)
                assert one.dtype == other.dtype
    assert launched


def test_kernels_are_chosen_by_array_dtype_and_switch():
    entry, sim = dispatch.FUSED['embed_id.table_gradient'], minichain.get_device('sim')
    x = normal(2, 3)
    assert entry.fuses(sim.send(x))
    assert not entry.fuses(x), 'NumPy has its own way'
    assert not entry.fuses(sim.send(x.astype('float64')))
    assert not entry.fuses(sim.send(x[:0]))
    with using_config('kernels', 'generic'):
        assert not entry.fuses(sim.send(x))


def test_what_will_run_is_listed():
    assert kernels('sim') == dict.fromkeys(CASES, 'kernels') == minichain.gpu.kernels('sim')
    assert set(kernels('cpu').values()) == {'generic: the CPU needs none'}
    with using_config('kernels', 'generic'):
        assert set(kernels('sim').values()) == {"generic: config.kernels is 'generic'"}


def test_a_library_that_is_missing_means_the_generic_way(monkeypatch):
    monkeypatch.setattr(dispatch, 'available', lambda name: False)
    dispatch._lacking.cache_clear()
    entries = dispatch.FUSED
    assert entries['lstm_sequence.run_steps'].why_not(False) == 'not installed: cublasLt'
    assert entries['embed_id.table_gradient'].why_not(False) is None
    dispatch._lacking.cache_clear()


def test_the_environment_sets_the_switch_and_a_wrong_word_is_refused():
    for word, said in (('generic', 'generic\n'), ('fast', 'InvalidArgument')):
        done = subprocess.run(
            [sys.executable, '-c', 'import minichain; print(minichain.config.kernels)'], text=True,
            capture_output=True, env={**os.environ, 'MINICHAIN_KERNELS': word})
        assert said in done.stdout + done.stderr
    with pytest.raises(InvalidArgument, match="'fused', 'generic'"):
        config.kernels = 'fast'

"""Precision: what a log says, and rounding to bfloat16 and TF32."""
import numpy as np
import pytest

from minichain import using_config
from minichain.gpu import precision

SPECIAL = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, 1e-45, -1e-40, 3.4e38, 65280, 1 / 3])
NANS = np.uint32([0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff, 0x7fc00000]).view('f')


def some_numbers(count=4000):
    bits = np.random.default_rng(0).integers(0, 2 ** 32, count, np.uint32)
    return np.concatenate([SPECIAL, bits.view('f')[np.isfinite(bits.view('f'))]])


def test_a_log_says_how_a_gpu_computes():
    assert precision.describe() == 'float32 (IEEE), not deterministic'
    with using_config('precision', 'tf32'), using_config('deterministic', True):
        assert precision.describe() == ('tf32 (products of float32 rounded to 10 bits of fraction,'
                                        ' float32 sums), deterministic')
    with using_config('precision', 'bf16'), using_config('cudnn_deterministic', True):
        assert precision.describe() == (
            'bf16 (bfloat16 activations and products, float32 sums, weights and state), '
            'not deterministic but for cuDNN')


def test_cudnn_repeats_when_all_must_or_when_it_alone_must():
    assert not precision.cudnn_deterministic()
    for name in ('deterministic', 'cudnn_deterministic'):
        with using_config(name, True):
            assert precision.cudnn_deterministic()


def test_bfloat16_is_rounded_as_pytorch_rounds():
    torch = pytest.importorskip('torch', reason='PyTorch is the reference for bfloat16')
    x = some_numbers()
    there = torch.from_numpy(x).bfloat16()
    np.testing.assert_array_equal(precision.to_bfloat16(x).view('i2'),
                                  there.view(torch.int16).numpy())
    np.testing.assert_array_equal(precision.from_bfloat16(precision.to_bfloat16(x)),
                                  there.float().numpy())


def test_bfloat16_ties_go_to_the_even_number():
    x = np.float32([1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20])
    assert precision.from_bfloat16(precision.to_bfloat16(x)).tolist() == [
        1, 1 + 2 ** -6, 1 + 2 ** -7]


@pytest.mark.parametrize('round_trip', [
    lambda x: precision.from_bfloat16(precision.to_bfloat16(x)), precision.round_to_tf32],
    ids=['bfloat16', 'tf32'])
def test_nan_stays_nan_and_infinity_infinity_when_rounded(round_trip):
    assert np.isnan(round_trip(NANS)).all()
    np.testing.assert_array_equal(round_trip(np.float32([np.inf, -np.inf])), [np.inf, -np.inf])


def test_tf32_is_within_half_a_unit_of_10_bits_and_has_no_more():
    x = some_numbers()
    x = x[(np.abs(x) > 1e-30) & (np.abs(x) < 1e38)]
    rounded = precision.round_to_tf32(x)
    assert (np.abs(rounded.astype('d') / x - 1) <= 2 ** -11).all()
    fractions, _ = np.frexp(rounded)
    assert (fractions * 2 ** 11 % 1 == 0).all()
    assert precision.round_to_tf32(np.float32([1 + 2 ** -11, 1 + 3 * 2 ** -11])).tolist() == [
        1, 1 + 2 ** -9]


def test_shapes_and_strides_are_any():
    for x in (np.ones((), 'f'), np.ones((3, 4), 'f').T, np.ones((0, 2), 'f'),
              np.ones(6, 'f')[::2]):
        bits = precision.to_bfloat16(x)
        assert bits.shape == x.shape and bits.dtype == np.uint16
        np.testing.assert_array_equal(precision.from_bfloat16(bits), x)
        np.testing.assert_array_equal(precision.round_to_tf32(x), x)

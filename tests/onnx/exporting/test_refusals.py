"""Refusals name the function that is to blame, and arguments that do not fit are said to."""
import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from minichain.onnx.exporting import export
from minichain.onnx.exporting.refusal import CannotExport

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 12, 12), 'f')
ROIS = np.array([[1, 1, 6, 6], [2, 2, 8, 9]], np.float32)
PLACES = np.array([0, 1])


@pytest.mark.parametrize('name, arguments', [
    ('roi_average_align_2d', (PLACES, 2, 1., 2)), ('roi_average_pooling_2d', (PLACES, 2, 1.)),
    ('roi_max_align_2d', (PLACES, 2, 1., 2)), ('roi_max_pooling_2d', (PLACES, 2, 1.)),
    ('roi_pooling_2d', (2, 2, 1.))])
def test_functions_that_use_numpy_inside_are_named(name, arguments):
    rois = np.c_[PLACES, ROIS].astype('f') if name == 'roi_pooling_2d' else ROIS
    with pytest.raises(CannotExport) as error:
        export(lambda x, rois: getattr(F, name)(x, rois, *arguments), (IMAGES, rois),
               batch_axis=None)
    assert f'  {name}, ' in str(error.value) and 'NumPy inside' in str(error.value)
    assert 'compute it with functions of minichain' not in str(error.value)


def test_indices_of_maxima_are_named_and_the_maxima_alone_are_exported():
    with pytest.raises(CannotExport, match='max_pooling_2d returns with return_indices=True'):
        export(lambda x: F.max_pooling_2d(x, 2, return_indices=True), IMAGES)
    with pytest.raises(CannotExport, match='  upsampling_2d, 1 x'):
        export(lambda x: F.upsampling_2d(*F.max_pooling_2d(x, 2, return_indices=True), 2), IMAGES)
    assert export(lambda x: F.max_pooling_2d(x, 2, return_indices=True)[0], IMAGES).graph.node


def test_an_array_that_the_user_computes_is_still_the_users():
    with pytest.raises(CannotExport, match='add, 1 x.*compute it with functions of minichain'):
        export(lambda x: F.add(F.max_pooling_2d(x, 2), np.tanh(x.array)[:, :, ::2, ::2]), IMAGES)


@pytest.mark.parametrize('made, said', [
    (3.5, 'float'), (None, 'NoneType'), ('text', 'str'), ([], 'list')])
def test_a_model_that_returns_no_arrays_is_refused_by_what_it_returns(made, said):
    with pytest.raises(InvalidArgument, match=f'Variables or arrays.*returned {said}'):
        export(lambda x: made, IMAGES)


@pytest.mark.parametrize('options, said', [
    ({'opset': 99}, 'opset 13 to'), ({'metadata': {'a': 3}}, "text to text.*'a': 3"),
    ({'metadata': {3: 'a'}}, 'text to text'), ({'metadata': 'a'}, 'text to text')])
def test_options_that_no_file_can_have_are_refused(options, said):
    with pytest.raises(InvalidArgument, match=said):
        export(F.relu, IMAGES, **options)

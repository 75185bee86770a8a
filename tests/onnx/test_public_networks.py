"""Public networks as ONNX files, where they lie beside the project, against recorded outputs."""
from pathlib import Path

import numpy as np
import pytest

import minichain.caffe
import minichain.onnx
from minichain import no_backprop_mode, using_config

SHARED = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'models'
NETWORKS = {
    'RFB-320': ('ultraface/version-RFB-320.onnx', 'version-RFB-320'),
    'nanodet_m': ('nanodet/nanodet_m.onnx', 'nanodet_m'),
    'super_resolution': ('super_resolution/super_resolution.onnx', 'super_resolution'),
    'yolo-fastest-1.1': ('yolo_fastest/yolo-fastest-1.1.onnx', 'yolo-fastest-1.1'),
}


def shared_file(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f'the public networks are not here ({path} is missing)')
    return path


def shared_reference(name):
    with np.load(shared_file(f'refs/{name}.npz')) as arrays:
        return dict(arrays)


def input_of(name, reference):
    """What was fed when the outputs were recorded: float32 (N, C, H, W)."""
    if 'input' in reference:
        return reference['input']
    image = reference['input_bgr_u8'].astype('float32')
    if name == 'nanodet_m':
        image = (image - reference['mean_bgr']) / reference['std_bgr']
    else:
        image = image[:, :, ::-1] / 255
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype('float32'))


def recorded_outputs(reference):
    """Outputs by their names in the network: `out:boxes`, `out0:792` or `head0`."""
    return {key.rpartition(':')[2]: value for key, value in reference.items()
            if key.startswith(('out', 'head'))}


@pytest.mark.parametrize('name', NETWORKS)
def test_public_networks_give_their_recorded_outputs(name):
    file, recorded = NETWORKS[name]
    reference = shared_reference(recorded)
    net, expected = minichain.onnx.load(shared_file(file)), recorded_outputs(reference)
    assert set(net.output_names) == set(expected)
    with no_backprop_mode(), using_config('train', False):
        outputs = net(input_of(name, reference))
    for key, y in zip(net.output_names, outputs, strict=True):
        assert y.shape == expected[key].shape
        assert y.dtype == np.float32
        error = np.abs(y.array - expected[key]).max()
        assert error <= 1e-4 * np.abs(expected[key]).max(), key


def test_ultraface_from_caffe_equals_that_from_onnx():
    reference = shared_reference('version-RFB-320')
    from_onnx = minichain.onnx.load(shared_file('ultraface/version-RFB-320.onnx'))
    from_caffe = minichain.caffe.load(shared_file('ultraface/RFB-320.caffemodel'),
                                      shared_file('ultraface/RFB-320.prototxt'))
    x = reference['input']
    with no_backprop_mode(), using_config('train', False):
        # 460: the boxes before they are decoded, where the Caffe file ends
        ys = from_onnx(x, outputs=['scores', '460'])
        caffe_ys = from_caffe({from_caffe.input_names[0]: x}, ['scores', 'boxes'])
    assert ys[0].array[..., 1].max() > .99      # there is a face in the picture
    for y, caffe_y in zip(ys, caffe_ys, strict=True):
        error = np.abs(caffe_y.array.reshape(y.shape) - y.array).max()
        assert error <= 1e-4 * np.abs(y.array).max()


def test_gradients_reach_the_first_weights_of_a_public_network():
    net = minichain.onnx.load(shared_file('super_resolution/super_resolution.onnx'))
    x = np.random.default_rng(0).random((1, 1, 224, 224), dtype='float32')
    first = next(param for _, param in sorted(net.namedparams()) if param.shape == (64, 1, 5, 5))
    y, = net(x)
    net.cleargrads()
    loss = (y * y).array.sum()
    y.grad = 2 * y.array
    y.backward()
    assert np.abs(first.grad).max() > 0
    direction = first.grad / np.sqrt((first.grad ** 2).sum())
    first.array = first.array + 1e-4 * direction
    with no_backprop_mode():
        moved, = net(x)
    rise = ((moved * moved).array.astype('float64').sum() - loss) / 1e-4
    assert rise == pytest.approx(np.sqrt((first.grad ** 2).sum()), rel=.05)

"""What tests of layers share: one layer, written to files and read back."""

import numpy as np
import pytest

from minichain import no_backprop_mode, using_config
from minichain.caffe import load, save
from tests import strict_cupy


@pytest.fixture
def run(tmp_path):
    """Runs one layer, written to files and read back; the result of every top as an array."""
    def run(kind, xs, blobs=(), tops=1, **parameters):
        xs = xs if isinstance(xs, list) else [xs]
        names = [f'x{index}' for index in range(len(xs))]
        layer = {'name': 'layer', 'type': kind, 'bottom': names,
                 'top': [f'y{index}' for index in range(tops)], 'blobs': list(blobs), **parameters}
        paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
        save(*paths, [layer], xs[0].shape, input_name='x0')
        with no_backprop_mode(), using_config('train', False):
            ys = load(*paths)(inputs=dict(zip(names, xs)), outputs=layer['top'])
            with strict_cupy.installed() as cupy:
                net = load(*paths).to_gpu()
                again = net(dict(zip(names, map(cupy.asarray, xs))), layer['top'])
                for y, z in zip(ys, again):
                    np.testing.assert_allclose(z.array.get(), y.array, rtol=1e-6, atol=1e-9)
        return [y.array for y in ys] if tops > 1 else ys[0].array
    return run

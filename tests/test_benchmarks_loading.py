import sys
import types

import numpy as np
import pytest

from benchmarks import frame, loading
from minichain import caffe, using_config

QUICK = types.SimpleNamespace(quick=True)


def test_caffenet_has_its_published_number_of_parameters():
    blobs = [blob for layer in loading.caffenet(1) for blob in layer['blobs']]
    assert sum(blob.size for blob in blobs) == 60_965_224


def test_the_file_computes_probabilities(tmp_path):
    net = caffe.load(*loading.write_caffe(tmp_path, .05))
    with using_config('train', False):
        prob, = net({'data': np.ones((1, 3, 227, 227), np.float32)}, ['prob'])
    assert prob.shape == (1, 1000) and prob.array.sum() == pytest.approx(1, abs=1e-4)


def test_loaders_that_are_missing_are_shown_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv2', None)       # import cv2 raises ImportError
    table = loading.run(QUICK)
    rows = {row[0]: row for row in table.rows}
    ours, peer = rows['minichain.caffe.load'], rows['cv2.dnn.readNetFromCaffe']
    assert all(cell > 0 for cell in ours[1:5]) and ours[5:] == [None, None]
    assert peer[1:5] == ['missing'] * 4
    assert any('pip install opencv-python-headless<5' in note for note in table.notes)


def test_ours_is_set_against_the_best_peer_of_its_format():
    peers = [loader._replace(name=name, module=module, format=kind) for loader in
             loading.LOADERS[:1] for name, module, kind in (
                 ('ours', 'minichain', 'caffe'), ('a', 'cv2', 'caffe'), ('b', 'cv2', 'caffe'),
                 ('c', 'other', 'onnx'))]
    measured = {loader: [{'load_seconds': seconds, 'load_memory': memory, 'use_seconds': 9,
                          'use_memory': 9, 'checksum': 1.}] for loader, seconds, memory in zip(
                              peers, (2., 1., 4., .1), (2., 8., 4., .1))}
    table = frame.Table('?', ['name', *'abcdef'])
    loading.report(table, measured)
    assert table.rows[0][5:] == ['2.000, bar 1 MISSED', '0.500, bar 1 met']
    assert table.rows[0][1] == 2000 and table.rows[3][5] is None and not table.notes
    measured[peers[1]][0]['checksum'] = 2.
    loading.report(table, measured)
    assert table.notes == ['ours computes another result than its peers.']

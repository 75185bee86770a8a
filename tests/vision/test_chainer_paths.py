"""The networks where scripts for Chainer look for them."""
import subprocess
import sys
from pathlib import Path

import pytest

import minichain.links as L
from minichain import vision

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import chainer
import chainer.links as L
from chainer.links import VGG16Layers
from chainer.links.model.vision.vgg import prepare
from chainer.links.model.vision import googlenet, resnet
import chainer.links.model.vision.googlenet as module
assert chainer.links.model.vision.vgg.VGG16Layers is VGG16Layers is L.VGG16Layers
assert chainer.links.model.classifier.Classifier is L.Classifier
assert resnet.ResNet50Layers is L.ResNet50Layers and module.GoogLeNet is L.GoogLeNet
assert len({f.__module__ for f in (prepare, googlenet.prepare, resnet.prepare)}) == 3
"""


def test_networks_and_their_prepare_are_found_by_the_paths_of_chainer(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, '-m', 'minichain.compat', str(script)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_links_show_the_networks():
    for name in ('GoogLeNet', 'ResNet50Layers', 'ResNet101Layers', 'ResNet152Layers',
                 'ResNetLayers', 'VGG16Layers', 'VGG19Layers', 'VGGLayers'):
        assert getattr(L, name) is getattr(vision, name) and name in dir(L)
    with pytest.raises(AttributeError, match='docs/from_chainer.md'):
        L.CRF1d()

"""models.resnet50() and the like: every architecture by one lower-case name."""
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minichain.links as L
import models
from minichain import serializers
from minichain.errors import InvalidArgument
from minichain.vision import ImageNetwork
from tests.models.network_checks import undrawn

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('name', models.NAMES)
def test_every_name_makes_a_network_with_the_classes_asked_for(name):
    with undrawn():
        net = getattr(models, name)(n_classes=7)
    assert isinstance(net, ImageNetwork)
    assert len(net.classifier.W) == 7
    assert net.available_layers and 'prob' in net.available_layers
    assert net.feature_layer in net.available_layers
    assert net.preprocessing.size[0] >= 224


@pytest.mark.parametrize('name', models.NAMES)
def test_every_link_of_a_network_stands_in_its_table_of_layers(name):
    with undrawn():     # freezing goes by the table: what is not in it would be trained on
        net = getattr(models, name)()
    net.freeze()
    assert not [path for path, parameter in net.namedparams() if parameter.requires_grad]


def test_weights_are_loaded_before_the_head_is_replaced(tmp_path):
    net = models.squeezenet1_1()
    serializers.save_npz(tmp_path / 'net.npz', net)
    other = models.squeezenet1_1(n_classes=3, pretrained_model=tmp_path / 'net.npz')
    np.testing.assert_array_equal(other.fire2.squeeze1x1.W.array, net.fire2.squeeze1x1.W.array)
    assert len(other.classifier.W) == 3
    net = models.googlenet(aux_heads=False)
    serializers.save_npz(tmp_path / 'net.npz', net)
    other = models.googlenet(2, str(tmp_path / 'net.npz'), aux_heads=False)
    assert isinstance(other, L.GoogLeNet) and len(other.classifier.W) == 2


def test_names_are_listed_and_others_refused():
    assert set(models.NAMES) <= set(dir(models))
    assert len([name for name in models.NAMES if name.startswith('efficientnet_b')]) == 8
    with pytest.raises(AttributeError, match="no 'resnet18'. There are: alexnet, caffenet"):
        models.resnet18()
    assert models.vgg16.__name__ == 'vgg16'
    assert list(inspect.signature(models.vgg16).parameters)[:2] == ['n_classes',
                                                                    'pretrained_model']


def test_a_name_stays_the_function_when_the_file_of_that_name_was_imported():
    from models.alexnet import AlexNet
    with undrawn():
        assert isinstance(models.alexnet(), AlexNet)


def test_no_architecture_is_read_before_it_is_asked_for():
    script = ('import sys, models, minichain.links as L; '
              'before = {"minichain.vision", "models.alexnet"} & set(sys.modules); '
              'L.VGG16Layers, models.alexnet; print(before, "minichain.vision" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, cwd=ROOT,
                          check=True)
    assert done.stdout == 'set() True\n'


@pytest.mark.parametrize('name', models.NAMES)
@pytest.mark.parametrize('n_classes', [0, -1, '5', 2.5, True, None])
def test_what_is_no_number_of_classes_is_refused_by_name(name, n_classes):
    with pytest.raises(InvalidArgument, match=f'{name}: n_classes'):
        getattr(models, name)(n_classes=n_classes)

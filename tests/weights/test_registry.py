"""The registry: every fact has a source, and files are known by their content."""
import hashlib
import re
from pathlib import Path

import pytest

import models
from minichain.errors import FileError, InvalidArgument
from minichain.image import Preprocessing
from tests.weights.unreliable_server import serving
from weights import registry
from weights.fetch import check_address, fetch
from weights.registry import Entry, find, identify, load

ENTRIES = load()
SHARED = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'models'
TRACED = ('urls', 'licence', 'size', 'sha256', 'sha1', 'input', 'preprocessing')


@pytest.mark.parametrize('name', ENTRIES)
def test_every_fact_has_the_source_where_it_was_read(name):
    entry = ENTRIES[name]
    for fact in TRACED:
        known = getattr(entry, fact) not in (None, [])
        assert entry.sources.get(fact) or not known, fact
        assert known or fact == 'urls' or fact not in entry.sources, fact
    assert set(entry.sources) <= set(TRACED)
    assert entry.origin and entry.network
    if entry.prototxt:
        assert set(entry.prototxt) == {'file', 'urls', 'size', 'sha256', 'source'}


@pytest.mark.parametrize('name', ENTRIES)
def test_facts_have_their_form(name):
    entry = ENTRIES[name]
    assert entry.sha256 is None or re.fullmatch('[0-9a-f]{64}', entry.sha256)
    assert entry.sha1 is None or re.fullmatch('[0-9a-f]{40}', entry.sha1)
    assert (entry.size is None) == (entry.sha256 is None)
    assert Path(entry.file).name == entry.file and not entry.file.startswith('.')
    endings = {'caffemodel': '.caffemodel', 'onnx': '.onnx', 'npz': '.npz',
               'darknet': '.weights'}
    assert Path(entry.file).suffix == endings[entry.format]
    prototxts = [entry.prototxt] if entry.prototxt else []
    for url in entry.urls + [url for prototxt in prototxts for url in prototxt['urls']]:
        check_address(url)
    for prototxt in prototxts:
        assert prototxt['file'] == Path(entry.file).stem + '.prototxt'
        assert re.fullmatch('[0-9a-f]{64}', prototxt['sha256']) and prototxt['size'] > 0


@pytest.mark.parametrize('name', ENTRIES)
def test_images_are_prepared_to_the_size_of_the_input(name):
    entry = ENTRIES[name]
    if entry.preprocessing is None:
        assert entry.note or entry.format == 'npz'
        return
    channels = 1 if entry.preprocessing.channels == 'grey' else 3
    size = entry.preprocessing.size
    assert entry.input in ([channels, *size], [*size, channels])


def test_names_files_and_contents_are_unique():
    entries = list(ENTRIES.values())
    for fact in ('name', 'file', 'sha256'):
        values = [value for entry in entries if (value := getattr(entry, fact))]
        assert len(values) == len(set(values)), fact
    assert list(ENTRIES) == [entry.name for entry in entries]


def test_models_that_are_named_exist():
    named = {entry.model for entry in ENTRIES.values()} - {None}
    assert {'vgg16', 'googlenet', 'resnet50'} <= named <= set(models.NAMES)


def test_sizes_are_those_of_the_published_numbers_of_parameters():
    # 4 bytes each, and a little for names; MobileNetV2 without the 17,056 factors of its batch
    # normalizations, which are multiplied into the convolutions of this file
    for name, count in {'bvlc_alexnet': 60_965_224, 'VGG_ILSVRC_16_layers': 138_357_544,
                        'VGG_ILSVRC_19_layers': 143_667_240, 'squeezenet_v1.0': 1_248_424,
                        'squeezenet1.1-7': 1_235_496, 'vgg16-7': 138_357_544,
                        'mobilenetv2-12': 3_504_872 - 17_056}.items():
        assert 0 < ENTRIES[name].size - 4 * count < 100_000, name


def test_abbreviated_sources_are_written_out():
    assert 'ONNX_HUB_MANIFEST.json' in ENTRIES['vgg16-7'].sources['sha256']
    assert 'zoo manifest' not in ENTRIES['vgg16-7'].sources['sha256']
    assert 'download_models.py' in ENTRIES['ResNet-50'].sources['urls']


def test_weights_are_found_by_name_and_by_file():
    assert find('ResNet-50').file == 'ResNet-50-model.caffemodel'
    assert find('ResNet-50-model.caffemodel').name == 'ResNet-50'
    with pytest.raises(InvalidArgument, match='did you mean .*VGG_ILSVRC_16_layers'):
        find('vgg_ilsvrc_16')
    with pytest.raises(InvalidArgument, match='zzz: no such weights in the registry. .*list'):
        find('zzz')


def entry_of(content, **facts):
    return Entry('tiny', 'tiny.onnx', 'Tiny', 'onnx', 'here', {}, size=len(content),
                 sha256=hashlib.sha256(content).hexdigest(),
                 preprocessing=Preprocessing((2, 2), 'RGB'), **facts)


def test_a_file_is_identified_by_its_content_whatever_its_name(tmp_path):
    entries = {'tiny': entry_of(b'weights')}
    for name, content, found in (('a', b'weights', True), ('b', b'Weights', False),
                                 ('c', b'', False), ('d', b'more weights', False)):
        (tmp_path / name).write_bytes(content)
        assert (identify(tmp_path / name, entries) is entries['tiny']) == found
    (tmp_path / 'folder').mkdir()
    assert identify(tmp_path / 'folder', entries) is None
    with pytest.raises(FileError, match='missing'):
        identify(tmp_path / 'missing', entries)
    with pytest.raises(FileError):
        identify('\0', entries)


def test_files_of_other_sizes_are_not_read(tmp_path, monkeypatch):
    (tmp_path / 'large').write_bytes(b'0' * 100)
    monkeypatch.setattr(registry, 'digests_of', None)
    assert identify(tmp_path / 'large', {'tiny': entry_of(b'weights')}) is None


def test_what_was_fetched_is_identified(tmp_path):
    entry = entry_of(b'weights')
    path = str(tmp_path / 'tiny.onnx')
    with serving(b'weights') as (_, url):
        fetch([url], path, entry.digests, entry.size)
    assert identify(path, {'tiny': entry}).preprocessing == Preprocessing((2, 2), 'RGB')


@pytest.mark.parametrize('place, name', [
    ('mtcnn/det1.caffemodel', 'mtcnn_det1'), ('mtcnn/det2.caffemodel', 'mtcnn_det2'),
    ('mtcnn/det3.caffemodel', 'mtcnn_det3'), ('ultraface/RFB-320.caffemodel', 'ultraface_RFB-320'),
    ('ultraface/version-RFB-320.onnx', 'version-RFB-320'),
    ('super_resolution/super_resolution.onnx', 'espcn_x3'),
    ('lenet/lenet_iter_10000.caffemodel', 'lenet_mnist'),
    ('yolo_fastest/yolo-fastest-1.1.weights', 'yolo-fastest-1.1')])
def test_public_files_are_identified(place, name):
    if not (SHARED / place).exists():
        pytest.skip(f'the public networks are not here ({SHARED / place} is missing)')
    entry = identify(SHARED / place)
    assert entry is not None and entry.name == name
    if entry.prototxt:
        beside = next((SHARED / place).parent.glob('*.prototxt')) if name == 'lenet_mnist' else (
            SHARED / place).with_suffix('.prototxt')
        assert hashlib.sha256(beside.read_bytes()).hexdigest() == entry.prototxt['sha256']
        assert beside.stat().st_size == entry.prototxt['size']

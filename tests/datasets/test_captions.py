import hashlib
import io
import json
import os
import tarfile
import unicodedata
from pathlib import Path

import pytest

from minichain.datasets import captions
from minichain.errors import DataError, FileError

DATA = Path(__file__).parents[3] / 'shared' / 'data' / 'captions'


def real(name):
    if not (DATA / name).is_dir():
        pytest.skip(f'the {name} data is not beside the project')
    return DATA / name


def make_images(folder, names, content=None):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((content or name).encode())


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list) and name.endswith('l'):
        content = '\n'.join(json.dumps(item, ensure_ascii=False) for item in content) + '\n'
    path.write_text(content if isinstance(content, str) else json.dumps(content), 'utf-8')
    return path


def flat(data):
    return {split: {image.name: image.captions for image in images}
            for split, images in data.splits.items()}


LINES = [{'file': f'{number}.jpg', 'captions': [f'caption {number}', 'another'],
          'split': ('train', 'dev', 'test')[number % 3]} for number in range(6)]
LINES_SPLITS = {'train': {'0.jpg': ['caption 0', 'another'], '3.jpg': ['caption 3', 'another']},
                'dev': {'1.jpg': ['caption 1', 'another'], '4.jpg': ['caption 4', 'another']},
                'test': {'2.jpg': ['caption 2', 'another'], '5.jpg': ['caption 5', 'another']}}
IMAGES = [f'{number}.jpg' for number in range(6)]


def test_json_lines_with_splits(tmp_path):
    path = write(tmp_path, 'captions.jsonl', LINES)
    make_images(tmp_path / 'images', IMAGES)
    for source in (tmp_path, path):
        data = captions.load(source)
        assert flat(data) == LINES_SPLITS
        assert data.warning is None and data.missing == {'train': 0, 'dev': 0, 'test': 0}
        assert data.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert data.images.read('0.jpg') == b'0.jpg'


def test_an_image_list_is_read_as_json_lines_are(tmp_path):
    write(tmp_path, 'annotations.json', {'categories': [], 'images': LINES})
    make_images(tmp_path, IMAGES)
    assert flat(captions.load(tmp_path)) == LINES_SPLITS


def test_flickr8k_with_its_lists_and_the_stray_suffix(tmp_path):
    write(tmp_path, 'Flickr8k.token.txt',
          'a.jpg#0\tOne dog .\na.jpg#1\tA dog . \nb.jpg.1#0\tTwo .\nc.jpg#0\tThree .\n'
          'd.jpg#0\tFour .\ne.jpg#0\tFive .\n')
    write(tmp_path, 'Flickr8k.lemma.token.txt', 'a.jpg#0\tlemma\n')
    write(tmp_path, 'ExpertAnnotations.txt', 'a.jpg\tb.jpg#2\t1\t1\t2\n')
    write(tmp_path, 'Flickr_8k.trainImages.txt', 'a.jpg\nd.jpg\nf.jpg\n')
    write(tmp_path, 'Flickr_8k.devImages.txt', 'b.jpg\r\n')
    write(tmp_path, 'Flickr_8k.testImages.txt', 'c.jpg')
    make_images(tmp_path / 'Flicker8k_Dataset', ['a.jpg', 'b.jpg', 'c.jpg', 'e.jpg'])
    data = captions.load(tmp_path)
    assert flat(data) == {'train': {'a.jpg': ['One dog .', 'A dog .']},
                          'dev': {'b.jpg': ['Two .']}, 'test': {'c.jpg': ['Three .']}}
    assert data.missing == {'train': 1, 'dev': 0, 'test': 0}
    assert data.without_image['train'][0].captions == ['Four .']
    for text in ('1 train images', '1 captioned images are in no split list',
                 '1 listed images have no caption'):
        assert text in data.warning
    with pytest.raises(DataError, match='strict'):
        captions.load(tmp_path, strict=True)


def coco(numbers):
    return {'images': [{'id': n, 'file_name': f'{n}.jpg'} for n in numbers],
            'annotations': [{'id': 9, 'image_id': n, 'caption': f'caption {n}\n'}
                            for n in numbers]}


def test_coco_in_two_files_is_split_by_their_names_and_val_halved(tmp_path):
    write(tmp_path, 'annotations/captions_train2014.json', coco(range(6)))
    write(tmp_path, 'annotations/captions_val2014.json', coco(range(6, 10)))
    write(tmp_path, 'annotations/instances_val2014.json', '{ broken')
    make_images(tmp_path, [f'train2014/{n}.jpg' for n in range(6)])
    make_images(tmp_path, [f'val2014/{n}.jpg' for n in range(6, 10)])
    data = captions.load(tmp_path)
    assert [image.name for image in data.splits['train']] \
        == [f'train2014/{n}.jpg' for n in range(6)]
    assert len(data.splits['dev']) == len(data.splits['test']) == 2
    assert data.splits['train'][3].captions == ['caption 3']
    assert 'halved' in data.source


def test_one_coco_file_is_divided_by_image_always_alike(tmp_path):
    path = write(tmp_path, 'captions.json', coco(range(40)))
    make_images(tmp_path / 'images', [f'{n}.jpg' for n in range(40)])
    first, again = captions.load(path), captions.load(path)
    assert flat(first) == flat(again)
    assert [len(first.splits[split]) for split in ('train', 'dev', 'test')] == [32, 4, 4]
    assert sorted(sum((list(images) for images in flat(first).values()), [])) \
        == sorted(f'{n}.jpg' for n in range(40))
    assert flat(captions.load(path, split_seed=1)) != flat(first)
    assert 'seed 0' in first.source


def test_images_with_the_same_bytes_stay_in_one_split(tmp_path):
    write(tmp_path, 'captions.json', coco(range(40)))
    for number in range(40):
        make_images(tmp_path, [f'{number}.jpg'], f'twins {number // 4:03}')
    for seed in range(3):
        data = captions.load(tmp_path, split_seed=seed)
        twins = [{int(image.name[:-4]) // 4 for image in images}
                 for images in data.splits.values()]
        assert sum(len(part) for part in twins) == 10 == len(set.union(*twins))


def test_karpathy_splits_tokens_and_folders(tmp_path):
    images = [{'filename': f'{n}.jpg', 'filepath': 'val2014', 'split': split, 'sentences': [
        {'raw': 'A Dog.', 'tokens': ['a', 'dog']}]}
        for n, split in enumerate(['train', 'restval', 'val', 'test'])]
    write(tmp_path, 'dataset_coco.json', {'dataset': 'coco', 'images': images})
    make_images(tmp_path, [f'val2014/{n}.jpg' for n in range(4)])
    data = captions.load(tmp_path)
    assert [image.name for image in data.splits['train']] == ['val2014/0.jpg', 'val2014/1.jpg']
    assert data.splits['dev'][0].tokens == [['a', 'dog']]
    assert data.splits['dev'][0].captions == ['A Dog.']


BOKE = [{'boke': f'ボケ {n}', 'star': n, 'images': [
    {'path': f'full/{n // 2}.jpg', 'url': 'http://x/y.jpg'}],
    'parsed': ['<BOS>', 'ボケ', str(n), '<EOS>']} for n in range(20)]


@pytest.mark.parametrize('name', ['items.json', 'items.jsonl'])
def test_boke_of_one_image_are_gathered_with_stars_and_tokens(tmp_path, name):
    write(tmp_path, name, BOKE)
    make_images(tmp_path / 'images', [f'full/{n}.jpg' for n in range(10)])
    data = captions.load(tmp_path)
    assert [len(data.splits[split]) for split in ('train', 'dev', 'test')] == [8, 1, 1]
    image = next(image for images in data.splits.values() for image in images
                 if image.name == 'full/3.jpg')
    assert image == captions.CaptionedImage('full/3.jpg', ['ボケ 6', 'ボケ 7'],
                                            [['ボケ', '6'], ['ボケ', '7']], [6, 7])


def test_boke_without_tokens_stars_or_picture(tmp_path):
    items = [{'boke': item['boke'], 'images': [{'url': f'http://h/{n}.jpg?size=1'}]}
             for n, item in enumerate(BOKE)] + [{'boke': 'x', 'images': []}]
    write(tmp_path, 'items.json', items)
    make_images(tmp_path, [f'{n}.jpg' for n in range(20)])
    data = captions.load(tmp_path)
    assert sum(map(len, data.splits.values())) == 20
    assert data.splits['train'][0].tokens is None and data.splits['train'][0].stars is None
    assert '1 captions name no image' in data.warning


def test_captions_are_composed_stripped_and_empty_ones_counted(tmp_path):
    decomposed = unicodedata.normalize('NFD', ' がくせい \n')
    lines = [dict(line, captions=[decomposed, ' ']) for line in LINES]
    write(tmp_path, 'a.jsonl', lines)
    make_images(tmp_path, IMAGES)
    data = captions.load(tmp_path)
    assert data.splits['dev'][0].captions == [unicodedata.normalize('NFC', 'がくせい')]
    assert data.empty == 6
    assert '6 captions are empty' in data.warning


def test_images_may_lie_in_a_tar_or_elsewhere(tmp_path):
    path = write(tmp_path, 'text/captions.jsonl', LINES)
    with tarfile.open(tmp_path / 'images.tar', 'w') as archive:
        for name in IMAGES:
            info = tarfile.TarInfo(f'pictures/{name}')
            info.size = 3
            archive.addfile(info, io.BytesIO(b'abc'))
    for data in (captions.load(path), captions.load(tmp_path),
                 captions.load(path, images=tmp_path / 'images.tar')):
        assert data.splits['train'][0].name == 'pictures/0.jpg'
        assert data.images.read('pictures/0.jpg') == b'abc'


def test_two_names_never_share_an_image(tmp_path):
    path = write(tmp_path, 'a.jsonl', [dict(line, file=f'x/{line["file"]}') for line in LINES]
                 + [dict(LINES[0], file='y/0.jpg')])
    make_images(tmp_path / 'images', [f'x/{name}' for name in IMAGES])
    data = captions.load(tmp_path)
    assert data.missing == {'train': 1, 'dev': 0, 'test': 0}
    make_images(tmp_path / 'flat', IMAGES)
    with pytest.raises(DataError, match="'y/0.jpg' and 'x/0.jpg' both mean '0.jpg'"):
        captions.load(path, images=tmp_path / 'flat')


def test_a_name_that_leads_outside_is_refused(tmp_path):
    write(tmp_path, 'a.jsonl', [dict(LINES[0], file='../../etc/0.jpg'), *LINES])
    make_images(tmp_path, IMAGES)
    with pytest.raises(DataError, match=r'\.\./\.\./etc/0\.jpg'):
        captions.load(tmp_path)


def test_a_split_whose_images_are_all_missing_is_an_error(tmp_path):
    write(tmp_path, 'a.jsonl', LINES)
    make_images(tmp_path, [name for name in IMAGES if name not in ('2.jpg', '5.jpg')])
    with pytest.raises(DataError, match='no image left in the test split; 2 captioned'):
        captions.load(tmp_path)


def test_an_image_in_two_splits_is_refused(tmp_path):
    write(tmp_path, 'a.jsonl', [*LINES, dict(LINES[0], split='test')])
    make_images(tmp_path, IMAGES)
    with pytest.raises(DataError, match='0.jpg is in the splits train and test'):
        captions.load(tmp_path)


def test_several_files_without_splits_in_their_names_are_not_guessed(tmp_path):
    write(tmp_path, 'a.jsonl', LINES)
    write(tmp_path, 'b.json', coco(range(4)))
    with pytest.raises(DataError, match=r'(?s)a\.jsonl \(JSON lines\).*b\.json \(COCO\)'):
        captions.load(tmp_path)


def test_a_folder_or_file_without_captions_says_what_was_looked_for(tmp_path):
    write(tmp_path, 'results.json', [{'image_id': 1, 'caption': 'a'}])
    write(tmp_path, 'notes.txt', 'nothing')
    for path in (tmp_path, tmp_path / 'results.json', tmp_path / 'notes.txt'):
        with pytest.raises(DataError, match='(?s)Flickr8k.*COCO.*Karpathy.*JSON lines.*boke'):
            captions.load(path)


def test_nothing_there_is_a_file_error(tmp_path):
    with pytest.raises(FileError, match='nothing'):
        captions.load(tmp_path / 'nothing')


def test_broken_utf8_is_named_with_its_line(tmp_path):
    (tmp_path / 'a.jsonl').write_bytes(b'{"file": "a.jpg", "captions": []}\n{"file": "\xe9"}\n')
    with pytest.raises(DataError, match=r'a\.jsonl, line 2: UTF-8 expected, got byte 0xe9'):
        captions.load(tmp_path)


@pytest.mark.parametrize('text, message', [
    ('{"images": [', 'JSON expected'),
    ('{"file": "a", "captions": []}\n{"file": \n', 'line 2'),
    ('[' * 100000, 'nested too deeply'),
    ('{"file": "a", "captions": "text"}', "'captions' of type list expected, got 'text'"),
    ('{"file": 1, "captions": []}', "'file' of type str expected, got 1"),
    ('{"file": "a", "captions": [1]}', 'text expected, got 1'),
    ('{"file": "a", "captions": ["\\ud800"]}', 'lone surrogate'),
    ('{"file": "a", "captions": ["b"], "split": "training"}', 'split train'),
    ('{"file": "a", "captions": []}', 'none that have'),
    ('[{"file": "a", "captions": []}, 3]', "entry 2: 'file'"),
    ('{"boke": "a", "star": "5", "images": []}', "'star' of type int expected, got '5'"),
    ('{"boke": "a", "images": {}}', "'images' of type list"),
    ('{"boke": "a", "images": [3]}', "'path' of type str expected, got 3"),
    ('{"images": [{"id": 1}], "annotations": [{"caption": "a"}]}', "'file_name'"),
    ('{"images": [], "annotations": [{"caption": "a", "image_id": 3}]}', 'image_id 3'),
    ('a.jpg#0\tgood\nbad line\n', 'line 2: name.jpg#0'),
    ('{"file": "a", "captions": ["b"], "split": "dev"}\n{"file": "c", "captions": ["b"]}\n',
     'c has none')])
def test_damaged_captions_end_in_one_clear_message(tmp_path, text, message):
    path = write(tmp_path, 'a.json', text)
    make_images(tmp_path, ['a.jpg', 'b.jpg', 'c.jpg'])
    with pytest.raises(DataError, match=message) as caught:
        captions.load(path)
    assert 'a.json' in str(caught.value)


def test_an_absurdly_large_file_is_not_read(tmp_path):
    with open(tmp_path / 'a.json', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match='at most'):
        captions.load(tmp_path / 'a.json')


def test_too_few_images_to_divide_are_refused(tmp_path):
    write(tmp_path, 'a.json', coco(range(2)))
    make_images(tmp_path, IMAGES)
    with pytest.raises(DataError, match='at least 3 different images'):
        captions.load(tmp_path)


def test_flickr8k_has_its_published_splits():
    data = captions.load(real('flickr8k'))
    assert {split: len(images) for split, images in data.splits.items()} \
        == {'train': 753, 'dev': 113, 'test': 75}
    assert all(len(image.captions) == 5 for images in data.splits.values() for image in images)
    assert data.missing == {'train': 6000 - 753, 'dev': 1000 - 113, 'test': 950 - 75}
    for split, images in data.splits.items():
        expected = (DATA / 'flickr8k' / f'available_{split}.txt').read_text().split()
        assert sorted(image.name for image in images) == sorted(expected)


def test_coco_mini_and_vi_sports_are_read_whole():
    data = captions.load(real('coco_mini'))
    assert {split: len(images) for split, images in data.splits.items()} \
        == {'train': 191, 'dev': 24, 'test': 24}
    data = captions.load(real('vi_sports'))
    assert {split: len(images) for split, images in data.splits.items()} \
        == {'train': 440, 'dev': 55, 'test': 55}
    assert sum(len(image.captions) for images in data.splits.values() for image in images) == 2755
    assert data.images.load(data.splits['dev'][0].name).shape[2] == 3
    assert os.path.basename(data.images.path) == 'images.tar'

"""Images: every kind comes back right, every broken one ends in one message."""
import io
import json
import os
import struct
import tarfile
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from minichain import _image_bytes, image
from minichain.errors import DataError, FileError, InvalidArgument

SHARED = Path(__file__).resolve().parents[2] / 'shared' / 'data'


def _colours(height=6, width=9):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _smooth(height=48, width=64):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, 255 - x * 255 / width], 2).astype(np.uint8)


def _file(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def _png(chunks, size=(1, 1), depth=8, colour=2):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I',
                                                                        zlib.crc32(kind + data))
    header = struct.pack('>IIBBBBB', size[0], size[1], depth, colour, 0, 0, 0)
    body = b''.join(chunk(*pair) for pair in [(b'IHDR', header), *chunks, (b'IEND', b'')])
    return io.BytesIO(b'\x89PNG\r\n\x1a\n' + body)


@pytest.mark.parametrize('kind, options', [
    ('PNG', {}), ('BMP', {}), ('PPM', {}), ('TIFF', {}), ('TIFF', {'compression': 'tiff_lzw'}),
    ('WEBP', {'lossless': True})])
def test_lossless_formats_give_the_same_pixels(kind, options):
    colours = _colours()
    loaded = image.load(_file(Image.fromarray(colours), kind, **options))
    assert loaded.dtype == np.uint8 and loaded.flags.c_contiguous
    np.testing.assert_array_equal(loaded, colours)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
def test_every_exif_orientation_is_undone(kind, orientation):
    picture = Image.fromarray(_smooth())
    exif = Image.Exif()
    exif[274] = orientation
    options = {'quality': 95} if kind == 'JPEG' else {'lossless': True} if kind == 'WEBP' else {}
    data = _file(picture, kind, exif=exif, **options).getvalue()
    expected = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert('RGB'))
    np.testing.assert_array_equal(image.load(io.BytesIO(data)), expected)
    # and apart from Pillow: the red corner (bottom right as stored) goes where EXIF says
    corner = {1: (-1, -1), 2: (-1, 0), 3: (0, 0), 4: (0, -1),
              5: (-1, -1), 6: (-1, 0), 7: (0, 0), 8: (0, -1)}[orientation]
    loaded = image.load(io.BytesIO(data)).astype(int)
    assert loaded.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    assert loaded[corner][0] > 230 and loaded[corner][1] > 230 and loaded[corner][2] < 25


def test_a_damaged_exif_block_leaves_the_image_as_stored():
    picture = Image.fromarray(_smooth())
    for block in (b'', b'II*\0\xff\xff\xff\xff', b'MM\0*\0\0\0\x08\xff\xff'):
        exif = b'Exif\0\0' + block
        loaded = image.load(_file(picture, 'JPEG', exif=exif, quality=95))
        assert np.abs(loaded.astype(int) - _smooth()).max() < 12


def test_grey_one_bit_and_palette():
    grey = _colours()[..., 0]
    for kind in ('PNG', 'TIFF', 'PPM', 'BMP'):
        np.testing.assert_array_equal(image.load(_file(Image.fromarray(grey), kind)),
                                      np.repeat(grey[..., None], 3, 2))
    bits = grey > 127
    loaded = image.load(_file(Image.fromarray(bits), 'PNG'))
    np.testing.assert_array_equal(loaded[..., 1], bits * 255)
    palette = Image.new('P', (3, 1))
    palette.putpalette([250, 0, 0, 0, 240, 0, 0, 0, 230])
    palette.putdata([0, 1, 2])
    for kind in ('PNG', 'GIF', 'BMP', 'TIFF'):
        loaded = image.load(_file(palette, kind))
        assert loaded.tolist() == [[[250, 0, 0], [0, 240, 0], [0, 0, 230]]]


def test_transparency_is_laid_on_white():
    rgba = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 100, 200, 128]]], np.uint8)
    for kind in ('PNG', 'TIFF'):
        loaded = image.load(_file(Image.fromarray(rgba), kind))
        assert loaded[0, :2].tolist() == [[255, 255, 255], [10, 20, 30]]
        # 255 + (colour - 255) * 128 / 255
        np.testing.assert_allclose(loaded[0, 2], [127, 177.2, 227.4], atol=1)
    grey = np.array([[[0, 0], [7, 255]]], np.uint8)
    loaded = image.load(_file(Image.fromarray(grey, 'LA'), 'PNG'))
    assert loaded.tolist() == [[[255] * 3, [7] * 3]]
    palette = Image.new('P', (3, 1))
    palette.putpalette([250, 0, 0, 0, 240, 0, 0, 0, 230])
    palette.putdata([0, 1, 2])
    for transparency in (1, b'\xff\x00\xff'):
        loaded = image.load(_file(palette, 'PNG', transparency=transparency))
        assert loaded.tolist() == [[[250, 0, 0], [255, 255, 255], [0, 0, 230]]]


@pytest.mark.parametrize('colour, depth, pixels, key, expected', [
    (2, 8, b'\1\2\3\4\5\6', struct.pack('>HHH', 1, 2, 3), [[255] * 3, [4, 5, 6]]),
    (0, 8, b'\1\2', struct.pack('>H', 2), [[1] * 3, [255] * 3]),
    (0, 16, b'\x01\x01\x02\x02', struct.pack('>H', 0x101), [[255] * 3, [2] * 3]),
])
def test_a_transparent_colour_of_a_png_becomes_white(colour, depth, pixels, key, expected):
    file = _png([(b'tRNS', key), (b'IDAT', zlib.compress(b'\0' + pixels))], (2, 1), depth, colour)
    assert image.load(file).tolist() == [expected]


def test_sixteen_bits_are_divided_by_257_not_clipped():
    deep = np.array([[0, 257, 32896, 65535, 65406, 65407]], np.uint16)
    expected = [0, 1, 128, 255, 254, 255]       # 65406 / 257 = 254.498
    for kind in ('PNG', 'TIFF'):
        loaded = image.load(_file(Image.fromarray(deep), kind))
        assert loaded[0].tolist() == [[value] * 3 for value in expected]
    pgm = io.BytesIO(b'P5 2 1 65535\n' + struct.pack('>HH', 32896, 65535))
    assert image.load(pgm)[0, :, 0].tolist() == [128, 255]
    colours = _png([(b'IDAT', zlib.compress(b'\0' + struct.pack('>HHH', 257, 32896, 65535)))],
                   depth=16)
    assert image.load(colours).tolist() == [[[1, 128, 255]]]


@pytest.mark.parametrize('values, expected', [
    ([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 100.0, 255.0], [0, 100, 255]),
    ([-1.0, 0.0, 1.0], [0, 128, 255]), ([0.0, 257.0, 65535.0], [0, 1, 255]),
    ([np.nan, 0.0, 1.0], [0, 0, 255]), ([np.inf, 0.0, 1.0], [0, 0, 255]),
    ([0.0, 0.0, 0.0], [0, 0, 0]), ([1e6, 1e6, 1e6], [0, 0, 0]),
    ([-3e38, 0.0, 3e38], [0, 128, 255])])
def test_float_tiffs_keep_a_sensible_scale(values, expected):
    file = _file(Image.fromarray(np.array([values], np.float32)), 'TIFF')
    np.testing.assert_allclose(image.load(file)[0, :, 0], expected, atol=1)


def test_int_tiffs_keep_a_sensible_scale():
    for values, expected in [([0, 1, 255], [0, 1, 255]), ([0, 257, 65535], [0, 1, 255]),
                             ([-100, 0, 100], [0, 128, 255])]:
        file = _file(Image.fromarray(np.array([values], np.int32)), 'TIFF')
        np.testing.assert_allclose(image.load(file)[0, :, 0], expected, atol=1)


def test_a_tiff_without_a_finite_value_is_refused():
    file = _file(Image.fromarray(np.full((2, 2), np.nan, np.float32)), 'TIFF')
    with pytest.raises(DataError, match='finite'):
        image.load(file)


def test_cmyk_jpegs_inverted_by_adobe_or_plain():
    # cyan ink 200, black ink 55: red = (255 - 200) * (255 - 55) / 255 = 43, green = blue = 200
    picture = Image.new('CMYK', (16, 16), (200, 0, 0, 55))
    data = _file(picture, 'JPEG', quality=95).getvalue()
    assert b'Adobe' in data
    np.testing.assert_allclose(image.load(io.BytesIO(data))[8, 8], [43, 200, 200], atol=4)
    at = data.index(b'\xff\xee')
    length = struct.unpack('>H', data[at + 2:at + 4])[0]
    plain = data[:at] + data[at + 2 + length:]      # the stored samples are now meant as they are:
    # inks (55, 255, 255, 200): red = 200 * 55 / 255, no green, no blue
    np.testing.assert_allclose(image.load(io.BytesIO(plain))[8, 8], [43, 0, 0], atol=4)


def test_the_first_frame_of_an_animation():
    frames = [Image.new('RGB', (4, 4), colour) for colour in ('red', 'lime', 'blue')]
    for kind, options in (('GIF', {}), ('WEBP', {'lossless': True}), ('PNG', {}), ('TIFF', {})):
        file = _file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert image.load(file)[2, 2].tolist() == [255, 0, 0], kind


def test_paths_and_file_objects_are_read_alike(tmp_path):
    path = tmp_path / 'bild ä.png'
    image.save_png(path, _colours())
    np.testing.assert_array_equal(image.load(path), _colours())
    np.testing.assert_array_equal(image.load(str(path)), _colours())
    with open(path, 'rb', buffering=0) as file:
        np.testing.assert_array_equal(image.load(file), _colours())
        assert not file.closed
    with tarfile.open(tmp_path / 'images.tar', 'w') as tar:
        tar.add(path, 'a.png')
    with tarfile.open(tmp_path / 'images.tar') as tar:
        np.testing.assert_array_equal(image.load(tar.extractfile('a.png')), _colours())


def test_missing_files_folders_and_pipes_are_file_errors(tmp_path):
    with pytest.raises(FileError, match='nowhere.png: no such image file'):
        image.load(tmp_path / 'nowhere.png')
    with pytest.raises(FileError, match='this is a folder'):
        image.load(tmp_path)
    with pytest.raises(FileError, match='cannot be read'):
        image.load('nul\0byte.png')
    os.mkfifo(tmp_path / 'pipe.png')
    with pytest.raises(FileError, match='no regular file'):
        image.load(tmp_path / 'pipe.png')


def test_a_file_without_permission_is_a_file_error(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    image.save_png(path, _colours())

    def refuse(*_, **__):       # the tests may run as root, whom no mode stops
        raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr('builtins.open', refuse)
    with pytest.raises(FileError, match='a.png: cannot be read .Permission denied'):
        image.load(path)


@pytest.mark.parametrize('data, what', [
    (b'', 'an empty file'), (b'hello, I am no image', 'text, it seems'),
    (b'%!PS-Adobe-3.0 EPSF-3.0\n', 'text'), (b'\x00\x00\x01\x00\x01\x00', 'something else'),
    (b'8BPS\x00\x01\x00\x00', 'something else'), ('日本語'.encode(), 'text'),
    (b'%PDF-1.7\n\xff\xfe', 'something else'), (b'\x00' * 40, 'something else')])
def test_what_is_no_image_of_the_allowed_formats_is_named(tmp_path, data, what):
    path = tmp_path / 'picture.jpg'
    path.write_bytes(data)
    with pytest.raises(DataError, match='picture.jpg: an image expected') as caught:
        image.load(path)
    assert what in str(caught.value)


def test_text_files_and_bytes_are_refused_as_arguments(tmp_path):
    with pytest.raises(InvalidArgument, match='rb'):
        image.load(io.StringIO('text'))
    with pytest.raises(InvalidArgument, match='BytesIO'):
        image.load(b'\x89PNG')


def test_an_error_of_the_archive_is_a_data_error():
    class Broken(io.RawIOBase):
        name = 'member.jpg'

        def read(self, size=-1):
            raise tarfile.ReadError('unexpected end of data')
    with pytest.raises(DataError, match='member.jpg.*unexpected end'):
        image.load(Broken())


@pytest.mark.parametrize('kind', image.FORMATS)
def test_a_truncated_file_is_refused_with_its_name_and_silently(tmp_path, kind):
    data = _file(Image.fromarray(_colours(40, 40)), kind).getvalue()
    path = tmp_path / 'cut.img'
    refused = 0
    for part in (0.02, 0.1, 0.3, 0.5, 0.8):
        path.write_bytes(data[:max(4, int(len(data) * part))])
        with pytest.raises(DataError, match='cut.img') as raised:
            image.load(path)
        assert 'object at 0x' not in str(raised.value)
        refused += 1
    assert refused == 5
    assert not [name for name in os.listdir('/proc/self/fd')
                if os.path.realpath(f'/proc/self/fd/{name}') == str(path)]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(image.FORMATS), st.integers(0, 10 ** 6), st.integers(0, 255),
       st.integers(0, 10 ** 6), st.integers(0, 255))
def test_damaged_bytes_give_an_image_or_a_data_error(kind, at, value, at2, value2):
    data = bytearray(_file(Image.fromarray(_colours(8, 8)), kind).getvalue())
    data[at % min(len(data), 200)] = value
    data[at2 % len(data)] = value2
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        try:
            loaded = image.load(io.BytesIO(data), 'x')
        except DataError as error:
            assert str(error).startswith('x: ')
        else:
            assert loaded.dtype == np.uint8 and loaded.ndim == 3 and loaded.shape[2] == 3


@pytest.mark.parametrize('size', [(8193, 8192), (60000, 60000), (2 ** 31 - 1, 2 ** 31 - 1)])
def test_too_many_pixels_are_refused_from_the_header(size):
    files = [_png([(b'IDAT', zlib.compress(b'\0'))], size)]
    files.append(io.BytesIO(b'P6 %d %d 255\n' % size))
    header = (100, 0, 0, 54, 40, *size, 1, 24, 0, 0, 1, 1, 0, 0)
    files.append(io.BytesIO(b'BM' + struct.pack('<IHHIIiiHHIIiiII', *header)))
    for file in files:
        tracemalloc.start()
        with pytest.raises(DataError, match='pixels') as raised:
            image.load(file)
        assert 'DOS' not in str(raised.value) and 'damaged' not in str(raised.value)
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()


def test_the_pixel_limit_itself_is_allowed(monkeypatch):
    monkeypatch.setattr(image, 'MAX_PIXELS', 54)
    assert image.load(_file(Image.fromarray(_colours()), 'PNG')).shape == (6, 9, 3)
    monkeypatch.setattr(image, 'MAX_PIXELS', 53)
    with pytest.raises(DataError, match='at most 53 pixels expected'):
        image.load(_file(Image.fromarray(_colours()), 'PNG'))


def test_the_file_size_limit(monkeypatch):
    monkeypatch.setattr(image, 'MAX_BYTES', 2000)
    with pytest.raises(DataError, match='larger than 2000 bytes'):
        image.load(_file(Image.fromarray(_colours(40, 40)), 'PNG'))


def test_png_text_bombs_are_never_inflated():
    bomb = b'Comment\0\0' + zlib.compress(bytes(50_000_000), 9)
    pixels = (b'IDAT', zlib.compress(b'\0\1\2\3'))
    file = _png([(b'zTXt', bomb)] * 20 + [(b'acTL', b'')] + [pixels] + [(b'zTXt', bomb)])
    tracemalloc.start()
    assert image.load(file).tolist() == [[[1, 2, 3]]]
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


def _bomb_directory(entries, size):
    """A TIFF directory whose tags all claim the same `size` bytes."""
    tags = b''.join(struct.pack('<HHII', 50000 + i, 7, size, 8) for i in range(entries))
    return b'II*\0' + struct.pack('<I', 8) + struct.pack('<H', entries) + tags + bytes(4)


def test_overlapping_tags_do_not_multiply_a_file_in_memory():
    tiff = _bomb_directory(1000, 200_000) + bytes(200_000)
    with pytest.raises(DataError, match='tags claim 200000000 bytes'):
        image.load(io.BytesIO(tiff))
    jpeg = _file(Image.fromarray(_smooth()), 'JPEG').getvalue()
    exif = b'Exif\0\0' + _bomb_directory(4000, 50_000)
    segment = b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif
    tracemalloc.start()
    assert image.load(io.BytesIO(jpeg[:2] + segment + jpeg[2:])).shape == (48, 64, 3)
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


def test_tiffs_with_huge_tiles_or_a_million_strips_are_refused():
    def tiff(*entries, tail=0):
        tags = b''.join(struct.pack('<HHII', *entry) for entry in entries)
        return b'II*\0' + struct.pack('<IH', 8, len(entries)) + tags + bytes(4 + tail)
    with pytest.raises(DataError, match='tiles are 65536 x 65536'):
        image.load(io.BytesIO(tiff((322, 4, 1, 65536), (323, 4, 1, 65536))))
    with pytest.raises(DataError, match='tag 273 lists 2000000 values'):
        image.load(io.BytesIO(tiff((273, 4, 2_000_000, 100), tail=8_000_000)))
    with pytest.raises(DataError, match='damaged or cut off'):
        image.load(io.BytesIO(b'II*\0\xff\xff\xff\xff'))
    with pytest.raises(DataError, match='longer than the file'):
        image.load(io.BytesIO(b'II*\0\x08\0\0\0\xff\xff'))


def test_a_progressive_jpeg_with_hundreds_of_scans_is_refused():
    data = _file(Image.fromarray(_smooth()), 'JPEG', progressive=True).getvalue()
    assert image.load(io.BytesIO(data)).shape == (48, 64, 3)
    at = data.rindex(b'\xff\xda')
    with pytest.raises(DataError, match='more than 100 scans'):
        image.load(io.BytesIO(data[:at] + data[at:-2] * 200 + data[-2:]))


def test_big_tiff_directories_are_understood():
    entry = struct.pack('<HHQQ', 274, 3, 1, 6)
    big = b'II+\0' + struct.pack('<HHQ', 8, 0, 16) + struct.pack('<Q', 1) + entry + bytes(8)
    assert _image_bytes.exif_orientation(big) == 6


def test_photos_decode_as_with_opencv():
    cv2 = pytest.importorskip('cv2', reason='OpenCV is the independent decoder')
    picture = Image.fromarray(_smooth(120, 160))
    for kind, options in (('JPEG', {'quality': 90}), ('PNG', {}), ('WEBP', {'quality': 90})):
        file = _file(picture, kind, **options)
        decoded = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        difference = np.abs(image.load(file).astype(int) - decoded[..., ::-1])
        assert difference.max() <= 3, kind


def _description(**changes):
    return image.Preprocessing(**({'size': (4, 6), 'channels': 'BGR', 'mean': (1, 2, 3),
                                   'scale': 0.5} | changes))


def test_apply_orders_channels_and_then_normalises():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[...] = 10, 20, 30
    x = _description().apply(picture)
    assert x.shape == (3, 4, 6) and x.dtype == np.float32 and x.flags.c_contiguous
    assert x[:, 0, 0].tolist() == [14.5, 9.0, 3.5]
    assert _description(channels='RGB').apply(picture)[:, 1, 1].tolist() == [4.5, 9.0, 13.5]
    grey = _description(channels='grey', mean=(8,), scale=1).apply(picture)
    assert grey.shape == (1, 4, 6)
    assert grey[0, 0, 0] == round(.299 * 10 + .587 * 20 + .114 * 30) - 8
    assert _description(mean=None, scale=1).apply(picture)[:, 3, 5].tolist() == [30, 20, 10]


def test_std_divides_each_channel_after_the_scale():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[...] = 10, 20, 30
    halves = _description(std=(1, .5, .25)).apply(picture)      # b, g, r: 14.5, 9, 3.5 before
    assert halves[:, 2, 3].tolist() == [14.5, 18, 14]
    published = image.Preprocessing((4, 6), mean=(.485 * 255, .456 * 255, .406 * 255),
                                    scale=1 / 255, std=(.229, .224, .225))
    expected = (np.array([10, 20, 30]) / 255 - [.485, .456, .406]) / [.229, .224, .225]
    np.testing.assert_allclose(published.apply(picture)[:, 0, 0], expected, rtol=1e-6)
    grey = image.Preprocessing((4, 6), 'grey', std=(4,))
    assert grey.apply(np.full((4, 6, 3), 80, np.uint8))[0, 1, 1] == 20


def test_descriptions_from_before_there_was_a_std_mean_and_read_the_same():
    old = {'size': [4, 6], 'channels': 'BGR', 'mean': [1.0, 2.0, 3.0], 'scale': 0.5,
           'resize': 'warp', 'resize_to': None}
    assert image.Preprocessing.from_dict(old) == _description()
    assert _description().to_dict() == old
    new = _description(std=[1, 2, 4])
    assert new.std == (1.0, 2.0, 4.0) and hash(new) != hash(_description())
    assert image.Preprocessing.from_dict(json.loads(json.dumps(new.to_dict()))) == new
    with pytest.raises(DataError, match='std'):
        image.Preprocessing.from_dict({**old, 'std': 'abc'})


@pytest.mark.parametrize('channels', ['BGR', 'RGB', 'grey'])
@pytest.mark.parametrize('resize', ['warp', 'crop'])
def test_pixels_are_what_is_resized_before_arithmetic(channels, resize):
    how = image.Preprocessing((5, 7), channels, resize=resize)
    pixels = how.pixels(_smooth())
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    order = slice(None, None, -1 if channels == 'BGR' else 1)
    np.testing.assert_array_equal(pixels.transpose(2, 0, 1)[order], how.apply(_smooth()))


def test_a_margin_is_no_pixels():
    with pytest.raises(InvalidArgument, match="'warp' or 'crop' expected, got 'pad'"):
        image.Preprocessing((5, 7), resize='pad').pixels(_smooth())


def test_apply_keeps_an_image_of_the_right_size():
    colours = _colours(4, 6)
    for resize in ('warp', 'crop', 'pad'):
        x = image.Preprocessing((4, 6), 'RGB', resize=resize).apply(colours)
        np.testing.assert_array_equal(x, colours.transpose(2, 0, 1))


def test_crop_takes_the_centre_and_pad_centres():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 200
    crop = image.Preprocessing((10, 10), 'RGB', resize='crop').apply(picture)
    assert (crop == 200).all()
    wider = image.Preprocessing((10, 10), 'RGB', resize='crop', resize_to=20).apply(picture)
    assert (wider == 200).all()
    pad = image.Preprocessing((30, 30), 'RGB', (50, 50, 50), resize='pad').apply(picture)
    assert (pad[:, :10] == 0).all() and (pad[:, 20:] == 0).all()
    assert (pad[:, 10:20, 12:18] == 150).all() and (pad[:, 10:20, :8] == -50).all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([(1, 1), (1, 3000), (3000, 1), (2, 20000), (20000, 2), (1, 100000)]),
       st.sampled_from(['warp', 'crop', 'pad']), st.sampled_from([(227, 227), (1, 1), (3, 50)]),
       st.sampled_from(['BGR', 'RGB', 'grey']))
def test_any_aspect_gives_finite_input_of_the_right_size(shape, resize, size, channels):
    mean = (120,) if channels == 'grey' else (104, 117, 123)
    x = image.Preprocessing(size, channels, mean, resize=resize).apply(
        np.full((*shape, 3), 200, np.uint8))
    assert x.shape == (len(mean), *size) and np.isfinite(x).all()
    assert x.max() == 200 - min(mean)       # a constant image stays constant where it is shown


def test_a_constant_image_stays_constant_and_a_ramp_stays_a_ramp():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(9, 0)
    x = image.Preprocessing((9, 64), 'RGB').apply(ramp)
    # a linear ramp through a symmetric filter is the ramp at the new centres, 4 i + 1.5
    np.testing.assert_allclose(x[0, 4, 2:-2], 4 * np.arange(64)[2:-2] + 1.5, atol=0.51)


@pytest.mark.parametrize('changes, word', [
    ({'size': (0, 3)}, 'size'), ({'size': 5}, 'size'), ({'size': (2 ** 14, 2 ** 14)}, 'size'),
    ({'size': (True, 3)}, 'size'), ({'channels': 'rgb'}, 'channels'), ({'mean': (1, 2)}, 'mean'),
    ({'mean': (1, 2, np.nan)}, 'mean'), ({'mean': 'abc'}, 'mean'), ({'scale': 0}, 'scale'),
    ({'scale': np.inf}, 'scale'), ({'resize': 'squash'}, 'resize'),
    ({'resize_to': 9}, 'resize_to'), ({'std': (1, 1)}, 'std'), ({'std': (1, 0, 1)}, 'std'),
    ({'std': (1, -1, 1)}, 'std'), ({'std': (1, np.nan, 1)}, 'std'), ({'std': 2}, 'std'),
    ({'resize': 'crop', 'resize_to': 5}, 'resize_to'), ({'channels': ['BGR']}, 'channels')])
def test_values_that_are_not_allowed_are_named(changes, word):
    with pytest.raises(InvalidArgument, match=f'Preprocessing: {word}'):
        _description(**changes)


def test_a_description_survives_json_and_is_immutable():
    description = _description(resize='crop', resize_to=8)
    again = image.Preprocessing.from_dict(json.loads(json.dumps(description.to_dict())))
    assert again == description and hash(again) == hash(description)
    assert description.to_dict()['mean'] == [1.0, 2.0, 3.0]
    with pytest.raises(AttributeError):
        description.scale = 2


@pytest.mark.parametrize('description, word', [
    ({'size': [4, 6], 'colour': 1}, 'unknown colour'), ({}, 'size'), ([1], 'size'), (None, 'size'),
    ({'size': [4, 6], 'scale': 'x'}, 'scale'), ({'size': None}, 'size')])
def test_a_foreign_description_is_a_data_error(description, word):
    with pytest.raises(DataError, match=word):
        image.Preprocessing.from_dict(description)


def test_apply_and_encode_refuse_what_is_no_image():
    for wrong in (np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8),
                  np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(InvalidArgument, match='uint8'):
            _description().apply(wrong)
        with pytest.raises(InvalidArgument, match='uint8'):
            image.encode_png(wrong)
    with pytest.raises(InvalidArgument, match=r'\(H, W, 3\)'):
        _description().apply(np.zeros((4, 4), np.uint8))


def test_encoded_images_come_back():
    np.testing.assert_array_equal(image.load(io.BytesIO(image.encode_png(_colours()))), _colours())
    jpeg = image.load(io.BytesIO(image.encode_jpeg(_smooth(), quality=95)))
    assert np.abs(jpeg.astype(int) - _smooth()).max() < 12


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    image.save_png(path, _colours())
    before = path.read_bytes()

    def full(_):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(FileError, match='a.png: could not be written .No space left'):
        image.save_png(path, _smooth())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ['a.png']
    with pytest.raises(FileError, match='No such file'):
        image.save_png(tmp_path / 'nowhere' / 'a.png', _colours())


def test_warped_photos_are_close_to_what_opencv_fed_squeezenet():
    reference = SHARED / 'models/refs/squeezenet_v1.0_photos.npz'
    if not reference.exists():
        pytest.skip('the shared photos and references are not here')
    with np.load(reference) as file:
        names, expected = file['names'], file['input_bgr_u8']
    preprocessing = image.Preprocessing((227, 227), 'BGR')
    differences = []
    for name, bgr in zip(names, expected):
        x = preprocessing.apply(image.load(SHARED / 'photos' / str(name)))
        differences.append(np.abs(x.transpose(1, 2, 0) - bgr).mean())
    assert np.mean(differences) < 5 and max(differences) < 12

"""Contact sheets, pages and curves: what must be on them is there, at its place, in its colour."""
import base64
import io
import math
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from minichain import _loss_curve, _typography, pictures
from minichain.errors import FileError, InvalidArgument

CARD = 288 + 2 * 16


def _colour(*rgb, size=(120, 160)):
    return np.full((*size, 3), rgb, np.uint8)


def _pixels(path):
    with Image.open(path) as picture:
        assert picture.format == 'PNG' and picture.mode == 'RGB'
        return np.array(picture)


def _has(pixels, colour):
    return bool((pixels == np.array(colour)).all(axis=-1).any())


@pytest.mark.parametrize('number, columns', [(1, 1), (2, 2), (5, 3), (60, 5)])
def test_a_sheet_has_a_column_for_each_picture_and_every_thumbnail(tmp_path, number, columns):
    items = [(_colour(4 * i, 100, 200), 'a caption') for i in range(number)]
    sheets = pictures.contact_sheet(items, tmp_path / 'sheet.png')
    assert sheets == ([str(tmp_path / 'sheet.png')], '')
    pixels = _pixels(sheets.paths[0])
    assert pixels.shape[1] == 2 * 48 + columns * CARD + (columns - 1) * 24
    for i in range(number):         # in reading order, each centred in its cell
        x = 48 + (i % columns) * (CARD + 24) + CARD // 2
        found = np.flatnonzero((pixels[:, x] == (4 * i, 100, 200)).all(axis=1))
        assert len(found) == 216, i     # 4 : 3 fills the cell


def test_thumbnails_keep_their_aspect_and_are_centred(tmp_path):
    pictures.contact_sheet([(_colour(0, 200, 0, size=(400, 100)), 'tall')], tmp_path / 'a.png')
    green = (_pixels(tmp_path / 'a.png') == (0, 200, 0)).all(axis=2)
    rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    assert len(rows) == 216 and len(columns) == 54
    assert abs((columns[0] + columns[-1]) / 2 - (48 + CARD / 2)) <= 1


def test_many_items_become_numbered_sheets_and_a_generator_will_do(tmp_path):
    items = ((_colour(9, 9, 9, size=(1, 1)), 'x') for _ in range(25))
    sheets = pictures.contact_sheet(items, tmp_path / 'sheet.png', 'Title', columns=1)
    assert [os.path.basename(path) for path in sheets.paths] == ['sheet.png', 'sheet-2.png',
                                                                 'sheet-3.png']
    assert sorted(os.listdir(tmp_path)) == ['sheet-2.png', 'sheet-3.png', 'sheet.png']
    heights = [_pixels(path).shape[0] for path in sheets.paths]
    assert heights[0] == heights[1] > heights[2] and heights[0] < 6000


def test_a_very_long_caption_is_cut_after_four_lines(tmp_path):
    heights = []
    for words in (200, 100_000):
        pictures.contact_sheet([(_colour(1, 2, 3), 'word ' * words, None, 'n' * words)],
                             tmp_path / 'a.png')
        heights.append(_pixels(tmp_path / 'a.png').shape[0])
    assert heights[0] == heights[1] == 2 * 48 + 2 * 16 + 216 + 12 + 4 * 24 + 26


def test_bars_of_the_n_best_are_as_long_as_their_probabilities(tmp_path):
    n_best = [('one', 0.5), ('two', 0.25), ('three', 0.0), ('four', math.nan)]
    pictures.contact_sheet([(_colour(1, 2, 3), 'c', n_best)], tmp_path / 'a.png')
    blue = (_pixels(tmp_path / 'a.png') == (0x4c, 0x8f, 0xd6)).all(axis=2)
    lengths = [row.sum() for row in blue if row.any()]
    assert lengths == [288] * 3 + [144] * 3


def test_wrong_items_columns_and_folders_are_refused(tmp_path):
    with pytest.raises(InvalidArgument, match='at least one item'):
        pictures.contact_sheet([], tmp_path / 'a.png')
    for item in [(1,), (_colour(1, 2, 3),), (_colour(1, 2, 3), 'x', [('a',)]), 5]:
        with pytest.raises(InvalidArgument, match='item'):
            pictures.contact_sheet([item], tmp_path / 'a.png')
    with pytest.raises(InvalidArgument, match='uint8'):
        pictures.html_page([(np.zeros((3, 3, 3)), 'x')], tmp_path / 'a.html', 't')
    for columns in (0, 11, 'two'):
        with pytest.raises(InvalidArgument, match='columns'):
            pictures.contact_sheet([(_colour(1, 2, 3), 'x')], tmp_path / 'a.png', columns=columns)
    missing = tmp_path / 'nowhere'
    with pytest.raises(FileError, match='nowhere'):
        pictures.contact_sheet([(_colour(1, 2, 3), 'x')], missing / 'a.png')
    with pytest.raises(FileError, match='nowhere'):
        pictures.html_page([(_colour(1, 2, 3), 'x')], missing / 'a.html', 't')
    with pytest.raises(FileError, match='nowhere'):
        pictures.loss_curve({'train': [(0, 1)]}, missing / 'a.png')
    with pytest.raises(FileError, match='font'):
        pictures.contact_sheet([(_colour(1, 2, 3), 'x')], tmp_path / 'a.png', font=missing)
    assert os.listdir(tmp_path) == []


def test_characters_that_no_font_shows_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(_typography, 'system_faces', lambda: ())
    sheets = pictures.contact_sheet([(_colour(1, 2, 3), '赤い丸 a red disc')], tmp_path / 'a.png')
    assert sheets.missing == 'い丸赤'
    assert 'い丸赤' in sheets.warning and 'a.png' in sheets.warning and 'font' in sheets.warning
    shown = pictures.contact_sheet([(_colour(1, 2, 3), 'a disc')], tmp_path / 'a.png')
    assert (shown.missing, shown.warning) == ('', None)


def test_a_face_with_more_glyphs_is_preferred(tmp_path, monkeypatch):
    lacking = {None: 'xyz', 'one.ttf': 'x', 'two.ttf': 'xy'}
    monkeypatch.setattr(_typography, 'system_faces', lambda: ('two.ttf', 'one.ttf'))
    monkeypatch.setattr(_typography, 'has_glyph', lambda path, c: c not in lacking[path])
    assert _typography.choose_face(['abc']) == (None, '')
    assert _typography.choose_face(['abz']) == ('two.ttf', '')
    assert _typography.choose_face(['abxyz']) == ('one.ttf', 'x')
    assert _typography.choose_face(['xy'], path='two.ttf') == ('two.ttf', 'xy')


def test_the_bundled_face_shows_ascii_but_not_japanese():
    ascii_text = ''.join(map(chr, range(32, 127)))
    assert all(_typography.has_glyph(None, c) for c in ascii_text + '…')
    assert not any(_typography.has_glyph(None, c) for c in '赤い丸')


@pytest.mark.parametrize('text', ['word ' * 50, 'x' * 500, '赤い丸が青い四角の上にある。' * 9,
                                  'a ' + 'y' * 90 + ' b', '', 'one'])
@pytest.mark.parametrize('width', [60, 200])
def test_wrapped_lines_fit_and_lose_nothing_before_the_ellipsis(text, width):
    face = _typography.font(None, 17)
    lines = _typography.wrap(text, face, width, 4)
    assert len(lines) <= 4 and all(face.getlength(line) <= width for line in lines)
    shown = ''.join(lines).replace(' ', '')
    everything = text.replace(' ', '')
    assert shown == everything or (shown.endswith('…') and everything.startswith(shown[:-1]))
    assert len(lines) == 4 or shown == everything


def test_japanese_lines_do_not_begin_with_a_full_stop():
    face = _typography.font(None, 17)
    width = face.getlength('赤い丸')
    assert _typography.wrap('赤い丸。青', face, width, 3) == ['赤い', '丸。青']


def test_text_is_cleaned_of_controls_and_lone_surrogates():
    assert _typography.clean('a\n\tb\x00c\ud800') == 'a b\ufffdc?'
    assert len(_typography.clean('x' * 10 ** 6)) == 1001


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ''
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_hostile_texts_are_escaped_in_html(tmp_path):
    hostile = '"><script>alert(1)</script><img src=x onerror=\'alert(2)\'> & \u202e'
    item = pictures.Item(_colour(200, 0, 0), hostile, [(hostile, 0.5)], hostile)
    pictures.html_page([item], tmp_path / 'a.html', hostile)
    page = _Page((tmp_path / 'a.html').read_text(encoding='utf-8'))
    assert not [tag for tag, _ in page.tags if tag in ('script', 'iframe', 'link', 'a')]
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith('on')]
    assert page.text.count('<script>alert(1)</script>') == 5    # title, h1, caption, n-best, name
    images = [attributes for tag, attributes in page.tags if tag == 'img']
    assert len(images) == 1 and images[0]['src'].startswith('data:image/jpeg;base64,')


def test_the_page_loads_nothing_and_says_so(tmp_path):
    pictures.html_page([(_colour(1, 2, 3), 'x')], tmp_path / 'a.html', 'Title')
    text = (tmp_path / 'a.html').read_text(encoding='utf-8')
    page = _Page(text)
    policy = next(a['content'] for t, a in page.tags if a.get('http-equiv'))
    assert "default-src 'none'" in policy and 'script' not in policy
    assert 'http' not in re.sub(r'http-equiv', '', text)
    assert {'name': 'viewport', 'content': 'width=device-width, initial-scale=1'} in [
        a for t, a in page.tags if t == 'meta']
    assert 'prefers-color-scheme: dark' in text and '1 image<' in text


def test_embedded_thumbnails_are_small_and_right(tmp_path):
    pictures.html_page([(_colour(200, 10, 10, size=(2000, 3000)), 'x')], tmp_path / 'a.html', 't')
    text = (tmp_path / 'a.html').read_text(encoding='utf-8')
    data = base64.b64decode(re.search(r'base64,([^"]+)', text).group(1))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (480, 320)
        np.testing.assert_allclose(picture.getpixel((9, 9)), (200, 10, 10), atol=3)


def test_html_bars_follow_the_probabilities(tmp_path):
    n_best = [('a', 0.4), ('b', 0.1), ('c', 2e-5), ('d', 0.0)]
    pictures.html_page([(_colour(1, 2, 3), 'x', n_best)], tmp_path / 'a.html', 't')
    text = (tmp_path / 'a.html').read_text(encoding='utf-8')
    assert re.findall(r'style="width: ([^"]+)"', text) == ['100.0%', '25.0%', '0.0%', '0.0%']
    assert [w for w in ('40 %', '10 %', '2e-05', '0.0 %') if f'<span>{w}</span>' not in text] == []


def _curve(tmp_path, *args, **options):
    lost = pictures.loss_curve(args[0], tmp_path / 'loss.png', **options)
    return lost, _pixels(tmp_path / 'loss.png')


def test_a_curve_goes_through_its_points(tmp_path):
    lost, pixels = _curve(tmp_path, {'train': [(0, 0.0), (100, 10.0)]}, title='Loss')
    assert lost == 0 and pixels.shape == (720, 1280, 3)
    left, top, right, bottom = _loss_curve.PLOT
    blue = (np.abs(pixels.astype(int) - (0x0b, 0x6f, 0xb8)).max(axis=2) < 40)
    for part in (0.25, 0.5, 0.75):          # y ticks end at 0 and 10, so the diagonal of the plot
        x, y = round(left + part * (right - left)), round(bottom - part * (bottom - top))
        assert blue[y - 2:y + 3, x].any()
        assert not blue[y + 20:bottom, x].any()


def test_reference_lines_are_dashed_at_their_height(tmp_path):
    _, pixels = _curve(tmp_path, {'train': [(0, 0.0), (100, 10.0)]}, references={'floor': 2.5})
    left, top, right, bottom = _loss_curve.PLOT
    y = round(bottom - 0.25 * (bottom - top))
    grey = (np.abs(pixels[y - 1:y + 2].astype(int) - (0x8a, 0x92, 0x9b)).max(axis=2) < 40)
    share = grey.any(axis=0)[left:right].mean()
    assert 0.4 < share < 0.75
    assert (pixels[y - 8:y + 9, right + 10:] < 128).any()           # its name stands beside it


def test_values_that_are_not_finite_break_the_line_and_are_marked(tmp_path):
    points = [(x, 5.0) for x in range(101)]
    points[50] = (50, math.nan)
    points[51] = (51, math.inf)
    lost, pixels = _curve(tmp_path, {'train': points + [(0, 0), (0, 10)]})
    assert lost == 2
    left, top, right, bottom = _loss_curve.PLOT
    x = round(left + 0.505 * (right - left))
    assert _has(pixels[top - 8:top + 9, x - 12:x + 12], (0xc8, 0x1e, 0x1e))
    middle = (top + bottom) // 2
    band = pixels[middle - 3:middle + 4].astype(int)
    blue = (np.abs(band - (0x0b, 0x6f, 0xb8)).max(axis=2) < 40)
    assert not blue[:, x - 4:x + 5].any() and blue[:, x - 30].any() and blue[:, x + 30].any()


@pytest.mark.parametrize('points', [[], [(1, 2)], [(1, 2), (1, 2)], [(0, math.nan)],
                                    [(math.nan, 1)], [(0, 1e-12), (1, 2e-12)],
                                    [(0, -1e30), (9, 1e30)],
                                    [(i, i % 7) for i in range(20000)]])
def test_any_series_can_be_drawn(tmp_path, points):
    lost, pixels = _curve(tmp_path, {'train': points}, references={'floor': 1.0})
    assert lost == sum(not (math.isfinite(x) and math.isfinite(y)) for x, y in points)
    assert pixels.shape == (720, 1280, 3)


def test_each_series_has_its_colour_in_the_legend(tmp_path):
    _, pixels = _curve(tmp_path, {'train': [], 'dev': [], 'test': []})
    legend = pixels[:_loss_curve.PLOT[1] - 20]
    for colour in ((0x0b, 0x6f, 0xb8), (0xd9, 0x54, 0x1e), (0x2a, 0x9d, 0x5c)):
        assert _has(legend, colour)


def test_no_series_and_unknown_references_are_refused(tmp_path):
    with pytest.raises(InvalidArgument, match='at least one series'):
        pictures.loss_curve({}, tmp_path / 'a.png')
    with pytest.raises(InvalidArgument, match='floor'):
        pictures.loss_curve({'a': []}, tmp_path / 'a.png', references={'floor': math.nan})


@pytest.mark.parametrize('low, high, expected', [
    (0, 10, [0, 2, 4, 6, 8, 10]), (0.83, 4.4, [0, 1, 2, 3, 4, 5]), (0, 3000, [0, 500, 1000, 1500,
                                                                           2000, 2500, 3000]),
    (-1, 1, [-1, -.5, 0, .5, 1])])
def test_ticks_are_round_and_span_the_range(low, high, expected):
    assert _loss_curve.ticks(low, high, 7) == pytest.approx(expected)


@pytest.mark.parametrize('xs, expected', [
    ([1.], [1]), ([1., 2., 3.], [1, 2, 3]), ([], [0, 1]), ([0., .5], [
        0, .1, .2, .3, .4, .5])])
def test_whole_numbers_as_epochs_have_whole_ticks(xs, expected):
    found, (low, high) = _loss_curve.x_ticks_of(xs)
    assert found == pytest.approx(expected)
    assert low < high and all(low <= x <= high for x in xs)


@pytest.mark.parametrize('value, step, text', [
    (2500, 500, '2,500'), (0.5, 0.5, '0.5'), (0.25, 0.05, '0.25'), (-0.0, 1, '0'),
    (1e-7, 1e-7, '1e-07'), (2e9, 1e9, '2e+09')])
def test_tick_labels_have_the_decimals_of_their_step(value, step, text):
    assert _loss_curve.tick_label(value, step) == text


@pytest.mark.parametrize('low, high, expected', [
    (.19, 5.1, [.1, .2, .5, 1, 2, 5, 10]), (1, 10, [1, 2, 5, 10]),
    (1e-6, 1, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, .1, 1]), (.3, 3, [.2, .5, 1, 2, 5])])
def test_logarithmic_ticks_enclose_the_range(low, high, expected):
    np.testing.assert_allclose(_loss_curve.log_ticks(low, high, 7), expected)


def test_a_floor_far_below_a_curve_stands_apart_from_the_axis(tmp_path):
    path = tmp_path / 'loss.png'
    pictures.loss_curve({'dev': [(1, .25), (2, .21)], 'shuffled': [(1, 4.), (2, 5.)]}, path,
                        references={'floor': .19})
    image = np.asarray(Image.open(path).convert('RGB')).astype(int)
    blue = [int(c, 16) for c in ('0b', '6f', 'b8')]
    rows = np.nonzero((abs(image[:640, 92:1030] - blue).sum(axis=2) < 30).any(axis=1))[0]
    assert 640 - rows.max() > 60   # a linear axis would leave 21 pixels

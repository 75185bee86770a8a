"""Pictures and pages that show what a model says: contact sheets (PNG), HTML, loss curves."""
import base64
import html
import io
import itertools
import os
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from minichain import _typography
from minichain._atomic import write_atomically
from minichain._loss_curve import loss_curve
from minichain.errors import InvalidArgument
from minichain.image import check_image, encode_jpeg

__all__ = ['Item', 'Sheets', 'contact_sheet', 'html_page', 'loss_curve']

ROWS = 12               # of a sheet: its height, and the memory for it, are bounded
MAX_COLUMNS = 10
_CELL = (288, 216)      # the thumbnail is fitted into this, in pixels
_PAD, _GAP, _MARGIN = 16, 24, 48
_PAGE, _CARD, _FRAME, _MAT = '#f4f5f7', '#ffffff', '#e1e4e8', '#eceef1'
_INK, _SOFT, _BAR, _BAR_GROUND = '#1f2328', '#6b737c', '#4c8fd6', '#e6ebf1'


class Item(NamedTuple):
    """One picture and what was said about it.

    Args:
        thumbnail: uint8 (H, W, 3), shrunk as needed.
        caption: str.
        n_best: list of (caption, probability 0..1), best first, or None.
        name: str, such as the file name, or None.
    """

    thumbnail: np.ndarray
    caption: str
    n_best: list | None = None
    name: str | None = None


class Sheets(NamedTuple):
    """What `contact_sheet` wrote: paths of PNG files, and characters that no font could show."""

    paths: list
    missing: str

    @property
    def warning(self):
        """A line that says what could not be shown and what to do; None if all was."""
        return self.missing and (
            f'{self.paths[0]}: no font of this system has {self.missing[:40]}; boxes stand for '
            'them. Install Noto Sans CJK or another font that has them') or None


def contact_sheet(items, path, title=None, columns=None, font=None):
    """Draw a grid of captioned thumbnails into a PNG, or into several.

    A sheet holds 12 rows; further sheets are named after the first, sheet.png, sheet-2.png, ...
    Items are taken one sheet at a time, so any number of them needs the memory of one.

    Args:
        items: iterable of `Item`, or of tuples in its order; captions are cut after four lines.
        path: the PNG file to be written, str or path-like.
        title: a heading, or None.
        columns: 1 to 10; None chooses up to five by the number of items.
        font: path of a font file; None takes the bundled one or, for text that it cannot show, the
            best of the system's.
    Returns:
        Sheets: `missing` is '' if every character could be shown; otherwise boxes stand for those.
    Raises:
        InvalidArgument: no items, or one that is not an Item.
        FileError: the file cannot be written, or the font not read.
    """
    if columns is not None and not (isinstance(columns, int) and 1 <= columns <= MAX_COLUMNS):
        raise InvalidArgument(f'contact_sheet: columns: None or 1 to {MAX_COLUMNS} expected, '
                              f'got {columns!r}.')
    items = map(_card_of, items)
    batch = list(itertools.islice(items, (columns or 5) * ROWS))
    if not batch:
        raise InvalidArgument('contact_sheet: at least one item expected, got none.')
    columns = columns or next(c for c, most in ((1, 1), (2, 4), (3, 9), (4, 16), (5, 10 ** 9))
                              if len(batch) <= most)
    stem, suffix = os.path.splitext(os.fsdecode(path))
    paths, missing = [], set()
    while batch:
        heading = _typography.clean(title or '')
        following = list(itertools.islice(items, columns * ROWS))
        if heading and (paths or following):
            heading = f'{heading}  ({len(paths) + 1})'
        texts = [heading, *(text for card in batch for text in _texts(card))]
        face, lacking = _typography.choose_face(texts, font)
        missing |= set(lacking)
        name = os.fsdecode(path) if not paths else f'{stem}-{len(paths) + 1}{suffix}'
        buffer = io.BytesIO()
        _draw_sheet(batch, heading, columns, face).save(buffer, 'PNG')
        write_atomically(name, buffer.getvalue())
        paths.append(name)
        batch = following
    return Sheets(paths, ''.join(sorted(missing)))


def _card_of(item, cell=_CELL):
    """The item with its thumbnail shrunk and its texts cleaned; raises if it is not one."""
    try:
        thumbnail, caption, n_best, name = Item(*item)
        n_best = [(_typography.clean(text), float(p)) for text, p in n_best or ()]
    except (TypeError, ValueError) as error:
        raise InvalidArgument('pictures: an item (thumbnail, caption, n_best, name) expected, '
                              f'with n_best a list of (caption, probability): {error}.') from error
    picture = Image.fromarray(check_image(thumbnail)).convert('RGB')
    ratio = min(cell[0] / picture.width, cell[1] / picture.height, 4.0)
    size = [max(1, round(side * ratio)) for side in picture.size]
    picture = picture.resize(size, Image.Resampling.LANCZOS if ratio < 1 else
                             Image.Resampling.BICUBIC)
    return Item(np.asarray(picture), _typography.clean(caption), n_best,
                _typography.clean(name or ''))


def _texts(card):
    return [card.caption, card.name, *(text for text, _ in card.n_best), '…0123456789.%e-']


def percent(probability):
    """A probability as text: 42 %, 0.3 %, 2e-05."""
    if not 0 <= probability <= 1:
        return f'{probability:.3g}'
    if probability and probability < 0.001:
        return f'{probability:.0e}'
    return f'{100 * probability:.{1 if probability < 0.1 else 0}f} %'


def _draw_sheet(cards, heading, columns, face):
    fonts = {name: _typography.font(face, size)
             for name, size in (('heading', 30), ('caption', 17), ('small', 13))}
    width = 2 * _MARGIN + columns * (_CELL[0] + 2 * _PAD) + (columns - 1) * _GAP
    rows = [cards[i:i + columns] for i in range(0, len(cards), columns)]
    layouts = [[_layout(card, fonts) for card in row] for row in rows]
    heights = [max(height for _, height in row) for row in layouts]
    top = _MARGIN + (58 if heading else 0)
    sheet = Image.new('RGB', (width, top + sum(heights) + _GAP * (len(rows) - 1) + _MARGIN), _PAGE)
    draw = ImageDraw.Draw(sheet)
    if heading:
        draw.text((_MARGIN, _MARGIN + 24), _typography.shorten(heading, fonts['heading'],
                                                               width - 2 * _MARGIN),
                  _INK, fonts['heading'], anchor='ls')
    for row, layout, height in zip(rows, layouts, heights):
        for column, (card, (lines, _)) in enumerate(zip(row, layout)):
            left = _MARGIN + column * (_CELL[0] + 2 * _PAD + _GAP)
            _draw_card(sheet, draw, card, lines, fonts, left, top, height)
        top += height + _GAP
    return sheet


def _layout(card, fonts):
    """Lines of the caption and of each of the n best, and the height of the card."""
    lines = _typography.wrap(card.caption, fonts['caption'], _CELL[0], 4)
    n_best = []
    for text, p in card.n_best[:5]:
        room = _CELL[0] - fonts['small'].getlength(percent(p)) - 12
        n_best.append(_typography.wrap(text, fonts['small'], room, 2))
    height = 2 * _PAD + _CELL[1] + 12 + 24 * len(lines)
    height += (8 + sum(13 + 17 * len(part) for part in n_best)) if n_best else 0
    return (lines, n_best), height + (26 if card.name else 0)


def _draw_card(sheet, draw, card, lines, fonts, left, top, height):
    width = _CELL[0] + 2 * _PAD
    draw.rounded_rectangle([left, top, left + width - 1, top + height - 1], 10, _CARD, _FRAME)
    left, y, right = left + _PAD, top + _PAD, left + _PAD + _CELL[0]
    draw.rectangle([left, y, right - 1, y + _CELL[1] - 1], _MAT)
    thumbnail = Image.fromarray(card.thumbnail)
    sheet.paste(thumbnail, (left + (_CELL[0] - thumbnail.width) // 2,
                            y + (_CELL[1] - thumbnail.height) // 2))
    y += _CELL[1] + 12
    caption, n_best = lines
    for line in caption:
        draw.text((left, y + 17), line, _INK, fonts['caption'], anchor='ls')
        y += 24
    best = max((p for _, p in card.n_best), default=0)
    y += 8 if card.n_best else 0
    for part, (_, p) in zip(n_best, card.n_best):
        draw.text((right, y + 13), percent(p), _SOFT, fonts['small'], anchor='rs')
        for line in part:
            draw.text((left, y + 13), line, _SOFT, fonts['small'], anchor='ls')
            y += 17
        draw.rectangle([left, y + 3, right - 1, y + 5], _BAR_GROUND)
        length = round(_CELL[0] * _share(p, best))
        if length:
            draw.rectangle([left, y + 3, left + length - 1, y + 5], _BAR)
        y += 13
    if card.name:
        name = _typography.shorten(card.name, fonts['small'], _CELL[0])
        draw.text((left, top + height - _PAD), name, _SOFT, fonts['small'], anchor='ls')


def _share(probability, best):
    """Length of a bar, 0..1: the longest of a picture is full; 0 for what is no probability."""
    return probability / best if best > 0 and 0 <= probability <= best else 0.0


_STYLE = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #fff; --ink: #1f2328; --soft: #606872;
  --frame: #e1e4e8; --ground: #e6ebf1; --bar: #4c8fd6; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1e2226; --ink: #e8eaed;
  --soft: #9aa3ad; --frame: #30363d; --ground: #30363d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1500px; padding: clamp(16px, 4vw, 48px); background: var(--page);
  color: var(--ink); font: 16px/1.45 system-ui, "Noto Sans", "Noto Sans CJK JP", sans-serif; }
h1 { font-size: clamp(22px, 3vw, 30px); margin: 0 0 6px; overflow-wrap: anywhere; }
.count { color: var(--soft); margin: 0 0 28px; }
main { display: grid; gap: 24px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--frame); border-radius: 10px;
  overflow: hidden; }
img { display: block; width: 100%; height: 240px; object-fit: contain; background: var(--ground); }
figcaption { padding: 16px; overflow-wrap: anywhere; }
figcaption > p { margin: 0; font-size: 17px; }
ol { list-style: none; margin: 14px 0 0; padding: 0; color: var(--soft); font-size: 14px; }
li { display: grid; grid-template-columns: 1fr auto; gap: 0 12px; margin-top: 8px; }
li span + span { font-variant-numeric: tabular-nums; }
li div { grid-column: 1 / 3; height: 4px; border-radius: 2px; background: var(--ground); }
li div div { background: var(--bar); }
.name { color: var(--soft); font-size: 13px; margin-top: 12px; }
"""


def html_page(items, path, title):
    """Write one self-contained HTML file of captioned pictures with n-best lists.

    Pictures are embedded as JPEG of at most 480 pixels. The page has no script and loads nothing;
    all texts are escaped. It suits phones, and dark and light screens.

    Args:
        items: iterable of `Item`, or of tuples in its order.
        path: the HTML file to be written.
        title: str.
    Raises:
        InvalidArgument: an item that is not an Item.
        FileError: the file cannot be written.
    """
    figures = [_figure(_card_of(item, cell=(480, 480))) for item in items]
    title = html.escape(_typography.clean(title))
    count = f'{len(figures)} {"image" if len(figures) == 1 else "images"}'
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        'img-src data:; style-src \'unsafe-inline\'; base-uri \'none\'; form-action \'none\'">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n'
        f'<h1 dir="auto">{title}</h1>\n<p class="count">{count}</p>\n<main>\n'
        + ''.join(figures) + '</main>\n</body>\n</html>\n')
    write_atomically(path, page.encode())


def _figure(card):
    picture = base64.b64encode(encode_jpeg(card.thumbnail)).decode()
    best = max((p for _, p in card.n_best), default=0)
    rows = ''.join(
        f'<li><span dir="auto">{html.escape(text)}</span><span>{html.escape(percent(p))}</span>'
        f'<div><div style="width: {100 * _share(p, best):.1f}%"></div></div></li>\n'
        for text, p in card.n_best)
    return (f'<figure><img src="data:image/jpeg;base64,{picture}" '
            f'alt="{html.escape(card.caption)}" loading="lazy">\n'
            f'<figcaption><p dir="auto">{html.escape(card.caption)}</p>\n'
            + (f'<ol>\n{rows}</ol>\n' if rows else '')
            + (f'<div class="name">{html.escape(card.name)}</div>\n' if card.name else '')
            + '</figcaption></figure>\n')

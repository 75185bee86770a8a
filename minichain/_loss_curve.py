"""Loss curves as a picture, drawn with Pillow: lines at three times the size, then shrunk."""
import io
import math

from PIL import Image, ImageDraw

from minichain import _typography
from minichain._atomic import write_atomically
from minichain.errors import InvalidArgument

WIDTH, HEIGHT = 1280, 720
PLOT = (92, 112, 1030, 640)     # left, top, right, bottom; names of reference lines stand right
COLOURS = ('#0b6fb8', '#d9541e', '#2a9d5c', '#8b4fb5', '#b8860b', '#c2347b', '#3aa6b9', '#555555')
BACKGROUND, INK, SOFT, GRID, REFERENCE = '#ffffff', '#22262b', '#6b737c', '#e7eaee', '#8a929b'
_ALARM = '#c81e1e'
_FINE = 3       # lines are drawn at this multiple and averaged down


def loss_curve(series, path, title=None, x_label='iteration', y_label='loss (nats/token)',
               references=None):
    """Draw curves such as train and dev loss into a PNG of 1280 x 720 pixels.

    Where the values span more than a factor of 8, as with shuffled images beside a floor, the axis
    is logarithmic. A value that is not finite breaks its line and is marked by a red cross at the
    top of the plot.

    Args:
        series: dict label -> list of (x, y), drawn in this order; an empty list is named only.
        path: the PNG file to be written.
        title: one line above the plot, or None.
        x_label, y_label: what the axes count, with the unit.
        references: dict label -> y of dashed horizontal lines, such as an entropy floor, or None.
    Returns:
        how many values were not finite.
    Raises:
        InvalidArgument: no series, or a reference that is not finite.
        FileError: the file cannot be written.
    """
    references = dict(references or {})
    if not series:
        raise InvalidArgument('loss_curve: at least one series expected, got none.')
    for label, y in references.items():
        if not math.isfinite(y):
            raise InvalidArgument(f'loss_curve: reference {label!r}: a finite number expected, '
                                  f'got {y}. Leave out what is unknown.')
    points = {label: [(float(x), float(y)) for x, y in values]
              for label, values in series.items()}
    finite = [p for values in points.values() for p in values if all(map(math.isfinite, p))]
    lost = sum(len(values) for values in points.values()) - len(finite)
    xs = [x for values in points.values() for x, _ in values if math.isfinite(x)]
    ys = [y for _, y in finite] + list(references.values())
    x_ticks, x_range = x_ticks_of(xs)
    wide = min(ys, default=0) > 0 and max(ys) > 8 * min(ys)
    scale = math.log if wide else float
    y_ticks = (log_ticks if wide else ticks)(min(ys, default=0), max(ys, default=1), 7)
    y_range = (scale(y_ticks[0]), scale(y_ticks[-1]))

    def place(x, y):
        left, top, right, bottom = PLOT
        return (left + (x - x_range[0]) / (x_range[1] - x_range[0]) * (right - left),
                bottom - (scale(y) - y_range[0]) / (y_range[1] - y_range[0]) * (bottom - top))

    labels = [_typography.clean(text) for text in
              (title or '', x_label, y_label, *points, *references)]
    face_path, _ = _typography.choose_face([*labels, '0123456789.,-e'])
    picture = _lines(points, references, x_ticks, y_ticks, x_range, place)
    _text(picture, face_path, labels, list(points), references, x_ticks, y_ticks, x_range, place,
          lost)
    buffer = io.BytesIO()
    picture.save(buffer, 'PNG', optimize=True)
    write_atomically(path, buffer.getvalue())
    return lost


def ticks(low, high, about):
    """About `about` numbers that span a range, 1, 2 or 5 times a power of ten apart."""
    if not high - low > abs(high) * 1e-12:      # all values are equal
        margin = abs(high) / 10 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def x_ticks_of(xs):
    """Return (ticks, range) of the x axis; whole numbers, such as epochs, have whole ticks."""
    low, high = min(xs, default=0), max(xs, default=1)
    found = ticks(low, high, 8)
    whole = [x for x in found if float(x).is_integer()]
    around = (low, high) if low < high else (found[0], found[-1])
    # there is no epoch 1.5
    return whole if whole and all(x.is_integer() for x in xs) else found, around


def log_ticks(low, high, about):
    """Numbers 1, 2 and 5 times powers of ten that enclose a range, or the powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= about / 2 + 1 else (1,)
    numbers = [factor * 10. ** power for power in powers for factor in factors]
    first = max((i for i, n in enumerate(numbers) if n <= low), default=0)
    last = next((i for i, n in enumerate(numbers) if n >= high), len(numbers) - 1)
    return numbers[first:last + 1]


def tick_label(value, step):
    """A tick as text, with the decimals that its step needs."""
    if value and not 1e-4 <= abs(value) < 1e7:
        return f'{value:.3g}'
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f'{value + 0.0:,.{decimals}f}'


def _lines(points, references, x_ticks, y_ticks, x_range, place):
    picture = Image.new('RGB', (WIDTH * _FINE, HEIGHT * _FINE), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = PLOT

    def line(places, colour, width):
        draw.line([(x * _FINE, y * _FINE) for x, y in places], colour, round(width * _FINE),
                  joint='curve')

    for y in y_ticks:
        line([(left, place(x_range[0], y)[1]), (right, place(x_range[0], y)[1])], GRID, 1)
    for x in x_ticks:
        if x_range[0] <= x <= x_range[1]:
            line([(place(x, y_ticks[0])[0], bottom), (place(x, y_ticks[0])[0], bottom + 6)],
                 REFERENCE, 1)
    line([(left, bottom), (right, bottom)], REFERENCE, 1.4)
    for y in references.values():
        at = place(x_range[0], y)[1]
        for x in range(left, right, 14):
            line([(x, at), (min(x + 8, right), at)], REFERENCE, 1.6)
    for i, values in enumerate(points.values()):
        colour, run = COLOURS[i % len(COLOURS)], []
        for x, y in [*values, (math.nan, math.nan)]:
            if math.isfinite(x) and math.isfinite(y):
                run.append(place(x, y))
                continue
            if len(run) > 1:
                line(run, colour, 2.4)
            if len(run) == 1 or (run and len(run) <= 30 and len(values) <= 30):
                for at_x, at_y in run:      # few points: show where they are
                    draw.ellipse([(at_x - 3.5) * _FINE, (at_y - 3.5) * _FINE,
                                  (at_x + 3.5) * _FINE, (at_y + 3.5) * _FINE], colour)
            run = []
            if math.isfinite(x):
                at_x = place(x, y_ticks[0])[0]
                line([(at_x - 5, top - 5), (at_x + 5, top + 5)], _ALARM, 2)
                line([(at_x - 5, top + 5), (at_x + 5, top - 5)], _ALARM, 2)
    return picture.reduce(_FINE)


def _text(picture, face_path, labels, names, references, x_ticks, y_ticks, x_range, place, lost):
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = PLOT
    small, normal, large = (_typography.font(face_path, size) for size in (15, 16, 24))
    title, x_label, y_label = labels[:3]
    series_labels = labels[3:3 + len(names)]
    draw.text((left, 22), _typography.shorten(title, large, WIDTH - 2 * left), INK, large)
    draw.text((left, top - 26), y_label, SOFT, small, anchor='ls')
    draw.text((right, bottom + 60), x_label, SOFT, small, anchor='rs')
    even = math.isclose(y_ticks[-1] - y_ticks[-2], y_ticks[1] - y_ticks[0])
    for y in y_ticks:
        text = tick_label(y, y_ticks[1] - y_ticks[0]) if even else f'{y:g}'
        draw.text((left - 12, place(x_range[0], y)[1]), text, SOFT, small, anchor='rm')
    step = x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 1
    for x in x_ticks:
        if x_range[0] <= x <= x_range[1]:
            draw.text((place(x, y_ticks[0])[0], bottom + 12), tick_label(x, step), SOFT, small,
                      anchor='mt')
    entries = [(label, COLOURS[i % len(COLOURS)]) for i, label in enumerate(series_labels)]
    if lost:
        entries.append((f'not finite ({lost})', _ALARM))
    at = right      # the legend ends where the plot ends, on the line of the y label
    for label, colour in reversed(entries):
        label = _typography.shorten(label, normal, 220)
        at -= normal.getlength(label)
        if at < left + 150:
            break
        draw.text((at, top - 26), label, INK, normal, anchor='ls')
        if colour == _ALARM:
            draw.line([at - 18, top - 37, at - 8, top - 27], colour, 2)
            draw.line([at - 18, top - 27, at - 8, top - 37], colour, 2)
        else:
            draw.rounded_rectangle([at - 30, top - 34, at - 8, top - 30], 2, colour)
        at -= 54
    below = -math.inf       # names of reference lines, pushed apart where lines are close
    for label, y in sorted(zip(labels[3 + len(names):], references.values()), key=lambda r: -r[1]):
        at_y = max(place(x_range[0], y)[1], below + 38)
        below = at_y
        draw.text((right + 14, at_y), _typography.shorten(label, small, WIDTH - right - 28), INK,
                  small, anchor='lm')
        draw.text((right + 14, at_y + 17), f'{y:.4g}', SOFT, small, anchor='lm')

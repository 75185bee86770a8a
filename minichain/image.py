"""Images in and out: `load` is the only reader of images, `Preprocessing` makes network input.

An image is uint8 (H, W, 3), RGB, upright, C-contiguous. Colour profiles are not applied.
"""
import dataclasses
import io
import json
import math
import numbers
import os
import stat
import threading
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from minichain._atomic import write_atomically
from minichain._image_bytes import check_tiff, sniff, strip_jpeg, strip_png, webp_orientation
from minichain.errors import DataError, FileError, InvalidArgument

MAX_PIXELS = 2 ** 26    # 67 million: every phone and most cameras; decoding takes up to 1.4 GB
MAX_BYTES = 2 ** 29     # of the file: MAX_PIXELS of uncompressed 16-bit colour fit
FORMATS = ('JPEG', 'PNG', 'GIF', 'BMP', 'WEBP', 'TIFF', 'PPM')

_warnings_lock = threading.Lock()


def load(source, name=None):
    """Read an image file as upright RGB.

    Transparency is laid on white; of an animation the first frame is taken; CMYK is converted;
    16-bit greys are divided by 257. Greys of 32 bits, int or float, have no agreed white: values
    within 0..1 (float), 0..255 or 0..65535 are taken at that scale, all others are stretched from
    minimum to maximum.

    Args:
        source: a path, or a binary file object, which is read from where it stands and left open.
        name: how messages call a file object; the default is its own `name`.
    Returns:
        uint8 (H, W, 3), C-contiguous, H * W <= MAX_PIXELS.
    Raises:
        FileError: the file is missing, a folder, or may not be read.
        DataError: it is empty, no image of FORMATS, damaged, cut off, or larger than MAX_PIXELS.
    """
    if hasattr(source, 'read'):
        name = str(name or getattr(source, 'name', 'image'))
        data, kind = _read(source, name)
    else:
        if not isinstance(source, (str, os.PathLike)):
            raise InvalidArgument('load: a path or a binary file object expected, got '
                                  f'{type(source).__name__}. Bytes go into io.BytesIO first.')
        path = os.fspath(source)
        name = name or os.fsdecode(path)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                what = 'a folder' if os.path.isdir(path) else 'no regular file'
                raise FileError(f'{name}: an image file expected, this is {what}. '
                                'Name the images one by one.')
            with open(path, 'rb') as file:
                data, kind = _read(file, name)
        except FileNotFoundError as error:
            raise FileError(f'{name}: no such image file. Check the path.') from error
        except (OSError, ValueError) as error:
            if isinstance(error, (DataError, FileError)):
                raise
            reason = getattr(error, 'strerror', None) or error
            raise FileError(f'{name}: cannot be read ({reason}). Check path and permissions.') \
                from error
    try:
        return _decode(data, kind)
    except Image.DecompressionBombError as error:
        raise DataError(f'{name}: an image of at most {MAX_PIXELS} pixels expected, got more. '
                        'Make it smaller first, or leave it out.') from error
    except Exception as error:      # Pillow raises a dozen types, AttributeError among them
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):       # it only names an object in memory
            reason = 'its header makes no sense'
        raise DataError(f'{name}: a {kind} file that cannot be decoded: {reason}. It may be '
                        'damaged or cut off; fetch it again, or leave it out.') from error


def _read(file, name):
    """All bytes and the format; what is no image is refused after its first kilobyte."""
    parts, total = [], 0
    while True:
        try:
            part = file.read(2 ** 20 if parts else 1024)
        except Exception as error:      # a damaged archive raises errors of its own kind
            raise DataError(f'{name}: cannot be read to its end ({error}). The file, or the '
                            'archive that it lies in, may be damaged.') from error
        if isinstance(part, str):
            raise InvalidArgument(f'{name}: a binary file expected, got a text file object. '
                                  "Open it with mode 'rb'.")
        if not part:
            break
        if not parts and len(part) >= 12:
            _recognise(part, name)
        parts.append(part)
        total += len(part)
        if total > MAX_BYTES:
            raise DataError(f'{name}: larger than {MAX_BYTES} bytes, the limit for one image. '
                            'Make it smaller first.')
    data = b''.join(parts)
    return data, _recognise(data[:1024], name)


def _recognise(head, name):
    kind = sniff(head)
    if kind is None:
        try:
            what = 'an empty file' if not head else 'text, it seems' if head.decode() else ''
        except UnicodeDecodeError:
            what = 'something else'
        what = 'something else' if b'\0' in head else what
        raise DataError(f'{name}: an image expected ({", ".join(FORMATS)}), this is {what} '
                        f'(it starts with {bytes(head[:8])!r}). Convert it, or leave it out.')
    return kind


def _decode(data, kind):
    orientation, adobe = 1, True
    if kind == 'JPEG':
        data, orientation, adobe = strip_jpeg(data)
    elif kind == 'PNG':
        data, orientation = strip_png(data)
    elif kind == 'TIFF':
        check_tiff(data, MAX_PIXELS)
    # Pillow warns about odd headers; filters are global, so one thread at a time may mute them.
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        image = Image.open(io.BytesIO(data), formats=(kind,))
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if kind == 'TIFF':
            image.load()        # parses tags once more; turns itself upright
    if kind == 'WEBP':
        orientation = webp_orientation(data)
    with image:
        return _upright(_to_rgb(image, adobe), orientation)


def _to_rgb(image, adobe):
    image.load()
    if image.mode.startswith('I') or image.mode == 'F':
        return _deep_grey_to_rgb(image)
    if image.mode == 'CMYK' and not adobe:
        # Pillow takes every CMYK JPEG for an inverted one; without Adobe's marker it is not
        image = image.point(lambda value: 255 - value)
    if 'transparency' in image.info or image.mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa'):
        image = image.convert('RGBA')
        white = Image.new('RGB', image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel('A'))
        image = white
    return np.array(image.convert('RGB'))


def _deep_grey_to_rgb(image):
    values = np.array(image)
    if image.mode.startswith('I;16') or (image.mode == 'I' and image.format != 'TIFF'):
        grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if image.format == 'TIFF' and image.tag_v2.get(262) == 0:
            grey = 255 - grey       # WhiteIsZero
        transparent = image.info.get('transparency')
        if isinstance(transparent, int):
            grey[values == transparent] = 255
    else:
        finite = np.isfinite(values)
        if not finite.any():
            raise DataError('no pixel has a finite value')
        low, high = float(values[finite].min()), float(values[finite].max())
        tops = (1.0, 255.0, 65535.0) if image.mode == 'F' else (255.0, 65535.0)
        top = next((top for top in tops if low >= 0 and high <= top), None)
        low, high = (low, high) if top is None else (0.0, top)
        # halves, so that the span of the largest floats does not overflow
        scaled = np.where(finite, values / 2 - low / 2, 0) / ((high / 2 - low / 2) or 1.0) * 255
        grey = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _upright(image, orientation):
    """Undo an EXIF orientation: 5..8 are transposed, then most are mirrored."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    down = -1 if orientation in (3, 4, 7, 8) else 1
    right = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(image[::down, ::right])


def encode_png(image):
    """PNG bytes of an image, uint8 (H, W, 3) or grey (H, W)."""
    return _encode(image, format='PNG')


def encode_jpeg(image, quality=85):
    """JPEG bytes of an image, uint8 (H, W, 3) or grey (H, W); quality 1..95."""
    return _encode(image, format='JPEG', quality=quality)


def _encode(image, **options):
    buffer = io.BytesIO()
    Image.fromarray(check_image(image)).save(buffer, **options)
    return buffer.getvalue()


def save_png(path, image):
    """Write an image, uint8 (H, W, 3) or grey (H, W), as a PNG file that is whole or absent."""
    write_atomically(path, encode_png(image))


def check_image(image):
    """`image` as an array, if it is uint8 (H, W, 3) or (H, W) and not empty.

    Raises:
        InvalidArgument: it is not.
    """
    image = np.asarray(image)
    right = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not right or image.dtype != np.uint8 or image.size == 0:
        raise InvalidArgument('image: uint8 (H, W, 3) or (H, W) expected, not empty, got '
                              f'{image.dtype} {image.shape}. minichain.image.load reads files.')
    return np.ascontiguousarray(image)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What a network wants done to an image before it looks; travels with the weights.

    `apply` resizes, orders the channels, and gives (x - mean) * scale / std for x in 0..255.

    Resizing is Pillow's bilinear filter, which widens as it shrinks (antialiasing). OpenCV's does
    not: shrinking a photo to 227 x 227, single pixels differ by dozens of levels of 255.

    Args:
        size: (height, width) of the result in pixels.
        channels: 'BGR', 'RGB' or 'grey' (0.299 R + 0.587 G + 0.114 B).
        mean: one number a channel, in the order of `channels`, or None for zeros.
        scale: factor after the mean is taken off, finite and not 0.
        std: one positive number a channel, in the order of `channels`, by which the scaled value
            is divided at last, or None for ones. What is published for values in 0..1 as
            mean m and deviation s is mean=255 m, scale=1 / 255, std=s here.
        resize: 'warp' brings the whole image to `size`; 'crop' cuts the centre after the shorter
            side was brought to `resize_to`; 'pad' shows the whole image undistorted, the rest is 0
            in the result, that is, of the mean colour.
        resize_to: pixels of the shorter side for 'crop', at least the larger number of `size`;
            None cuts the largest centre that has the shape of `size`.
    Raises:
        InvalidArgument: a value that is not allowed.
    """

    size: tuple
    channels: str = 'RGB'
    mean: tuple | None = None
    scale: float = 1.0
    resize: str = 'warp'
    resize_to: int | None = None
    std: tuple | None = None

    def __post_init__(self):
        sides = tuple(self.size) if isinstance(self.size, (tuple, list)) else ()
        _expect(len(sides) == 2 and all(map(_is_length, sides))
                and sides[0] * sides[1] <= MAX_PIXELS,
                'size', f'(height, width), together at most {MAX_PIXELS} pixels', self.size)
        _expect(self.channels in ('BGR', 'RGB', 'grey'), 'channels', "'BGR', 'RGB' or 'grey'",
                self.channels)
        number = 1 if self.channels == 'grey' else 3
        mean, std = (tuple(value) if isinstance(value, list) else value
                     for value in (self.mean, self.std))
        _expect(mean is None or _are_finite(mean, number),
                'mean', f'None or {number} finite numbers, one a channel of {self.channels}', mean)
        _expect(std is None or (_are_finite(std, number) and min(std) > 0),
                'std', f'None or {number} positive numbers, one a channel of {self.channels}', std)
        _expect(_is_finite(self.scale) and self.scale != 0, 'scale', 'a finite number, not 0',
                self.scale)
        _expect(self.resize in ('warp', 'crop', 'pad'), 'resize', "'warp', 'crop' or 'pad'",
                self.resize)
        _expect(self.resize_to is None
                or (self.resize == 'crop' and _is_length(self.resize_to)
                    and self.resize_to >= max(sides)),
                'resize_to', f"None, or with resize='crop' an int of at least {max(sides)}",
                self.resize_to)
        object.__setattr__(self, 'size', tuple(map(int, sides)))
        object.__setattr__(self, 'mean', mean and tuple(map(float, mean)))
        object.__setattr__(self, 'scale', float(self.scale))
        object.__setattr__(self, 'std', std and tuple(map(float, std)))

    def apply(self, image):
        """Make network input of an image.

        Args:
            image: uint8 (H, W, 3), RGB, as from `load`.
        Returns:
            float32 (C, height, width), C-contiguous; C is 1 for 'grey', else 3.
        Raises:
            InvalidArgument: not such an image.
        """
        resized, top, left = self._resized(image)
        planes = resized.transpose(2, 0, 1)
        if self.channels == 'BGR':
            planes = planes[::-1]
        x = np.zeros((len(planes), *self.size), np.float32)
        inner = x[:, top:top + len(resized), left:left + resized.shape[1]]
        inner[...] = planes
        if self.mean is not None:
            inner -= np.array(self.mean, np.float32)[:, None, None]
        inner *= np.float32(self.scale)
        if self.std is not None:
            inner /= np.array(self.std, np.float32)[:, None, None]
        return x

    def pixels(self, image):
        """Resize an image alone, for a device that does the arithmetic.

        Args:
            image: uint8 (H, W, 3), RGB, as from `load`.
        Returns:
            uint8 (height, width, C): red, green and blue, in this order, or grey.
        Raises:
            InvalidArgument: not such an image; or `resize` is 'pad', whose margin is no pixels.
        """
        if self.resize == 'pad':
            raise InvalidArgument("pixels: resize 'warp' or 'crop' expected, got 'pad'. Use apply")
        return np.ascontiguousarray(self._resized(image)[0])

    def _resized(self, image):
        """Return uint8 pixels (h, w, C) and the place of their first, top and left."""
        image = check_image(image)
        if image.ndim != 3:
            raise InvalidArgument(f'apply: image (H, W, 3) expected, got {image.shape}.')
        source_height, source_width = image.shape[:2]
        height, width = self.size
        top = left = 0
        inner_height, inner_width, box = height, width, None
        if self.resize == 'crop':
            # Only the window that is kept is resized: no huge intermediate for a 1 x 10000 image.
            ratio = max(height / source_height, width / source_width)
            if self.resize_to is not None:
                ratio = self.resize_to / min(source_height, source_width)
            margin_y = max(0.0, source_height - height / ratio) / 2
            margin_x = max(0.0, source_width - width / ratio) / 2
            box = (margin_x, margin_y, source_width - margin_x, source_height - margin_y)
        elif self.resize == 'pad':
            ratio = min(height / source_height, width / source_width)
            inner_height = min(height, max(1, round(source_height * ratio)))
            inner_width = min(width, max(1, round(source_width * ratio)))
            top, left = (height - inner_height) // 2, (width - inner_width) // 2
        picture = Image.fromarray(image)
        if self.channels == 'grey':
            picture = picture.convert('L')
        resized = np.asarray(picture.resize((inner_width, inner_height), Image.Resampling.BILINEAR,
                                            box=box))
        return resized[..., None] if self.channels == 'grey' else resized, top, left

    def to_dict(self):
        """The description as a dict for JSON; `from_dict` gives an equal one back."""
        # Without `std` it is what was written before there was one: readers and digests stay.
        return {key: list(value) if isinstance(value, tuple) else value
                for key, value in dataclasses.asdict(self).items()
                if key != 'std' or value is not None}

    @classmethod
    def from_dict(cls, description):
        """The Preprocessing that `to_dict` described.

        Raises:
            DataError: not a dict, `size` is missing, a key is unknown, a value is not allowed.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(description, dict) or 'size' not in description:
            raise DataError(f"preprocessing: an object with 'size' expected, got {description!r}.")
        unknown = sorted(map(str, set(description) - set(known)))
        if unknown:
            raise DataError(f'preprocessing: unknown {", ".join(unknown)}; known are '
                            f'{", ".join(known)}. Was it written by a newer version?')
        try:
            return cls(**description)
        except InvalidArgument as error:
            raise DataError(str(error)) from error


# How images are mostly prepared for networks for ImageNet, by the program that trained them: the
# means of Caffe's reference networks, and mean and deviation of torchvision's.
CUSTOMS = {
    'caffe': {'channels': 'BGR', 'mean': (104., 117., 123.)},
    'torch': {'channels': 'RGB', 'mean': (123.675, 116.28, 103.53), 'scale': 1 / 255,
              'std': (.229, .224, .225)},
}


def read_preprocessing(text, size=None):
    """Return the Preprocessing that a text describes.

    Args:
        text: a name of CUSTOMS, or the JSON of ``Preprocessing.to_dict``.
        size: (height, width) of the network's input, which a name does not say.
    Raises:
        InvalidArgument: neither; or a name without a size.
    """
    if text in CUSTOMS:
        if size is None:
            raise InvalidArgument(f"preprocessing '{text}': the network does not say its input's "
                                  'size. Describe all: {"size": [224, 224], "channels": ...}')
        return Preprocessing(size, **CUSTOMS[text])
    try:
        return Preprocessing.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"preprocessing: {', '.join(CUSTOMS)}, or JSON as {{\"size\": [224, 224], "
            f'"channels": "BGR", "mean": [104, 117, 123]}} expected, got {text!r:.200} '
            f'({error})') from error


def prepare_for(net, source, channels=None):
    """Make input of a network of an image, as its attribute `preprocessing` says.

    Args:
        net: has `preprocessing`, a Preprocessing or None, and `source`, what messages call it.
        source: image, uint8 (H, W, 3), RGB, or the path of one.
        channels: how many the network's input has; None if that is not known.
    Returns:
        float32 (C, H, W).
    Raises:
        InvalidArgument: the preprocessing is None, or makes another number of channels.
    """
    if net.preprocessing is None:
        raise InvalidArgument(f'{net.source}: the preparation of images is not known. Set '
                              'net.preprocessing = minichain.image.Preprocessing(...).')
    expect_channels(net.preprocessing, channels, net.source)
    return net.preprocessing.apply(source if isinstance(source, np.ndarray) else load(source))


def expect_channels(preprocessing, channels, source):
    """Raise unless a preprocessing makes as many channels as the input of a network has.

    Args:
        channels: how many that are; None if it is not known.
        source: what messages call the network.
    Raises:
        InvalidArgument: it makes one and the network reads three, or the like.
    """
    made = 1 if preprocessing.channels == 'grey' else 3
    if channels not in (None, made):
        raise InvalidArgument(
            f'{source}: the preprocessing makes {made} channel{"s"[:made - 1]}, channels='
            f'{preprocessing.channels!r}, the input of the network has {channels}. Set '
            'preprocessing, or --preprocessing, to one that fits.')


def _expect(condition, name, expected, value):
    if not condition:
        raise InvalidArgument(f'Preprocessing: {name}: {expected} expected, got {value!r}.')


def _is_length(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) \
        and 1 <= value <= MAX_PIXELS


def _is_finite(value):
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:       # an integer beyond all floats
        return False


def _are_finite(values, number):
    return isinstance(values, tuple) and len(values) == number and all(map(_is_finite, values))

"""Ways to damage a file, by a generator with a fixed seed."""
import numpy as np

INTERESTING = [b'\xff', b'\x00', b'\x7f', b'\x80', b'\xff\xff\xff\xff\x0f', b'\xff' * 9 + b'\x01',
               b'\x80' * 11, b'\xff\xff\xff\x7f', b'\x00\x00\x00\x80']
TEXTS = [b'-1', b'0', b'99999999999999999999', b'2147483648', b'1000000000', b'1e400', b'nan',
         b'{' * 3000, b'"', b'}', b'\xff\xfe', b'layer { type: "Tile" }']


def truncate(data, rng):
    return data[:rng.integers(0, len(data))]


def flip_bits(data, rng):
    array = np.frombuffer(data, np.uint8).copy()
    for place in rng.integers(0, len(array), rng.integers(1, 9)):
        array[place] ^= np.uint8(1 << rng.integers(0, 8))
    return array.tobytes()


def overwrite(data, rng):
    place, text = rng.integers(0, len(data)), INTERESTING[rng.integers(0, len(INTERESTING))]
    return data[:place] + text + data[place + len(text):]


def insert(data, rng):
    place, text = rng.integers(0, len(data)), INTERESTING[rng.integers(0, len(INTERESTING))]
    return data[:place] + text + data[place:]


def repeat(data, rng):
    first, last = sorted(rng.integers(0, len(data), 2))
    return data[:last] + data[first:last] * int(rng.integers(1, 9)) + data[last:]


def cut_out(data, rng):
    first = rng.integers(0, len(data))
    return data[:first] + data[first + rng.integers(1, 200):]


def change_number(data, rng):
    """Puts an absurd number or other text where a text file has a digit."""
    places = [place for place, byte in enumerate(data) if chr(byte).isdigit()]
    if not places:
        return flip_bits(data, rng)
    place, text = places[rng.integers(0, len(places))], TEXTS[rng.integers(0, len(TEXTS))]
    return data[:place] + text + data[place + 1:]


def early(change):
    """The same damage within the first kilobyte, where headers and shapes are."""
    def changed(data, rng):
        return change(data[:1024], rng) + data[1024:]
    return changed


WAYS = [truncate, flip_bits, overwrite, insert, repeat, cut_out, early(flip_bits),
        early(overwrite), early(insert), change_number]


def damaged(files, count, seed):
    """Yields `count` damaged versions of some files, equal for equal seeds."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        data = files[index % len(files)]
        for _ in range(rng.integers(1, 3)):
            data = WAYS[rng.integers(0, len(WAYS))](data, rng) or b'\0'
        yield data

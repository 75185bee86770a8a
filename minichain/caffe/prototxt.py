"""Parses Caffe's text files (prototxt, protobuf's text format) into the same messages as ``wire``.

Errors carry the file, the line and the column. Fields that the table in ``schema`` does not know
are parsed, noted in the message's ``unknown`` and left out. Read ``schema`` first.
"""

import re

import numpy as np

from minichain.caffe import schema
from minichain.caffe.wire import EXPECTED
from minichain.errors import DataError
from minichain.protobuf import MAX_STRING, decode_text, map_file

MAX_BYTES = 32 << 20
MAX_TOKENS = 500_000      # spaces and comments count
MAX_DEPTH = 32

TOKEN = re.compile(r"""
    (?P<space>[\s\ufeff]+ | \#[^\n]*)
  | (?P<string>"[^"\\\n]*(?:\\.[^"\\\n]*)*" | '[^'\\\n]*(?:\\.[^'\\\n]*)*')
  | (?P<number>(?:-\s*)?(?:0[xX][0-9a-fA-F]+ | (?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[fF]?(?![\w.])
              | -\s*(?:inf|infinity|nan)\b)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<mark>[{}<>\[\]:;,])
""", re.VERBOSE | re.ASCII)
ESCAPE = re.compile(rb'\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))', re.DOTALL)
ESCAPED = {b'n': b'\n', b't': b'\t', b'r': b'\r', b'a': b'\a', b'b': b'\b', b'f': b'\f',
           b'v': b'\v'}
CLOSING = {'{': '}', '<': '>'}


def read_text(path):
    """Reads a prototxt.

    Returns:
        Message of kind NetParameter as the file has it (old `layers` not yet upgraded).
    Raises:
        FileError: no such regular file, or no permission.
        DataError: the file is not a prototxt of a network; the message says line and column.
    """
    data = map_file(path, EXPECTED)
    if len(data) > MAX_BYTES:
        raise DataError(f'{path}: {len(data)} bytes; a prototxt has at most {MAX_BYTES}. '
                        'Is this the caffemodel?')
    return parse(decode_text(bytes(data)), str(path))


def parse(text, path='<text>', kind='NetParameter'):
    """Parses a text in protobuf's text format as one message of a kind of ``schema``."""
    return Parser(text, path).message(kind, None, 0)


class Parser:
    """A recursive descent over one text; `kind`, `token`, `start` describe the token ahead."""

    def __init__(self, text, path):
        self.text, self.path, self.budget = text, path, MAX_TOKENS
        self.start = self.end = 0
        self.advance()

    def fail(self, problem, position=None):
        position = self.start if position is None else position
        line = self.text.count('\n', 0, position) + 1
        column = position - self.text.rfind('\n', 0, position)
        raise DataError(f'{self.path}:{line}:{column}: {problem}')

    def advance(self):
        """Returns the token ahead and moves to the next one."""
        current = getattr(self, 'token', None)
        self.kind = 'space'
        while self.kind == 'space':
            self.start = self.end
            self.budget -= 1
            if self.budget < 0:
                self.fail(f'more than {MAX_TOKENS} words; no network has so many')
            if self.start == len(self.text):
                self.kind, self.token = 'end', 'the end of the file'
                break
            match = TOKEN.match(self.text, self.start)
            if match is None:
                self.fail(f'cannot be understood: {self.text[self.start:self.start + 20]!r}')
            self.kind, self.token, self.end = match.lastgroup, match.group(), match.end()
        return current

    def accept(self, *marks):
        """Moves past a mark if it is one of these; returns it or None."""
        return self.advance() if self.kind == 'mark' and self.token in marks else None

    def message(self, kind, closing, depth):
        """Fields up to a closing mark (None: up to the end of the text).

        With ``kind`` None the message is one that the table does not know: checked, not kept.
        """
        if depth > MAX_DEPTH:
            self.fail(f'more than {MAX_DEPTH} messages inside each other')
        message = schema.message(kind) if kind else None
        fields = schema.FIELDS.get(kind, {})
        while self.kind == 'name':
            position, name = self.start, self.advance()
            field = fields.get(name)
            if field is None:
                if message is not None:
                    message.add_unknown(name)
                self.skip_value(depth)
            else:
                values = self.field_values(field, depth)
                if field.repeated:
                    message.setdefault(name, []).extend(values)
                elif name in message or len(values) != 1:
                    self.fail(f'{kind}.{name} takes one value, here is another one', position)
                else:
                    message[name] = values[0]
            self.accept(';', ',')
        if closing is None and self.kind == 'end':
            return message
        if closing is None or not self.accept(closing):
            expected = f'a field name or {closing!r}' if closing else 'a field name'
            self.fail(f'{expected} expected, got {self.token[:40]!r}')
        return message

    def field_values(self, field, depth):
        """The value of a field as a list, which has other than one element for ``[a, b, c]``."""
        is_message = field.type == 'Blob' or field.type in schema.FIELDS
        if not self.accept(':') and not (is_message and self.token in ('{', '<', '[')):
            self.fail(f'":" expected after {field.name}, got {self.token[:40]!r}')
        if not self.accept('['):
            return [self.value(field, depth)]
        values = []
        while not self.accept(']'):
            if values and not self.accept(','):
                self.fail(f'"," or "]" expected in a list, got {self.token[:40]!r}')
            values.append(self.value(field, depth))
        return values

    def value(self, field, depth):
        if field.type == 'Blob':
            return self.blob(self.nested('BlobProto', field.name, depth))
        if field.type in schema.FIELDS:
            return self.nested(field.type, field.name, depth)
        if field.type == 'string':
            if self.kind != 'string':
                self.fail(f'a quoted text expected for {field.name}, got {self.token[:40]!r}')
            text = decode_text(b''.join(self.strings()))
            if len(text) > MAX_STRING:
                self.fail(f'a text of {len(text)} letters, {MAX_STRING} at most')
            return text
        if field.type in schema.ENUMS:
            names = schema.ENUM_NAMES[field.type]
            if self.kind == 'number' and self.token.isdigit() and len(self.token) < 10:
                number = int(self.advance())
                return names.get(number, number)
            if self.kind != 'name':
                self.fail(f'one of {", ".join(names.values())} expected for {field.name}, '
                          f'got {self.token[:40]!r}')
            return self.advance()
        if field.type == 'bool':
            if self.token not in ('true', 'True', 't', '1', 'false', 'False', 'f', '0'):
                self.fail(f'true or false expected for {field.name}, got {self.token[:40]!r}')
            return self.advance() in ('true', 'True', 't', '1')
        return self.number(field)

    def number(self, field):
        text = re.sub(r'\s', '', self.token[:400])
        is_float = field.type in ('float', 'double')
        try:
            if is_float:
                value = float(text.rstrip('fF') if not text.lower().endswith('inf') else text)
            else:
                value = int(text, 16) if re.match('-?0[xX]', text) else int(text, 10)
        except ValueError:
            self.fail(f'{"a number" if is_float else "a whole number"} expected for {field.name}, '
                      f'got {self.token[:40]!r}')
        if not is_float and not (0 if field.type == 'uint' else -2 ** 63) <= value < 2 ** 63:
            self.fail(f'{field.name}: {self.token[:40]} is out of range')
        self.advance()
        return value

    def strings(self):
        """The bytes of the quoted texts ahead; adjacent ones are one."""
        while self.kind == 'string':
            yield ESCAPE.sub(unescape, self.advance()[1:-1].encode('utf-8', 'surrogatepass'))

    def nested(self, kind, name, depth):
        opening = self.accept('{', '<')
        if opening is None:
            self.fail(f'"{{" expected for {name}, got {self.token[:40]!r}')
        return self.message(kind, CLOSING[opening], depth + 1)

    def blob(self, message):
        if message.data and message.double_data:
            self.fail('a blob with both data and double_data')
        dtype = np.float64 if message.double_data else np.float32
        with np.errstate(over='ignore'):
            values = np.array(message.data or message.double_data, dtype)
        return schema.make_blob(message, values, f'{self.path}: blob before byte {self.start}')

    def skip_value(self, depth):
        """Moves past the value of a field that the table does not know."""
        colon = self.accept(':')
        opening = self.accept('{', '<', '[')
        if opening in CLOSING:
            self.message(None, CLOSING[opening], depth + 1)
        elif opening:
            while not self.accept(']'):
                if self.token in CLOSING:
                    self.nested(None, 'list', depth)
                elif self.kind in ('string', 'number', 'name') or self.token == ',':
                    self.advance()
                else:
                    self.fail(f'"]" expected, got {self.token[:40]!r}')
        elif colon and self.kind == 'string':
            for _ in self.strings():
                pass
        elif colon and self.kind in ('number', 'name'):
            self.advance()
        else:
            self.fail(f'a value expected, got {self.token[:40]!r}')


def unescape(match):
    octal, hexadecimal, letter = match.groups()
    if octal or hexadecimal:
        return bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)])
    return ESCAPED.get(letter, letter)

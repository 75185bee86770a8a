"""The parser of text files: what it accepts, and where it says that a text is wrong."""

import random
import time

import numpy as np
import pytest

from minichain.caffe.prototxt import parse, read_text
from minichain.errors import DataError


def test_every_spelling_of_the_format_is_understood():
    net = parse("""\ufeff# a network
    name: "two " 'words'   # adjacent texts are one
    input: "data", input_dim: [1, 3, 0x10, 16];
    layer < name: 'c\\x6fnv\\061\\n\\"' type: "Convolution" bottom: "data"
      convolution_param: { kernel_size: 3 kernel_size: 5, bias_term: false } >
    layer { type: "LRN" lrn_param { norm_region: WITHIN_CHANNEL alpha: 1e-4 beta: - 0.5 k: .5f } }
    layer { pooling_param { pool: 1 } include: [{ phase: TEST }, { phase: TRAIN not_stage: "x" }] }
    """)
    assert net.name == 'two words' and net.input == ['data'] and net.input_dim == [1, 3, 16, 16]
    assert net.layer[0].name == 'conv1\n"'
    assert net.layer[0].convolution_param == {'kernel_size': [3, 5], 'bias_term': False}
    assert net.layer[1].lrn_param == {
        'norm_region': 'WITHIN_CHANNEL', 'alpha': 1e-4, 'beta': -0.5, 'k': 0.5}
    assert net.layer[2].pooling_param.pool == 'AVE'
    assert [rule.phase for rule in net.layer[2].include] == ['TEST', 'TRAIN']


def test_special_floats_are_numbers():
    net = parse('layer { power_param { power: inf scale: -inf shift: nan } }')
    power = net.layer[0].power_param
    assert power.power == np.inf and power.scale == -np.inf and np.isnan(power.shift)


def test_weights_may_stand_in_the_text():
    text = 'layer { name: "a" blobs { shape { dim: 2 dim: 1 } data: 1.5 data: -2 } }'
    blob = parse(text).layer[0].blobs[0]
    assert blob.dtype == np.float32
    np.testing.assert_array_equal(blob, [[1.5], [-2]])


def test_unknown_fields_of_every_form_are_left_out_and_noted():
    net = parse("""layer { name: "a" novel: 3 list: [1, "b", { c: 4 }] deep { x { y: "z" "w" } }
                   novel: OTHER top: "a" }""")
    assert net.layer[0] == {'name': 'a', 'top': ['a']}
    assert net.layer[0].unknown == ['novel', 'list', 'deep']


@pytest.mark.parametrize('text, line, column', [
    ('layer {\n  name "conv"\n}', 2, 8),
    ('layer {\n  name: conv\n}', 2, 9),
    ('layer {\n  name: "conv\n}', 2, 9),
    ('layer {', 1, 8),
    ('layer { > ', 1, 9),
    ('name: "a"\n}', 2, 1),
    ('name: "a" name: "b"', 1, 11),
    ('layer { convolution_param { num_output: 1.5 } }', 1, 41),
    ('layer { convolution_param { num_output: -2 } }', 1, 41),
    ('layer { convolution_param { num_output: 99999999999999999999 } }', 1, 41),
    ('layer { convolution_param { bias_term: maybe } }', 1, 40),
    ('layer { pooling_param { pool: "MAX" } }', 1, 31),
    ('layer: 3', 1, 8),
    ('input_dim: [1 2]', 1, 15),
    ('input_dim: [1,', 1, 15),
    ('name: [ "a", "b" ]', 1, 1),
    ('layer {\n\n\t$ }', 3, 2),
    ('novel { [ }', 1, 9),
    ('novel: ', 1, 8),
])
def test_an_error_tells_line_and_column(text, line, column):
    with pytest.raises(DataError, match=rf'^net\.prototxt:{line}:{column}: '):
        parse(text, 'net.prototxt')


@pytest.mark.parametrize('text', ['layer ' + 'x {' * 100_000, 'x { ' * 40 + '} ' * 40,
                                  'x: ' + '[{' * 1000, 'a: ' + '9' * 10_000 + ' input_dim: '
                                  + '9' * 10_000])
def test_deep_and_long_texts_are_refused(text):
    with pytest.raises(DataError):
        parse(text)


@pytest.mark.parametrize('word', ['#\n', '1,', '{}', 'x:1 '])
def test_a_flood_of_words_ends_soon(word):
    start = time.process_time()
    with pytest.raises(DataError):
        parse(f'input_dim: [{word * 2_000_000}')
    assert time.process_time() - start < 30


def test_random_damage_gives_a_net_or_a_data_error():
    text = ('name: "n" input: "data" input_shape { dim: [1, 3, 8, 8] } layer { name: "c" '
            'type: "ReLU" relu_param { negative_slope: 0.1 } include < phase: TEST > '
            'blobs { data: 1 } }')
    source, outcomes = random.Random(1), set()
    for _ in range(2000):
        damaged = list(text)
        for _ in range(source.choice((1, 2, 5))):
            damaged[source.randrange(len(damaged))] = chr(source.choice((
                source.randrange(128), source.randrange(0x3000),
                ord(source.choice('{}<>[]":,\\0')))))
        try:
            parse(''.join(damaged))
            outcomes.add('net')
        except DataError:
            outcomes.add('refused')
    assert outcomes == {'net', 'refused'}


def test_comments_in_other_encodings_do_no_harm(tmp_path):
    path = tmp_path / 'net.prototxt'
    path.write_bytes('# 卷积\nname: "n"'.encode('gbk'))
    assert read_text(path).name == 'n'

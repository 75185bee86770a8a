"""Drawings of graphs: everything is there, nothing overlaps, cuts show, time is bounded."""
import os
import re
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import minichain
from minichain import functions as F
from minichain import graph_drawing
from minichain import links as L
from minichain.errors import FileError, InvalidArgument, InvalidType

SVG = '{http://www.w3.org/2000/svg}'


class Drawing:
    """What an SVG text shows: kind, lines, and extent of each node."""

    def __init__(self, text):
        self.root = ElementTree.fromstring(text)
        self.nodes = []
        for group in self.root.iter(f'{SVG}g'):
            lines = [line.text for line in group.iter(f'{SVG}text')]
            shape = group.find(f'{SVG}rect')
            if shape is None:
                shape = group.find(f'{SVG}ellipse')
                cx, cy, rx, ry = (float(shape.get(name)) for name in ('cx', 'cy', 'rx', 'ry'))
                extent = cx - rx, cy - ry, 2 * rx, 2 * ry
            else:
                extent = tuple(float(shape.get(name)) for name in ('x', 'y', 'width', 'height'))
            self.nodes.append((shape.get('class'), lines, extent))
        self.edges = [path.get('d') for path in self.root.iter(f'{SVG}path')
                      if path.get('marker-end')]

    def lines(self, kind):
        return [lines for shown, lines, _ in self.nodes if shown == kind]

    def ends(self):
        """(index of source, index of target) of every edge, found by where it begins and ends."""
        pairs = []
        for d in self.edges:
            numbers = [float(n) for n in re.findall(r'-?[\d.]+', d)]
            last = (numbers[-2:] if d.rfind('V') < d.rfind('C')
                    else [self._x_before_v(d), numbers[-1]])
            pairs.append((self._at(numbers[0], numbers[1], bottom=True),
                          self._at(*last, bottom=False)))
        return pairs

    def _x_before_v(self, d):
        parts = re.findall(r'([MCV])([^MCV]*)', d)
        x = None
        for letter, values in parts:
            if letter != 'V':
                x = float(values.split()[-2])
        return x

    def _at(self, x, y, bottom):
        found = [i for i, (_, _, (left, top, width, height)) in enumerate(self.nodes)
                 if abs(left + width / 2 - x) < .3 and abs(top + height * bottom - y) < .3]
        assert len(found) == 1
        return found[0]


def unrolled_lstm(steps, length):
    class Model(minichain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.lstm, self.out = L.LSTM(2, 3), L.Linear(3, 1)

        def forward(self, x):
            return F.sum(self.out(self.lstm(x)))

    model, loss = Model(), 0
    for i in range(steps):
        loss += model(minichain.Variable(np.ones((1, 2), 'f'), name=f'x{i}'))
        if (i + 1) % length == 0 and i + 1 < steps:
            loss.backward()
            loss.unchain_backward()
            loss = 0
    return model, loss


def test_an_expression_shows_names_shapes_dtypes_and_functions():
    x = minichain.Variable(np.ones((2, 3), 'f'), name='x')
    y = minichain.Parameter(np.ones((2, 3), 'f'), name='y')
    drawing = Drawing(graph_drawing.draw(F.sum(x * F.exp(y)), title='A title'))
    assert drawing.lines('input') == [['x', '2 x 3 float32']]
    assert drawing.lines('parameter') == [['y', '2 x 3 float32']]
    assert drawing.lines('output') == [['scalar float32']]
    assert drawing.lines('result') == [['2 x 3 float32']] * 2
    assert sorted(label.lower() for label, in drawing.lines('function')) == ['_ * _', 'exp', 'sum']
    shown = [(drawing.nodes[a][1][0].lower(), drawing.nodes[b][1][0].lower())
             for a, b in drawing.ends()]
    assert sorted(shown) == sorted([
        ('x', '_ * _'), ('y', 'exp'), ('exp', '2 x 3 float32'), ('2 x 3 float32', '_ * _'),
        ('_ * _', '2 x 3 float32'), ('2 x 3 float32', 'sum'), ('sum', 'scalar float32')])
    assert 'A title' in [text.text for text in drawing.root.iter(f'{SVG}text')]


def test_a_truncated_lstm_shows_where_it_was_cut():
    model, loss = unrolled_lstm(7, 4)
    drawing = Drawing(graph_drawing.draw(loss, link=model))
    assert [lines[-1] for lines in drawing.lines('cut')] == ['cut: no gradient goes back'] * 2
    assert [name for name, _ in drawing.lines('input')] and {
        name for name, _ in drawing.lines('input')} == {'x4', 'x5', 'x6'}
    assert {name for name, _ in drawing.lines('parameter')} == {
        path for path, _ in model.namedparams()}
    _, loss = unrolled_lstm(7, 7)
    assert not Drawing(graph_drawing.draw(loss)).lines('cut')


@pytest.mark.parametrize('make', [
    lambda: unrolled_lstm(9, 9)[1], lambda: unrolled_lstm(5, 2)[1],
    lambda: F.concat([F.exp(minichain.Variable(np.ones(2, 'f'), name=f'n{i}' * i))
                      for i in range(9)], axis=0)])
def test_nothing_overlaps_and_edges_run_downwards(make):
    drawing = Drawing(graph_drawing.draw(make()))
    extents = [extent for _, _, extent in drawing.nodes]
    width, height = float(drawing.root.get('width')), float(drawing.root.get('height'))
    for i, (x, y, w, h) in enumerate(extents):
        assert 0 <= x and 0 <= y and x + w <= width and y + h <= height
        for other, top, its_width, its_height in extents[:i]:
            assert (x + w <= other or other + its_width <= x
                    or y + h <= top or top + its_height <= y)
    ends = drawing.ends()
    assert len(ends) == len(drawing.edges) > 5
    assert all(extents[a][1] + extents[a][3] <= extents[b][1] for a, b in ends)


def test_names_are_escaped():
    x = minichain.Variable(np.ones(1), name='<script>alert("&")</script>\0\x1b')
    text = graph_drawing.draw(x * 2, title='</svg>]]>&')
    drawing = Drawing(text)
    assert '<script' not in text and text.count('</svg>') == 1
    assert drawing.lines('input')[0][0].startswith('<script>alert("&")')


def test_lone_variables_several_outputs_and_dead_results():
    x = minichain.Variable(np.ones(2, 'f'), name='x')
    assert [kind for kind, _, _ in Drawing(graph_drawing.draw(x)).nodes] == ['output']
    lazy = minichain.Parameter(name='W')
    assert Drawing(graph_drawing.draw(lazy)).lines('output') == [['W', 'no array yet']]
    first = F.split_axis(minichain.Variable(np.ones(4)), 2, 0)[0]
    drawing = Drawing(graph_drawing.draw([first, first * 2]))
    assert len(drawing.lines('output')) == 2 and len(drawing.lines('function')) == 2
    for wrong in ([], [1], [np.ones(2)]):
        with pytest.raises(InvalidType, match='Variable'):
            graph_drawing.draw(wrong)
    with pytest.raises(InvalidArgument, match='max_functions'):
        graph_drawing.draw(x, max_functions=0)


def test_a_large_graph_is_bounded_in_time_and_says_what_is_left_out():
    xs = [minichain.Variable(np.ones(1))]
    for i in range(4000):
        xs.append(xs[-1] * .5 + xs[max(0, i - 40)] * .1)
    start = time.process_time()
    text = graph_drawing.draw(xs[-1])
    assert time.process_time() - start < 6   # 1.5 s where nothing else runs
    drawing = Drawing(text)
    assert len(drawing.lines('function')) == graph_drawing.MAX_FUNCTIONS
    assert ['1 float64', 'earlier part not drawn'] in drawing.lines('omitted')


def test_a_file_is_written_whole(tmp_path):
    x = minichain.Variable(np.ones(1), name='あ')
    text = graph_drawing.draw(x * 2, tmp_path / 'graph.svg')
    assert (tmp_path / 'graph.svg').read_text(encoding='utf-8') == text
    assert os.listdir(tmp_path) == ['graph.svg']
    with pytest.raises(FileError):
        graph_drawing.draw(x, tmp_path / 'absent' / 'graph.svg')

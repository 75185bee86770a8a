"""Graphs as DOT text."""
import re

import numpy as np
import pytest

import minichain
from minichain import functions as F
from minichain.computational_graph import build_computational_graph
from minichain.errors import InvalidArgument


def labels(text):
    return re.findall(r'label="((?:[^"\\]|\\.)*)"', text)


def test_nodes_edges_and_labels_are_those_of_chainer():
    x = minichain.Variable(np.ones((2, 3), 'f'), name='x')
    graph = build_computational_graph([F.sum(x * x)])
    text = graph.dump()
    assert text.startswith('digraph graphname{rankdir=TB;') and text.endswith('}')
    assert sorted(labels(text)) == sorted(['x: (2, 3), float32', '(2, 3), float32', 'float32',
                                           '_ * _', graph.edges[0][0].label])
    assert len(graph.edges) == 4 == text.count(' -> ')


def test_options():
    x = minichain.Variable(np.ones(2), name='a "quoted" \\ name')
    y = F.sum(x * x)
    text = build_computational_graph(y, remove_variable=True, rankdir='LR').dump()
    assert text.count(' -> ') == 1 and len(labels(text)) == 2 and 'rankdir=LR' in text
    text = build_computational_graph(y).dump()
    assert 'a \\"quoted\\" \\\\ name: ' in text
    text = build_computational_graph(y, show_name=False,
                                     variable_style={'color': 'red'},
                                     function_style=lambda node: {'tooltip': node.label}).dump()
    assert 'quoted' not in text and text.count('color="red"') == 3
    assert 'tooltip="_ * _"' in text
    for arguments in ({'rankdir': 'XX'}, {'remove_split': False}):
        with pytest.raises(InvalidArgument):
            build_computational_graph(y, **arguments)
    with pytest.raises(InvalidArgument, match='dot'):
        build_computational_graph(y).dump('png')


def test_a_cut_graph_ends_at_the_cut():
    x = minichain.Variable(np.ones(2))
    y = F.exp(x)
    z = y * 2
    assert len(build_computational_graph(z).nodes) == 5
    y.unchain()
    assert len(build_computational_graph(z).nodes) == 3

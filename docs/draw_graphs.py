"""Draws the graphs that the pages in this folder show:  python docs/draw_graphs.py"""
import os

import numpy as np

import minichain.functions as F
import minichain.links as L
from minichain import Chain, Parameter, Variable, graph_drawing
from minichain._atomic import write_atomically

FOLDER = os.path.dirname(os.path.abspath(__file__))
WINDOW = 2   # steps of an LSTM between two cuts


def product():
    """Return the drawing of z = x * y + x."""
    x, y = Variable(np.array(3.), name='x'), Variable(np.array(4.), name='y')
    z = x * y + x
    z.node.name = 'z'
    return graph_drawing.draw(z, title='z = x * y + x')


def unrolled_lstm():
    """Return the drawing of an LSTM's second window, cut from the first."""
    model = Chain(upward=L.Linear(2, 12), lateral=L.Linear(3, 12, nobias=True))
    c, h = Parameter(0, (1, 3), 'c0'), Parameter(0, (1, 3), 'h0')
    for window in range(2):
        loss = 0
        for t in range(1 + window * WINDOW, 1 + (window + 1) * WINDOW):
            x = Variable(np.ones((1, 2), 'f'), name=f'x{t}', requires_grad=False)
            c, h = F.lstm(c, model.upward(x) + model.lateral(h))
            c.node.name, h.node.name = f'c{t}', f'h{t}'
            loss = F.sum(h) if t % WINDOW == 1 else loss + F.sum(h)
        if window == 0:
            loss.backward()
            loss.unchain_backward()
    loss.node.name = 'loss'
    return graph_drawing.draw(loss, link=model, title='Steps 3 and 4, cut from steps 1 and 2')


def drawings():
    """Return a dict from file name to SVG document."""
    return {'product.svg': product(), 'unrolled_lstm.svg': unrolled_lstm()}


if __name__ == '__main__':
    for name, svg in drawings().items():
        write_atomically(os.path.join(FOLDER, name), svg.encode())

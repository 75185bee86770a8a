"""Runs functions of Chainer 7.8 for RemoteFunction; a script for another environment's Python.

    python chainer_worker.py FOLDER

FOLDER has job.json and arrays.npz, and gets outputs.npz. Then every line of standard input, a
number of calls, is answered by their wall and CPU seconds.
"""
import json
import os
import sys
import time

import chainer
import chainer_networks
import numpy as np
from chainer import functions as F

chainer.config.train = False


def tape(job, arrays):
    """A thousand small operations, forward and backward."""
    def run():
        x = y = chainer.Variable(np.full((4, 4), .5, 'float32'))
        for _ in range(job['operations'] // 2):
            y = y * x
            y = y + x
        y.grad = np.ones((4, 4), 'float32')
        y.backward()
        return [x.grad]
    return run


def convolution(job, arrays):
    """A convolution, with its gradients if the job says so."""
    x, W, b = (chainer.Variable(arrays[name]) for name in 'xWb')
    settings = {'stride': job['stride'], 'pad': job['pad'], 'groups': job['groups']}

    def forward():
        with chainer.no_backprop_mode():
            return [F.convolution_2d(x, W, b, **settings).array]

    def both():
        for variable in (x, W, b):
            variable.cleargrad()
        y = F.convolution_2d(x, W, b, **settings)
        y.grad = arrays['gy']
        y.backward()
        return [y.array, x.grad, W.grad, b.grad]
    return both if job['backward'] else forward


def network(job, arrays):
    """A layer of a network, in test mode."""
    net = make_network(job, arrays)

    def run():
        with chainer.no_backprop_mode():
            return [net(arrays['x'], layers=[job['layer']])[job['layer']].array]
    return run


def training(job, arrays):
    """A step of SGD with momentum on the softmax cross entropy of a network's layer."""
    net = make_network(job, arrays)
    optimizer = chainer.optimizers.MomentumSGD(job['lr'], job['momentum']).setup(net)

    def run():
        y = net(arrays['x'], layers=[job['layer']])[job['layer']]
        loss = F.softmax_cross_entropy(y, arrays['t'])
        net.cleargrads()
        loss.backward()
        optimizer.update()
        return [loss.array, *(parameter.grad for _, parameter in sorted(net.namedparams()))]
    return run


def make_network(job, arrays):
    """Return a network with the weights of the arrays, whose names begin with '/'."""
    net = chainer_networks.make(job['name'])
    for path, parameter in net.namedparams():
        parameter.array = arrays[path]
    return net


def main(folder):
    """Run the job once for its outputs, then as often as asked."""
    with open(os.path.join(folder, 'job.json')) as file:
        job = json.load(file)
    with np.load(os.path.join(folder, 'arrays.npz'), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    kinds = {'tape': tape, 'convolution': convolution, 'network': network, 'training': training}
    function = kinds[job['kind']](job, arrays)
    np.savez(os.path.join(folder, 'outputs.npz'), *function())
    print('"ready"', flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            function()
        print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)


if __name__ == '__main__':
    main(sys.argv[1])

"""Blocks of GoogLeNet: convolutions of several sizes side by side."""
from minichain.chain import Chain
from minichain.errors import InvalidArgument
from minichain.functions.average_pooling import average_pooling_2d
from minichain.functions.concat import concat
from minichain.functions.max_pooling import max_pooling_2d
from minichain.functions.relu import relu
from minichain.links.batch_normalization import BatchNormalization
from minichain.links.convolution import Convolution2D


class Inception(Chain):
    """1 x 1, 3 x 3 and 5 x 5 convolutions and max pooling, side by side, each before a ReLU.

    Args:
        in_channels: C; None takes it from the first data.
        out1, out3, out5: channels of the convolutions ``conv1``, ``conv3`` and ``conv5``.
        proj3, proj5: channels of the 1 x 1 convolutions before ``conv3`` and ``conv5``.
        proj_pool: channels of the 1 x 1 convolution ``projp`` after pooling.
        conv_init, bias_init: initializers of all W and b; None is LeCunNormal and 0.
    Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842.
    """

    def __init__(self, in_channels, out1, proj3, out3, proj5, out5, proj_pool, conv_init=None,
                 bias_init=None):
        super().__init__()
        initial = {'initialW': conv_init, 'initial_bias': bias_init}
        with self.init_scope():
            self.conv1 = Convolution2D(in_channels, out1, 1, **initial)
            self.proj3 = Convolution2D(in_channels, proj3, 1, **initial)
            self.conv3 = Convolution2D(proj3, out3, 3, pad=1, **initial)
            self.proj5 = Convolution2D(in_channels, proj5, 1, **initial)
            self.conv5 = Convolution2D(proj5, out5, 5, pad=2, **initial)
            self.projp = Convolution2D(in_channels, proj_pool, 1, **initial)

    def forward(self, x):
        """Apply to images (N, C, H, W) -> (N, out1 + out3 + out5 + proj_pool, H, W)."""
        return relu(concat((
            self.conv1(x), self.conv3(relu(self.proj3(x))), self.conv5(relu(self.proj5(x))),
            self.projp(max_pooling_2d(x, 3, stride=1, pad=1))), axis=1))


class InceptionBN(Chain):
    """Inception with two 3 x 3 convolutions in place of 5 x 5, and batch normalization.

    Args:
        in_channels: C; None takes it from the first data.
        out1: channels of ``conv1``; 0 leaves it out.
        proj3, out3: channels of ``proj3`` (1 x 1) and of ``conv3`` after it.
        proj33, out33: channels of ``proj33`` (1 x 1) and of ``conv33a`` and ``conv33b`` after it.
        pooltype: 'max' or 'avg'.
        proj_pool: channels of the 1 x 1 convolution ``poolp`` after pooling; None leaves it out.
        stride: of the last convolution of every branch and of pooling.
        conv_init: initializer of all W; None is LeCunNormal.
        dtype: of the batch normalizations; None means ``config.dtype``.
    Raises:
        InvalidArgument: another ``pooltype``, or ``conv1`` with a stride or without ``proj_pool``.
    Ioffe, Szegedy 2015, "Batch normalization", arXiv:1502.03167.
    """

    def __init__(self, in_channels, out1, proj3, out3, proj33, out33, pooltype, proj_pool=None,
                 stride=1, conv_init=None, dtype=None):
        super().__init__()
        if pooltype not in ('max', 'avg'):
            raise InvalidArgument(f"InceptionBN: pooltype 'max' or 'avg' expected, got "
                                  f'{pooltype!r}')
        if out1 > 0 and (stride != 1 or proj_pool is None):
            raise InvalidArgument('InceptionBN: stride 1 and proj_pool expected beside out1 '
                                  f'{out1}, got stride {stride} and proj_pool {proj_pool}')
        self.out1, self.proj_pool, self.stride = out1, proj_pool, stride
        self.pooltype = pooltype
        layers = [('proj3', 'proj3n', in_channels, proj3, 1, 1),
                  ('conv3', 'conv3n', proj3, out3, 3, stride),
                  ('proj33', 'proj33n', in_channels, proj33, 1, 1),
                  ('conv33a', 'conv33an', proj33, out33, 3, 1),
                  ('conv33b', 'conv33bn', out33, out33, 3, stride)]
        if out1 > 0:
            layers.append(('conv1', 'conv1n', in_channels, out1, 1, 1))
        if proj_pool is not None:
            layers.append(('poolp', 'poolpn', in_channels, proj_pool, 1, 1))
        with self.init_scope():
            for name, norm, before, after, ksize, step in layers:
                setattr(self, name, Convolution2D(before, after, ksize, step, ksize // 2,
                                                  nobias=True, initialW=conv_init))
                setattr(self, norm, BatchNormalization(after, dtype=dtype))

    def forward(self, x):
        """Apply to images (N, C, H, W) -> (N, channels of all branches, OH, OW)."""
        branches = [self._layers(x, 'conv1')] if self.out1 > 0 else []
        branches.append(self._layers(x, 'proj3', 'conv3'))
        branches.append(self._layers(x, 'proj33', 'conv33a', 'conv33b'))
        pooling = average_pooling_2d if self.pooltype == 'avg' else max_pooling_2d
        covered = {} if self.pooltype == 'avg' else {'cover_all': False}
        pooled = pooling(x, 3, self.stride, 1, **covered)
        branches.append(pooled if self.proj_pool is None else self._layers(pooled, 'poolp'))
        return concat(branches, axis=1)

    def _layers(self, x, *names):
        for name in names:
            x = relu(self[f'{name}n'](self[name](x)))
        return x

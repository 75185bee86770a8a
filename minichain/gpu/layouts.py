"""Images between (N, C, H, W) in float32 and (N, H, W, C): see ``kernels/layouts.cu``."""
from minichain.gpu.launcher import blocks_for, kernel, storage

TILE, ROWS = 32, 8      # of threads: TILE x ROWS turn a tile of TILE x TILE over


def to_channels_last(x, y):
    """Fill ``y`` (N, H, W, C), float32 or bfloat16, with ``x`` (N, C, H, W), float32."""
    launch('to_channels_last', x, y, y.shape, storage(y))


def to_channels_first(x, y):
    """Fill ``y`` (N, C, H, W), float32, with ``x`` (N, H, W, C), float32 or bfloat16."""
    launch('to_channels_first', x, y, x.shape, storage(x))


def launch(name, x, y, shape, kind):
    images, height, width, channels = shape
    pixels = height * width
    tiles = images * -(-pixels // TILE) * -(-channels // TILE)
    kernel(f'{name}_{kind}')(x, y, images, channels, pixels, grid=blocks_for(tiles, 1),
                             block=(TILE, ROWS))

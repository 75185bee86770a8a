"""Local response normalization of images with channels last: see ``kernels/lrn_channels_last.cu``.
"""
from minichain.gpu.grids import flat
from minichain.gpu.launcher import kernel, storage
from minichain.gpu.lrn import lrn_forward

CHANNELS = 5    # in the sum, as all networks have it that are known; others go another way


def lrn_channels_last(x, y, n=5, k=2, alpha=1e-4, beta=.75):
    """Compute what :func:`~minichain.gpu.lrn.lrn_forward` does, of images (..., C).

    Args:
        x, y: float32 or bfloat16; ``y`` is filled and is not ``x``.
        n, k, alpha, beta: as there; ``k`` above 0.
    """
    if n // 2 != CHANNELS // 2:
        lrn_forward(x, y, n, k, alpha, beta, channels_last=True)
        return
    kernel(f'lrn_channels_last_{storage(x)}')(x, y, x.size, x.shape[-1], k, alpha, beta,
                                              **flat(x.size, 16 // x.itemsize))

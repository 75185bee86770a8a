"""Cases: initializers."""

import numpy as np

from .table import InitializerCase


def initializer(name, variant, shape, *arguments, dtype='float32', statistics=False, refused=False,
                **options):
    """One case of an initializer with these arguments."""
    return InitializerCase(f'{name}-{variant}' if variant else name, name,
                           lambda library: getattr(library.initializers, name)(
                               *arguments, **options), shape, dtype, statistics, refused)


CASES = [
    initializer('Constant', '', (2, 3), 1.5),
    initializer('Constant', 'array', (2, 3), np.arange(3.)),
    initializer('Constant', 'float64', (2, 3), .1, dtype='float64'),
    initializer('Zero', '', (2, 3)),
    initializer('One', '', (2, 3)),
    initializer('NaN', '', (2, 3)),
    initializer('Identity', '', (3, 3)),
    initializer('Identity', 'scale', (2, 2), 2.),
    initializer('Identity', 'not_square', (2, 3), refused=True),
    initializer('UpsamplingDeconvFilter', '', (2, 2, 4, 4)),
    initializer('UpsamplingDeconvFilter', 'odd', (1, 1, 3, 3)),
    initializer('DownsamplingConvFilter', '', (2, 2, 4, 4)),
    initializer('DownsamplingConvFilter', 'odd', (1, 1, 3, 3)),
    initializer('Orthogonal', '', (3, 4)),
    initializer('Orthogonal', 'square-scale', (4, 4), 1.),
    initializer('Orthogonal', '4d', (3, 2, 2, 2)),
    initializer('Orthogonal', 'embedding', (4, 3), mode='embedding'),
    initializer('Orthogonal', 'projection', (3, 4), mode='projection'),
    initializer('Orthogonal', 'embedding_of_more', (3, 4), mode='embedding', refused=True),
    initializer('Orthogonal', 'projection_to_more', (4, 3), mode='projection', refused=True),
    initializer('Orthogonal', 'basis', (3, 3), mode='basis'),
    initializer('Orthogonal', 'auto_tall', (4, 3)),
    initializer('Orthogonal', 'float64', (3, 4), dtype='float64'),
    initializer('Orthogonal', '0d', ()),
    initializer('HeNormal', 'fan_out', (4, 3, 2, 2), fan_option='fan_out'),
    initializer('HeNormal', 'unknown_fan_option', (4, 3), fan_option='fan', refused=True),
    initializer('HeNormal', '1d', (4,), refused=True),
    initializer('Normal', 'scale_given', (3, 2), .2),
    initializer('Uniform', 'scale_given', (3, 2), .2),
]
for word in ('Normal', 'Uniform', 'LeCunNormal', 'LeCunUniform', 'HeNormal', 'HeUniform',
             'GlorotNormal', 'GlorotUniform'):
    CASES += [
        initializer(word, '', (4, 3)),
        initializer(word, '4d', (3, 2, 2, 3)),
        initializer(word, 'float64', (4, 3), dtype='float64'),
        initializer(word, 'float16', (4, 3), dtype='float16'),
        initializer(word, 'scale', (4, 3), 2.),
        initializer(word, 'large', (200, 100), statistics=True),
        initializer(word, 'large_4d', (60, 20, 3, 3), statistics=True),
    ]
    CASES.append(InitializerCase(
        f'{word}-rng', word, lambda library, word=word: getattr(library.initializers, word)(
            rng=np.random.RandomState(3)), (4, 3)))
CASES.append(initializer('Orthogonal', 'large', (100, 200), statistics=True))

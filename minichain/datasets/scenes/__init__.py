"""Drawn scenes with captions: a data set made from a seed, of which everything is known.

Each scene is drawn as a picture and told in English or Japanese, in several phrasings of known
probability. So the least possible loss is known, and any caption can be checked for its truth.
Read scene, then phrasing, english (japanese), caption; drawing and data stand beside them.
"""

from minichain.datasets.scenes.caption import (
    Verdict,
    captions,
    check,
    entropy,
    log_probability,
    sample,
)
from minichain.datasets.scenes.data import Floor, SceneData, SceneImages, load
from minichain.datasets.scenes.drawing import draw
from minichain.datasets.scenes.scene import Scene, Thing, generate

__all__ = ['Floor', 'Scene', 'SceneData', 'SceneImages', 'Thing', 'Verdict', 'captions', 'check',
           'draw', 'entropy', 'generate', 'load', 'log_probability', 'sample']

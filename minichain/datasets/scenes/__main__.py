"""Writes drawn scenes as PNG files:  python -m minichain.datasets.scenes FOLDER"""
import argparse
import os
import sys

from minichain.datasets import scenes
from minichain.errors import FileError, MinichainError
from minichain.image import save_png


def main(argv=None):
    """Draw the first scenes of a split and write each with a caption beside it on the screen."""
    parser = argparse.ArgumentParser(
        prog='python -m minichain.datasets.scenes',
        description='Write drawn scenes as PNG files, to have pictures for generate.py.')
    parser.add_argument('folder', help='where; made if it is missing')
    parser.add_argument('--n', type=int, default=12, help='how many (default: 12)')
    parser.add_argument('--split', choices=('train', 'dev', 'test', 'heldout'), default='test',
                        help='which scenes; those of test and heldout are never trained on '
                             '(default: test)')
    parser.add_argument('--seed', type=int, default=1, help='of the scenes (default: 1)')
    parser.add_argument('--side', type=int, default=256, help='pixels (default: 256)')
    options = parser.parse_args(argv)
    try:
        try:
            os.makedirs(options.folder, exist_ok=True)
        except OSError as error:
            raise FileError(f'{options.folder}: cannot be made ({error.strerror})') from None
        for i, scene in enumerate(scenes.generate(options.n, options.seed, options.split)):
            path = os.path.join(options.folder, f'{options.split}{i:03}.png')
            save_png(path, scenes.draw(scene, options.side))
            print(f'{path}: {next(iter(scenes.captions(scene, "en")))}')
    except MinichainError as error:
        sys.exit(f'scenes: error: {error}')


if __name__ == '__main__':
    main()

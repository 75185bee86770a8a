"""The options of train.py that do not go together are refused before anything is computed."""
import pytest

import train
from minichain.errors import InvalidArgument


@pytest.mark.parametrize('options, message', [
    (['--precision', 'bf16'], '--precision has no effect on the CPU'),
    (['--precision', 'tf32'], '--precision has no effect on the CPU'),
    (['--capture'], '--capture has no effect on the CPU'),
    (['--strict'], '--strict has no effect on drawn scenes'),
    (['captions.json', '--weights', 'cnn.caffemodel', '--language', 'en'],
     '--language has no effect on DATA'),
    (['captions.json'], '--weights cnn.caffemodel is needed with DATA'),
])
def test_options_without_effect_are_refused(tmp_path, options, message):
    with pytest.raises(InvalidArgument, match=message):
        train.main([*options, '--out', str(tmp_path / 'run')])
    assert not (tmp_path / 'run').exists()

import numpy as np
import pytest

from minichain import pictures, training_report
from minichain.loss_floor import Loss

FLOORS = {'train': {'unigram baseline': Loss(5., 1, 1),
                    'entropy given the image': Loss(.5, 1, 1)},
          'dev': {'unigram baseline': Loss(6., 1, 1)},
          'test': {'unigram baseline': Loss(7., 1, 1)}}
RECORDS = [
    {'floors': {name: training_report.numbers(losses) for name, losses in FLOORS.items()}},
    {'epoch': 1, 'losses': training_report.numbers({'train': Loss(4., 1, 1)}), 'samples': [
        {'file': 'a/1.png', 'caption': 'a <b>', 'per_word': .25}]},
    {'epoch': 2, 'losses': training_report.numbers({'train': Loss(3., 1, 1)}), 'samples': [
        {'file': 'a/1.png', 'caption': '', 'per_word': .5}]}]


class Images:
    """A grey picture under every name."""

    def load(self, name):
        return np.full((8, 8, 3), 99, 'uint8')


def test_curves_and_lines_are_those_of_the_log(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, 'loss_curve',
                        lambda series, path, **more: drawn.append((series, more)))
    training_report.draw_losses(RECORDS, tmp_path / 'loss.png', 'run')
    (series, more), = drawn
    assert series == {'train': [(1, 4.), (2, 3.)]}
    assert more['references'] == {'train: entropy given the image': .5,
                                  'dev: unigram baseline': 6.}
    assert more['x_label'] == 'epoch' and more['title'] == 'run'


def test_samples_show_every_epoch_the_latest_first(tmp_path):
    training_report.write_samples(RECORDS, Images(), tmp_path / 'samples.html')
    page = (tmp_path / 'samples.html').read_text()
    assert page.count('<figure>') == 1 and page.index('epoch 2:') < page.index('epoch 1:')
    assert 'a &lt;b&gt;' in page and '<b>' not in page and '50 %' in page and '1.png' in page


def test_without_samples_there_is_no_page(tmp_path):
    training_report.write_samples(RECORDS[:1], Images(), tmp_path / 'samples.html')
    assert not list(tmp_path.iterdir())


def test_floors_that_are_unknown_are_called_so(capsys):
    training_report.print_floors(FLOORS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == ['train', 'train', 'dev', 'dev',
                                                             'test', 'test']
    assert lines[3] == 'dev      floor unknown'
    training_report.print_floors({'dev': {'true entropy floor': Loss(2., 4, 1)}})
    assert capsys.readouterr().out.count('\n') == 1


@pytest.mark.parametrize('batch, end', [(None, 'perplexity     2.72'), (4, 'article 004 0.7500')])
def test_losses_are_printed_with_units(capsys, batch, end):
    training_report.print_losses({'dev': Loss(3., 3, 1)}, batch)
    line, = capsys.readouterr().out.splitlines()
    assert line.startswith('  dev ') and line.endswith(end)
    assert '1.0000 nats/token    3.000 nats/caption' in line

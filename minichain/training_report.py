"""What a training run shows while it goes on: losses, their curve, captions as they evolve."""
import os

from minichain import pictures
from minichain.backend import CpuDevice
from minichain.gpu import precision


def numbers(losses):
    """Return losses for the log: what -> Loss as what -> its three units."""
    return {what: {'per_token': loss.per_token, 'per_caption': loss.per_caption,
                   'perplexity': loss.perplexity} for what, loss in losses.items()}


def print_data(data):
    """Print what is learned from."""
    print(f'data     {data.source}')
    for name, images in data.splits.items():
        print(f'{name:8} {len(images)} images, '
              f'{sum(len(image.captions) for image in images)} captions')


def describe_device(device):
    """Return in words where a run is computed, and how exactly."""
    exactly = 'float32' if isinstance(device, CpuDevice) else precision.describe()
    return f'{device.name}, {exactly}'


def print_model(model, encoder, device):
    """Print what is trained, what is frozen, and where it is computed."""
    print(f'model    {model.count_params():,} parameters trained: '
          f'{", ".join(path for path, _ in model.namedparams())}')
    print(f'frozen   {encoder.description["weights"]}, layer {encoder.description["layer"]}')
    print(f'images   {encoder.preparation}')
    print(f'device   {describe_device(device)}')


def print_floors(floors):
    """Print what no model can get below, and what any model should: split -> what -> Loss."""
    for name, losses in floors.items():
        for what, loss in losses.items():
            print(f'{name:8} {what:24} {loss}')
        if name != 'train' and 'true entropy floor' not in losses:
            print(f'{name:8} floor unknown')


def print_losses(losses, article_batch=None):
    """Print losses, a line each.

    Args:
        losses: split and condition -> Loss.
        article_batch: also print them as article 004 does, nats per caption / this batch size.
    """
    for what, loss in losses.items():
        article = f'  article 004 {loss.per_caption / article_batch:.4f}' if article_batch else ''
        print(f'  {what:22} {loss}{article}')


def draw_losses(records, path, title):
    """Draw the curves of the losses in a log's records, floors and the dev baseline as lines."""
    series, lines = {}, {}
    for record in records:
        for what, loss in record.get('losses', {}).items():
            series.setdefault(what, []).append((record['epoch'], loss['per_token']))
        for split, found in record.get('floors', {}).items():
            lines |= {f'{split}: {what}': loss['per_token'] for what, loss in found.items()
                      if (split == 'dev' or 'entropy' in what) and split in ('train', 'dev')}
    pictures.loss_curve(series, path, title=title, x_label='epoch', references=lines)


def write_samples(records, images, path):
    """Write a page of sample images, each with its captions of all epochs, the latest first.

    Args:
        records: of a log, with 'samples': list of {'file', 'caption', 'per_word'}.
        images: ImageStore.
        path: of the HTML file; nothing is written if there are no samples.
    """
    history = {}
    for record in records:
        for sample in record.get('samples', ()):
            history.setdefault(sample['file'], []).append(
                (f'epoch {record["epoch"]}: {sample["caption"]}', sample['per_word']))
    items = [pictures.Item(images.load(name), captions[-1][0].partition(': ')[2], captions[::-1],
                         os.path.basename(name)) for name, captions in history.items()]
    if items:
        pictures.html_page(items, path, 'Captions as they evolve, with the mean probability of a '
                         'word (geometric)')

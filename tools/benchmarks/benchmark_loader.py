#!/usr/bin/env python
"""Images per second of the training data loader beside torchvision's ImageFolder with the same transforms.

    python tools/benchmarks/benchmark_loader.py                        # drawn pictures exported to a temporary folder
    python tools/benchmarks/benchmark_loader.py --data-root data/Market-1501-v15.09.15

All variants (from disk, from the decoded-image cache, ImageFolder) run in turn, several times; medians and ratios are
printed.
"""

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader
from torchvision import transforms

from mmreid.datasets import Market1501, ShuffleSampler, SyntheticReID, export_market_layout, reid_collate


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data-root', help='folder in the Market-1501 layout; default: a temporary export')
    parser.add_argument('--num-images', type=int, default=4096, help='images read in one measurement')
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--size', type=int, nargs=2, default=(256, 128), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--workers', type=int, nargs='+', default=(0, 2))
    parser.add_argument('--augment', action='store_true', help='also pad, crop and erase')
    parser.add_argument('--repeats', type=int, default=5)
    return parser.parse_args()


def make_pipeline(size: tuple[int, int], augment: bool) -> list[dict]:
    """Training pipeline of the configs."""
    extra = [dict(type='mmpretrain.RandomCrop', crop_size=tuple(size), padding=10),
             dict(type='mmpretrain.RandomErasing')]
    return [dict(type='LoadImage'), dict(type='Resize', scale=(size[1], size[0])), dict(type='RandomFlip', prob=0.5),
            *(extra if augment else []), dict(type='PackReIDInputs')]


def images_per_second(loader: DataLoader, num_images: int) -> float:
    """Speed over the first images of an epoch."""
    seen, start = 0, time.perf_counter()
    for batch in loader:
        seen += len(batch['inputs'] if isinstance(batch, dict) else batch[0])
        if seen >= num_images:
            break
    return seen / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    args = parse_args()
    init_default_scope('mmreid')
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = args.data_root
        if root is None:
            root = f'{folder}/market'
            export_market_layout([SyntheticReID('a', 'train', num_train_pids=300)], root)
        pipeline = make_pipeline(args.size, args.augment)
        datasets = {name: Market1501(root, pipeline=pipeline, cache=name == 'cache', check_counts=False)
                    for name in ('disk', 'cache')}
        results = measure(datasets, image_folder(datasets['disk'], f'{folder}/links', args), args)
    report(results, datasets, args)


def image_folder(dataset: Market1501, links: str, args: argparse.Namespace) -> torchvision.datasets.ImageFolder:
    """The same images as torchvision reads them: links in a folder for each identity, decoded by PIL."""
    for row in range(len(dataset)):
        info = dataset.get_data_info(row)
        link = Path(links) / str(info['pid']) / Path(info['img_path']).name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(info['img_path']).resolve())
    extra = [transforms.Pad(10), transforms.RandomCrop(args.size), transforms.PILToTensor(),
             transforms.RandomErasing()] if args.augment else [transforms.PILToTensor()]
    return torchvision.datasets.ImageFolder(
        links, transforms.Compose([transforms.Resize(args.size), transforms.RandomHorizontalFlip(), *extra]))


def measure(datasets: dict[str, Market1501], folder: torchvision.datasets.ImageFolder,
            args: argparse.Namespace) -> dict[tuple[str, int], list[float]]:
    """Images per second of every variant, the variants in turn."""
    loaders = {
        (name, workers): DataLoader(dataset, args.batch_size, sampler=ShuffleSampler(dataset, seed=0),
                                    num_workers=workers, collate_fn=reid_collate, drop_last=True,
                                    persistent_workers=workers > 0)
        for name, dataset in datasets.items() for workers in args.workers
    }
    loaders.update({
        ('ImageFolder', workers): DataLoader(folder, args.batch_size, shuffle=True, num_workers=workers, drop_last=True,
                                             persistent_workers=workers > 0)
        for workers in args.workers
    })
    results = {key: [] for key in loaders}
    for repeat in range(args.repeats + 1):  # the first round warms up
        for key, loader in loaders.items():
            speed = images_per_second(loader, min(args.num_images, len(loader) * args.batch_size))
            results[key] += [speed] if repeat else []
    return results


def report(results: dict[tuple[str, int], list[float]], datasets: dict[str, Market1501],
           args: argparse.Namespace) -> None:
    """Print medians and ratios."""
    print(f'{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, '
          f'OpenCV {cv2.__version__}, torch {torch.__version__}, torchvision {torchvision.__version__}; '
          f'{len(datasets["disk"]):,} images, '
          f'{args.size[0]}x{args.size[1]}, batch {args.batch_size}, medians of {args.repeats}')
    print(f'cache: {datasets["cache"].cache_nbytes / 2**20:.1f} MiB')
    medians = {key: statistics.median(values) for key, values in results.items()}
    for (name, workers), median in medians.items():
        low, high = min(results[name, workers]), max(results[name, workers])
        print(f'{name:11s} workers={workers}: {median:7.0f} images/s  (from {low:.0f} to {high:.0f})')
    for workers in args.workers:
        for name in ('disk', 'cache'):
            ratio = medians[name, workers] / medians['ImageFolder', workers]
            print(f'{name} / ImageFolder, workers={workers}: {ratio:.2f}')


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Draw a sheet of identities (rows) and cameras (columns), or of images without labels by camera.

    python tools/visualization/browse_dataset.py configs/baseline/resnet18_synthetic.py sheet.png --augmented
    python tools/visualization/browse_dataset.py data/old_cameras sheet.png --split gallery --num-images 3
    python tools/visualization/browse_dataset.py data/new_cameras sheet.png --options 'camera_pattern=_c(\\d+)'

Identities, and their images where there are more than fit, are drawn with the seed. Grey: no such image. Where nobody
is known (labels=False), each row is a camera with images drawn from it. With --augmented, each image is followed by
itself after the training pipeline.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from mmengine.registry import init_default_scope

from mmreid.datasets import ReIDDataset, SeededIndex
from mmreid.datasets.inspection import Layout, recognise_layout, without_overlay
from mmreid.registry import DATASETS
from mmreid.utils.command_line import check_output
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.option_action import OptionAction
from mmreid.visualization import contact_sheet

_SPLITS = ('train', 'test', 'query', 'gallery', 'all')


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('target', metavar='CONFIG|PATH', help='config, or folder of a dataset')
    parser.add_argument('out', metavar='OUT.png', help='picture to write')
    parser.add_argument('--split', choices=_SPLITS, help='part to show; test is query and gallery (default: train, '
                        'or all for a folder without splits)')
    parser.add_argument('--num-pids', type=int, default=8, help='identities (default: 8)')
    parser.add_argument('--num-images', type=int, help='images of an identity in a camera (default: 1), without labels '
                        'of a camera (default: 8)')
    parser.add_argument('--augmented', action='store_true', help='also show the images after the training pipeline')
    parser.add_argument('--pipeline-from', metavar='CONFIG', help='for a folder: config with the training pipeline')
    parser.add_argument('--type', help='type of the dataset in the folder (default: recognised by its layout)')
    parser.add_argument('--options', nargs='+', action=OptionAction, default={}, metavar='KEY=VALUE',
                        help='options of the dataset in the folder')
    parser.add_argument('--image-size', type=int, nargs=2, default=(128, 64), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--force', action='store_true', help='replace OUT.png')
    args = parser.parse_args()
    for name in ('num_pids', 'num_images'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    if not args.out.lower().endswith('.png'):
        parser.error(f'the picture must be a .png, got "{args.out}"')
    return args


def dataset_settings(args: argparse.Namespace) -> dict:
    """Settings of the dataset to show, with the training pipeline if it is asked for."""
    pipeline_from = args.pipeline_from
    if args.type is None and args.target.endswith('.py') and not Path(args.target).is_dir():
        pipeline_from = pipeline_from or args.target
        settings = _loader(args.target, 'test' if args.split in ('test', 'query', 'gallery') else 'train')
    else:
        layout = recognise_layout(args.target) if args.type is None else Layout(args.type, args.target, '')
        split = {} if args.split is None else dict(split='test' if args.split in ('query', 'gallery') else args.split)
        settings = layout.settings(**split, **args.options)[0]
    settings = without_overlay(settings)
    if not args.augmented:
        return dict(settings, pipeline=[], cache=False)
    if pipeline_from is None:
        raise ConfigError('--augmented: a folder has no training pipeline; say --pipeline-from CONFIG')
    training = _loader(pipeline_from, 'train')
    pipeline = dict(pipeline=training['pipeline']) if 'pipeline' in training else {}
    return dict(settings, **pipeline, cache=False)


def _loader(path: str, name: str) -> dict:
    config = load_config(path)
    loader = config.get(f'{name}_dataloader') or config.get('val_dataloader')
    if loader is None:
        raise ConfigError(f'{path} has no {name}_dataloader')
    return loader.dataset.to_dict()


def is_unlabelled(dataset: ReIDDataset) -> bool:
    """Whether no image is of anybody, and it is no test data, where such images are junk and distractors."""
    return dataset.split == 'train' and bool(np.isin(dataset.get_pids(), dataset.NON_IDENTITIES).all())


def choose_rows(dataset: ReIDDataset, args: argparse.Namespace) -> dict[tuple[int, int], list[int]]:
    """Rows of the dataset to show by identity and camera; where nobody is known, by camera and 0."""
    rng = np.random.default_rng(args.seed)
    pids, camids, splits = dataset.get_pids(), dataset.get_camids(), dataset.get_splits()
    if is_unlabelled(dataset):
        keys, wanted, number = np.stack([camids, np.zeros_like(camids)], axis=1), np.ones(len(pids), dtype=bool), 8
    else:
        keys, wanted, number = np.stack([pids, camids], axis=1), ~np.isin(pids, dataset.NON_IDENTITIES), 1
        if args.split in ('query', 'gallery'):
            wanted &= splits == args.split
        people = np.unique(pids[wanted])
        if not len(people):
            raise ValueError(f'{dataset.summary()}: no identity to show')
        people = np.sort(rng.choice(people, min(args.num_pids, len(people)), replace=False))
        wanted &= np.isin(pids, people)
    rows = defaultdict(list)
    for row in np.flatnonzero(wanted):
        rows[tuple(keys[row].tolist())].append(int(row))
    return {key: sorted(rng.permutation(rows[key])[:args.num_images or number].tolist()) for key in sorted(rows)}


def load_images(dataset: ReIDDataset, row: int, args: argparse.Namespace) -> list[np.ndarray]:
    """The image of a row, and after the pipeline."""
    image = dataset.get_image(row)
    images = [dataset.load_image(dataset.get_data_info(row)) if image is None else image]
    if args.augmented:
        packed = dataset[SeededIndex(row, seed=(args.seed * 1000003 + row) % 2**32)]
        images.append(np.ascontiguousarray(packed['inputs'].permute(1, 2, 0).numpy()))
    return images


def draw(dataset: ReIDDataset, args: argparse.Namespace) -> np.ndarray:
    """The sheet."""
    chosen = choose_rows(dataset, args)
    firsts, seconds = (sorted(set(numbers)) for numbers in zip(*chosen))
    cells = {(firsts.index(first), seconds.index(second)): [image for row in rows
                                                            for image in load_images(dataset, row, args)]
             for (first, second), rows in chosen.items()}
    labels = [f'pid {pid}' for pid in firsts], [f'camera {camid}' for camid in seconds]
    if is_unlabelled(dataset):
        known = getattr(dataset, 'reads_cameras', True)
        labels = [f'camera {camid}' if known else 'camera ?' for camid in firsts], ['without labels']
    return contact_sheet(cells, *labels, slots=max(map(len, cells.values())), image_size=tuple(args.image_size))


def main() -> int:
    """Draw and write."""
    args = parse_args()
    init_default_scope('mmreid')
    try:
        if Path(args.out).exists() and not args.force:
            raise ValueError(f'{args.out} is there; --force replaces it')
        check_output(args.out, ('.png', ), 'OUT')
        sheet = draw(DATASETS.build(dataset_settings(args)), args)
    except (ConfigError, OSError, KeyError, ValueError, TypeError) as error:
        print(error.args[0] if isinstance(error, KeyError) else error, file=sys.stderr)
        return 1
    Path(args.out).write_bytes(cv2.imencode('.png', sheet)[1].tobytes())  # cv2.imwrite cannot write every path
    print(f'{args.out}: {sheet.shape[1]} x {sheet.shape[0]} pixels')
    return 0


if __name__ == '__main__':
    sys.exit(main())

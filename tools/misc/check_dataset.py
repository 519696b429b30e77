#!/usr/bin/env python
"""Examine a dataset before a long training: folders, counts, identities, and every image decoded.

    python tools/misc/check_dataset.py configs/ptl/densenet161_market.py
    python tools/misc/check_dataset.py --type Market1501 --data-root data/Market-1501-v15.09.15

Ends with status 1 if something is wrong, 0 otherwise. Notes (identities with one image or one camera) are no errors.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
from mmengine.registry import init_default_scope
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmreid.datasets import ImageReadError, ReIDDataset
from mmreid.registry import DATASETS
from mmreid.utils.config import ConfigError, load_config


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help='config whose data loaders are examined')
    parser.add_argument('--type', help='dataset type to examine instead of a config, both splits')
    parser.add_argument('--data-root', help='folder of the dataset, with --type')
    parser.add_argument('--decode', action=argparse.BooleanOptionalAction, default=True,
                        help='decode every image (default: yes)')
    parser.add_argument('--num-workers', type=int, default=2, help='threads that decode')
    args = parser.parse_args()
    if (args.config is None) == (args.type is None):
        parser.error('give either a config or --type')
    return args


def dataset_configs(args: argparse.Namespace) -> list[dict]:
    """Settings of the datasets to examine, each once, without pipelines and caches."""
    if args.type is not None:
        root = {} if args.data_root is None else dict(data_root=args.data_root)
        found = [dict(type=args.type, split=split, **root) for split in ('train', 'test')]
    else:
        config = load_config(args.config)
        loaders = [config.get(f'{name}_dataloader') for name in ('train', 'val', 'test')]
        found = [loader.dataset.to_dict() for loader in loaders if loader is not None]
    bare = [dict(settings, pipeline=[], cache=False) for settings in found]
    return [settings for row, settings in enumerate(bare) if settings not in bare[:row]]


def notes(dataset: ReIDDataset) -> Iterator[str]:
    """Identities that training or evaluation can make little of."""
    pids, camids, splits = dataset.get_pids(), dataset.get_camids(), dataset.get_splits()
    for split in np.unique(splits):
        inside = (splits == split) & ~np.isin(pids, dataset.NON_IDENTITIES)
        present = np.unique(pids[inside])
        single_image = [pid for pid in present if (pids[inside] == pid).sum() == 1]
        single_camera = [pid for pid in present if len(np.unique(camids[inside][pids[inside] == pid])) == 1]
        for what, found in (('image', single_image), ('camera', single_camera)):
            if found:
                names = ', '.join(str(pid) for pid in found[:10]) + (' ...' if len(found) > 10 else '')
                yield f'{split}: {len(found):,} of {len(present):,} identities have one {what}: {names}'


class DecoderComplaints:
    """What image decoders write to the error output (file descriptor 2) while the block runs.

    libjpeg fills damaged parts of an image and says so there and nowhere else.
    """

    def __enter__(self) -> 'DecoderComplaints':
        sys.stderr.flush()
        self._file, self._saved, self._read = tempfile.TemporaryFile(), os.dup(2), 0
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *exception) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
        self._file.close()

    def new(self) -> str:
        """What was written since the last call."""
        size = os.fstat(self._file.fileno()).st_size
        text = os.pread(self._file.fileno(), size - self._read, self._read) if size > self._read else b''
        self._read = size
        return ' '.join(text.decode(errors='replace').split())


def broken_images(dataset: ReIDDataset, num_threads: int) -> list[str]:
    """Decode every image; what cannot be read, or is damaged so that the decoder complains, in words."""

    def check(row: int) -> str:
        info = dataset.get_data_info(row)
        try:
            dataset.load_image(info)
        except ImageReadError as error:
            return f'[{info["split"]}] {error}'
        return ''

    def check_again(row: int) -> str:
        """One image at a time, to know which one a complaint is about."""
        with DecoderComplaints() as complaints:
            message = check(row)
            complaint = complaints.new()
        info = dataset.get_data_info(row)
        return message or (complaint and f'[{info["split"]}] image "{info["img_path"]}" is damaged: {complaint}')

    columns = TextColumn('decoding'), BarColumn(), MofNCompleteColumn(), TextColumn('{task.speed:.0f} images/s'), \
        TimeRemainingColumn()
    found = []
    with Progress(*columns, disable=not sys.stderr.isatty()) as bar, ThreadPoolExecutor(num_threads) as pool:
        task = bar.add_task('decoding', total=len(dataset))
        for start in range(0, len(dataset), 512):
            window = range(start, min(start + 512, len(dataset)))
            with DecoderComplaints() as complaints:
                messages = list(pool.map(check, window))
                complained = complaints.new()
            found += filter(None, map(check_again, window) if complained else messages)
            bar.advance(task, len(window))
    return found


def examine(settings: dict, args: argparse.Namespace) -> list[str]:
    """Print what is noteworthy about one dataset and return its problems."""
    try:
        dataset = DATASETS.build(settings)
    except (OSError, ValueError) as error:
        return [str(error)]
    for note in notes(dataset):
        print(f'  note: {note}')
    problems = dataset.count_differences()
    if args.decode:
        broken = broken_images(dataset, args.num_workers)
        print(f'  {len(dataset) - len(broken):,} of {len(dataset):,} images decoded')
        problems += broken
    return problems


def main() -> int:
    """Examine and report."""
    args = parse_args()
    init_default_scope('mmreid')
    try:
        settings = dataset_configs(args)
    except ConfigError as error:
        sys.exit(str(error))
    problems = list(chain.from_iterable(examine(item, args) for item in settings))
    for problem in problems:
        print(f'  problem: {problem}')
    print(f'{len(problems):,} problem(s) found' if problems else 'No problem found')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())

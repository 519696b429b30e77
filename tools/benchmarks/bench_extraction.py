#!/usr/bin/env python
"""Images per second of the extraction that begins a round of pseudo labels, beside the bare forward pass.

    python tools/benchmarks/bench_extraction.py
    python tools/benchmarks/bench_extraction.py --config configs/pul/resnet18_synthetic_a2b.py --workers 0 2
    python tools/benchmarks/bench_extraction.py --data-root data/Market-1501-v15.09.15 --device cuda

One side is what ``PseudoLabelHook`` does: reading and decoding files, the test pipeline, the network in evaluation
mode, collecting the features in their order. The other sends one tensor, which lies on the device already, through the
same network as often as makes as many images. All run in turn in one process; medians and ratios are printed.
"""

import argparse
import platform
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from training_side import processor

from mmreid.datasets import PseudoLabelDataset, SyntheticReID, export_market_layout
from mmreid.engine.pseudo_rounds import extract_pool
from mmreid.registry import RUNNERS
from mmreid.utils.command_line import check_device, plain_errors
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.memory import seconds

#: Cameras of the drawn pictures, and pictures of a person in each.
CAMERAS, PICTURES = 6, 3


def parse_args(argv=None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='configs/pul/resnet50_duke2market.py',
                        help='config whose network and test pipeline are taken (default: %(default)s)')
    parser.add_argument('--data-root', help='folder in the Market-1501 layout; default: a temporary export of drawn '
                        'pictures')
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--num-images', type=int, default=2048)
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 2], help='loading processes')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', help='cpu or cuda (default: cuda where there is one)')
    args = parser.parse_args(argv)
    for name in ('batch_size', 'num_images', 'repeats'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {getattr(args, name)}')
    if min(args.workers) < 0:
        parser.error(f'--workers must not be negative, got {min(args.workers)}')
    return args


def build_runner(args: argparse.Namespace, root: str, work_dir: str) -> Any:
    """A runner of the config over files of a folder, with new weights."""
    cfg = load_config(args.config)
    data = cfg.get('test_dataloader') or cfg.get('train_dataloader')
    if data is None or cfg.get('train_cfg') is None:
        raise ConfigError(f'{args.config} is no config of a training with data')
    pipeline = data.dataset.get('test_pipeline') or data.dataset.pipeline
    source = dict(type='Market1501', data_root=root, check_counts=False, indices=args.num_images)
    cfg.train_dataloader = dict(
        batch_size=args.batch_size, num_workers=0, sampler=dict(type='ShuffleSampler'),
        dataset=dict(type='PseudoLabelDataset', dataset=source, pipeline=pipeline, test_pipeline=pipeline))
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader', 'test_cfg', 'test_evaluator'):
        cfg[key] = None
    cfg.load_from, cfg.resume, cfg.work_dir, cfg.log_level = None, False, work_dir, 'ERROR'
    runner = RUNNERS.build(cfg)
    runner.model.to(args.device)
    return runner


def sides(args: argparse.Namespace, runner: Any) -> dict[str, Callable[[], Any]]:
    """What is measured, by name; each side sends ``--num-images`` images through the network."""
    dataset: PseudoLabelDataset = runner.train_dataloader.dataset
    view, model = dataset.pool_view(), runner.model
    loader = runner.build_dataloader(
        dict(dataset=view, sampler=dict(type='EvalSampler'), batch_size=args.batch_size, num_workers=0), seed=0)
    images = model.data_preprocessor(next(iter(loader)))['inputs']
    whole, rest = divmod(len(view), len(images))

    def bare() -> None:
        model.eval()
        with torch.no_grad():
            for _ in range(whole):
                model.extract_feature(images)
            if rest:
                model.extract_feature(images[:rest])

    def extraction(workers: int) -> Callable[[], Any]:
        return lambda: extract_pool(runner, view, args.batch_size, workers)

    return {'bare forward': bare, **{f'extraction, workers={workers}': extraction(workers)
                                     for workers in dict.fromkeys(args.workers)}}


def measure(args: argparse.Namespace, functions: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Seconds of every side, the sides in turn; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(args.repeats + 1):
        for name, function in functions.items():
            taken = seconds(function, args.device)
            times[name] += [taken] if repeat else []
    return times


def main(argv=None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    with plain_errors(), tempfile.TemporaryDirectory() as folder:
        args.device = check_device(args.device) or ('cuda' if torch.cuda.is_available() else 'cpu')
        root = args.data_root
        if root is None:
            root = f'{folder}/market'
            people = -(-args.num_images // (CAMERAS * PICTURES))
            export_market_layout([SyntheticReID('a', 'train', num_train_pids=people, num_cams=CAMERAS,
                                                num_images=PICTURES, cache=False)], root)
        runner = build_runner(args, root, f'{folder}/work')
        functions = sides(args, runner)
        count, times = len(runner.train_dataloader.dataset), measure(args, functions)
    print(f'{processor(args.device)}; torch {torch.__version__}, Python {platform.python_version()}; {args.config}: '
          f'{count:,} images, batches of {args.batch_size}, medians of {args.repeats}')
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f'{name:24s} {count / medians[name]:9.1f} images/s  (from {count / max(values):.1f} to '
              f'{count / min(values):.1f}), {medians["bare forward"] / medians[name]:.2f} x bare forward')


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmreid.apis import require_test_set
from mmreid.evaluation import ReIDMetric
from mmreid.models.tta import apply_tta, choose_tta
from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.command_line import check_output, plain_errors
from mmreid.utils.config import ConfigError, add_common_arguments, config_from_arguments, drop_training
from mmreid.utils.distributed import close_process_group
from mmreid.visualization import plot_cmc


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a re-identification model on its test set.')
    parser.add_argument('config', help='config file the model was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--dump', metavar='FEATS.npz',
                        help='also write the features, identities, cameras and paths of the images to a file')
    parser.add_argument('--tta', metavar='NAME', help='average the features of several views of each image: flip, '
                        'ten_crop or another entry of "tta" in the config; none for the image alone (default: '
                        'tta.default of the config, or none)')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def prepare_config(args: argparse.Namespace) -> Config:
    """The config without its training part, and with everything the command line says."""
    cfg = config_from_arguments(args)
    require_test_set(cfg, args.config)
    cfg.load_from, cfg.resume = args.checkpoint, False
    drop_training(cfg)
    args.tta = choose_tta(cfg, args.tta)
    if args.tta:
        apply_tta(cfg, args.tta)
    if args.dump:
        metric = cfg.test_evaluator[0] if isinstance(cfg.test_evaluator, (list, tuple)) else cfg.test_evaluator
        metric.dump = args.dump
    return cfg


def retrieval_metrics(runner: Runner) -> list:
    """Metrics of the runner that make reports, with a file name for each."""
    metrics = [metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, ReIDMetric)]
    names = ['evaluation' if len(metrics) == 1 else f'evaluation_{number}' for number in range(len(metrics))]
    return [(metric, Path(runner.log_dir) / f'{name}.json') for metric, name in zip(metrics, names)]


def write_reports(runner: Runner, args: argparse.Namespace) -> None:
    """Write the result and the CMC curves of every re-identification metric into the log folder."""
    for metric, out in retrieval_metrics(runner):
        if metric.last_report is None:  # not the main process
            continue
        metric.last_report.source = dict(config=args.config, checkpoint=args.checkpoint, tta=args.tta)
        metric.last_report.write(out)
        plot_cmc(metric.last_report, out.with_suffix('.png'))
        runner.logger.info(f'written: {out}, {out.with_suffix(".png")}')


def test(args: argparse.Namespace) -> None:
    """Extract, evaluate and report."""
    with plain_errors():
        if args.dump:
            check_output(args.dump, ('.npz', ), '--dump', (args.config, args.checkpoint))
        runner = RUNNERS.build(prepare_config(args))
        for metric, out in retrieval_metrics(runner):
            metric.rescue = str(out.with_name(f'{out.stem}_features.npz'))
    if args.tta:
        runner.logger.info(f'Test-time augmentation: {args.tta} (--tta none: the image alone)')
    with plain_errors(CheckpointError, ConfigError, ValueError, OSError):
        runner.test()
        write_reports(runner, args)


def main(argv=None) -> None:
    test(parse_args(argv))
    close_process_group()


if __name__ == '__main__':
    main()

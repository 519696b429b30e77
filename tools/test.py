#!/usr/bin/env python
"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmreid.models.tta import apply_tta
from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.config import ConfigError, add_common_arguments, config_from_arguments
from mmreid.utils.distributed import close_process_group
from mmreid.visualization import plot_cmc


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a re-identification model on its test set.')
    parser.add_argument('config', help='config file the model was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--dump', metavar='FEATS.npz', help='also write the features, identities and cameras to a file')
    parser.add_argument('--tta', metavar='NAME', help='average the features of several views of each image: flip, '
                        'ten_crop or another entry of "tta" in the config')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def prepare_config(args: argparse.Namespace) -> Config:
    """The config without its training part, and with everything the command line says."""
    cfg = config_from_arguments(args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_cfg',
                'val_evaluator'):
        cfg[key] = None
    if args.tta:
        apply_tta(cfg, args.tta)
    if args.dump:
        metric = cfg.test_evaluator[0] if isinstance(cfg.test_evaluator, (list, tuple)) else cfg.test_evaluator
        metric.dump = args.dump
    return cfg


def write_reports(runner: Runner) -> None:
    """Write the result and the CMC curves of every re-identification metric into the log folder."""
    metrics = [metric for metric in runner.test_loop.evaluator.metrics if getattr(metric, 'last_report', None)]
    for number, metric in enumerate(metrics):
        name = 'evaluation' if len(metrics) == 1 else f'evaluation_{number}'
        out = Path(runner.log_dir) / f'{name}.json'
        metric.last_report.write(out)
        plot_cmc(metric.last_report, out.with_suffix('.png'))
        runner.logger.info(f'written: {out}, {out.with_suffix(".png")}')


def main(argv=None) -> None:
    try:
        runner = RUNNERS.build(prepare_config(parse_args(argv)))
        runner.test()
        write_reports(runner)
        close_process_group()
    except (ConfigError, CheckpointError) as error:
        sys.exit(f'{type(error).__name__}: {error}')


if __name__ == '__main__':
    main()

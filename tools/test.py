#!/usr/bin/env python
"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
import sys

from mmengine.config import Config

from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.config import ConfigError, add_common_arguments, config_from_arguments
from mmreid.utils.distributed import close_process_group


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a re-identification model on its test set.')
    parser.add_argument('config', help='config file the model was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--dump', metavar='FEATS.npz', help='also write the features, identities and cameras to a file')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def prepare_config(args: argparse.Namespace) -> Config:
    """The config without its training part, and with everything the command line says."""
    cfg = config_from_arguments(args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_cfg',
                'val_evaluator'):
        cfg[key] = None
    if args.dump:
        metric = cfg.test_evaluator[0] if isinstance(cfg.test_evaluator, (list, tuple)) else cfg.test_evaluator
        metric.dump = args.dump
    return cfg


def main(argv=None) -> None:
    try:
        runner = RUNNERS.build(prepare_config(parse_args(argv)))
        runner.test()
        close_process_group()
    except (ConfigError, CheckpointError) as error:
        sys.exit(f'{type(error).__name__}: {error}')


if __name__ == '__main__':
    main()

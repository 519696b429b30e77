#!/usr/bin/env python
"""Train a model: ``python tools/train.py CONFIG``."""

import argparse

from mmengine.config import Config

from mmreid.datasets.image_io import ImageReadError
from mmreid.engine.hooks import PseudoLabelError
from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.command_line import plain_errors
from mmreid.utils.config import ConfigError, add_common_arguments, config_from_arguments
from mmreid.utils.distributed import close_process_group
from mmreid.visualization import draw_finished_rounds


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a re-identification model.')
    parser.add_argument('config', help='config file, for example configs/ptl/densenet161_market.py')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from the newest readable checkpoint of the work dir, or from the one given')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on CUDA, bfloat16 where that is not supported')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def prepare_config(args: argparse.Namespace) -> Config:
    """The config with everything the command line says."""
    cfg = config_from_arguments(args)
    if args.resume:
        # 'auto' keeps the config's load_from for the first start, when there is nothing to resume yet.
        cfg.resume = 'auto' if args.resume == 'auto' else True
        cfg.load_from = cfg.get('load_from') if args.resume == 'auto' else args.resume
    if args.amp:
        cfg.optim_wrapper.type = 'ReIDAmpOptimWrapper'
        cfg.optim_wrapper.setdefault('dtype', 'auto')
    return cfg


def train(args: argparse.Namespace) -> None:
    """Build, train and draw what can be drawn."""
    with plain_errors():  # nothing is trained yet: what fails is in the config
        cfg = prepare_config(args)
        runner = RUNNERS.build(cfg)
    with plain_errors(ConfigError, CheckpointError, FileNotFoundError, ImageReadError, PseudoLabelError):
        runner.train()
        draw_finished_rounds(cfg.work_dir)


def main(argv=None) -> None:
    train(parse_args(argv))
    close_process_group()


if __name__ == '__main__':
    main()

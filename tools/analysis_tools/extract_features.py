#!/usr/bin/env python
"""Write features to a file: ``python tools/analysis_tools/extract_features.py CONFIG CHECKPOINT OUT.npz``."""

import argparse

from mmengine.config import Config

from mmreid.apis import add_test_dataloader, find_test_pipeline
from mmreid.models.tta import apply_tta, choose_tta
from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.command_line import check_output, plain_errors
from mmreid.utils.config import ConfigError, add_common_arguments, config_from_arguments, drop_training
from mmreid.utils.distributed import close_process_group


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write the features of a dataset to a file.')
    parser.add_argument('config', help='config file the model was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', metavar='FEATS.npz')
    parser.add_argument('--split', choices=('train', 'test'), default='train',
                        help='images of the training dataset, loaded as for testing, or of the test dataset')
    parser.add_argument('--tta', metavar='NAME', help='as for tools/test.py')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def prepare_config(args: argparse.Namespace) -> Config:
    """The config with one loader, over the images that are asked for, and a metric that writes features."""
    cfg = config_from_arguments(args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.split == 'train':
        if cfg.get('train_dataloader') is None:
            raise ConfigError(f'{args.config} has no train_dataloader; use --split test')
        pipeline, data = find_test_pipeline(cfg), cfg.train_dataloader.dataset
        add_test_dataloader(cfg)
        # Pseudo labels lie over images: those are extracted, all of them.
        cfg.test_dataloader.dataset = data.dataset if data.type == 'PseudoLabelDataset' else data
        cfg.test_dataloader.dataset.update(pipeline=pipeline, cache=False)
    elif cfg.get('test_dataloader') is None:
        raise ConfigError(f'{args.config} has no test_dataloader; use --split train, or tools/infer.py for any images')
    drop_training(cfg)
    cfg.test_evaluator = dict(type='FeatureDump', out=args.out)
    args.tta = choose_tta(cfg, args.tta)
    if args.tta:
        apply_tta(cfg, args.tta)
    return cfg


def extract(args: argparse.Namespace) -> None:
    """Extract and write."""
    with plain_errors():
        check_output(args.out, ('.npz', ), 'FEATS.npz', (args.config, args.checkpoint))
        runner = RUNNERS.build(prepare_config(args))
    with plain_errors(CheckpointError, ConfigError, ValueError, OSError):
        runner.test()


def main(argv=None) -> None:
    extract(parse_args(argv))
    close_process_group()


if __name__ == '__main__':
    main()

"""The datasets that a command line names: those of a config, or a type and a folder."""

import argparse
from typing import Any

from mmengine.registry import init_default_scope

from mmreid.registry import DATASETS
from mmreid.utils.config import load_config
from mmreid.utils.option_action import OptionAction

from .base import ReIDDataset


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that :func:`chosen_settings` reads."""
    parser.add_argument('config', nargs='?', help='config whose training and test data are converted')
    parser.add_argument('--type', help='dataset type to convert instead of those of a config')
    parser.add_argument('--data-root', help='folder of the dataset, with --type')
    parser.add_argument('--options', nargs='+', action=OptionAction, default={}, metavar='KEY=VALUE',
                        help='options of the dataset, with --type, for example box=labeled')
    parser.add_argument('--splits', nargs='+', default=['train', 'test'], metavar='SPLIT',
                        help='splits to convert (default: train test)')


def chosen_settings(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Settings of the datasets, without pipelines and caches.

    Args:
        args (Namespace): Of a parser with :func:`add_dataset_arguments`.

    Returns:
        List[dict]: One for each split that was asked for and is there.

    Raises:
        ValueError: If not exactly one of config and type is given, or nothing is left.
    """
    if (args.config is None) == (args.type is None):
        raise ValueError('give either a config or --type')
    if args.config is not None and (args.data_root is not None or args.options):
        raise ValueError('--data-root and --options go with --type, not with a config')
    if args.type is not None:
        root = {} if args.data_root is None else dict(data_root=args.data_root)
        found = [dict(args.options, type=args.type, split=split, **root) for split in args.splits]
    else:
        config = load_config(args.config)
        loaders = [config.get('train_dataloader'), config.get('test_dataloader') or config.get('val_dataloader')]
        found = [loader.dataset.to_dict() for loader in loaders if loader is not None]
        found = [settings for settings in found if settings.get('split', 'train') in args.splits]
    if not found:
        raise ValueError(f'"{args.config}" has no data of the splits {", ".join(args.splits)}')
    for settings in found:
        settings.update(pipeline=[], cache=False)
    return found


def build_datasets(settings: list[dict[str, Any]]) -> list[ReIDDataset]:
    """Build the datasets.

    Raises:
        ValueError: If a type is unknown or no re-identification dataset.
    """
    init_default_scope('mmreid')
    datasets = []
    for item in settings:
        try:
            datasets.append(DATASETS.build(dict(item)))
        except (KeyError, TypeError) as error:  # of the registry; its text names the type
            raise ValueError(f'dataset {item.get("type")}: {error.args[0]}') from None
        if not isinstance(datasets[-1], ReIDDataset):
            raise ValueError(f'dataset {item.get("type")} is no re-identification dataset')
    return datasets

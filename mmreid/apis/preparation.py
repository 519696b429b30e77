"""How a config prepares images for testing, also one that has no test set."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

from mmreid.utils.config import ConfigError

#: Where a test pipeline is looked for, in this order.
LOADERS = ('test_dataloader', 'val_dataloader', 'train_dataloader')
#: Transforms that do the same to an image each time.
FIXED = ('LoadImage', 'Resize', 'Pad', 'CenterCrop', 'ResizeEdge', 'PackReIDInputs')
#: Transforms that draw what they do and whose names do not begin with "Random".
DRAWN = ('ColorJitter', 'Translate', 'Rotate', 'Shear', 'AutoAugment', 'RandAugment', 'Lighting', 'Albumentations')


def find_test_pipeline(cfg: Config) -> list[dict]:
    """The transforms under which a config tests.

    That is the pipeline of its test data, or else of its validation data, or else the ``test_pipeline`` of its training
    data (``PseudoLabelDataset``), or else the pipeline of its training data without what is drawn at random.

    Args:
        cfg (Config): A config with data loaders.

    Returns:
        list[dict]: Configs of transforms.

    Raises:
        ConfigError: If there is no pipeline, several different ones, or one with a transform of which it is not known
            whether it draws.
    """
    for name in LOADERS:
        dataset = (cfg.get(name) or {}).get('dataset')
        for key in ('test_pipeline', 'pipeline') if dataset else ():
            found = list(_entries(dataset, key))
            if found and any(pipeline != found[0] for pipeline in found):
                raise ConfigError(f'{name} prepares its images by {len(found)} different pipelines; which of them is '
                                  'to be used for other images? Give the config a test_dataloader with one.')
            if found:
                is_training = name == 'train_dataloader' and key == 'pipeline'
                return _without_draws(found[0]) if is_training else list(found[0])
    raise ConfigError('the config says nowhere how images are prepared: it has no dataset with a pipeline in '
                      f'{", ".join(LOADERS)}')


def add_test_dataloader(cfg: Config) -> None:
    """Give a config that has no test data a loader of its training images, in place, prepared as for testing.

    Nothing happens where there is a ``test_dataloader``.

    Args:
        cfg (Config): A config.

    Raises:
        ConfigError: As :func:`find_test_pipeline`.
    """
    if cfg.get('test_dataloader') is None:
        train = cfg.get('train_dataloader') or {}
        pipeline = find_test_pipeline(cfg)
        cfg.test_dataloader = ConfigDict(
            batch_size=64, num_workers=train.get('num_workers', 0), sampler=dict(type='EvalSampler'),
            dataset=dict(train.get('dataset') or {}, pipeline=pipeline))
    if cfg.get('test_cfg') is None:
        cfg.test_cfg = ConfigDict()


def require_test_set(cfg: Config, name: str) -> None:
    """Raise unless a config has labelled test data and something that scores them.

    Args:
        cfg (Config): The config.
        name (str): Its file, for the message.

    Raises:
        ConfigError: If it has not.
    """
    missing = [key for key in ('test_dataloader', 'test_evaluator') if cfg.get(key) is None]
    if missing:
        raise ConfigError(f'{name} has no labelled test set ({", ".join(missing)}): nothing can be scored. '
                          'tools/analysis_tools/extract_features.py --split train writes the features of its images, '
                          'tools/infer.py those of any images and their ranked lists; or give the config a '
                          'test_dataloader and a test_evaluator (configs/_base_/datasets/folder.py has them)')


def _entries(node: Any, key: str) -> Iterator[list]:
    """Values under a key anywhere in a dataset config, without those of a dataset whose own pipeline is not used."""
    if isinstance(node, Mapping):
        if node.get(key):
            yield node[key]
            return  # what lies below is read through this one
        for value in node.values():
            yield from _entries(value, key)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _entries(value, key)


def _without_draws(pipeline: list) -> list[dict]:
    kept = []
    for step in pipeline:
        kind = step.get('type') if isinstance(step, Mapping) else step
        name = str(getattr(kind, '__name__', kind)).split('.')[-1]
        if name == 'RandomResizedCrop' or name == 'RandomCrop' and not step.get('padding'):
            raise ConfigError(f'the config has only a training pipeline, and its {name} changes the size of images. '
                              'Give it a test_dataloader whose dataset has the pipeline for testing.')
        if name.startswith('Random') or name in DRAWN:
            continue
        if name not in FIXED:
            raise ConfigError(f'the config has only a training pipeline, and whether its {name} draws at random is not '
                              'known. Give it a test_dataloader whose dataset has the pipeline for testing.')
        kept.append(step)
    return kept

"""What the tests of the datasets with named images share: miniature trees, wrong roots, configs."""

import os.path as osp
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmreid.datasets import DATA_ROOT_ENV

from .conftest import write_image

CONFIG_ROOT = osp.join(osp.dirname(__file__), '../../configs/_base_/datasets')


def fill(folder: Path, names) -> Path:
    """Write a small image under each name, and a file that is none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'Thumbs.db').write_bytes(b'not an image')
    for seed, name in enumerate(names):
        write_image(folder / name, seed)
    return folder


def names(dataset, split=None) -> list[str]:
    """File names of the rows, of one record split if given."""
    infos = [dataset.get_data_info(row) for row in range(len(dataset))]
    return [osp.basename(info['img_path']) for info in infos if split in (None, info['split'])]


def pids(dataset, split=None) -> set[int]:
    """Identities of the rows, of one record split if given."""
    return set(dataset.get_pids()[[split in (None, found) for found in dataset.get_splits()]].tolist())


def check_wrong_roots(cls, root: Path, *children: str, **options) -> None:
    """The parent, a child and a misspelt root are errors that name the right one."""
    for wrong in (root.parent, *(root / child for child in children), root.parent / 'misspelt'):
        with pytest.raises(FileNotFoundError) as error:
            cls(str(wrong), **options)
        for part in (cls.__name__, f'Did you mean data_root={str(root)!r}', 'Expected tree', DATA_ROOT_ENV, 'docs/'):
            assert part in str(error.value), (wrong, part)


def check_odd_places(cls, root: Path, **options) -> None:
    """A link, and a path with a space and other letters, lead to the same rows; images can be read from there."""
    expected = names(cls(str(root), check_counts=False, **options))
    link = root.parent / 'a link'
    link.symlink_to(root)
    assert names(cls(str(link), check_counts=False, **options)) == expected
    moved = root.rename(root.parent / 'données 人')
    dataset = cls(str(moved), check_counts=False, pipeline=[dict(type='LoadImage')], **options)
    assert names(dataset) == expected and dataset[0]['img'].shape == (32, 16, 3)


def check_config(name: str, root: Path, monkeypatch, size: tuple[int, int] = (256, 128)) -> Config:
    """The config finds the tree below ``MMREID_DATA_ROOT`` and gives batches of both splits."""
    monkeypatch.setenv(DATA_ROOT_ENV, str(root.parent))
    config = Config.fromfile(osp.join(CONFIG_ROOT, name))
    assert config.test_dataloader == config.val_dataloader and config.test_evaluator == config.val_evaluator
    assert config.train_dataloader.dataset.type == config.dataset_type
    if config.train_dataloader.sampler.type == 'PKSampler':
        config.train_dataloader.sampler.num_pids = 2
    for loader, split in ((config.train_dataloader, 'train'), (config.val_dataloader, 'test')):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        with DefaultScope.overwrite_default_scope('mmreid'):
            built = Runner.build_dataloader(loader, seed=0)
        assert built.dataset.split == split
        assert all(tuple(image.shape) == (3, *size) for image in next(iter(built))['inputs'])
    return config

"""Data of PUL: which datasets, how prepared, and that they load."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmreid.registry import DATASETS

BASES = Path(__file__).parents[2] / 'configs/_base_/datasets'
MARKET, DUKE, CUHK03 = 'Market1501', 'DukeMTMCreID', 'CUHK03'
#: Training data and test data of each.
EXPECTED = {
    'market1501_ide': ([MARKET], MARKET), 'dukemtmc_ide': ([DUKE], DUKE), 'cuhk03_ide': ([CUHK03], CUHK03),
    'marketduke_ide': ([MARKET, DUKE], CUHK03), 'dukecuhk03_ide': ([DUKE, CUHK03], MARKET),
    'marketcuhk03_ide': ([MARKET, CUHK03], DUKE), 'market1501_pul': ([MARKET], MARKET),
    'dukemtmc_pul': ([DUKE], DUKE), 'cuhk03_pul': ([CUHK03], CUHK03),
    'synthetic_pul': (['SyntheticReID'], 'SyntheticReID'), 'synthetic_ide': (['SyntheticReID'], 'SyntheticReID'),
    'market1501_cams123': ([MARKET], MARKET), 'market1501_cams456': ([MARKET], MARKET),
    'market1501_cams456_pul': ([MARKET], MARKET),
}
SMALL = [name for name in EXPECTED if name.startswith('synthetic') or 'cams' in name]


def leaves(node):
    """Configs of the data sets below a node."""
    if 'datasets' in node:
        return [leaf for part in node.datasets for leaf in leaves(part)]
    return leaves(node.dataset) if 'dataset' in node else [node]


@pytest.mark.parametrize('name', EXPECTED)
def test_config(name):
    config = Config.fromfile(BASES / f'{name}.py')
    training, testing = EXPECTED[name]
    assert [leaf.type for leaf in leaves(config.train_dataloader.dataset)] == training
    assert config.val_dataloader.dataset.type == testing and config.test_dataloader == config.val_dataloader
    assert config.val_evaluator.protocols == (['cuhk03-np'] if testing == CUHK03 else ['market1501', 'nd'])
    assert config.test_evaluator == config.val_evaluator
    for leaf in leaves(config.train_dataloader.dataset) + [config.val_dataloader.dataset]:
        if leaf.type == CUHK03:
            assert (leaf.protocol, leaf.box) == ('new', 'detected')
    assert (config.train_dataloader.dataset.type == 'PseudoLabelDataset') == name.endswith('_pul')
    size = (128, 64) if name in SMALL else (224, 224)
    if size == (224, 224):
        assert config.train_dataloader.batch_size == 16
        assert not any('Flip' in step.type for step in config.train_pipeline)
    for number, leaf in enumerate(leaves(config.train_dataloader.dataset) + [config.val_dataloader.dataset]):
        kept = {key: leaf[key] for key in ('pipeline', 'split') if key in leaf}
        leaf.clear()
        leaf.update(kept, type='SyntheticReID', domain='ab'[number % 2], num_train_pids=4, num_test_pids=3,
                    num_images=2)
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        with DefaultScope.overwrite_default_scope('mmreid'):
            batch = next(iter(Runner.build_dataloader(loader, seed=0)))
        assert all(tuple(image.shape) == (3, *size) for image in batch['inputs'])


def test_the_two_networks_of_cameras_share_nothing():
    first, second, unlabelled = (leaves(Config.fromfile(BASES / f'market1501_{name}.py').train_dataloader.dataset)[0]
                                 for name in ('cams123', 'cams456', 'cams456_pul'))
    assert not set(first.keep_camids) & set(second.keep_camids)
    assert first.pid_fold == (0, 2) and second.pid_fold == (1, 2)
    assert {key: unlabelled[key] for key in ('keep_camids', 'pid_fold', 'type')} == {
        key: second[key] for key in ('keep_camids', 'pid_fold', 'type')}
    for name in ('cams123', 'cams456', 'cams456_pul'):
        assert Config.fromfile(BASES / f'market1501_{name}.py').val_dataloader.dataset.keep_camids == [4, 5, 6]


def test_the_two_networks_on_real_data(monkeypatch):
    root = Path(__file__).parents[2] / 'data/Market-1501-v15.09.15'
    if not root.is_dir():
        pytest.skip('Market-1501 is not in data/')
    monkeypatch.chdir(Path(__file__).parents[2])
    people = []
    for name in ('cams123', 'cams456'):
        leaf = Config.fromfile(BASES / f'market1501_{name}.py').train_dataloader.dataset
        leaf.update(pipeline=[], cache=False)
        with DefaultScope.overwrite_default_scope('mmreid'):
            dataset = DATASETS.build(leaf)
        assert set(dataset.get_camids()) == set(leaf.keep_camids)
        people.append(set(dataset.get_pids()))
    assert not people[0] & people[1] and 650 < len(people[0] | people[1]) <= 751

"""Data of PUL: which datasets, how prepared, and that they load."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

BASES = Path(__file__).parents[2] / 'configs/_base_/datasets'
MARKET, DUKE, CUHK03 = 'Market1501', 'DukeMTMCreID', 'CUHK03'
#: Training data and test data of each.
EXPECTED = {
    'market1501_ide': ([MARKET], MARKET), 'dukemtmc_ide': ([DUKE], DUKE), 'cuhk03_ide': ([CUHK03], CUHK03),
    'marketduke_ide': ([MARKET, DUKE], CUHK03), 'dukecuhk03_ide': ([DUKE, CUHK03], MARKET),
    'marketcuhk03_ide': ([MARKET, CUHK03], DUKE), 'market1501_pul': ([MARKET], MARKET),
    'dukemtmc_pul': ([DUKE], DUKE), 'cuhk03_pul': ([CUHK03], CUHK03),
    'synthetic_pul': (['SyntheticReID'], 'SyntheticReID'),
}


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
    size = (128, 64) if name == 'synthetic_pul' else (224, 224)
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

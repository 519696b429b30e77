"""Data of DTL: which data sets, how prepared, and that they load."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from tests.test_datasets.test_pul_configs import leaves

BASES = Path(__file__).parents[2] / 'configs/_base_/datasets'
MARKET, CUHK03, DRAWN = 'Market1501', 'CUHK03', 'SyntheticReID'
BIG, SMALL, NARROW = (224, 224), (128, 64), (144, 56)
#: Training data, test data, size, protocol.
EXPECTED = {
    'dtl_market1501': ([MARKET], MARKET, BIG, 'market1501'),
    'dtl_market1501_144x56': ([MARKET], MARKET, NARROW, 'market1501'),
    'dtl_market1501_small': ([MARKET], MARKET, SMALL, 'market1501'),
    'dtl_market1501_rest': ([MARKET] * 6, MARKET, SMALL, 'market1501'),
    'dtl_market1501_100ids': ([MARKET], MARKET, SMALL, 'market1501'),
    'dtl_cuhk03': ([CUHK03], CUHK03, BIG, 'cuhk03'),
    'dtl_cuhk03market': ([CUHK03, MARKET], MARKET, BIG, 'market1501'),
    'dtl_cuhk03market_144x56': ([CUHK03, MARKET], MARKET, NARROW, 'market1501'),
    'dtl_viper': (['VIPeR'], 'VIPeR', BIG, 'viper'), 'dtl_viper_144x56': (['VIPeR'], 'VIPeR', NARROW, 'viper'),
    'dtl_prid2011': (['PRID2011'], 'PRID2011', BIG, 'prid2011'),
    'dtl_cuhk01': (['CUHK01'], 'CUHK01', BIG, 'cuhk01'), 'dtl_cuhk01_871': (['CUHK01'], 'CUHK01', BIG, 'cuhk01-100'),
    'dtl_synthetic': ([DRAWN], DRAWN, SMALL, 'market1501'), 'dtl_synthetic_b': ([DRAWN], DRAWN, SMALL, 'market1501'),
}
#: Small data sets: what is trained on without labels, alone or beside CUHK03 and Market-1501.
TARGETS = ('viper', 'prid2011', 'cuhk01')
WITHOUT_LABELS = {f'dtl_{name}_unlabelled': name for name in TARGETS}
WITH_SOURCE = {f'dtl_cuhk03market2{name}': name for name in TARGETS}
#: What these build on, of no use by itself.
SHARED = {'dtl_cuhk03market2target'}


def test_all_are_here():
    assert {path.stem for path in BASES.glob('dtl_*.py')} == {*EXPECTED, *WITHOUT_LABELS, *WITH_SOURCE, *SHARED}


def drawn(nodes):
    """Put drawn pedestrians in the place of data sets; parts differ."""
    for number, leaf in enumerate(nodes):
        kept = {key: leaf[key] for key in ('pipeline', 'split') if key in leaf}
        leaf.clear()
        leaf.update(kept, type=DRAWN, domain='ab'[number % 2], num_train_pids=4, num_test_pids=3, num_images=2,
                    seed=number)


def loaded(loader):
    loader.update(num_workers=0, persistent_workers=False)
    with DefaultScope.overwrite_default_scope('mmreid'):
        return Runner.build_dataloader(loader, seed=0)


def check_target(config, labelled):
    """Tested as with labels, and prepared alike; returns the config of the training images of those."""
    for key in ('val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator', 'train_pipeline'):
        assert config[key] == labelled[key], key
    data = dict(labelled.train_dataloader.dataset)
    assert config.train_dataloader.dataset.pipeline == data.pop('pipeline') == labelled.train_pipeline
    return {key: value for key, value in data.items() if key != 'split'}


@pytest.mark.parametrize('name', WITHOUT_LABELS)
def test_images_without_labels(name):
    """Those of the data set with labels; drawn in their place they have no class until one is laid over them."""
    config, labelled = (Config.fromfile(BASES / f'{stem}.py') for stem in (name, f'dtl_{WITHOUT_LABELS[name]}'))
    inner = config.train_dataloader.dataset
    assert inner.type == 'PseudoLabelDataset' and not inner.get('keep_labels')
    assert inner.dataset == check_target(config, labelled) and inner.test_pipeline == config.test_pipeline
    assert config.train_dataloader.sampler == labelled.train_dataloader.sampler
    drawn([inner.dataset])
    config.train_dataloader.update(batch_size=4)
    config.train_dataloader.sampler.num_pids = 2
    loader = loaded(config.train_dataloader)
    assert (loader.dataset.get_labels() == -1).all() and len(loader.dataset) == loader.dataset.source.count()[
        'train'].images
    loader.dataset.set_labels(np.arange(len(loader.dataset)) // 2)
    batch = next(iter(loader))
    assert all(tuple(image.shape) == (3, *BIG) for image in batch['inputs'])
    assert len({int(sample.gt_label) for sample in batch['data_samples']}) == 2


@pytest.mark.parametrize('name', WITH_SOURCE)
def test_a_source_beside_images_without_labels(name):
    """The source of the other stages, half of each batch; the other half has no class."""
    config, labelled = (Config.fromfile(BASES / f'{stem}.py') for stem in (name, f'dtl_{WITH_SOURCE[name]}'))
    source = Config.fromfile(BASES / 'dtl_cuhk03market.py').train_dataloader.dataset
    inner, sampler = config.train_dataloader.dataset, config.train_dataloader.sampler
    assert inner.type == 'SourceTargetDataset' and inner.target == check_target(config, labelled)
    assert inner.source == dict(type='MergedReIDDataset', datasets=source.datasets)
    assert sampler.num_unlabelled == sampler.num_pids * sampler.num_instances == 64
    assert config.train_dataloader.batch_size == 128
    drawn([*inner.source.datasets, inner.target])
    sampler.update(num_pids=2, num_unlabelled=4)
    config.train_dataloader.update(batch_size=8)
    batch = next(iter(loaded(config.train_dataloader)))
    assert all(tuple(image.shape) == (3, *BIG) for image in batch['inputs'])
    assert sorted((sample.domain, int(sample.gt_label) >= 0) for sample in batch['data_samples']) == [
        *[(0, True)] * 4, *[(1, False)] * 4]


@pytest.mark.parametrize('name', EXPECTED)
def test_config(name):
    config = Config.fromfile(BASES / f'{name}.py')
    training, testing, size, protocol = EXPECTED[name]
    trained, tested = leaves(config.train_dataloader.dataset), config.val_dataloader.dataset
    assert [leaf.type for leaf in trained] == training and tested.type == testing
    assert config.test_dataloader == config.val_dataloader and config.test_evaluator == config.val_evaluator
    assert config.val_evaluator.protocols[0] == protocol and config.val_evaluator.metric == 'euclidean'
    sampler, people = config.train_dataloader.sampler, 16 if size == SMALL else 32
    assert (sampler.type, sampler.num_pids, sampler.num_instances) == ('PKSampler', people, 2)
    assert config.train_dataloader.batch_size == 2 * people
    if testing not in (MARKET, DRAWN):  # one split, and the same setting, in training and test
        assert trained[0].split_id == tested.split_id == 0
        assert [trained[0].get(key) for key in ('protocol', 'box', 'setting', 'data_root')] == [
            tested.get(key) for key in ('protocol', 'box', 'setting', 'data_root')]
    for leaf in trained:
        if leaf.type == CUHK03:
            assert (leaf.protocol, leaf.box, leaf.get('val', False)) == ('classic', 'detected', False)
    drawn(trained + [tested])
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.update(batch_size=4)
        if 'num_pids' in loader.sampler:
            loader.sampler.num_pids = 2
        batch = next(iter(loaded(loader)))
        assert all(tuple(image.shape) == (3, *size) for image in batch['inputs'])


@pytest.mark.parametrize('name', sorted(set(EXPECTED) - {'dtl_market1501_rest', 'dtl_market1501_100ids'}))
def test_images_move_within_five_percent(name):
    """Where a white dot in the middle ends up, over many draws: everywhere within 5 %, and nowhere else."""
    config = Config.fromfile(BASES / f'{name}.py')
    height, width = EXPECTED[name][2]
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, (width // 2, height // 2), 5, (255, 255, 255), -1)
    with DefaultScope.overwrite_default_scope('mmreid'):
        pipeline = Compose([step for step in config.train_pipeline if 'Translate' in step.type])
    assert len(pipeline.transforms) == 2
    assert [step.interpolation for step in pipeline.transforms] == ['bilinear'] * 2
    np.random.seed(0)
    found = []
    for _ in range(300):
        moved = pipeline(dict(img=image.copy()))['img'].min(axis=2).astype(float)
        moved[moved < 200] = 0  # the border that moves in is the mean
        rows, columns = np.indices(moved.shape)
        centre = (rows * moved).sum() / moved.sum(), (columns * moved).sum() / moved.sum()
        found.append((centre[0] / height - 0.5, centre[1] / width - 0.5))
    found = np.array(found)
    slack = 1.0 / np.array([height, width])
    assert (np.abs(found) <= 0.05 + slack).all()
    assert (found.max(0) > 0.04 - slack).all() and (found.min(0) < -0.04 + slack).all()
    assert np.abs(np.corrcoef(found.T)[0, 1]) < 0.2 and (np.abs(found.mean(0)) < 0.01).all()


def test_small_target_and_its_source_share_nobody():
    """The parts that the two configs name are those of one division by seven."""
    rest, target = (Config.fromfile(BASES / f'dtl_market1501_{name}.py').train_dataloader.dataset
                    for name in ('rest', '100ids'))
    folds = [tuple(leaf.pid_fold) for leaf in leaves(rest)] + [tuple(target.pid_fold)]
    assert sorted(folds) == [(part, 7) for part in range(7)] and target.num_pids == 100
    assert not any('subset_seed' in leaf for leaf in [*leaves(rest), target])

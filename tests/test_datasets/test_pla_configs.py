"""Data of PLA: which data sets, how images are prepared, and what a test consists of."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmreid.datasets import DATA_ROOT_ENV
from mmreid.evaluation.retrieval_data import Features
from mmreid.registry import DATASETS, METRICS

BASES = Path(__file__).parents[2] / 'configs/_base_/datasets'
MARKET, DUKE, CUHK03, DRAWN = 'Market1501', 'DukeMTMCreID', 'CUHK03', 'SyntheticReID'
FULL, SMALL = (256, 128), (128, 64)
#: Data set, size (height, width), P, K, protocol.
EXPECTED = {
    'pla_market1501': (MARKET, FULL, 16, 8, 'market1501'), 'pla_market1501_multi': (MARKET, FULL, 16, 8, 'market1501'),
    'pla_dukemtmc': (DUKE, FULL, 16, 8, 'market1501'), 'pla_cuhk03_detected': (CUHK03, FULL, 16, 8, 'cuhk03-np'),
    'pla_cuhk03_labeled': (CUHK03, FULL, 16, 8, 'cuhk03-np'), 'pla_synthetic': (DRAWN, SMALL, 8, 4, 'market1501'),
    'pla_market1501_small': (MARKET, SMALL, 8, 4, 'market1501')}
#: Names of the rows of a test, and what is done to their features.
ROWS = {None: ['PCA'], 'reranked': ['PCA', 'KReciprocalReRanking'], 'multi': ['MultiQuery', 'PCA'],
        'multi_reranked': ['MultiQuery', 'PCA', 'KReciprocalReRanking']}


def config(name):
    return Config.fromfile(BASES / f'{name}.py')


def test_all_are_here():
    assert {path.stem for path in BASES.glob('pla_*.py')} == set(EXPECTED)


@pytest.mark.parametrize('name', EXPECTED)
def test_data_and_batches(name):
    kind, _, people, images, protocol = EXPECTED[name]
    cfg = config(name)
    train, sampler = cfg.train_dataloader.dataset, cfg.train_dataloader.sampler
    assert (sampler.type, sampler.num_pids, sampler.num_instances) == ('PKSampler', people, images)
    assert cfg.train_dataloader.batch_size == people * images and train.split == 'train'
    assert sampler.get('epoch_over', 'images') == ('images' if people == 16 else 'identities')
    for data in (train, cfg.val_dataloader.dataset, cfg.test_dataloader.dataset):
        assert data.type == kind
        assert data.get('box') == (name.rpartition('_')[2] if kind == CUHK03 else None)
        assert data.get('protocol') == ('new' if kind == CUHK03 else None)
    assert train.get('pid_fold') == ((0, 2) if name.endswith('small') else None)
    assert cfg.test_dataloader.dataset.get('multi_query', False) == name.endswith('multi')
    assert 'multi_query' not in cfg.val_dataloader.dataset
    for evaluator in cfg.val_evaluator if isinstance(cfg.val_evaluator, list) else [cfg.val_evaluator]:
        assert evaluator.protocols[0] == protocol
        assert evaluator.metric == ('cosine' if evaluator.get('prefix') == 'cosine' else 'euclidean')


@pytest.mark.parametrize('name', [name for name in EXPECTED if EXPECTED[name][1] == FULL])
def test_rows_of_a_test(name):
    """Section 4.2 and Table 2: 512 numbers; re-ranked; several queries on Market-1501."""
    found = config(name).test_evaluator
    assert {row.get('prefix'): [step.type for step in row.post_processors] for row in found} == {
        prefix: steps for prefix, steps in ROWS.items() if name.endswith('multi') or 'MultiQuery' not in steps}
    for row in found:
        assert row.metric == 'euclidean' and row.protocols == [EXPECTED[name][4]]
        assert [step.num_components for step in row.post_processors if step.type == 'PCA'] == [512]
        METRICS.build(row)


def test_the_four_rows_of_market_1501_from_features():
    """Made-up features: rows differ, and those with one query do not notice the images of several."""
    generator = torch.Generator().manual_seed(0)

    def part(repeats, camid):
        pids = torch.arange(30).repeat(repeats)
        feats = torch.nn.functional.one_hot(pids, 600).float() + 0.08 * torch.randn(
            len(pids), 600, generator=generator)
        number = torch.arange(len(pids))
        return Features(feats, pids, torch.full_like(pids, camid), number)

    splits = dict(query=part(1, 1), gallery=part(20, 2))
    more = part(3, 1)
    scores = {}
    for row in config('pla_market1501_multi').test_evaluator:
        found = METRICS.build(row).compute(dict(splits, multi_query=more))
        scores[row.get('prefix')] = found['market1501/mAP']
        if 'multi' not in row.get('prefix', ''):
            assert METRICS.build(row).compute(splits) == found
    assert scores[None] < scores['multi'] and len(set(scores.values())) == 4


@pytest.mark.parametrize('name', EXPECTED)
def test_a_crop_of_an_enlarged_image(name):
    """The crop is a piece of the image, and every place where it fits is as likely as another."""
    _, (height, width), *_ = EXPECTED[name]
    steps = config(name).train_pipeline
    kinds = [step.type.removeprefix('mmpretrain.') for step in steps]
    erased = [] if name == 'pla_synthetic' else ['RandomErasing']
    assert kinds == ['LoadImage', 'Resize', 'RandomCrop', 'RandomFlip', *erased, 'PackReIDInputs']
    assert steps[3].prob == 0.5
    with DefaultScope.overwrite_default_scope('mmreid'):
        resize, crop = Compose(steps[1:2]), Compose(steps[2:3])
    large = resize(dict(img=np.zeros((50, 30, 3), dtype=np.uint8), img_shape=(50, 30)))['img']
    assert large.shape == (height * 1.125, width * 1.125, 3)
    down, right = np.mgrid[:large.shape[0], :large.shape[1]]
    image = np.stack([down // 2, right, down % 2], axis=-1).astype(np.uint8)  # a pixel tells where it is
    np.random.seed(0)
    places = []
    for _ in range(600):
        found = crop(dict(img=image, img_shape=image.shape[:2]))['img']
        y, x = 2 * int(found[0, 0, 0]) + int(found[0, 0, 2]), int(found[0, 0, 1])
        assert found.shape == (height, width, 3) and np.array_equal(found, image[y:y + height, x:x + width])
        places.append((y, x))
    most = np.array([height // 8, width // 8])
    assert (np.min(places, axis=0) == 0).all() and (np.max(places, axis=0) == most).all()
    assert np.abs(np.mean(places, axis=0) / most - 0.5).max() < 0.05


@pytest.mark.parametrize('name', [name for name in EXPECTED if name != 'pla_synthetic'])
def test_what_is_erased(name):
    """Half of the images, 2 to 40 % of their area, with the ImageNet mean."""
    step, = (step for step in config(name).train_pipeline if 'Erasing' in step.type)
    with DefaultScope.overwrite_default_scope('mmreid'):
        erase = Compose([step])
    mean = np.round([103.53, 116.28, 123.675]).astype(int)
    np.random.seed(1)
    shares = []
    for _ in range(400):
        found = erase(dict(img=np.full((128, 64, 3), 255, dtype=np.uint8)))['img']
        gone = (found != 255).any(-1)
        shares.append(gone.mean())
        assert np.abs(found[gone].astype(int) - mean).max(initial=0) <= 1
    erased = [share for share in shares if share]
    assert 0.4 < len(erased) / len(shares) < 0.6
    assert 0.01 < min(erased) < 0.08 and 0.3 < max(erased) < 0.42


@pytest.mark.parametrize('name', EXPECTED)
def test_it_loads(name, market_tree, monkeypatch):
    """The miniature Market-1501, or drawn pedestrians in the place of other data."""
    kind, size, *_ = EXPECTED[name]
    monkeypatch.setenv(DATA_ROOT_ENV, str(market_tree.parent))
    cfg = config(name)
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'test')):
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        data = loader.dataset
        if kind != MARKET:
            assert kind in DATASETS
            kept = {key: data[key] for key in ('pipeline', 'split')}
            data.clear()
            data.update(kept, type=DRAWN, domain='a', num_train_pids=4, num_test_pids=3, num_images=2)
        if split == 'train':
            data.pop('pid_fold', None)  # three people cannot be halved into batches
            loader.sampler.update(num_pids=2, num_instances=2)
        with DefaultScope.overwrite_default_scope('mmreid'):
            batch = next(iter(Runner.build_dataloader(loader, seed=0)))
        assert [tuple(image.shape) for image in batch['inputs']] == [(3, *size)] * 4

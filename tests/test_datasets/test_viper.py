import logging

import pytest

from mmreid.datasets.base import SplitCount
from mmreid.datasets.viper import VIPeR

from .named_trees import check_config, check_odd_places, check_wrong_roots, fill, names, pids

PIDS = [0, 1, 2, 5, 8, 9, 12, 20, 300, 873]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / 'data' / 'VIPeR'
    fill(root / 'cam_a', [f'{pid:03d}_45.bmp' for pid in PIDS])
    fill(root / 'cam_b', [f'{pid:03d}_180.BMP' for pid in PIDS])
    return root


@pytest.mark.parametrize('split_id', range(10))
def test_halves(root, split_id):
    train = VIPeR(str(root), split_id=split_id, check_counts=False)
    test = VIPeR(str(root), split='test', split_id=split_id, check_counts=False)
    assert len(pids(train)) == 5 and pids(train) | pids(test) == set(PIDS) and not pids(train) & pids(test)
    assert train.get_camids().tolist() == [1] * 5 + [2] * 5 and train.num_classes == 5
    assert pids(test, 'query') == pids(test, 'gallery') and pids(test, 'query') == pids(test)
    cameras = dict(zip(test.get_splits().tolist(), test.get_camids().tolist(), strict=True))
    assert cameras == dict(query=1, gallery=2)


def test_splits_and_seeds_differ(root):
    drawn = {frozenset(pids(VIPeR(str(root), split_id=split_id, seed=seed, check_counts=False)))
             for split_id in range(10) for seed in (0, 1)}
    assert len(drawn) > 15


def test_split_is_pinned(root):
    dataset = VIPeR(str(root), split_id=2, check_counts=False)
    assert sorted(pids(dataset)) == [0, 1, 2, 9, 300]
    assert 'VIPeR split 2 (seed 0): train 10 images / 5 identities / 2 cameras' in dataset.summary()


def test_identity_0_is_somebody(root):
    dataset = VIPeR(str(root), split_id=2, check_counts=False)
    assert dataset.get_labels()[dataset.get_pids() == 0].tolist() == [0, 0]


def test_published_counts(root, logged, monkeypatch):
    assert VIPeR.PUBLISHED_COUNTS == dict(train=(632, 316), query=(316, 316), gallery=(316, 316))
    VIPeR(str(root), split='test')
    assert 'query has 10 images' not in str(logged) and 'query has 5 images (published: 316)' in str(logged)
    logged.clear()
    monkeypatch.setattr(VIPeR, 'PUBLISHED_COUNTS', dict(query=SplitCount(5, 5), gallery=SplitCount(5, 5)))
    VIPeR(str(root), split='test')
    assert not [text for level, text in logged if level == logging.WARNING]


def test_view_is_missing(root):
    (root / 'cam_b' / '012_180.BMP').unlink()
    with pytest.raises(FileNotFoundError, match=r'view 2 lacks 1 of the 10 identities .*\[12\](.|\n)*cam_b'):
        VIPeR(str(root))


def test_strange_names(root, logged):
    fill(root / 'cam_a', ['holiday.bmp'])
    assert len(names(VIPeR(str(root), check_counts=False))) == 10
    assert any('1 image(s)' in text and 'holiday.bmp' in text for _, text in logged)


def test_empty_folder(root):
    for path in (root / 'cam_b').iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match='no image was found in .*cam_b'):
        VIPeR(str(root))


@pytest.mark.parametrize('options', [dict(split_id=10), dict(split_id=-1), dict(seed=-1)])
def test_unknown_split(root, options):
    with pytest.raises(ValueError, match='VIPeR: (split_id must be one of 0 to 9|seed must not be negative)'):
        VIPeR(str(root), **options)


def test_wrong_roots(root):
    check_wrong_roots(VIPeR, root, 'cam_a')


def test_odd_places(root):
    check_odd_places(VIPeR, root)


def test_config(root, monkeypatch):
    assert check_config('viper.py', root, monkeypatch).val_evaluator.protocols == ['viper']

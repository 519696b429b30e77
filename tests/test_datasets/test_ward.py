import logging
import shutil

import pytest

from mmreid.datasets.base import SplitCount
from mmreid.datasets.ward import WARD

from .named_trees import check_config, check_odd_places, check_wrong_roots, fill, names, pids

NAMES = [f'{pid:04d}{camid:04d}{frame:04d}.png' for pid in range(1, 7) for camid in range(1, 4) for frame in (1, 2)]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / 'data' / 'WARD'
    fill(root, NAMES)
    return root


def test_all_identities_are_trained_on(root):
    dataset = WARD(str(root), check_counts=False)
    assert names(dataset) == NAMES and dataset.num_classes == 6
    assert set(dataset.get_camids()) == {1, 2, 3} and dataset.get_pids()[:7].tolist() == [1] * 6 + [2]
    assert 'WARD all identities: train 36 images / 6 identities / 3 cameras' in dataset.summary()


@pytest.mark.parametrize('split_id', range(10))
def test_halves(root, split_id):
    train, test = WARD(str(root), split_id=split_id), WARD(str(root), split='test', split_id=split_id)
    assert len(pids(train)) == 3 and pids(train) | pids(test) == set(range(1, 7)) and not pids(train) & pids(test)
    assert [tuple(count) for count in test.count().values()] == [(9, 3), (9, 3)]
    queries = names(test, 'query')
    assert len({name[:8] for name in queries}) == 9 and not set(queries) & set(names(test, 'gallery'))
    assert sorted(names(train) + names(test)) == NAMES


def test_queries_are_drawn(root):
    tests = [WARD(str(root), split='test', split_id=split_id) for split_id in range(10)]
    assert len({tuple(names(test, 'query')) for test in tests}) == 10


def test_test_split_needs_a_split_id(root):
    with pytest.raises(ValueError, match='without split_id all identities are trained on .*split_id .0 to 9.'):
        WARD(str(root), split='test')
    with pytest.raises(ValueError, match='split_id must be one of 0 to 9, got 10'):
        WARD(str(root), split_id=10)


def test_published_counts(root, logged, monkeypatch):
    WARD(str(root))
    assert 'train has 36 images (published: 4,786); train has 6 identities (published: 70)' in str(logged)
    logged.clear()
    WARD(str(root), split_id=0)
    monkeypatch.setattr(WARD, 'COUNTS', dict(train=SplitCount(36, 6)))
    WARD(str(root))
    assert not [text for level, text in logged if level == logging.WARNING]


@pytest.mark.parametrize('strange', ['0001000200021.png', '00010002.png', '000100020002_bg.png'])
def test_strange_names_are_reported(root, logged, strange):
    fill(root, [strange])
    assert len(WARD(str(root), check_counts=False)) == 36
    warning, = [text for level, text in logged if level == logging.WARNING]
    assert '1 image(s)' in warning and strange in warning


def test_upper_case_suffix_and_inner_folder(root):
    shutil.move(root / NAMES[0], root / NAMES[0].upper())
    assert len(WARD(str(root), check_counts=False)) == 36
    (root.parent / 'outer').mkdir()
    root.rename(root.parent / 'outer' / 'WARD')
    assert len(WARD(str(root.parent / 'outer'), check_counts=False)) == 36


def test_camera_out_of_range(root):
    fill(root, ['000100040001.png'])
    with pytest.raises(ValueError, match='camera 4 in ".*000100040001.png".* the cameras 1 to 3'):
        WARD(str(root))


def test_no_images(root):
    for name in NAMES:
        (root / name).unlink()
    with pytest.raises(FileNotFoundError, match='no image named like <identity><camera><frame>'):
        WARD(str(root))


def test_wrong_roots(root):
    outer = root.parent / 'deep' / 'deeper'  # the parent of WARD itself is a proper root: it holds a folder WARD
    shutil.copytree(root, outer / 'people')
    (outer / 'people' / 'masks').mkdir()
    check_wrong_roots(WARD, outer / 'people', 'masks')


def test_odd_places(root):
    check_odd_places(WARD, root)


def test_config(root, monkeypatch):
    config = check_config('ward.py', root, monkeypatch)
    assert config.train_dataloader.dataset.split_id == config.val_dataloader.dataset.split_id == 0

import shutil

import pytest

from mmreid.datasets.cuhk01 import CUHK01

from .named_trees import check_config, check_odd_places, check_wrong_roots, fill, names, pids

NAMES = [f'{pid:04d}{number:03d}.png' for pid in range(1, 10) for number in range(1, 5)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(CUHK01, 'NUM_TEST', 3)
    root = tmp_path / 'data' / 'CUHK01'
    fill(root / 'campus', NAMES)
    return root


def build(root, split='train', setting='485/486', **options):
    return CUHK01(str(root), split, setting=setting, check_counts=False, **options)


@pytest.mark.parametrize('split_id', range(10))
def test_single_shot(root, split_id):
    train, test = build(root, split_id=split_id), build(root, 'test', split_id=split_id)
    assert len(pids(train)) == 4 and pids(train) | pids(test) == set(range(1, 10)) and not pids(train) & pids(test)
    assert len(train) == 8 and sorted(train.get_camids()) == [1] * 4 + [2] * 4
    assert [tuple(count) for count in test.count().values()] == [(5, 5), (5, 5)]
    for dataset in (train, test):
        for name, camid in zip(names(dataset), dataset.get_camids(), strict=True):
            assert name[4:7] in (('001', '002') if camid == 1 else ('003', '004'))


def test_the_image_is_drawn_for_each_identity_and_view(root):
    shots = {tuple(names(build(root, split_id=split_id)) + names(build(root, 'test', split_id=split_id)))
             for split_id in range(10)}
    assert len(shots) == 10
    assert {name[4:7] for name in names(build(root)) + names(build(root, 'test'))} == {'001', '002', '003', '004'}


@pytest.mark.parametrize('split_id', [0, 9])
def test_all_images(root, split_id):
    train, test = build(root, setting='871/100', split_id=split_id), build(root, 'test', '871/100', split_id=split_id)
    assert len(train) == 24 and len(pids(train)) == 6
    assert [tuple(count) for count in test.count().values()] == [(6, 3), (6, 3)]
    assert not pids(train) & pids(test)
    assert f'CUHK01 871/100, split {split_id} (seed 0): query 6 images' in test.summary()


def test_images_directly_in_the_root(root):
    expected = names(build(root))
    assert names(build(root / 'campus')) == expected
    for name in NAMES:
        shutil.move(root / 'campus' / name, root / name)
    assert names(build(root)) == expected


@pytest.mark.parametrize('setting, words', [('485/486', 'published: 970'), ('871/100', 'published: 3,484')])
def test_published_counts(root, logged, setting, words):
    CUHK01(str(root), setting=setting)
    assert words in str(logged)
    assert CUHK01.COUNTS['871/100']['query'] == CUHK01.COUNTS['871/100']['gallery'] == (200, 100)


@pytest.mark.parametrize('number', ['000', '005'])
def test_image_number_out_of_range(root, number):
    fill(root / 'campus', [f'0001{number}.png'])
    with pytest.raises(ValueError, match=rf'camera {int(number) // 2 + int(number) % 2} in ".*0001{number}.png"'):
        build(root)


def test_view_is_missing(root):
    for number in (3, 4):
        (root / 'campus' / f'0007{number:03d}.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'view 2 lacks 1 of the 9 identities .*\[7\]'):
        build(root)


def test_too_few_identities(root, monkeypatch):
    monkeypatch.setattr(CUHK01, 'NUM_TEST', 9)
    with pytest.raises(ValueError, match='9 identities, of which 9 are tested: none is left'):
        build(root, setting='871/100')


def test_unknown_setting(root):
    with pytest.raises(ValueError, match="setting must be one of 485/486, 871/100, got '486/485'"):
        build(root, setting='486/485')


def test_no_images(root):
    for name in NAMES:
        (root / 'campus' / name).unlink()
    with pytest.raises(FileNotFoundError, match='no image named like <identity, 4 .* in ".*campus" and ".*CUHK01"'):
        build(root)


def test_wrong_roots(root):
    (root / 'elsewhere').mkdir()
    check_wrong_roots(CUHK01, root, 'elsewhere')


def test_odd_places(root):
    check_odd_places(CUHK01, root, setting='871/100')


@pytest.mark.parametrize('name, protocol', [('cuhk01.py', 'cuhk01'), ('cuhk01_100.py', 'cuhk01-100')])
def test_config(root, monkeypatch, name, protocol):
    assert check_config(name, root, monkeypatch).val_evaluator.protocols == [protocol]

import hashlib
import logging
import os.path as osp
from pathlib import Path

import numpy as np
import pytest

from mmreid.datasets import DATA_ROOT_ENV, FolderReID, Market1501, convert_to_market, resolve_data_root
from mmreid.datasets.csv_export import export_csv
from mmreid.registry import DATASETS

from .conftest import GALLERY, QUERY, TRAIN, write_image

REAL_ROOT = 'data/Market-1501-v15.09.15'
needs_market = pytest.mark.skipif(not osp.isdir(resolve_data_root(REAL_ROOT)),
                                  reason=f'needs the real Market-1501 in {REAL_ROOT} ({DATA_ROOT_ENV} moves data/)')


def test_train(market_tree):
    dataset = Market1501(str(market_tree))
    assert [osp.basename(dataset.get_data_info(row)['img_path']) for row in range(6)] == \
        [f'{name}.jpg' for name in sorted(TRAIN)]
    assert dataset.get_pids().tolist() == [2, 2, 7, 7, 7, 11]
    assert dataset.get_labels().tolist() == [0, 0, 1, 1, 1, 2]
    assert dataset.get_camids().tolist() == [1, 2, 1, 2, 3, 3]
    assert dataset.metainfo['num_classes'] == 3


def test_test_split_holds_query_and_gallery(market_tree):
    dataset = Market1501(str(market_tree), split='test')
    assert len(dataset) == len(QUERY) + len(GALLERY)
    splits, pids = dataset.get_splits(), dataset.get_pids()
    assert pids[splits == 'query'].tolist() == [3, 3, 5]
    assert sorted(pids[splits == 'gallery']) == [-1, -1, 0, 3, 3, 5]
    assert {split: tuple(count) for split, count in dataset.count().items()} == dict(query=(3, 2), gallery=(6, 2))


def test_multi_query_images_share_identity_and_camera_with_a_query(market_tree):
    queries = {(record['pid'], record['camid']) for record in
               (Market1501(str(market_tree), split='test').get_data_info(row) for row in range(len(QUERY)))}
    for name in ('0003_c1s1_000001_00', '0003_c1s2_000009_00', '0003_c6s1_000001_00', '0099_c1s1_000001_00'):
        write_image(market_tree / 'gt_bbox' / f'{name}.jpg', 5)
    assert (3, 1) in queries and (3, 6) not in queries
    dataset = Market1501(str(market_tree), split='test', multi_query=True)
    found = dataset.get_splits() == 'multi_query'
    assert found.sum() == 2 and found[-2:].all()
    assert set(zip(dataset.get_pids()[found].tolist(), dataset.get_camids()[found].tolist())) == {(3, 1)}
    assert tuple(dataset.count()['multi_query']) == (2, 1) and 'multi_query 2 images' in dataset.summary()


def test_multi_query_needs_its_folder_and_the_test_split(market_tree):
    with pytest.raises(FileNotFoundError, match='gt_bbox'):
        Market1501(str(market_tree), split='test', multi_query=True)
    with pytest.raises(ValueError, match='multi_query=True belongs to split="test", got split=.train.'):
        Market1501(str(market_tree), multi_query=True)


def test_counts_are_compared_with_the_published_ones(market_tree, logged):
    Market1501(str(market_tree))
    warnings = [text for level, text in logged if level == logging.WARNING]
    assert len(warnings) == 1
    assert 'train has 6 images (published: 12,936); train has 3 identities (published: 751)' in warnings[0]


@pytest.mark.parametrize('options', [dict(check_counts=False), dict(keep_camids=[1, 2]), dict(num_pids=2),
                                     dict(keep_pids=[2]), dict(indices=4)])
def test_counts_of_a_subset_are_not_compared(market_tree, logged, options):
    Market1501(str(market_tree), **options)
    assert not [text for level, text in logged if level == logging.WARNING]


def test_identity_subset_keeps_distractors_and_junk(market_tree):
    dataset = Market1501(str(market_tree), split='test', keep_pids=[3])
    assert sorted(dataset.get_pids()) == [-1, -1, 0, 3, 3, 3, 3]


def test_strange_names_are_skipped_and_named(market_tree, logged):
    write_image(market_tree / 'bounding_box_train' / 'holiday.jpg', 99)
    assert len(Market1501(str(market_tree), check_counts=False)) == 6
    assert any(level == logging.WARNING and '1 image(s)' in text and 'holiday.jpg' in text for level, text in logged)


def test_folder_without_images(market_tree):
    for path in (market_tree / 'query').glob('*.jpg'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match='no image was found in .*query'):
        Market1501(str(market_tree), split='test')


@pytest.mark.parametrize('wrong', ['.', 'Market-1501-v15.09.15/bounding_box_train', 'Market1501'])
def test_wrong_root_is_explained(market_tree, wrong):
    with pytest.raises(FileNotFoundError) as error:
        Market1501(str(market_tree.parent / wrong))
    text = str(error.value)
    assert f'Did you mean data_root={str(market_tree)!r}' in text
    for part in ('Expected tree', 'bounding_box_test', DATA_ROOT_ENV, 'docs/'):
        assert part in text


def test_environment_variable(market_tree, monkeypatch):
    monkeypatch.setenv(DATA_ROOT_ENV, str(market_tree.parent))
    assert len(Market1501()) == 6
    monkeypatch.setenv(DATA_ROOT_ENV, str(market_tree))
    with pytest.raises(FileNotFoundError, match=f'{DATA_ROOT_ENV}={market_tree}'):
        Market1501()


def test_is_registered(market_tree):
    assert len(DATASETS.build(dict(type='Market1501', data_root=str(market_tree), split='test'))) == 9


@needs_market
@pytest.mark.market1501
def test_real_market(logged):
    dataset = Market1501(REAL_ROOT)
    assert len(dataset) == 12936 and dataset.num_classes == 751 and set(dataset.get_camids()) == set(range(1, 7))
    assert np.array_equal(np.unique(dataset.get_labels()), np.arange(751))
    test = Market1501(REAL_ROOT, split='test')
    pids = test.get_pids()[test.get_splits() == 'gallery']
    assert (len(test), len(pids), (pids == -1).sum(), (pids == 0).sum()) == (3368 + 19732, 19732, 3819, 2798)
    assert not set(dataset.get_pids()) & set(pids)
    assert not [text for level, text in logged if level == logging.WARNING]


def records_of(dataset, content=False):
    """What a reader says of each image, independent of paths: its bytes, or its name."""
    infos = [dataset.get_data_info(row) for row in range(len(dataset))]
    return sorted((hashlib.sha256(Path(info['img_path']).read_bytes()).hexdigest() if content else
                   osp.basename(info['img_path']), info['pid'], info['camid'], info['split'],
                   info.get('gt_label', -1)) for info in infos)


@needs_market
@pytest.mark.market1501
@pytest.mark.parametrize('split', ['train', 'test'])
def test_real_market_through_a_table(tmp_path, split):
    dataset = Market1501(REAL_ROOT, split=split)
    export_csv([dataset], str(tmp_path / 'all.csv'))
    read = FolderReID(str(tmp_path), split, annotations='all.csv', check_counts=False)
    assert records_of(read) == records_of(dataset)


@needs_market
@pytest.mark.market1501
@pytest.mark.parametrize('split', ['train', 'test'])
def test_real_market_through_a_copy_in_its_own_layout(tmp_path, split):
    dataset = Market1501(REAL_ROOT, split=split, num_pids=60)
    convert_to_market([dataset], str(tmp_path / 'copy'))
    read = Market1501(str(tmp_path / 'copy'), split=split, check_counts=False)
    assert records_of(read, content=True) == records_of(dataset, content=True)


def test_camera_that_is_not_there(market_tree):
    write_image(market_tree / 'bounding_box_train' / '0007_c9s1_000001_01.jpg', 3)
    with pytest.raises(ValueError, match='camera 9 in .*the dataset has the cameras 1 to 6'):
        Market1501(str(market_tree))
    assert 9 in Market1501(str(market_tree), check_counts=False).get_camids()  # other data in this layout

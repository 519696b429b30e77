import logging
import os
import random

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmreid.datasets import ImageReadError, Market1501, ReIDDataset, SeededIndex

from .conftest import TRAIN, write_image


class Drawn(ReIDDataset):
    """Records without files: (pid, camid, split)."""

    def __init__(self, rows, **kwargs):
        self.rows = rows
        super().__init__(**kwargs)

    def load_records(self):
        return [dict(img_path=f'{row}.jpg', pid=pid, camid=camid, split=split)
                for row, (pid, camid, split) in enumerate(self.rows)]

    def load_image(self, info):
        return np.full((4, 2, 3), info['sample_idx'], dtype=np.uint8)


def train(pairs, **kwargs):
    return Drawn([(pid, camid, 'train') for pid, camid in pairs], **kwargs)


def test_records_and_columns():
    dataset = train([(9, 1), (-1, 2), (4, 2), (9, 3), (30, 1)], domain_id=2)
    assert dataset.get_data_info(2) == dict(
        img_path='2.jpg', pid=4, camid=2, domain=2, split='train', gt_label=0, sample_idx=2)
    assert dataset.get_labels().tolist() == [1, -1, 0, 1, 2]
    assert dataset.get_pids().tolist() == [9, -1, 4, 9, 30]
    assert dataset.get_camids().tolist() == [1, 2, 2, 3, 1]
    assert dataset.get_labels().dtype == np.int64
    assert dataset.num_classes == 3 and dataset.metainfo['num_classes'] == 3
    with pytest.raises(ValueError):
        dataset.get_labels()[0] = 5


def test_classes_follow_the_sorted_identities():
    pids = np.random.default_rng(0).permutation(1000).tolist()
    dataset = train([(pid, 1) for pid in pids])
    assert np.array_equal(dataset.get_labels(), pids)


def test_test_split_is_one_dataset_without_classes():
    dataset = Drawn([(1, 1, 'query'), (1, 2, 'gallery'), (-1, 2, 'gallery')], split='test')
    assert dataset.num_classes == 0 and 'gt_label' not in dataset.get_data_info(0)
    assert dataset.get_labels().tolist() == [-1, -1, -1]
    assert dataset.get_splits().tolist() == ['query', 'gallery', 'gallery']
    assert dataset.test_mode


def test_unknown_split():
    with pytest.raises(ValueError, match="one of train, test, got 'val'"):
        train([(1, 1)], split='val')


# ---- subsets -----------------------------------------------------------------------------------------------------

MANY = [(pid, camid) for pid in range(1, 21) for camid in (1, 2, 3)]


def test_keep_cameras(logged):
    dataset = train(MANY, keep_camids=[1, 3])
    assert len(dataset) == 40 and set(dataset.get_camids()) == {1, 3}
    assert any('subset: keep_camids=[1, 3]' in text for _, text in logged)


def test_keep_identities_renumbers_the_classes():
    dataset = train(MANY, keep_pids=(12, 5))
    assert dataset.num_classes == 2
    assert set(zip(dataset.get_pids(), dataset.get_labels(), strict=True)) == {(5, 0), (12, 1)}


def test_number_of_identities_is_drawn_by_seed():
    drawn = [set(train(MANY, num_pids=5, subset_seed=seed).get_pids()) for seed in (0, 0, 1)]
    assert len(drawn[0]) == 5 and drawn[0] == drawn[1] != drawn[2]


def test_share_of_the_identities(logged):
    dataset = train(MANY, pid_fraction=0.25, subset_seed=3)
    assert dataset.num_classes == 5 and len(dataset) == 15
    assert set(dataset.get_pids()) == set(train(MANY, num_pids=5, subset_seed=3).get_pids())
    assert any('pid_fraction=0.25, subset_seed=3' in text for _, text in logged)
    assert train(MANY, pid_fraction=0.001).num_classes == 1 and train(MANY, pid_fraction=1).num_classes == 20


def test_folds_share_nobody_in_any_camera(logged):
    rows = MANY + [(pid, 4) for pid in range(21, 31)] + [(-1, 1)]  # ten people whom only camera 4 sees
    folds = [train(rows, pid_fold=(index, 3), subset_seed=2) for index in range(3)]
    people = [set(fold.get_pids()) - {-1} for fold in folds]
    assert [len(each) for each in people] == [10, 10, 10] and set.union(*people) == set(range(1, 31))
    assert all(-1 in fold.get_pids() for fold in folds)
    assert any('subset: pid_fold=[0, 3], subset_seed=2' in text for _, text in logged)
    one, other = (train(rows, pid_fold=(index, 3), keep_camids=cams, subset_seed=2)
                  for index, cams in ((0, [1, 2]), (1, [2, 3, 4])))
    assert set(one.get_pids()) - {-1} <= people[0] and set(other.get_pids()) <= people[1]
    assert people[0] != set(train(rows, pid_fold=(0, 3), subset_seed=3).get_pids())


def test_few_labelled_identities(logged):
    dataset = train(MANY + [(-1, 1)], num_labeled_ids=4, subset_seed=1)
    labels, pids = dataset.get_labels(), dataset.get_pids()
    assert len(dataset) == 61 and dataset.num_classes == 4 and (labels >= 0).sum() == 12
    labelled = sorted(set(pids[labels >= 0].tolist()))
    assert labels.tolist() == [labelled.index(pid) if pid in labelled else -1 for pid in pids]
    assert set(labelled) == set(train(MANY, num_pids=4, subset_seed=1).get_pids())
    assert any('num_labeled_ids=4, subset_seed=1' in text for _, text in logged)


def test_identity_options_leave_junk_and_distractors():
    rows = [(1, 1, 'query'), (2, 1, 'query'), (1, 2, 'gallery'), (2, 2, 'gallery'), (-1, 1, 'gallery')]
    dataset = Drawn(rows, split='test', keep_pids=[2])
    assert dataset.get_pids().tolist() == [2, 2, -1]


@pytest.mark.parametrize('options, part', [
    (dict(keep_camids=[1, 9]), r'keep_camids asks for \[9\], which the dataset does not have; it has \[1, 2, 3\]'),
    (dict(keep_pids=[77]), r'keep_pids asks for \[77\]'),
    (dict(num_pids=21), 'num_pids=21 of 20 identities'),
    (dict(num_pids=0), 'num_pids=0'),
    (dict(num_labeled_ids=21), 'num_labeled_ids=21 of 20 identities'),
    (dict(pid_fraction=0.), 'pid_fraction must lie above 0 and be at most 1, got 0.0'),
    (dict(pid_fraction=1.5), 'pid_fraction must lie'),
    (dict(num_pids=2, pid_fraction=.5), 'num_pids or pid_fraction, not both'),
    (dict(num_labeled_ids=2, split='test'), "num_labeled_ids is for training data, got split='test'"),
    (dict(pid_fold=(2, 2)), r'pid_fold must be \(index, count\) with an index from 0 to count - 1, got \(2, 2\)'),
    (dict(pid_fold=(1, )), 'pid_fold must be'),
    (dict(keep_camids=[]), r'no image is left \(keep_camids=\[\]\)'),
])
def test_impossible_subsets(options, part):
    with pytest.raises(ValueError, match=part):
        train(MANY, **options)


def test_queries_without_match_are_counted(logged):
    rows = [(1, 1, 'query'), (2, 1, 'query'), (1, 2, 'gallery'), (2, 1, 'gallery')]
    Drawn(rows, split='test')
    assert any(level == logging.WARNING and '1 of 2 queries have no match' in text and '[2]' in text
               for level, text in logged)
    with pytest.raises(ValueError, match='none of the 2 queries has a match from another camera'):
        Drawn(rows, split='test', keep_camids=[1])


def test_get_subset_keeps_class_numbers_and_pixels():
    dataset = train(MANY, cache=True)
    for indices, expected in (([5, 59, 0], [5, 59, 0]), (4, [0, 1, 2, 3])):
        subset = dataset.get_subset(indices)
        assert subset.num_classes == 20
        assert np.array_equal(subset.get_labels(), dataset.get_labels()[expected])
        assert [subset.get_image(row)[0, 0, 0] for row in range(len(subset))] == expected
    dataset.get_labels()
    dataset.get_subset_([7, 8])
    assert dataset.get_pids().tolist() == [3, 3] and dataset.get_image(1)[0, 0, 0] == 8


# ---- reading -----------------------------------------------------------------------------------------------------

PIPELINE = [dict(type='LoadImage'), dict(type='Resize', scale=(16, 32)), dict(type='RandomFlip', prob=0.5),
            dict(type='mmpretrain.RandomCrop', crop_size=(32, 16), padding=4),
            dict(type='mmpretrain.RandomErasing', mode='rand'), dict(type='PackReIDInputs')]


@pytest.fixture
def market(market_tree):
    return Market1501(str(market_tree), pipeline=PIPELINE)


def test_sample(market):
    sample = market[4]
    assert sample['inputs'].shape == (3, 32, 16) and sample['inputs'].dtype == torch.uint8
    assert sample['data_samples'].pid == 7 and sample['data_samples'].label == 1
    assert sample['data_samples'].sample_idx == 4 and sample['data_samples'].domain == 0


def test_seeded_index_decides_the_augmentation(market):
    one = [market[SeededIndex(2, seed=seed)]['inputs'] for seed in (5, 5, *range(6, 12))]
    assert torch.equal(one[0], one[1])
    assert any(not torch.equal(one[0], other) for other in one[2:])


def test_global_random_states_are_untouched(market):
    def states():
        _, keys, position, *_ = np.random.get_state()
        return random.getstate(), keys.tolist(), position, torch.get_rng_state().tolist()

    before = states()
    market[SeededIndex(1, seed=3)]
    assert states() == before
    market[1]
    assert states() != before


def test_sample_does_not_depend_on_what_was_loaded_before(market):
    alone = market[SeededIndex(3, seed=9)]['inputs']
    market[SeededIndex(0, seed=1)], market[2]
    assert torch.equal(market[SeededIndex(3, seed=9)]['inputs'], alone)


def test_transform_that_drops_a_sample_is_an_error(market_tree):
    dataset = Market1501(str(market_tree), pipeline=[lambda info: None])
    with pytest.raises(RuntimeError, match='returned None for row 2'):
        dataset[2]


@pytest.mark.parametrize('workers', [0, 1])
def test_corrupt_image_is_an_error_with_its_path(market_tree, market, workers):
    name = sorted(TRAIN)[3] + '.jpg'
    path = market_tree / 'bounding_box_train' / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ImageReadError, match=name):
        list(DataLoader(market, num_workers=workers, collate_fn=list))
    path.write_bytes(b'')
    with pytest.raises(ImageReadError, match=f'{name}" is empty'):
        market[3]


# ---- cache -------------------------------------------------------------------------------------------------------


def test_cache_is_exact_and_reports_its_size(market_tree, market, logged):
    cached = Market1501(str(market_tree), pipeline=PIPELINE, cache=True)
    assert cached.cache_nbytes == len(cached) * 32 * 16 * 3 and market.cache_nbytes == 0
    assert any('6 of 6 images decoded in memory, 0.0 MiB' in text for _, text in logged)
    for row in range(len(cached)):
        index = SeededIndex(row, seed=row)
        assert torch.equal(cached[index]['inputs'], market[index]['inputs'])


def test_cache_needs_no_file_any_more(market_tree):
    cached = Market1501(str(market_tree), pipeline=PIPELINE, cache=True)
    before = cached[SeededIndex(0, seed=0)]['inputs']
    os.remove(cached.get_data_info(0)['img_path'])
    assert torch.equal(cached[SeededIndex(0, seed=0)]['inputs'], before)


def test_cache_limit(market_tree, market, logged):
    limit = 3.5 * 32 * 16 * 3 / 2**30
    cached = Market1501(str(market_tree), pipeline=PIPELINE, cache=True, cache_limit_gb=limit)
    assert cached.cache_nbytes == 3 * 32 * 16 * 3
    assert any(level == logging.WARNING and '3 of 6 images' in text and 'cache_limit_gb' in text
               for level, text in logged)
    for row in range(len(cached)):
        index = SeededIndex(row, seed=row)
        assert torch.equal(cached[index]['inputs'], market[index]['inputs'])


def test_cache_finds_corrupt_images_when_built(market_tree):
    (market_tree / 'bounding_box_train' / f'{TRAIN[0]}.jpg').write_bytes(b'')
    with pytest.raises(ImageReadError, match=TRAIN[0]):
        Market1501(str(market_tree), cache=True)


def test_erasing_does_not_write_into_the_cache(market_tree):
    pipeline = [dict(type='LoadImage'), dict(type='mmpretrain.RandomErasing', erase_prob=1.0),
                dict(type='PackReIDInputs')]
    cached = Market1501(str(market_tree), pipeline=pipeline, cache=True)
    before = cached.get_image(0)
    cached[0]
    assert np.array_equal(cached.get_image(0), before)


def test_reading_writes_nothing(market_tree):
    def listing():
        return {path: path.stat().st_mtime_ns for path in market_tree.rglob('*')}

    before = listing()
    for split in ('train', 'test'):
        dataset = Market1501(str(market_tree), split, pipeline=PIPELINE, cache=True)
        list(map(dataset.__getitem__, range(len(dataset))))
    assert listing() == before


def test_lazy_init_reads_on_demand(market_tree):
    dataset = Market1501(str(market_tree), lazy_init=True)
    assert dataset.num_classes == 3 and len(dataset) == 6


def test_images_of_other_sizes_are_cached_as_they_are(market_tree):
    image = write_image(market_tree / 'bounding_box_train' / '0099_c1s1_000001_01.jpg', 50, size=(20, 10))
    cached = Market1501(str(market_tree), cache=True)
    assert cached.get_image(-1).shape == image.shape
    assert np.array_equal(cached.get_image(-1), cv2.imread(cached.get_data_info(-1)['img_path']))

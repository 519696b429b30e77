import zlib

import numpy as np
import pytest

from mmreid.datasets import SeededIndex, SyntheticReID
from mmreid.registry import DATASETS

SMALL = dict(num_train_pids=6, num_test_pids=5, num_cams=3, num_images=3, num_distractors=7, num_junk=4)


def pictures(dataset):
    return np.stack([dataset.get_image(row) for row in range(len(dataset))])


def test_train_records():
    dataset = SyntheticReID('a', 'train', **SMALL)
    assert len(dataset) == 6 * 3 * 3 and dataset.num_classes == 6
    assert set(dataset.get_pids()) == set(range(1, 7)) and set(dataset.get_camids()) == {1, 2, 3}
    info = dataset.get_data_info(4)
    assert info['img_path'] == 'synthetic://a/seed0/0001_c2s1_000026_01'
    assert (info['pid'], info['camid'], info['gt_label'], info['split']) == (1, 2, 0, 'train')


def test_test_records():
    dataset = SyntheticReID('a', 'test', **SMALL)
    splits, pids, camids = dataset.get_splits(), dataset.get_pids(), dataset.get_camids()
    queries = list(zip(pids[splits == 'query'].tolist(), camids[splits == 'query'].tolist(), strict=True))
    assert queries == [(pid, camid) for pid in range(5001, 5006) for camid in (1, 2, 3)]
    gallery = pids[splits == 'gallery']
    assert ((gallery == 0).sum(), (gallery == -1).sum(), (gallery > 0).sum()) == (7, 4, 5 * 3 * 2)
    paths = [dataset.get_data_info(row)['img_path'] for row in range(len(dataset))]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('domain', ['a', 'b'])
def test_pictures_are_deterministic(domain, split):
    one, two = (SyntheticReID(domain, split, cache=False, **SMALL) for _ in range(2))
    expected = pictures(one)
    assert expected.shape[1:] == (128, 64, 3) and expected.dtype == np.uint8
    backwards = [two.get_image(row) for row in reversed(range(len(two)))]
    assert np.array_equal(np.stack(backwards[::-1]), expected)
    assert np.array_equal(pictures(SyntheticReID(domain, split, cache=True, **SMALL)), expected)


def test_every_picture_differs():
    found = pictures(SyntheticReID('a', 'test', **SMALL))
    assert len({picture.tobytes() for picture in found}) == len(found)


def test_pictures_do_not_depend_on_the_other_counts():
    few, many = (SyntheticReID('a', 'train', num_train_pids=2, num_cams=cams, num_images=images)
                 for cams, images in ((2, 2), (3, 4)))
    in_many = {many.get_data_info(row)['img_path']: row for row in range(len(many))}
    for row in range(len(few)):
        other = in_many[few.get_data_info(row)['img_path']]
        assert np.array_equal(few.get_image(row), many.get_image(other))


def test_pictures_are_those_of_every_other_machine():
    """Recorded; the same under OpenCV 4.10 and 5.0."""
    digests = {}
    for domain in ('a', 'b'):
        found = pictures(SyntheticReID(domain, 'test', num_test_pids=2, num_distractors=4, num_junk=4))
        digests[domain] = zlib.crc32(found.tobytes())
    assert digests == dict(a=827335539, b=369603562)


def test_seed_draws_other_people():
    one, two = (pictures(SyntheticReID('a', 'train', seed=seed, **SMALL)) for seed in (0, 1))
    assert not any(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_domains_differ_measurably():
    """Clothes are darker in b, people stand smaller and pictures are less colourful."""
    brightness, colourfulness = {}, {}
    for domain in ('a', 'b'):
        middle = pictures(SyntheticReID(domain, 'train', num_train_pids=20))[:, 25:60, 24:40].astype(float)
        brightness[domain] = middle.mean()
        colourfulness[domain] = (middle.max(axis=3) - middle.min(axis=3)).mean()
    assert brightness['a'] > brightness['b'] + 10
    assert colourfulness['a'] > colourfulness['b'] + 10


def mean_ap(features, dataset):
    """Plain mean average precision of the market1501 protocol."""
    splits, pids, camids = dataset.get_splits(), dataset.get_pids(), dataset.get_camids()
    query, gallery = splits == 'query', splits == 'gallery'
    distances = ((features[query][:, None] - features[gallery][None])**2).sum(-1)
    precisions = []
    for row, pid, camid in zip(distances, pids[query], camids[query], strict=True):
        valid = ~((pids[gallery] == pid) & (camids[gallery] == camid)) & (pids[gallery] != -1)
        matches = (pids[gallery][valid] == pid)[np.argsort(row[valid], kind='stable')]
        precisions.append((np.cumsum(matches)[matches] / (np.flatnonzero(matches) + 1)).mean())
    return np.mean(precisions)


@pytest.mark.parametrize('domain', ['a', 'b'])
def test_cameras_dominate_raw_pixels(domain):
    dataset = SyntheticReID(domain, 'test', num_test_pids=30)
    features = pictures(dataset)[:, ::8, ::8].reshape(len(dataset), -1).astype(np.float32)
    assert mean_ap(features, dataset) < 0.2
    distances = ((features[:, None] - features[None])**2).sum(-1) + np.diag(np.full(len(dataset), np.inf))
    nearest = distances.argmin(1)
    same_camera = (dataset.get_camids()[nearest] == dataset.get_camids()).mean()
    same_person = (dataset.get_pids()[nearest] == dataset.get_pids()).mean()
    assert same_camera > 0.5 and same_camera > 3 * same_person


def test_size_and_augmentation():
    dataset = SyntheticReID('b', 'train', size=(64, 48), num_train_pids=2, pipeline=[
        dict(type='LoadImage'), dict(type='RandomFlip', prob=0.5), dict(type='PackReIDInputs')])
    sample = dataset[SeededIndex(3, seed=1)]
    assert sample['inputs'].shape == (3, 64, 48) and sample['data_samples'].label == 0


def test_cache_holds_all_pictures():
    dataset = SyntheticReID('a', 'train', **SMALL)
    assert dataset.cache_nbytes == len(dataset) * 128 * 64 * 3
    dataset.get_image(0)[:] = 0
    assert dataset.get_image(0).any()


def test_subset_of_cameras():
    dataset = SyntheticReID('a', 'test', keep_camids=[1, 3], num_pids=2, **SMALL)
    assert set(dataset.get_camids()) == {1, 3}
    assert dataset.count()['query'].pids == 2


@pytest.mark.parametrize('options, part', [
    (dict(domain='z'), "one of a, b, got 'z'"),
    (dict(num_cams=0), 'num_cams must be at least 1, got 0'),
    (dict(size=(8, 64)), 'height must be at least 16'),
    (dict(split='test', num_images=1), 'num_images >= 2'),
    (dict(num_train_pids=5000), 'at most 4,999'),
    (dict(split='test', num_cams=1), 'none of the'),
])
def test_bad_arguments(options, part):
    with pytest.raises(ValueError, match=part):
        SyntheticReID(**options)


def test_is_registered():
    assert len(DATASETS.build(dict(type='SyntheticReID', domain='b', num_train_pids=1))) == 18

"""Stacking the images of a batch."""

import pickle

import torch

from mmreid.datasets import reid_collate
from mmreid.structures import ReIDDataSample


def sample(value, size=(4, 2)):
    image = torch.full((3, *size), value, dtype=torch.uint8)
    return dict(inputs=image, data_samples=ReIDDataSample().set_gt_label(value))


def test_images_are_stacked_in_order():
    batch = reid_collate([sample(value) for value in (5, 1, 3)])
    assert batch['inputs'].shape == (3, 3, 4, 2) and batch['inputs'][:, 0, 0, 0].tolist() == [5, 1, 3]
    assert [item.label for item in batch['data_samples']] == [5, 1, 3]


def test_images_of_different_sizes_stay_a_list():
    batch = reid_collate([sample(1), sample(2, size=(2, 2))])
    assert [tuple(image.shape) for image in batch['inputs']] == [(3, 4, 2), (3, 2, 2)]


def test_layout_of_the_images_is_kept():
    images = [torch.arange(24, dtype=torch.uint8).view(4, 2, 3) + value for value in (0, 50)]
    batch = reid_collate([dict(inputs=image.permute(2, 0, 1), data_samples=ReIDDataSample()) for image in images])
    assert batch['inputs'].is_contiguous(memory_format=torch.channels_last)
    for row, image in enumerate(images):
        assert torch.equal(batch['inputs'][row], image.permute(2, 0, 1))


def test_samples_travel_as_columns():
    samples = [ReIDDataSample(metainfo=dict(pid=7 + row, img_path=f'ä {row}.jpg', split='train')) for row in range(3)]
    samples[0].set_gt_label(4), samples[2].set_gt_label(-1)
    batch = reid_collate([dict(inputs=torch.zeros(3, 2, 2), data_samples=item) for item in samples])
    data = pickle.dumps(batch['data_samples'])
    assert b'torch' not in data
    for sample, found in zip(samples, pickle.loads(data), strict=True):
        assert type(found) is ReIDDataSample and found.metainfo == sample.metainfo and found.label == sample.label
    assert pickle.loads(data)[0].gt_label.dtype == torch.int64


def test_other_samples_travel_as_they_are():
    with_feature = [ReIDDataSample(metainfo=dict(pid=1)).set_feature(torch.ones(3)) for _ in range(2)]
    mixed = [ReIDDataSample(metainfo=dict(pid=1)), ReIDDataSample(metainfo=dict(camid=1))]
    for samples in (with_feature, mixed, ['a', 'b']):
        batch = reid_collate([dict(inputs=torch.zeros(3, 2, 2), data_samples=item) for item in samples])
        found = pickle.loads(pickle.dumps(batch['data_samples']))
        assert isinstance(found, list) and len(found) == 2
        if samples is with_feature:
            assert torch.equal(found[1].feature, torch.ones(3)) and found[1].pid == 1
        elif samples is mixed:
            assert [item.metainfo for item in found] == [dict(pid=1), dict(camid=1)]

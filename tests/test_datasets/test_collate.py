"""Stacking the images of a batch."""

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

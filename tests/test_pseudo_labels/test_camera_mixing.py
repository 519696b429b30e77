"""What joins cameras, against counted pairs."""

import itertools
import math

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import camera_mixing

from .test_quality import random_case


def counted(labels, mask, camids, pids):
    """Pair after pair."""
    rows = [row for row in range(len(labels)) if mask[row] and labels[row] >= 0]
    members = {label: [row for row in rows if labels[row] == label] for label in {labels[row] for row in rows}}
    cameras = {label: {camids[row] for row in found} for label, found in members.items()}
    several = [label for label, found in members.items() if len(found) > 1]
    both = one_label = one_person = 0
    for a, b in itertools.combinations([row for row in rows if pids[row] >= 0], 2):
        if camids[a] != camids[b]:
            both += labels[a] == labels[b] and pids[a] == pids[b]
            one_label += labels[a] == labels[b]
            one_person += pids[a] == pids[b]
    return dict(cameras_per_cluster=sum(map(len, cameras.values())) / len(cameras),
                single_camera=sum(len(cameras[label]) == 1 for label in several) / len(several),
                cross_precision=both / one_label, cross_recall=both / one_person)


@pytest.mark.parametrize('seed', range(5))
def test_counted_pairs(seed):
    labels, mask, pids = random_case(seed)
    camids = np.random.default_rng(seed + 50).integers(1, 4, len(labels))
    expected = counted(labels.tolist(), mask.tolist(), camids.tolist(), pids.tolist())
    assert camera_mixing(labels, mask, camids, pids) == pytest.approx(expected, abs=1e-12)
    tensors = (torch.from_numpy(values) for values in (labels, mask, camids, pids))
    assert camera_mixing(*tensors) == pytest.approx(expected, abs=1e-12)
    del expected['cross_precision'], expected['cross_recall']
    assert camera_mixing(labels, mask, camids) == pytest.approx(expected)


def test_nothing_selected_and_one_camera():
    nothing = camera_mixing([-1, -1], None, [1, 2], [3, 3])
    assert all(math.isnan(value) for value in nothing.values())
    one = camera_mixing([0, 0, 1], None, [4, 4, 4], [3, 3, 3])
    assert (one['cameras_per_cluster'], one['single_camera']) == (1, 1)
    assert math.isnan(one['cross_precision']) and math.isnan(one['cross_recall'])


def test_lengths_must_fit():
    with pytest.raises(ValueError, match=r'one entry an image, got lengths \[2, 2, 3\]'):
        camera_mixing([0, 1], None, [1, 2, 3])

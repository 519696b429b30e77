"""Precision of labels from an anchor camera, against loops."""

import math

import numpy as np
import pytest

from mmreid.pseudo_labels import neighbour_quality


@pytest.mark.parametrize('seed', range(5))
def test_by_loops(seed):
    rng = np.random.default_rng(seed)
    anchors = np.sort(rng.choice(40, 12, replace=False))
    neighbours = np.where(np.isin(np.arange(40), anchors), np.arange(40), rng.choice(anchors, 40))
    pids, mask = rng.integers(-1, 8, 40), rng.random(40) < .7
    seen = {pids[row] for row in anchors}
    judged = [row for row in range(40) if mask[row] and row not in anchors and pids[row] >= 0]
    covered = [row for row in judged if pids[row] in seen]
    right = [row for row in covered if pids[neighbours[row]] == pids[row]]
    found = neighbour_quality(neighbours, pids, mask)
    assert found == dict(label_precision=len(right) / len(covered), anchor_coverage=len(covered) / len(judged))
    assert neighbour_quality(neighbours, pids) == neighbour_quality(neighbours, pids, np.ones(40, dtype=bool))


def test_nobody_to_judge():
    found = neighbour_quality([0, 1, 0], [4, 5, 6])  # nobody of the other camera was seen by the anchor
    assert math.isnan(found['label_precision']) and found['anchor_coverage'] == 0
    assert all(math.isnan(value) for value in neighbour_quality([0, 1, 0], [4, 5, -1]).values())


def test_a_mask_counts():
    assert neighbour_quality([0, 0, 0], [4, 4, 5], [True, True, False]) == dict(label_precision=1, anchor_coverage=1)


@pytest.mark.parametrize('neighbours, pids, message', [
    ([0, 1], [1, 1, 1], r'one entry an image, got lengths \[2, 3, 3\]'),
    ([0, 3], [1, 1], 'rows from 0 to 1, got 0 to 3'),
    ([1, 0], [1, 1], 'images of the anchor camera, which are their own neighbours'),
])
def test_what_cannot_be_judged(neighbours, pids, message):
    with pytest.raises(ValueError, match=message):
        neighbour_quality(neighbours, pids)

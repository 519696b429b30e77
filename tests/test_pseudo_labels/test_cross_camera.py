"""Nearest images across cameras and the labels of an anchor camera, against loops over all pairs."""

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import anchor_labels, choose_anchor, nearest_across
from mmreid.pseudo_labels.cross_camera import crowding, mutual_neighbours
from mmreid.utils import nearest


def crowd(seed=0, sizes=(7, 5, 9), channels=6, dtype=np.float64):
    """Small integers, so that every sum is exact and many distances are equal, in cameras 3, 4, 5 in mixed order."""
    rng = np.random.default_rng(seed)
    camids = rng.permutation(np.repeat(np.arange(len(sizes)) + 3, sizes))
    return rng.integers(0, 3, (len(camids), channels)).astype(dtype), camids


def by_loops(feats, camids, k):
    """Triples of every image, every other camera and its k nearest images, lowest rows first."""
    found = []
    for row in range(len(feats)):
        for camera in sorted(set(camids.tolist()) - {camids[row]}):
            ranked = sorted((float(((feats[row] - feats[other])**2).sum()), other)
                            for other in np.flatnonzero(camids == camera).tolist())
            found += [(row, other, distance) for distance, other in ranked[:k]]
    return found


def triples(found):
    return list(zip(found.rows.tolist(), found.columns.tolist(), found.distances.tolist(), strict=True))


@pytest.mark.parametrize('kind', [np.asarray, torch.from_numpy])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('k', [1, 2, 6])
def test_neighbours_by_loops(k, dtype, kind):
    """Also with ties, with images that are equal, and with a camera that has fewer than k."""
    for seed in range(4):
        feats, camids = crowd(seed, dtype=dtype)
        feats[[3, 11, 12]] = feats[2]
        found = nearest_across(kind(feats), kind(camids), k)
        assert triples(found) == by_loops(feats, camids, k)
        assert (found.rows.dtype, found.columns.dtype, found.distances.dtype) == (np.int64, np.int64, np.float64)
        assert len(found) == len(found.rows)


def test_neighbours_of_real_numbers():
    rng = np.random.default_rng(1)
    feats, camids = rng.normal(size=(60, 12)), rng.integers(0, 4, 60)
    expected = by_loops(feats, camids, 3)
    found = nearest_across(feats, camids, 3)
    assert [pair[:2] for pair in triples(found)] == [pair[:2] for pair in expected]
    assert np.allclose(found.distances, [pair[2] for pair in expected])
    assert (camids[found.rows] != camids[found.columns]).all()


def test_blocks_change_nothing(monkeypatch):
    feats, camids = crowd(2, (40, 30))
    whole = triples(nearest_across(feats, camids, 3))
    monkeypatch.setitem(nearest.BLOCK_ROWS, 'cpu', 8)
    assert triples(nearest_across(feats, camids, 3)) == whole


def test_a_camera_of_one_image():
    feats, camids = np.array([[0.], [2.], [5.], [9.]]), np.array([1, 1, 2, 1])
    assert triples(nearest_across(feats, camids)) == [(0, 2, 25.), (1, 2, 9.), (2, 1, 9.), (3, 2, 16.)]
    labels, neighbours = anchor_labels(feats, camids, anchor=2)
    assert labels.tolist() == [0, 0, 0, 0] and neighbours.tolist() == [2, 2, 2, 2]
    assert mutual_neighbours(feats, camids, neighbours).tolist() == [False, True, False, False]


@pytest.mark.parametrize('anchor', [3, 4, 5])
def test_anchor_labels_by_loops(anchor):
    for seed in range(4):
        feats, camids = crowd(seed)
        feats[9] = feats[1]
        labels, neighbours = anchor_labels(feats, camids, anchor)
        members = np.flatnonzero(camids == anchor)
        assert labels[members].tolist() == list(range(len(members))) and (neighbours[members] == members).all()
        nearest_of = {row: other for row, other, _ in by_loops(feats, camids, 1) if camids[other] == anchor}
        for row, other in nearest_of.items():
            assert neighbours[row] == other and labels[row] == labels[other]
        assert labels.dtype == neighbours.dtype == np.int64
        back = {(row, camids[other]): other for row, other, _ in by_loops(feats, camids, 1)}
        mutual = [row in nearest_of and back[nearest_of[row], camids[row]] == row for row in range(len(feats))]
        assert mutual_neighbours(feats, camids, neighbours).tolist() == mutual


def test_anchors():
    camids = np.array([7, 2, 2, 7, 9, 9, 9, 7])
    assert choose_anchor(camids) == 7 and choose_anchor(camids, 2) == 2 and choose_anchor(camids[:4]) == 2
    with pytest.raises(ValueError, match='anchor=3, and no image is of that camera; there are .* cameras 2, 7, 9'):
        choose_anchor(camids, 3)
    for anchor in ('first', True, 1.5, None):
        with pytest.raises(ValueError, match="anchor must be 'largest' or the number of a camera"):
            choose_anchor(camids, anchor)
    with pytest.raises(ValueError, match='there is no image'):
        choose_anchor(camids[:0])


def test_what_cannot_be_searched():
    feats, camids = crowd()
    for search in (nearest_across, lambda *given: anchor_labels(*given, 3)):
        with pytest.raises(ValueError, match='at least two cameras.*all 21 are of camera 3; SelfPacedKMeans and Dens'):
            search(feats, np.full(21, 3))
        with pytest.raises(ValueError, match='needs the camera of every image.*SelfPacedKMeans'):
            search(feats, None)
        with pytest.raises(ValueError, match='one entry for each of the 21 images, got 20'):
            search(feats, camids[1:])
        with pytest.raises(TypeError, match='camids must be integers'):
            search(feats, camids.astype(float))
        with pytest.raises(ValueError, match='1 rows: 20'):
            search(np.where(np.arange(21)[:, None] == 20, np.nan, feats), camids)
    for k in (0, 1.5, True):
        with pytest.raises(ValueError, match='k must be an integer of at least 1'):
            nearest_across(feats, camids, k)


@pytest.mark.parametrize('kind', [np.asarray, torch.from_numpy])
@pytest.mark.parametrize('value, word', [(0., 'zero'), (1e-30, 'zero'), (2., 'equal')])
def test_collapsed_features_are_refused(kind, value, word):
    """All at one place, or so short that their squares vanish; a single image elsewhere makes a difference."""
    feats, camids = np.full((21, 6), value, dtype=np.float32), crowd()[1]
    for search in (nearest_across, lambda *given: anchor_labels(*given, 3)):
        with pytest.raises(ValueError, match=f'of all 21 images are {word}.*collapsed, or its weights were not loaded'):
            search(kind(feats), camids)
        feats[4] += 1
        search(kind(feats), camids)
        feats[4] -= 1


def test_a_class_of_more_than_half():
    """Of the other cameras' images only, and of all of these, also where some have no class."""
    others = np.array([False, False, True, True, True, True])
    assert crowding(np.array([0, 0, 0, 0, 1, 1]), others) == []
    assert crowding(np.array([0, 1, -1, -1, -1, 1]), others) == crowding(np.array([0, 1, -1, -1, -1, -1]), others) == []
    text, = crowding(np.array([0, 1, 1, 0, 1, 1]), others)
    assert text.startswith('class 1 takes 3 of the 4 images of the other cameras')

"""The labels of self-training."""

import numpy as np
import pytest

from mmreid.pseudo_labels import CrossCameraNeighbours, DensityClusters, SelfPacedKMeans, anchor_labels
from mmreid.registry import TASK_UTILS


def matched(seed=0, people=20, noise=.05, shots=(2, 1, 1)):
    """People whom cameras 1, 2 and 3 see so often, hardly moved."""
    rng = np.random.default_rng(seed)
    pids = np.concatenate([np.repeat(np.arange(people), count) for count in shots])
    camids = np.repeat(np.arange(len(shots)) + 1, [people * count for count in shots])
    order = rng.permutation(len(pids))
    feats = rng.normal(size=(people, 8))[pids] + noise * rng.normal(size=(len(pids), 8))
    return feats[order].astype(np.float32), camids[order], pids[order]


def test_a_known_matching_is_recovered():
    feats, camids, pids = matched()
    found = CrossCameraNeighbours()(feats, camids)
    assert found.mask.all() and found.num_clusters == 40 and found.info['anchor'] == 1
    assert (pids[found.exemplars[found.labels]] == pids).all()
    assert found.exemplars.tolist() == np.flatnonzero(camids == 1).tolist()
    assert found.info['neighbour_rows'] == found.exemplars[found.labels].tolist()
    assert found.info['num_anchor'] == 40 and found.info['num_selected'] == 80


@pytest.mark.parametrize('anchor', ['largest', 2, 3])
def test_labels_are_those_of_the_anchor_camera(anchor):
    feats, camids, _ = matched(1, noise=.8)
    found = CrossCameraNeighbours(anchor)(feats, camids)
    labels, neighbours = anchor_labels(feats, camids, 1 if anchor == 'largest' else anchor)
    assert np.array_equal(found.labels, labels) and found.info['neighbour_rows'] == neighbours.tolist()
    assert found.num_clusters == (camids == found.info['anchor']).sum()


def test_mutual_neighbours_only():
    """Images 2, 3 and 4 of camera 2 have the neighbour 0, to which 3 is the nearest; 5 is nearest to 1."""
    feats, camids = np.array([[0.], [10.], [3.], [1.], [-2.], [9.]]), np.array([1, 1, 2, 2, 2, 2])
    every, mutual = CrossCameraNeighbours(1)(feats, camids), CrossCameraNeighbours(1, mutual=True)(feats, camids)
    assert every.mask.all() and every.labels.tolist() == mutual.labels.tolist() == [0, 1, 0, 0, 0, 1]
    assert mutual.mask.tolist() == [True, True, False, True, False, True]
    assert every.info['mutual_share'] == mutual.info['mutual_share'] == .5


def test_groups_within_the_anchor_camera():
    """Both images of a person in the anchor camera are one class, which goes to the person's other images."""
    feats, camids, pids = matched(2)
    labeller = CrossCameraNeighbours(within=dict(type='SelfPacedKMeans', num_clusters=20, threshold=None, seed=3))
    found = labeller(feats, camids)
    assert found.num_clusters == 20 and found.mask.all()
    same = found.labels[:, None] == found.labels
    assert (same == (pids[:, None] == pids)).mean() > .97  # k-means may join two people
    members = camids == 1
    inner = SelfPacedKMeans(20, None, seed=3)(feats[members], camids[members])
    assert np.array_equal(found.labels[members], inner.labels)
    assert 'within=SelfPacedKMeans(20' in labeller.describe() and found.exemplars.tolist() == [-1] * 20


def test_what_is_noise_in_the_anchor_camera_is_handed_on_to_nobody():
    feats, camids, _ = matched(3, people=12, shots=(4, 2))
    lonely = np.flatnonzero(camids == 1)[0]
    feats[lonely] += 100
    near = np.flatnonzero(camids == 2)[0]
    feats[near] = feats[lonely]
    found = CrossCameraNeighbours(within=DensityClusters(min_samples=3, k1=3, k2=1, eps=.7))(feats, camids)
    assert found.labels[[lonely, near]].tolist() == [-1, -1] and not found.mask[[lonely, near]].any()
    assert found.mask.sum() > 40


def test_the_seed_goes_to_the_labeller_inside():
    labeller = CrossCameraNeighbours(within=dict(type='SelfPacedKMeans', num_clusters=4))
    assert labeller.seed is None
    labeller.seed = 7
    assert labeller.within.seed == labeller.seed == 7
    assert CrossCameraNeighbours().seed == 0


def test_settings_and_images_that_do_not_fit():
    feats, camids, _ = matched()
    with pytest.raises(ValueError, match="anchor must be 'largest' or the number"):
        CrossCameraNeighbours('smallest')
    with pytest.raises(ValueError, match='anchor=9, and no image is of that camera'):
        CrossCameraNeighbours(9)(feats, camids)
    with pytest.raises(ValueError, match='Neighbours needs images of at least two cameras.*80 are of camera 5'):
        CrossCameraNeighbours()(feats, np.full(80, 5))
    with pytest.raises(ValueError, match='CrossCameraNeighbours needs the camera of every image'):
        CrossCameraNeighbours()(feats)
    with pytest.raises(ValueError, match='within camera 1, which has 40 images: there are fewer images than clusters'):
        CrossCameraNeighbours(within=SelfPacedKMeans(41))(feats, camids)
    assert TASK_UTILS.build(dict(type='CrossCameraNeighbours', mutual=True)).describe() == \
        'CrossCameraNeighbours(anchor=largest, mutual)'


def test_features_that_hardly_differ_are_warned_of():
    """One image of the anchor camera that is near to all of the other cameras; none where people differ."""
    feats, camids, _ = matched()
    assert CrossCameraNeighbours()(feats, camids).info['warnings'] == []
    members = np.flatnonzero(camids == 1)
    feats[camids != 1] = feats[members[7]] + 1e-3 * feats[camids != 1]
    found = CrossCameraNeighbours()(feats, camids)
    text, = found.info['warnings']
    assert text.startswith('class 7 takes 40 of the 40 images') and found.info['selected_sizes'][7] == 41
    with pytest.raises(ValueError, match='of all 80 images are equal.*collapsed'):
        CrossCameraNeighbours()(np.ones_like(feats), camids)


@pytest.mark.parametrize('within', ['SelfPacedKMeans', 3, SelfPacedKMeans, dict(type='L2Normalize')])
def test_what_groups_the_anchor_camera_is_a_labeller(within):
    with pytest.raises(TypeError, match='within must be a labeller or the config of one'):
        CrossCameraNeighbours(within=within)

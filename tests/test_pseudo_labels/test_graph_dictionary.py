"""Labels by the codes of a dictionary."""

import re

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import CrossCameraNeighbours, GraphDictionary, anchor_labels, neighbour_quality
from mmreid.registry import TASK_UTILS

from .test_dictionary.data import objective, seen


def distorted(seed=0, people=40, shots=6, channels=24):
    """People of whom camera 1 sees features that it also sees from camera 2, there under a linear distortion, and noise
    that is strong in some directions, so that nearest neighbours often fail."""
    rng = np.random.default_rng(seed)
    pids, camids = np.tile(np.repeat(np.arange(people), shots), 2), np.repeat([1, 2], people * shots)
    who = np.concatenate([1. * rng.standard_normal((people, 8)), np.zeros((people, channels - 8))], axis=1)
    sizes = np.concatenate([np.full(8, .1), np.full(channels - 8, .9)])
    feats = who[pids] + sizes * rng.standard_normal((len(pids), channels))
    turn = np.eye(channels) + .05 * rng.standard_normal((channels, channels))
    feats[camids == 2] = feats[camids == 2] @ turn
    basis = np.linalg.qr(rng.standard_normal((channels, channels)))[0]
    return feats @ basis, camids, pids


def test_labels_are_those_of_the_codes():
    feats, camids = seen(0, count=60)
    labeller = GraphDictionary(5, .5, neighbours=2, affinity='heat')
    found, fit = labeller(feats, camids), labeller.fit(feats, camids)
    anchor = np.bincount(camids).argmax()
    expected, rows = anchor_labels(fit.codes, camids, anchor)
    members = np.flatnonzero(camids == anchor)
    for image in np.flatnonzero(camids != anchor):
        nearest = members[((fit.codes[members] - fit.codes[image])**2).sum(1).argmin()]
        assert rows[image] == nearest
    assert found.labels.tolist() == expected.tolist() and found.mask.all()
    assert found.exemplars.tolist() == members.tolist() and found.info['neighbour_rows'] == rows.tolist()
    assert found.info['anchor'] == anchor and found.info['num_anchor'] == len(members) == found.num_clusters
    by_feats, others = CrossCameraNeighbours()(feats, camids).labels, camids != anchor
    assert found.info['agreement'] == (found.labels == by_feats)[others].mean()
    about = found.info['dictionary']
    assert about['objective'] == fit.objective[-1] and about['neighbours'] == 2 and about['weight'] == .5
    assert about['error_share'] == pytest.approx(((feats - fit.codes @ fit.atoms)**2).sum() / (feats**2).sum())
    total = about['error_share'] + .5 * about['roughness_share']
    assert total == pytest.approx(about['objective'] / (feats**2).sum())


def right_labels(labeller, feats, camids, pids):
    """Share of the images of camera 2 whose neighbour in camera 1 is the same person."""
    rows = np.asarray(labeller(feats, camids).info['neighbour_rows'])
    share = (pids[rows] == pids)[camids == 2].mean()
    assert share == neighbour_quality(rows, pids)['label_precision']
    return share


@pytest.mark.parametrize('seed', range(3))
def test_recovers_more_than_nearest_neighbours(seed):
    """Who is who is known in a constructed set. The directions in which people differ are not those of the largest
    variance, so fewer dimensions alone make it worse, and only what neighbours have in common tells them."""
    images = distorted(seed)
    plain = right_labels(CrossCameraNeighbours(), *images)
    assert .4 < plain < .7 and right_labels(GraphDictionary(12, 0.), *images) < plain
    assert right_labels(GraphDictionary(12, .1), *images) > plain + .02
    assert right_labels(GraphDictionary(12, 1., neighbours=3), *images) > plain + .05


def test_a_call_keeps_nothing():
    feats, camids = seen(1)
    labeller = GraphDictionary(4, 1., init='random')
    before = dict(vars(labeller))
    first = labeller(feats, camids)
    labeller(feats[::-1].copy(), camids)
    assert labeller(feats, camids).labels.tolist() == first.labels.tolist() and vars(labeller) == before
    labeller.seed = 5
    other = labeller.fit(feats, camids)
    assert (other.codes == GraphDictionary(4, 1., init='random', seed=5).fit(feats, camids).codes).all()


def test_anchor_and_kinds():
    feats, camids = seen(2)
    found = GraphDictionary(4, 1., anchor=3)(torch.from_numpy(feats), torch.from_numpy(camids))
    assert found.info['anchor'] == 3 and found.num_clusters == (camids == 3).sum()
    assert found.labels.tolist() == GraphDictionary(4, 1., anchor=3)(feats, camids).labels.tolist()


def test_without_a_graph_the_codes_are_principal_directions():
    """At full rank these are as far apart as the features."""
    feats, camids = seen(3)
    found = GraphDictionary(7, 0.)(feats, camids)
    assert found.labels.tolist() == CrossCameraNeighbours()(feats, camids).labels.tolist()
    assert found.info['agreement'] == 1 and found.info['dictionary']['roughness_share'] == 0


def test_warnings_reach_the_log():
    feats, camids = seen(4)
    found = GraphDictionary(4, 1., max_iter=1, tol=0)(feats, camids)
    assert 'max_iter=1' in found.info['warnings'][0] and not found.info['dictionary']['converged']


@pytest.mark.parametrize('weight', [0., 1.])
def test_wrong_input(weight):
    feats, camids = seen(0)
    for given, message in ((None, 'GraphDictionary needs the camera of every image.*SelfPacedKMeans'),
                           (np.ones_like(camids), 'at least two cameras.*DensityClusters')):
        with pytest.raises(ValueError, match=message):
            GraphDictionary(4, weight)(feats, given)
    with pytest.raises(ValueError, match='fewer images than atoms'):
        GraphDictionary(weight=weight)(feats, camids)
    with pytest.raises(ValueError, match='no image is of that camera'):
        GraphDictionary(4, weight, anchor=9)(feats, camids)


@pytest.mark.parametrize('changes, message', [
    (dict(num_atoms=0), 'num_atoms'), (dict(weight=-.1), 'weight'), (dict(neighbours=0), 'neighbours'),
    (dict(neighbours=True), 'neighbours'), (dict(affinity='cosine'), 'affinity'), (dict(anchor='first'), 'anchor'),
    (dict(init='zeros'), 'init'), (dict(seed=-2), 'seed')])
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        GraphDictionary(**changes)


def test_registered():
    labeller = TASK_UTILS.build(dict(type='GraphDictionary', num_atoms=9, weight=.5))
    assert isinstance(labeller, GraphDictionary) and '9 atoms, weight=0.5' in labeller.describe()
    assert labeller.seed is None  # that of a training is taken


def test_objective_by_hand():
    """Two cameras with two images each, whose neighbours are plain to see."""
    feats, camids = np.array([[4., 0], [0, 4], [4, 1], [1, 4]]), np.array([1, 1, 2, 2])
    fit = GraphDictionary(2, .5).fit(feats, camids)
    from mmreid.pseudo_labels import cross_camera_graph
    graph = cross_camera_graph(feats, camids)
    assert graph.toarray().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert fit.objective[-1] == pytest.approx(objective(feats, fit.atoms, fit.codes, graph, .5))


def test_the_clock_is_in_the_log_alone():
    """A labelling that is done again says the same."""
    feats, camids = seen(0, count=60)
    labeller = GraphDictionary(5, .5)
    first, second = labeller(feats, camids), labeller(feats, camids)
    assert first.info == second.info and 'seconds' not in str(first.info)
    assert re.search(r'iterations and \d+\.\d s, converged', labeller.course_of(labeller.fit(feats, camids)))


@pytest.mark.parametrize('weight', [0., 1.])
def test_collapsed_features(weight):
    feats, camids = seen(0)
    for value, word in ((0., 'zero'), (3., 'equal')):
        with pytest.raises(ValueError, match=f'are {word}, so there is nothing to learn.*collapsed'):
            GraphDictionary(4, weight)(np.full_like(feats, value), camids)


def test_a_class_that_takes_most_images_is_warned_of():
    """All images of camera 2 lie at one of camera 1."""
    rng = np.random.default_rng(0)
    feats, camids = rng.normal(size=(40, 6)), np.repeat([1, 2], 20)
    assert not GraphDictionary(6, 0., anchor=1)(feats, camids).info['warnings']
    feats[20:] = feats[4] + 1e-3 * feats[20:]
    text, = GraphDictionary(6, 0., anchor=1)(feats, camids).info['warnings']
    assert text.startswith('class 4 takes 20 of the 20 images')

"""Density clustering on sparse distances against DBSCAN in loops on all of them."""

import sys

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import DensityClusters
from mmreid.registry import TASK_UTILS
from tests.test_evaluation.oracles import naive_jaccard

from . import oracles


def scattered(seed, duplicates=0):
    """Clusters of different sizes, and images that belong to none; integers, so that distances are exact."""
    rng = np.random.default_rng(seed)
    sizes = [3, 5, 9, 14, 20]
    centres = rng.integers(0, 1000, (len(sizes), 3))
    feats = np.concatenate([centre + rng.integers(-40, 41, (size, 3)) for centre, size in zip(centres, sizes)] +
                           [rng.integers(0, 1000, (19, 3))])
    feats = feats[rng.permutation(len(feats))]
    feats[rng.integers(0, 70, duplicates)] = feats[rng.integers(0, 70, duplicates)]
    return feats.astype(np.float32)


# ---- against the definition ---------------------------------------------------------------------
@pytest.mark.parametrize('seed, duplicates', [(0, 0), (1, 0), (2, 25), (3, 60)])
@pytest.mark.parametrize('eps, min_samples, k1, k2', [
    (.6, 4, 20, 6), (.5, 4, 10, 3), (.3, 2, 8, 1), (.7, 6, 15, 6), (.05, 2, 6, 2), (.95, 1, 5, 1), (.4, 10, 12, 4)])
def test_is_dbscan_on_all_distances(seed, duplicates, eps, min_samples, k1, k2):
    feats = scattered(seed, duplicates)
    distances = naive_jaccard(feats, k1, k2)[0]
    # Distances at eps but for rounding are within it, and none is where that ends.
    assert (np.abs(distances - eps - 1e-5) > 2e-6).all()
    expected = oracles.dbscan(distances.tolist(), eps + 1e-5, min_samples)
    for values in (feats, torch.from_numpy(feats).double()):
        found = DensityClusters(eps, min_samples, k1, k2)(values)
        assert found.labels.tolist() == expected and (found.mask == (found.labels >= 0)).all()
    cores = ((distances <= eps + 1e-5) | np.eye(70, dtype=bool)).sum(axis=1) >= min_samples
    assert found.info['num_cores'] == cores.sum() and found.info['num_unlabelled'] == expected.count(-1)


@pytest.mark.parametrize('seed', range(3))
def test_is_scikit_learn_on_all_distances(seed):
    cluster = pytest.importorskip('sklearn.cluster')
    feats = scattered(seed, 20)
    distances = np.clip(naive_jaccard(feats, 12, 4)[0], 0, None)
    dense = cluster.DBSCAN(eps=.6 + 1e-5, min_samples=4, metric='precomputed').fit(distances)
    found = DensityClusters(.6, 4, 12, 4)(feats)
    assert found.labels.tolist() == dense.labels_.tolist() and 0 < found.fraction < 1 and found.num_clusters > 2


def test_frequent_distances_are_not_left_to_rounding():
    # With k2 = 6, to share 4 of 6 nearest images and nothing else is to be at distance 1/2, an eps that people choose.
    at_eps, below = 0, []
    for seed in range(4):
        feats = scattered(seed)
        distances = naive_jaccard(feats, 10, 6)[0]
        at_eps += (np.abs(distances - .5) < 1e-9).sum()
        expected = oracles.dbscan(distances.tolist(), .5 + 1e-9, 4)
        assert DensityClusters(.5, 4, 10, 6)(feats).labels.tolist() == expected
        below.append(DensityClusters(.4999, 4, 10, 6)(feats).labels.tolist() != expected)
    assert at_eps > 10 and any(below)


def test_equal_images_are_neighbours():
    # Distance 0 is stored in the sparse matrix, and is not the same as nothing stored.
    feats = np.repeat(np.random.default_rng(0).integers(0, 1000, (12, 4)), 5, axis=0).astype(np.float32)
    found = DensityClusters(.01, 5, 4, 1)(feats)
    assert found.labels.tolist() == np.repeat(np.arange(12), 5).tolist()


def test_cosine_is_blind_to_length():
    # One of four channels is 3, 4: exact lengths. Directions are clusters.
    rng = np.random.default_rng(0)
    feats = np.repeat(np.kron(np.eye(4), [3., 4.]), 10, axis=0) * 2.**rng.integers(-5, 6, (40, 1))
    cosine = DensityClusters(.5, 4, 9, 1, metric='cosine')(feats.astype(np.float32))
    assert cosine.labels.tolist() == np.repeat(np.arange(4), 10).tolist()
    assert DensityClusters(.5, 4, 9, 1)(feats.astype(np.float32)).labels.tolist() != cosine.labels.tolist()


# ---- nothing, or one cluster --------------------------------------------------------------------
def test_all_noise_says_so_and_why():
    feats = np.random.default_rng(0).standard_normal((80, 30)).astype(np.float32)
    found = DensityClusters(.2, 4, 10, 1)(feats)
    assert not found.mask.any() and (found.labels == -1).all() and found.num_clusters == 0 and found.fraction == 0
    reason = found.info['reason']
    assert 'all 80 images are noise' in reason and 'eps=0.2' in reason
    # The smallest eps that it names is the one from which on there are clusters.
    smallest = float(reason.split('has is ')[1].split(',')[0])
    assert DensityClusters(smallest + .002, 4, 10, 1)(feats).mask.any()
    assert not DensityClusters(smallest - .002, 4, 10, 1)(feats).mask.any()


def test_one_cluster_warns():
    feats = np.random.default_rng(1).standard_normal((30, 3)).astype(np.float32)
    found = DensityClusters(.99, 2, 20, 6)(feats)
    assert found.num_clusters == 1 and 'one cluster' in found.info['warnings'][0] and 'reason' not in found.info


# ---- errors -------------------------------------------------------------------------------------
@pytest.mark.parametrize('changes, message', [
    (dict(eps=0), 'eps'), (dict(eps=1), 'eps'), (dict(eps=float('nan')), 'eps'), (dict(eps='0.5'), 'eps'),
    (dict(min_samples=0), 'min_samples'), (dict(min_samples=2.), 'min_samples'), (dict(k1=0), 'k1'),
    (dict(k2=True), 'k2'), (dict(metric='l1'), 'euclidean')])
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        DensityClusters(**changes)


def test_wrong_features(monkeypatch):
    with pytest.raises(ValueError, match='k1 must be smaller than the 20 images'):
        DensityClusters()(np.random.default_rng(0).random((20, 3)))
    with pytest.raises(ValueError, match='feats has NaN'):
        DensityClusters(k1=5, k2=1)(np.full((20, 3), np.nan))
    monkeypatch.setitem(sys.modules, 'sklearn.cluster', None)
    with pytest.raises(ImportError, match='pip install scikit-learn'):
        DensityClusters(k1=5, k2=1)(np.random.default_rng(0).random((20, 3)))


def test_registered():
    labeller = TASK_UTILS.build(dict(type='DensityClusters', eps=.55))
    assert isinstance(labeller, DensityClusters) and 'eps=0.55' in labeller.describe()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda_is_dbscan_on_all_distances():
    feats = scattered(4, 20)
    expected = oracles.dbscan(naive_jaccard(feats, 12, 4)[0].tolist(), .6, 4)
    assert DensityClusters(.6, 4, 12, 4)(torch.from_numpy(feats).cuda()).labels.tolist() == expected

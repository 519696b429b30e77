"""Self-paced k-means against Algorithm 1 written naively, and what a user meets."""

import json
import math

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import PseudoLabels, SelfPacedKMeans, exemplars, kmeans, lloyd, selection_curve
from mmreid.registry import TASK_UTILS

from . import oracles

BACKENDS = ['sklearn', 'torch']
ORACLES = dict(own=oracles.algorithm_1, any=oracles.algorithm_1_any)


def assert_same(found, feats, threshold, exemplar='own', select='own'):
    """Compare with Algorithm 1 on the same clusters; returns what the oracle selects."""
    selected, rows, similarities = ORACLES[select](feats, found.labels.tolist(), threshold, exemplar)
    assert found.exemplars.tolist() == [rows[k] for k in sorted(rows)]
    near = np.array([abs(similarities[i] - threshold) for i in range(len(feats))])
    assert (near > 1e-6).all(), 'a similarity is at the threshold'
    assert set(np.flatnonzero(found.mask).tolist()) == selected
    return selected, rows


def blobs(seed, spread, rows=240, clusters=12, channels=16):
    """Clear clusters in positive features, as behind a ReLU; the draws do not depend on the spread."""
    rng = np.random.default_rng(seed)
    centres, which = rng.random((clusters, channels)) * 5, rng.integers(0, clusters, rows)
    return centres[which] + spread * rng.standard_normal((rows, channels)), which


# ---- Algorithm 1 --------------------------------------------------------------------------------
@pytest.mark.parametrize('exemplar', ['own', 'global'])
@pytest.mark.parametrize('select', ['own', 'any'])
@pytest.mark.parametrize('seed, num_clusters, duplicates, threshold', [
    (0, 8, 0, .85123), (1, 8, 30, .97031), (2, 20, 20, .99107), (3, 2, 0, .5003), (4, 30, 0, .9971), (5, 5, 50, .7004),
    (6, 59, 0, .9507)])
@pytest.mark.parametrize('backend', BACKENDS)
def test_is_algorithm_1(exemplar, select, seed, num_clusters, duplicates, threshold, backend):
    feats = oracles.integer_blobs(seed, duplicates=duplicates)
    labeller = SelfPacedKMeans(num_clusters, threshold, exemplar=exemplar, select=select, backend=backend)
    for values in (feats.astype(np.float32), torch.from_numpy(feats).double()):
        found = labeller(values)
        assert_same(found, feats, threshold, exemplar, select)
        # The labels are those of k-means, whichever exemplar an image is similar to.
        plain = kmeans(values, num_clusters, backend=backend).labels
        assert np.array(found.info['cluster_numbers'])[found.labels].tolist() == plain.tolist()


@pytest.mark.parametrize('exemplar', ['own', 'global'])
@pytest.mark.parametrize('select', ['own', 'any'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_is_algorithm_1_on_any_clusters(exemplar, select, dtype):
    # Clusters that have nothing to do with the features: exemplars of other clusters, and nothing near them.
    foreign = forced = 0
    for seed in range(5):
        feats = oracles.integer_blobs(seed, 60, 3, 10, 30, 20, duplicates=10)
        labels = np.random.default_rng(seed).permutation(np.arange(60) % 12)
        found = exemplars.select_images(torch.from_numpy(feats).to(dtype), torch.from_numpy(labels), 12, .98003,
                                        exemplar, select)
        selected, rows, similarities = ORACLES[select](feats, labels.tolist(), .98003, exemplar)
        assert found.exemplars.tolist() == [rows[k] for k in range(12)]
        assert set(found.mask.nonzero()[:, 0].tolist()) == selected
        expected = [similarities[i] for i in range(60)]
        np.testing.assert_allclose(found.similarities.numpy(), expected, rtol=0, atol=1e-6)
        foreign += int((labels[found.exemplars] != np.arange(12)).sum())
        forced += len(found.forced)
    assert (foreign > 0) == (exemplar == 'global') and (forced > 0) == (exemplar == 'global' and select == 'own')


def test_the_options_select_differently():
    feats = oracles.integer_blobs(1, 60, 2, 25, 30, 6)
    own, any_ = (SelfPacedKMeans(15, .99907, select=select)(feats) for select in ('own', 'any'))
    assert (any_.mask >= own.mask).all() and any_.mask.sum() > own.mask.sum()


def test_an_exemplar_of_another_cluster():
    # Nearest to the mean (0, 0) of the first cluster is row 2 of the second, at a right angle to both of its images.
    feats = torch.tensor([[0., 10.], [0., -10.], [3., 0.], [5., 0.]])
    labels = torch.tensor([0, 0, 1, 1])
    found = exemplars.select_images(feats, labels, 2, .5, 'global')
    assert found.exemplars.tolist() == [2, 2] and found.forced.tolist() == [0]
    assert found.mask.tolist() == [True, False, True, True]
    labelled = PseudoLabels(labels, found.mask, exemplars=found.exemplars)
    assert selection_curve(feats, labelled, [-.5, .5]).tolist() == [1, .75]


def test_letters_of_algorithm_1_keep_the_last_pass_only():
    feats = oracles.integer_blobs(0)
    found = SelfPacedKMeans(8, .85123)(feats)
    literal = oracles.algorithm_1_literal(feats, found.labels.tolist(), .85123)
    missed = set(range(8)) - {int(found.labels[i]) for i in literal}
    assert missed and len(literal) < found.mask.sum()


def test_similarity_must_exceed_the_threshold():
    # Cosines with the exemplar (5, 0): 3/5 and 4/5, exact. The mean of the first cluster is nearest to row 0.
    feats = torch.tensor([[5., 0.], [3., 4.], [4., 3.], [3., -4.], [4., -3.], [5., 0.]], dtype=torch.float64)
    labels = torch.zeros(6, dtype=torch.int64)
    similarities = exemplars.exemplar_similarities(feats, labels, torch.tensor([0]))
    assert similarities.tolist() == [1, .6, .8, .6, .8, 1]
    for threshold, expected in ((.6, 4), (.5999, 6), (.8, 2), (.7999, 4)):
        assert int(exemplars.select_images(feats, labels, 1, threshold).mask.sum()) == expected


def test_exemplar_of_a_cluster_of_two_is_the_first():
    # Both are equally far from their mean, but for rounding, whatever the type.
    rng = np.random.default_rng(0)
    feats = rng.standard_normal((200, 64)) * 30
    labels = torch.from_numpy(np.tile(np.arange(100), 2))
    for dtype in (torch.float32, torch.float64):
        assert exemplars.find_exemplars(torch.from_numpy(feats).to(dtype), labels, 100).tolist() == list(range(100))


@pytest.mark.parametrize('rows', [3, 4096])
@pytest.mark.parametrize('exemplar', ['own', 'global'])
@pytest.mark.parametrize('select', ['own', 'any'])
def test_blocks_and_duplicates(rows, exemplar, select, monkeypatch):
    # Equal images at other places of a block, or in another: the first of them is the exemplar.
    monkeypatch.setattr(lloyd, 'WIDE_ELEMENTS', 33 * rows)
    feats = np.tile(np.random.default_rng(3).standard_normal((13, 33)).astype(np.float32), (5, 1))
    labels = torch.from_numpy(np.tile(np.arange(13) % 4, 5))
    found = exemplars.find_exemplars(torch.from_numpy(feats), labels, 4, exemplar)
    means = np.array([feats[labels == k].astype(float).mean(axis=0) for k in range(4)])
    distances = oracles.squares(feats[:13], means)
    if exemplar == 'own':
        distances[np.arange(13)[:, None] % 4 != np.arange(4)] = math.inf
    assert found.tolist() == distances.argmin(axis=0).tolist()
    units = feats / np.linalg.norm(feats.astype(float), axis=1, keepdims=True)
    cosines = units @ units[found].T
    expected = cosines.max(axis=1) if select == 'any' else cosines[np.arange(65), labels]
    similarities = exemplars.exemplar_similarities(torch.from_numpy(feats), labels, found, select)
    np.testing.assert_allclose(similarities.numpy(), expected, rtol=0, atol=1e-6)


def test_similarity_to_itself_is_one():
    # Also of a feature of zeros, which is similar to nothing else.
    feats = torch.tensor([[0., 0.], [0., 0.], [.1, .3], [.7, .2]])
    labels, rows = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2])
    own, any_ = (exemplars.exemplar_similarities(feats, labels, rows, select) for select in ('own', 'any'))
    assert own[rows].tolist() == any_[rows].tolist() == [1, 1] and own[1] == any_[1] == 0
    assert .5 < own[3] == any_[3] < 1


# ---- what the paper promises --------------------------------------------------------------------
@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('exemplar', ['own', 'global'])
@pytest.mark.parametrize('threshold', [-.9, .3, .85, .9999])
def test_every_cluster_keeps_one(seed, exemplar, threshold):
    # Eq. 2, also with features of zeros, which are similar to nothing.
    feats = np.random.default_rng(seed).standard_normal((70, 3))
    feats[::9] = 0
    found = SelfPacedKMeans(25, threshold, exemplar=exemplar)(feats)
    kept = np.bincount(found.labels[found.mask], minlength=25)
    assert kept.min() >= 1 and found.num_clusters == 25 and (found.labels >= 0).all()
    if exemplar == 'own':
        assert not found.info['forced_rows']
        assert found.mask[found.exemplars].all() and (found.labels[found.exemplars] == np.arange(25)).all()


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('select', ['own', 'any'])
def test_tighter_clusters_select_more(seed, select):
    shares = [SelfPacedKMeans(12, .95, select=select)(blobs(seed, spread)[0]).fraction
              for spread in (2., 1.5, 1., .7, .4, .2)]
    assert shares == sorted(shares) and shares[0] < .5 and shares[-1] == 1


@pytest.mark.parametrize('exemplar', ['own', 'global'])
def test_no_selection(exemplar):
    feats, _ = blobs(0, 1.)
    everything = SelfPacedKMeans(12, None, exemplar=exemplar)(feats)
    some = SelfPacedKMeans(12, .9, exemplar=exemplar)(feats)
    assert everything.mask.all() and everything.fraction == 1 and not some.mask.all()
    assert (everything.labels == some.labels).all() and (everything.exemplars == some.exemplars).all()
    assert everything.info['threshold'] is None and not everything.info['warnings']


def test_clusters_are_found_in_raw_features():
    # Two lengths of one direction are two clusters, and each other's neighbours in angle.
    rng = np.random.default_rng(0)
    feats = np.array([1., 1.]) * np.repeat([[1.], [9.]], 30, axis=0) + .05 * rng.standard_normal((60, 2))
    found = SelfPacedKMeans(2, .9)(feats)
    assert len(set(found.labels[:30])) == len(set(found.labels[30:])) == 1 and found.labels[0] != found.labels[-1]
    assert found.mask.all()


# ---- the curve and the warning ------------------------------------------------------------------
@pytest.mark.parametrize('exemplar', ['own', 'global'])
@pytest.mark.parametrize('select', ['own', 'any'])
def test_curve_is_what_the_labeller_would_select(exemplar, select):
    thresholds = np.array([-.5, 0, .5, .7, .8, .85, .9, .93, .96, .98, .99, .999, .99999])
    feats = np.random.default_rng(1).random((150, 3)).astype(np.float32)
    feats[5] = 0
    options = dict(exemplar=exemplar, select=select, backend='torch')
    curve = selection_curve(feats, SelfPacedKMeans(30, **options)(feats), thresholds)
    assert curve.tolist() == [SelfPacedKMeans(30, value, **options)(feats).fraction for value in thresholds.tolist()]
    assert (np.diff(curve) <= 0).all() and curve[0] > .99 and curve[-1] < .25
    other = dict(options, select='own' if select == 'any' else 'any')
    without = SelfPacedKMeans(30, None, **other)(feats)
    assert (selection_curve(torch.from_numpy(feats), without, thresholds, select) == curve).all()


def test_only_exemplars_are_selected():
    feats, _ = blobs(2, 1.)
    found = SelfPacedKMeans(12, .9999)(feats)
    warning, = found.info['warnings']
    assert found.info['num_selected'] == 12 and 'threshold=0.9999' in warning and 'no image but one' in warning
    # The suggestion selects about as much as the paper does, and the next one of two decimals too little.
    suggested = float(warning.split('threshold=')[2].split()[0])
    share = SelfPacedKMeans(12, suggested)(feats).fraction
    assert f'would select {share:.0%}' in warning
    assert share >= .32 > SelfPacedKMeans(12, suggested + .01)(feats).fraction
    assert not SelfPacedKMeans(12, suggested)(feats).info['warnings']


def test_quantiles_leave_exemplars_out():
    feats = oracles.integer_blobs(3)
    found = SelfPacedKMeans(8, .9003)(feats)
    similarities = oracles.algorithm_1(feats, found.labels.tolist(), .9003)[2]
    others = [value for row, value in similarities.items() if row not in found.exemplars]
    shares, values = np.array(found.info['similarity_quantiles']).T
    np.testing.assert_allclose(values, np.quantile(others, shares), rtol=0, atol=1e-6)


def test_every_image_a_cluster():
    found = SelfPacedKMeans(20, .8)(np.random.default_rng(0).standard_normal((20, 5)))
    assert found.mask.all() and found.num_clusters == 20 and found.info['similarity_quantiles'] == []
    assert 'a cluster of its own' in found.info['warnings'][0]


@pytest.mark.parametrize('changes, message', [
    (dict(thresholds=[1.]), 'between -1 and 1'), (dict(select='all'), 'own, any'),
    (dict(feats=np.zeros((3, 2))), '60 labels do not belong to 3 features')])
def test_curve_errors(changes, message):
    feats = oracles.integer_blobs(4)
    arguments = dict(feats=feats, result=SelfPacedKMeans(8)(feats), thresholds=[.5]) | changes
    with pytest.raises(ValueError, match=message):
        selection_curve(**arguments)


def test_curve_needs_exemplars():
    feats = oracles.integer_blobs(4)
    found = SelfPacedKMeans(8)(feats)
    found.exemplars[2] = -1
    with pytest.raises(ValueError, match='an exemplar for each class'):
        selection_curve(feats, found, [.5])


# ---- empty clusters and bad input ---------------------------------------------------------------
@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('exemplar', ['own', 'global'])
def test_more_clusters_than_different_images(backend, exemplar):
    feats = oracles.integer_blobs(5, 7)[np.random.default_rng(0).permutation(np.repeat(np.arange(7), 4))]
    found = SelfPacedKMeans(20, .9, exemplar=exemplar, backend=backend)(feats)
    assert found.num_clusters == 7 and found.info['num_empty'] == 13 and found.mask.all()
    assert len({(label, *row) for label, row in zip(found.labels.tolist(), feats.tolist())}) == 7
    assert found.exemplars.tolist() == [int(np.argmax(found.labels == k)) for k in range(7)]  # the first of equal ones
    assert '13 of 20 clusters are empty' in found.info['warnings'][0]


def test_info_is_plain():
    found = SelfPacedKMeans(8, .9)(oracles.integer_blobs(6))
    info = json.loads(json.dumps(found.info))
    assert info == found.info and sum(info['cluster_sizes']) == 60 == info['num_images']
    assert info['exemplar_rows'] == found.exemplars.tolist() and sum(info['selected_sizes']) == info['num_selected']
    assert info['num_empty'] == 0 and info['iterations'] >= 1 and info['inertia'] > 0 and info['converged'] is True
    assert info['cluster_size']['max'] == max(info['cluster_sizes'])


def test_stopped_early():
    found = SelfPacedKMeans(12, max_iter=1)(blobs(3, 2.)[0])
    assert found.info['converged'] is False and 'max_iter=1' in found.info['warnings'][0]


@pytest.mark.parametrize('changes, message', [
    (dict(num_clusters=1), 'at least 2'), (dict(num_clusters=0), 'num_clusters'), (dict(num_clusters=2.5), 'integer'),
    *[(dict(threshold=value), 'between -1 and 1') for value in (1, -1, 1.5, float('nan'), '0.8', True)],
    (dict(exemplar='mean'), 'own, global'), (dict(select='all'), 'own, any'), (dict(max_iter=0), 'max_iter'),
    (dict(backend='gpu'), 'backend'), (dict(seed=-1), 'seed'), (dict(tol=-1.), 'tol')])
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        SelfPacedKMeans(**(dict(num_clusters=5) | changes))


def test_wrong_features():
    labeller, feats = SelfPacedKMeans(10), np.random.default_rng(0).random((30, 4))
    with pytest.raises(ValueError, match='fewer images than clusters: 9 images, num_clusters=10'):
        labeller(feats[:9])
    with pytest.raises(ValueError, match='all 30 images are equal.*collapsed'):
        labeller(np.ones((30, 4)))
    feats[4, 1] = np.nan
    with pytest.raises(ValueError, match='feats has NaN.*1 rows: 4'):
        labeller(feats)


def test_registered_and_repeatable():
    feats, _ = blobs(4, 1.)
    labeller = TASK_UTILS.build(dict(type='SelfPacedKMeans', num_clusters=12, threshold=.8))
    assert isinstance(labeller, SelfPacedKMeans) and 'threshold=0.8' in labeller.describe()
    first, again = labeller(feats, np.zeros(240, dtype=int)), labeller(feats)
    assert (first.labels == again.labels).all() and (first.mask == again.mask).all() and first.info == again.info


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('exemplar', ['own', 'global'])
@pytest.mark.parametrize('select', ['own', 'any'])
def test_cuda_is_algorithm_1(exemplar, select):
    feats = oracles.integer_blobs(7, duplicates=20)
    found = SelfPacedKMeans(8, .95037, exemplar=exemplar, select=select)(torch.from_numpy(feats).float().cuda())
    assert_same(found, feats, .95037, exemplar, select)

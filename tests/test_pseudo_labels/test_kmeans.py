"""k-means against Lloyd's algorithm in loops, and both implementations against each other."""

import sys

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import kmeans, lloyd

from . import oracles

BACKENDS = ['sklearn', 'torch']


def gaussian_case(seed, rows=300, channels=12, clusters=15, dtype=np.float64):
    """Overlapping clusters, and initial centres drawn from the rows."""
    rng = np.random.default_rng(seed)
    feats = rng.standard_normal((clusters, channels))[rng.integers(0, clusters, rows)] * 1.5
    feats = (feats + rng.standard_normal((rows, channels)) + 5).astype(dtype)
    return feats, feats[rng.choice(rows, clusters, replace=False)]


def nearest_gap(feats, centres):
    """How much farther the second nearest centre is."""
    distances = np.sort(oracles.squares(feats, centres), axis=1)
    return distances[:, 1] - distances[:, 0]


# ---- one step and convergence -------------------------------------------------------------------
@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('backend', BACKENDS)
def test_one_step_is_the_definition(seed, backend):
    feats, centres = gaussian_case(seed)
    found = kmeans(feats, len(centres), init=centres, max_iter=1, tol=0, backend=backend)
    expected = oracles.lloyd_step(feats, centres)[1]
    np.testing.assert_allclose(found.centres, expected, rtol=0, atol=1e-9)
    clear = nearest_gap(feats, expected) > 1e-9
    assert clear.mean() > .99 and found.iterations == 1 and not found.converged
    assert (found.labels == oracles.squares(feats, expected).argmin(axis=1))[clear].all()


@pytest.mark.parametrize('seed', range(4))
def test_implementations_agree_in_one_step(seed):
    feats, centres = gaussian_case(seed, 500, 20, 30)
    ours, theirs = (kmeans(feats, 30, init=centres, max_iter=1, tol=0, backend=backend) for backend in BACKENDS)
    np.testing.assert_allclose(ours.centres, theirs.centres, rtol=0, atol=1e-9)
    assert (ours.labels == theirs.labels)[nearest_gap(feats, theirs.centres) > 1e-9].all()


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('seed', range(3))
def test_implementations_agree_in_the_end(seed, dtype):
    feats, centres = gaussian_case(seed, 800, 16, 40, dtype)
    ours, theirs = (kmeans(feats, 40, init=centres, backend=backend) for backend in BACKENDS)
    assert ours.converged and theirs.converged
    assert abs(ours.inertia / theirs.inertia - 1) < .01
    if dtype == np.float64:
        assert ours.iterations == theirs.iterations > 2


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('backend', BACKENDS)
def test_converges_like_the_definition(seed, backend):
    feats, centres = gaussian_case(seed, 200, 5, 8)
    labels, expected, steps = oracles.lloyd(feats, centres)
    found = kmeans(feats, 8, init=centres, tol=0, backend=backend)
    assert (found.labels == labels).all() and found.iterations == steps and found.converged
    np.testing.assert_allclose(found.centres, expected, rtol=0, atol=1e-9)
    assert found.inertia == pytest.approx(oracles.squares(feats, expected).min(axis=1).sum(), rel=1e-9)


@pytest.mark.parametrize('backend', BACKENDS)
def test_movement_that_counts_as_none(backend):
    feats, centres = gaussian_case(5, 400, 10, 12)
    until_end, soon = (kmeans(feats, 12, init=centres, tol=tol, backend=backend) for tol in (0, .05))
    assert soon.iterations < until_end.iterations and soon.converged
    # The last move was smaller than that share of the mean variance, and the one before was not.
    moved, threshold = [centres], .05 * feats.var(axis=0).mean()
    for _ in range(soon.iterations):
        moved.append(oracles.lloyd_step(feats, moved[-1])[1])
    shifts = [((b - a)**2).sum() for a, b in zip(moved[:-1], moved[1:])]
    assert shifts[-1] <= threshold < min(shifts[:-1])
    # Labels are those of the centres that are returned.
    assert (soon.labels == oracles.squares(feats, soon.centres).argmin(axis=1)).all()


def test_more_centres_and_rows_than_a_block(monkeypatch):
    feats, centres = gaussian_case(6)
    expected = kmeans(feats, len(centres), init=centres, backend='torch')
    monkeypatch.setattr(lloyd, 'BLOCK_ELEMENTS', dict(cpu=40, cuda=40))
    sizes, product = [], lloyd.product
    monkeypatch.setattr(lloyd, 'product', lambda x, y, out: (sizes.append(out.numel()), product(x, y, out))[1])
    found = kmeans(feats, len(centres), init=centres, backend='torch')
    assert (found.labels == expected.labels).all() and found.iterations == expected.iterations
    assert max(sizes) <= 40


# ---- ties and empty clusters --------------------------------------------------------------------
@pytest.mark.parametrize('backend', BACKENDS)
def test_tie_goes_to_the_first_centre(backend):
    # The mean is 0, so nothing is rounded. Both centres are equally far from the row in the middle.
    feats = np.array([[-2.], [0.], [2.]])
    found = kmeans(feats, 2, init=np.array([[2.], [-2.]]), max_iter=1, tol=0, backend=backend)
    assert found.centres.tolist() == [[1.], [-2.]]


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('far', [1, 2, 3])
def test_empty_clusters_take_the_farthest_rows(backend, far):
    feats, centres = gaussian_case(7, 60, 3, 6)
    centres[-far:] = 1e3 + np.arange(far)[:, None]
    labels, expected = oracles.lloyd_step(feats, centres)
    assert len(set(labels)) == 6 - far
    found = kmeans(feats, 6, init=centres, max_iter=1, tol=0, backend=backend)
    # Which of several empty clusters takes which row is up to the implementation.
    order = [np.lexsort(values[:, ::-1].T) for values in (found.centres, expected)]
    np.testing.assert_allclose(found.centres[order[0]], expected[order[1]], rtol=0, atol=1e-9)
    if backend == 'torch':
        np.testing.assert_allclose(found.centres, expected, rtol=0, atol=1e-9)
    assert len(set(kmeans(feats, 6, init=centres, backend=backend).labels)) == 6


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('sizes', [(3, 3), (1, 2)])
def test_nowhere_to_go(backend, sizes):
    # Two different rows on their centres: the third cluster stays empty, takes no row from others, and is not NaN.
    feats = np.repeat([[-2., 0.], [1., 0.]], sizes, axis=0)
    found = kmeans(feats, 3, init=np.array([[-2., 0.], [1., 0.], [9., 9.]]), backend=backend)
    assert found.labels.tolist() == np.repeat([0, 1], sizes).tolist() and found.inertia == 0
    assert np.isfinite(found.centres).all()


@pytest.mark.parametrize('backend', ['auto', *BACKENDS])
@pytest.mark.parametrize('num_clusters', [4, 5, 9])
def test_no_more_different_rows_than_clusters(backend, num_clusters):
    feats = oracles.integer_blobs(0, 4, 3)[[2, 0, 2, 1, 3, 1, 0, 2, 2]].astype(np.float32)
    found = kmeans(feats, num_clusters, backend=backend)
    assert found.labels.tolist() == [0, 1, 0, 2, 3, 2, 1, 0, 0]
    assert (found.inertia, found.iterations, found.converged) == (0, 0, True)
    assert found.centres.shape == (num_clusters, 3) and (found.centres[found.labels] == feats).all()
    assert (found.centres[4:] == feats[0]).all()  # that of the largest cluster


# ---- initial centres ----------------------------------------------------------------------------
@pytest.mark.parametrize('seed', range(5))
def test_plus_plus_is_the_definition(seed):
    feats = oracles.integer_blobs(seed, 50, 4, duplicates=10)
    generator = torch.Generator().manual_seed(seed)
    first = int(torch.randint(50, (1, ), generator=generator))
    draws = [torch.rand(4, generator=generator, dtype=torch.float64).tolist() for _ in range(8)]  # 2 + int(log(9))
    expected = oracles.plus_plus(feats, 9, first, draws)
    assert lloyd.plus_plus(torch.from_numpy(feats).double(), 9, seed).tolist() == expected
    assert lloyd.plus_plus(torch.from_numpy(feats).float(), 9, seed).tolist() == expected


@pytest.mark.parametrize('backend', BACKENDS)
def test_plus_plus_finds_clear_clusters(backend):
    feats = np.repeat(np.eye(10) * 100, 12, axis=0) + np.random.default_rng(0).standard_normal((120, 10))
    for seed in range(5):
        labels = kmeans(feats, 10, seed=seed, backend=backend).labels.reshape(10, 12)
        assert (labels == labels[:, :1]).all() and len(set(labels[:, 0])) == 10


@pytest.mark.parametrize('backend', BACKENDS)
def test_seed(backend):
    feats, _ = gaussian_case(8)
    first, again, other = (kmeans(feats, 15, seed=seed, backend=backend) for seed in (3, 3, 4))
    assert (first.labels == again.labels).all() and (first.centres == again.centres).all()
    assert first.inertia != other.inertia


def test_scikit_learn_is_called_plainly():
    cluster = pytest.importorskip('sklearn.cluster')
    feats, _ = gaussian_case(9, dtype=np.float32)
    model = cluster.KMeans(15, n_init=1, max_iter=300, random_state=7).fit(feats)
    found = kmeans(feats, 15, seed=7)
    assert (found.labels == model.labels_).all() and (found.centres == model.cluster_centers_).all()
    assert found.iterations == model.n_iter_ and found.inertia == pytest.approx(model.inertia_, rel=1e-5)


# ---- kinds of input -----------------------------------------------------------------------------
@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_types(backend, dtype):
    feats = torch.from_numpy(oracles.integer_blobs(1, 80)).to(dtype)
    expected = kmeans(feats.double().numpy(), 6, init=feats[:6].double().numpy(), backend=backend)
    found = kmeans(feats, 6, init=feats[:6], backend=backend)
    assert found.labels.dtype == np.int64 and (found.labels == expected.labels).all()
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-5)


@pytest.mark.parametrize('backend', BACKENDS)
def test_memory_layout_and_inputs(backend, tmp_path):
    feats, centres = gaussian_case(10, dtype=np.float32)
    expected = kmeans(feats, 15, init=centres, backend=backend)
    file = tmp_path / 'feats.npy'
    np.save(file, feats)
    before = feats.copy()
    for values in (np.asfortranarray(feats), np.repeat(feats, 2, axis=1)[:, ::2], np.load(file, mmap_mode='r'),
                   torch.from_numpy(feats)):
        assert (kmeans(values, 15, init=centres, backend=backend).labels == expected.labels).all()
    assert (feats == before).all()


# ---- errors -------------------------------------------------------------------------------------
@pytest.mark.parametrize('changes, message', [
    (dict(num_clusters=301), 'fewer images than clusters: 300 images, num_clusters=301'),
    (dict(num_clusters=0), 'num_clusters'), (dict(num_clusters=2.), 'num_clusters'),
    (dict(num_clusters=True), 'num_clusters'), (dict(max_iter=0), 'max_iter'), (dict(max_iter=1.5), 'max_iter'),
    (dict(tol=-1), 'tol'), (dict(tol=float('nan')), 'tol'), (dict(seed=-1), 'seed'), (dict(seed=None), 'seed'),
    (dict(backend='faiss'), 'sklearn, torch'), (dict(init='random'), "'k-means\\+\\+' or centres"),
    (dict(init=np.zeros((4, 12))), r'\(5, 12\), got \(4, 12\)'),
    (dict(init=np.full((5, 12), np.nan)), 'init has NaN'),
    (dict(feats=np.zeros(3)), 'rows, channels'), (dict(feats=np.zeros((0, 3))), 'rows, channels')])
def test_wrong_arguments(changes, message):
    arguments = dict(feats=gaussian_case(11)[0], num_clusters=5) | changes
    with pytest.raises(ValueError, match=message):
        kmeans(**arguments)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_features_that_are_not_finite(value):
    feats = gaussian_case(11)[0]
    feats[[7, 250], 3] = value
    with pytest.raises(ValueError, match='2 rows: 7, 250'):
        kmeans(feats, 5)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.cluster', None)
    feats = gaussian_case(12)[0]
    with pytest.raises(ImportError, match='pip install scikit-learn.*backend="torch"'):
        kmeans(feats, 5)
    assert kmeans(feats, 5, backend='torch').converged


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('far', [0, 2])
def test_cuda_agrees_with_the_definition(far):
    feats, centres = gaussian_case(13, 200, 5, 8)
    centres[8 - far:] = 1e3
    labels, expected, steps = oracles.lloyd(feats, centres)
    found = kmeans(torch.from_numpy(feats).cuda(), 8, init=centres, tol=0)
    assert found.centres.is_cuda and (found.labels == labels).all() and found.iterations == steps
    np.testing.assert_allclose(found.centres.cpu().numpy(), expected, rtol=0, atol=1e-9)
    first, again = (kmeans(torch.from_numpy(feats).float().cuda(), 8) for _ in range(2))
    assert (first.labels == again.labels).all() and (first.centres == again.centres).all()

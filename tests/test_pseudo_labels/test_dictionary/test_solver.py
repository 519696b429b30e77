"""The alternation: what it reaches, what it may not do, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mmreid.pseudo_labels.dictionary import cross_camera_graph, fit_dictionary
from mmreid.pseudo_labels.dictionary.graph import laplacian_of

from .data import objective, seen


def fitted(feats, camids, num_atoms=4, weight=1., affinity='binary', **more):
    graph = cross_camera_graph(feats, camids, affinity=affinity)
    return fit_dictionary(feats, graph, num_atoms, weight, **more), graph


# ---- the objective ------------------------------------------------------------------------------
@pytest.mark.parametrize('init', ['svd', 'random', 'images'])
@pytest.mark.parametrize('weight', [0., .1, 10.])
def test_objective_is_eq_2_and_never_rises(init, weight):
    feats, camids = seen(1)
    fit, graph = fitted(feats, camids, weight=weight, affinity='heat', init=init, tol=0, max_iter=40)
    values = np.array(fit.objective)
    assert len(values) == 2 * fit.iterations and (np.diff(values) <= 0).all()
    assert values[-1] == pytest.approx(objective(feats, fit.atoms, fit.codes, graph, weight), rel=1e-9)
    assert fit.error == pytest.approx(((feats - fit.codes @ fit.atoms)**2).sum(), rel=1e-9)
    assert fit.energy == pytest.approx((feats**2).sum()) and values[-1] <= fit.energy
    assert fit.atoms.shape == (4, 7) and fit.codes.shape == (40, 4) and fit.codes.dtype == np.float64
    assert ((fit.atoms**2).sum(1) <= 1 + 1e-15).all()


@pytest.mark.parametrize('weight', [.3, 5.])
def test_codes_are_the_best_for_the_atoms_before(weight):
    """The first half step by a general solver, from the same atoms."""
    feats, camids = seen(2, count=15)
    fit, graph = fitted(feats, camids, 3, weight, max_iter=1)
    atoms = np.linalg.svd(feats, full_matrices=False)[2][:3]
    laplacian = laplacian_of(graph).toarray()

    def value(codes):
        codes = codes.reshape(15, 3)
        rest, pull = codes @ atoms - feats, laplacian @ codes
        return (rest**2).sum() + 2 * weight * (codes * pull).sum(), (2 * rest @ atoms.T + 4 * weight * pull).ravel()

    best = minimize(value, np.zeros(45), jac=True, method='L-BFGS-B', options=dict(maxiter=5000, ftol=1e-15, gtol=1e-9))
    assert fit.objective[0] == pytest.approx(best.fun, rel=1e-8)


@pytest.mark.parametrize('init', ['svd', 'random', 'images'])
def test_without_a_graph_it_reaches_the_best_rank(init):
    """Eckart and Young: the squares of the singular values that are left out."""
    feats, camids = seen(3, count=30)
    tail = (np.linalg.svd(feats, compute_uv=False)[3:]**2).sum()
    fit, _ = fitted(feats, camids, 3, 0., init=init, tol=0, max_iter=500)
    assert fit.objective[-1] == pytest.approx(tail, rel=1e-8)
    assert fit.roughness == 0 and fit_dictionary(feats, None, 3, 5.).objective[-1] == pytest.approx(tail, rel=1e-8)


def convex_value(feats, laplacian, weight, num_atoms):
    r"""The optimum with as many atoms as channels, over M = DZ alone.

    The bound on each atom may be replaced by :math:`\lVert D \rVert_F^2 \le K`, because a rotation of the codes makes
    all atoms equally long and leaves the graph's term as it is; then the least :math:`\mathrm{tr}(Z L Z^\top)` of all
    factors of M is the square of the sum of the singular values of :math:`L^{1/2} M^\top`, over K.
    """
    values, vectors = np.linalg.eigh(laplacian)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T

    def value(flat):
        product = flat.reshape(feats.shape)
        left, sizes, right = np.linalg.svd(root @ product, full_matrices=False)
        slope = 2 * (product - feats) + 4 * weight / num_atoms * sizes.sum() * root @ left @ right
        return ((product - feats)**2).sum() + 2 * weight / num_atoms * sizes.sum()**2, slope.ravel()

    return minimize(value, feats.ravel(), jac=True, method='L-BFGS-B', options=dict(maxiter=20000, maxfun=20000,
                                                                                  ftol=1e-15, gtol=1e-10)).fun


@pytest.mark.parametrize('init', ['svd', 'random', 'images'])
@pytest.mark.parametrize('weight', [.03, .3])
def test_reaches_the_optimum_over_all_dictionaries(init, weight):
    """With as many atoms as channels there is a convex problem with the same optimum."""
    feats, camids = seen(4, count=24, channels=3, cameras=2)
    fit, graph = fitted(feats, camids, 3, weight, init=init, tol=0, max_iter=60)
    best = convex_value(feats, laplacian_of(graph).toarray(), weight, 3)
    assert fit.objective[-1] == pytest.approx(best, rel=1e-8)


# ---- scale --------------------------------------------------------------------------------------
@pytest.mark.parametrize('factor', [2.**-20, 3., 1e8])
def test_lambda_does_not_know_the_scale_of_the_features(factor):
    feats, camids = seen(5)
    fit, _ = fitted(feats, camids, max_iter=30, affinity='heat')
    other, _ = fitted(feats * factor, camids, max_iter=30, affinity='heat')
    assert np.allclose(other.atoms, fit.atoms, atol=1e-8) and np.allclose(other.codes, fit.codes * factor, rtol=1e-6)
    assert np.allclose(other.objective, np.array(fit.objective) * factor**2, rtol=1e-9)
    assert other.iterations == fit.iterations


def test_a_larger_lambda_is_smoother_and_less_exact():
    feats, camids = seen(6)
    fits = [fitted(feats, camids, weight=weight, tol=1e-6)[0] for weight in (0.01, .1, 1., 10.)]
    assert (np.diff([fit.error for fit in fits]) > 0).all() and (np.diff([fit.roughness for fit in fits]) < 0).all()


# ---- kinds --------------------------------------------------------------------------------------
def test_arrays_tensors_and_backends_agree():
    feats, camids = seen(7)
    fit, graph = fitted(feats, camids, max_iter=10)
    for given, backend in ((torch.from_numpy(feats), 'scipy'), (torch.from_numpy(feats), 'torch'), (feats, 'torch')):
        other = fit_dictionary(given, graph, 4, 1., max_iter=10, backend=backend)
        assert isinstance(other.codes, type(given)) and isinstance(other.atoms, type(given))
        assert np.allclose(np.asarray(other.codes), fit.codes, atol=1e-9) and other.iterations == fit.iterations
    single = fit_dictionary(feats.astype(np.float32), graph, 4, 1., max_iter=10)
    assert single.codes.dtype == np.float64 and np.allclose(single.codes, fit.codes, atol=1e-3)


def test_the_seed_draws_the_start():
    feats, camids = seen(8)
    runs = [fitted(feats, camids, init='random', seed=seed, max_iter=2)[0] for seed in (3, 3, 4)]
    assert (runs[0].codes == runs[1].codes).all() and not np.allclose(runs[0].codes, runs[2].codes)
    svd = [fitted(feats, camids, seed=seed, max_iter=2)[0] for seed in (3, 4)]
    assert (svd[0].codes == svd[1].codes).all()  # nothing is drawn


# ---- odd features -------------------------------------------------------------------------------
def test_channels_without_variance():
    feats, camids = seen(9)
    feats[:, 2], feats[:, 5] = 0, 3
    fit, graph = fitted(feats, camids)
    assert fit.objective[-1] == pytest.approx(objective(feats, fit.atoms, fit.codes, graph, 1.), rel=1e-9)
    assert np.abs(fit.atoms[:, 2]).max() < 1e-12  # what no feature has no atom has


def test_some_images_of_zeros():
    feats, camids = seen(10)
    feats[:6] = 0
    for init in ('svd', 'random', 'images'):
        fit, graph = fitted(feats, camids, init=init)
        assert np.isfinite(fit.codes).all() and fit.num_unused == 0
        assert fit.objective[-1] == pytest.approx(objective(feats, fit.atoms, fit.codes, graph, 1.), rel=1e-9)


@pytest.mark.parametrize('init', ['svd', 'random', 'images'])
def test_more_atoms_than_the_features_have_directions(init):
    feats, camids = seen(11)
    feats[:, 3:] = feats[:, :3] @ np.random.default_rng(0).standard_normal((3, 4))  # rank 3
    fit, graph = fitted(feats, camids, 6, .5, init=init, tol=0, max_iter=30)
    assert np.isfinite(fit.codes).all() and (np.diff(fit.objective) <= 0).all()
    assert fit.objective[-1] == pytest.approx(objective(feats, fit.atoms, fit.codes, graph, .5), rel=1e-9)
    wide, _ = fitted(feats, camids, 9, .5, init=init)
    assert '9 atoms for features of 7 channels' in wide.warnings[0]


def test_says_when_it_was_stopped():
    feats, camids = seen(12)
    stopped, _ = fitted(feats, camids, max_iter=2, tol=0)
    assert not stopped.converged and stopped.iterations == 2 and 'max_iter=2' in stopped.warnings[-1]
    done, _ = fitted(feats, camids, max_iter=500, tol=1e-3)
    assert done.converged and done.iterations < 500 and not done.warnings
    assert (done.objective[-3] - done.objective[-1]) <= 1e-3 * done.objective[-1]


def test_signs_of_eigenvectors(monkeypatch):
    """Another library may give an eigenvector with the other sign; the codes are the same."""
    feats, camids = seen(7)
    fit, _ = fitted(feats, camids, max_iter=10)
    original, calls = torch.linalg.eigh, []

    def flipped(matrix):
        values, vectors = original(matrix)
        calls.append(len(values))
        return values, vectors * (torch.arange(len(values)) % 2 * 2 - 1)

    monkeypatch.setattr(torch.linalg, 'eigh', flipped)
    other, _ = fitted(feats, camids, max_iter=10)
    assert calls and np.allclose(other.codes, fit.codes, rtol=0, atol=1e-7)


# ---- errors -------------------------------------------------------------------------------------
@pytest.mark.parametrize('changes, message', [
    (dict(num_atoms=41), 'fewer images than atoms: 40 images, num_atoms=41'), (dict(num_atoms=0), 'num_atoms'),
    (dict(num_atoms=2.), 'num_atoms'), (dict(weight=-1.), 'weight'), (dict(weight=float('nan')), 'weight'),
    (dict(weight=float('inf')), 'weight'), (dict(weight='1'), 'weight'), (dict(weight=None), 'weight'),
    (dict(max_iter=0), 'max_iter'), (dict(tol=-1), 'tol'), (dict(tol=True), 'tol'),
    (dict(init='pca'), 'init must be one of svd, random, images'), (dict(seed=-1), 'seed'), (dict(backend='x'), 'back'),
])
def test_wrong_settings(changes, message):
    feats, camids = seen(0)
    graph = cross_camera_graph(feats, camids)
    with pytest.raises(ValueError, match=message):
        fit_dictionary(feats, graph, **{**dict(num_atoms=4, weight=1.), **changes})


def test_wrong_features():
    feats, camids = seen(0)
    graph = cross_camera_graph(feats, camids)
    for given, message in ((0 * feats, 'are zero, so there is nothing to learn'), (0 * feats + 2, 'are equal'),
                           (np.where(feats == feats[7, 3], np.nan, feats), 'NaN.* in 1 rows: 7'),
                           (feats[:30], 'row for each of the 30 images')):
        with pytest.raises(ValueError, match=message):
            fit_dictionary(given, graph, 4, 1.)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda():
    feats, camids = seen(7)
    fit, graph = fitted(feats, camids, max_iter=10)
    other = fit_dictionary(torch.from_numpy(feats).cuda(), graph, 4, 1., max_iter=10)
    assert other.codes.is_cuda and np.allclose(other.codes.cpu().numpy(), fit.codes, atol=1e-7)

"""Atoms against a general solver, and against what the optimum must satisfy."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mmreid.pseudo_labels.dictionary import atoms as module
from mmreid.pseudo_labels.dictionary.atoms import solve_atoms


def problem(seed, num_atoms=4, channels=5, count=30, scale=1.):
    rng = np.random.default_rng(seed)
    codes, feats = rng.standard_normal((count, num_atoms)), scale * rng.standard_normal((count, channels))
    start = rng.standard_normal((num_atoms, channels))
    return codes, feats, start / np.linalg.norm(start, axis=1, keepdims=True)


def solved(codes, feats, start):
    return solve_atoms(*(torch.from_numpy(values) for values in (codes.T @ feats, codes.T @ codes, start))).numpy()


def error(codes, feats, atoms):
    return ((feats - codes @ atoms)**2).sum()


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('scale', [.3, 3., 30.])  # no bound is met, some, all
def test_is_the_optimum_of_a_general_solver(seed, scale):
    codes, feats, start = problem(seed, scale=scale)
    feats = feats + scale * codes @ start
    found = solved(codes, feats, start)
    shape = start.shape
    size = (feats**2).sum()
    best = minimize(lambda values: error(codes, feats, values.reshape(shape)) / size, .1 * start.ravel(),
                    method='SLSQP',
                    jac=lambda values: 2 / size * (codes.T @ (codes @ values.reshape(shape) - feats)).ravel(),
                    constraints=[dict(type='ineq', fun=lambda values: 1 - (values.reshape(shape)**2).sum(1))],
                    options=dict(maxiter=500, ftol=1e-14))
    lengths = (found**2).sum(1)
    assert (lengths <= 1 + 1e-15).all()
    assert error(codes, feats, found) == pytest.approx(best.fun * size, rel=1e-7)
    assert np.allclose(found, best.x.reshape(shape), atol=1e-3)
    # At the optimum, the slope at an atom that is shorter than 1 is 0, and otherwise it points along the atom.
    slope = codes.T @ (codes @ found - feats)
    multipliers = -(slope * found).sum(1)
    assert (multipliers >= -1e-8 * scale).all() and np.allclose(slope, -multipliers[:, None] * found, atol=1e-6 * scale)
    assert np.allclose(multipliers * (1 - lengths), 0, atol=1e-6 * scale)


@pytest.mark.parametrize('scale', [.3, 30.])
def test_codes_that_depend_on_each_other(scale):
    """A rank that is lower than the number of atoms: the error is that of the independent ones where no bound is met,
    and never above what passes over the atoms reach."""
    codes, feats, start = problem(5, scale=scale)
    codes = np.concatenate([codes, codes[:, :2] + codes[:, 2:]], axis=1)
    start = np.concatenate([start, start[:2]])
    found = solved(codes, feats, start)
    assert ((found**2).sum(1) <= 1 + 1e-15).all()
    swept = module._sweeps(torch.from_numpy(codes.T @ feats), torch.from_numpy(codes.T @ codes),
                           torch.from_numpy(start).clone()).numpy()
    assert error(codes, feats, found) <= error(codes, feats, swept) * (1 + 1e-9)
    if scale < 1:
        free = np.linalg.lstsq(codes, feats, rcond=None)[0]
        assert error(codes, feats, found) == pytest.approx(error(codes, feats, free), rel=1e-9)


def test_passes_over_the_atoms_reach_the_same(monkeypatch):
    codes, feats, start = problem(6, scale=3.)
    expected = error(codes, feats, solved(codes, feats, start))
    monkeypatch.setattr(module, 'MAX_STEPS', 0)
    assert error(codes, feats, solved(codes, feats, start)) == pytest.approx(expected, rel=1e-9)


def test_unused_atoms_stay():
    codes, feats, start = problem(7)
    codes[:, 2] = 0
    found, others = solved(codes, feats, start), [0, 1, 3]
    assert (found[2] == start[2]).all()
    assert np.allclose(found[others], solved(codes[:, others], feats, start[others]))
    assert (solved(0 * codes, feats, start) == start).all()


def test_never_worse_than_the_start():
    codes, feats, start = problem(8, scale=30.)
    best = solved(codes, feats, start)
    again = solved(codes, feats, best)
    assert error(codes, feats, again) <= error(codes, feats, best) * (1 + 1e-14)

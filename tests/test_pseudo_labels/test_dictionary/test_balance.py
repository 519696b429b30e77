"""The exchange between atoms and codes against a general solver."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mmreid.pseudo_labels.dictionary.balance import balance, equal_diagonal


@pytest.mark.parametrize('size', [1, 2, 3, 8, 33])
def test_a_rotation_makes_the_diagonal_constant(size):
    values = np.random.default_rng(size).random(size)**4
    turn = equal_diagonal(values).numpy()
    assert np.allclose(turn.T @ turn, np.eye(size), atol=1e-12)
    assert np.allclose((turn.T @ np.diag(values) @ turn).diagonal(), values.mean(), atol=1e-12)
    assert (equal_diagonal(np.full(size, 2.)).numpy() == np.eye(size)).all()


@pytest.mark.parametrize('seed', range(3))
def test_is_the_best_exchange(seed):
    rng = np.random.default_rng(seed)
    atoms, codes = rng.standard_normal((3, 5)), rng.standard_normal((20, 3))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    half = rng.standard_normal((20, 20))
    laplacian = half @ half.T
    pulls = codes.T @ laplacian @ codes
    forth, back = (values.numpy() for values in balance(torch.from_numpy(atoms), torch.from_numpy(pulls)))
    new_atoms, new_codes = forth.T @ atoms, codes @ back.T
    assert np.allclose(new_codes @ new_atoms, codes @ atoms)  # the product is the same
    assert np.allclose((new_atoms**2).sum(1), 1)
    found = np.trace(new_codes.T @ laplacian @ new_codes)

    def pull(flat):
        turned = np.linalg.solve(flat.reshape(3, 3), codes.T).T
        return np.trace(turned.T @ laplacian @ turned) / found

    best = min((minimize(pull, np.eye(3).ravel() + .1 * rng.standard_normal(9), method='SLSQP', constraints=[
        dict(type='ineq', fun=lambda flat: 1 - ((flat.reshape(3, 3).T @ atoms)**2).sum(1))],
        options=dict(maxiter=500, ftol=1e-13)) for _ in range(4)), key=lambda result: result.fun)
    assert best.fun == pytest.approx(1, rel=1e-5)


def test_where_there_is_nothing_to_exchange():
    atoms = torch.eye(3, dtype=torch.float64)
    assert balance(atoms, torch.zeros(3, 3, dtype=torch.float64)) is None
    assert balance(atoms[[0, 1, 1]], torch.eye(3, dtype=torch.float64)) is None
    # What all neighbours agree in pulls nowhere: codes grow, but not without limit.
    forth, back = balance(atoms, torch.diag(torch.tensor([1., 1, 0], dtype=torch.float64)))
    assert forth.isfinite().all() and float(back.abs().max()) < 1e3

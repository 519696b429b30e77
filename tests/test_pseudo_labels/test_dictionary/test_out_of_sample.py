"""Codes of images that were not there."""

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels.dictionary import codes_of, cross_camera_graph, fit_dictionary

from .data import seen
from .test_codes import dense_codes


def test_is_least_squares_of_each_image_alone():
    feats, camids = seen(0)
    fit = fit_dictionary(feats, cross_camera_graph(feats, camids), 4, .5, max_iter=10)
    new = seen(1, count=9000)[0]
    found = codes_of(fit.atoms, new)
    expected = np.linalg.lstsq(fit.atoms.T, new.T, rcond=None)[0].T
    assert np.allclose(found, expected) and np.allclose(codes_of(fit.atoms, new[5:6]), found[5:6], rtol=1e-12)
    single = codes_of(torch.from_numpy(fit.atoms), torch.from_numpy(new).float())
    assert single.dtype == torch.float32 and np.allclose(single.numpy(), expected, atol=1e-4)


def stacked(atoms, feats, ridge):
    """The minimum of |y - Dz|^2 + ridge |z|^2 as a plain least-squares problem with more rows."""
    extra = np.sqrt(ridge) * np.eye(len(atoms))
    return np.linalg.lstsq(np.vstack([atoms.T, extra]), np.vstack([feats.T, np.zeros((len(atoms), len(feats)))]),
                           rcond=None)[0].T


def test_unknown_neighbours_hold_the_code_where_the_mean_is():
    """Eq. 2 for one more image with d links to images whose codes are all the same one: a constant apart."""
    feats, camids = seen(0)
    graph = cross_camera_graph(feats, camids)
    fit = fit_dictionary(feats, graph, 4, .5, max_iter=10)
    degree = fit.settings['degree']
    assert degree == pytest.approx(graph.toarray().sum(1).mean())
    new = seen(1, count=50)[0]
    found = codes_of(fit.atoms, new, weight=.5, degree=degree)
    assert np.allclose(found, stacked(fit.atoms, new, 2 * .5 * degree))
    mean = fit.codes.mean(0)
    system = fit.atoms @ fit.atoms.T + 2 * .5 * degree * np.eye(4)
    linked = np.linalg.solve(system, fit.atoms @ new.T + 2 * .5 * degree * mean[:, None]).T
    assert np.allclose(np.linalg.norm(linked[:, None] - linked, axis=2), np.linalg.norm(found[:, None] - found, axis=2))


def test_with_a_graph_it_is_the_training_step():
    feats, camids = seen(2)
    graph = cross_camera_graph(feats, camids)
    fit = fit_dictionary(feats, graph, 4, .5, max_iter=300, tol=1e-13)
    # At a fixed point, the codes of the training images are their codes under the final atoms.
    assert np.allclose(codes_of(fit.atoms, feats, graph, .5), fit.codes, atol=1e-3 * np.abs(fit.codes).max())
    assert np.allclose(codes_of(fit.atoms, feats, graph, .5), dense_codes(fit.atoms, feats, graph, .5))
    assert not np.allclose(codes_of(fit.atoms, feats), fit.codes, atol=1e-2 * np.abs(fit.codes).max())


def test_repeated_atoms_are_finite():
    atoms = np.array([[1., 0, 0], [1, 0, 0]])
    assert np.allclose(codes_of(atoms, np.array([[4., 2, 1]])), [[2, 2]], atol=1e-6)


def test_wrong_features():
    with pytest.raises(ValueError, match='for features of 3 channels, and these have 4'):
        codes_of(np.ones((2, 3)), np.ones((5, 4)))
    with pytest.raises(ValueError, match='NaN'):
        codes_of(np.ones((2, 3)), np.full((5, 3), np.nan))

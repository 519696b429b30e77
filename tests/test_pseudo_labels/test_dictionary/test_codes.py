"""Codes against one dense linear system over all of them."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmreid.pseudo_labels.dictionary.codes import RIDGE, GraphSystem, directions_of, solve_codes
from mmreid.pseudo_labels.dictionary.graph import cross_camera_graph, laplacian_of

from .data import seen

CPU = torch.device('cpu')


def dense_codes(atoms, feats, graph, weight):
    """All N K equations of D'D Z + 2 lambda Z L = D'Y at once, with the Kronecker product."""
    system = np.kron(np.eye(len(feats)), atoms @ atoms.T) + 2 * weight * np.kron(laplacian_of(graph).toarray(),
                                                                                np.eye(len(atoms)))
    return np.linalg.solve(system, (feats @ atoms.T).ravel()).reshape(len(feats), len(atoms))


def given(seed, num_atoms=4, cameras=3):
    feats, camids = seen(seed, cameras=cameras)
    atoms = np.random.default_rng(seed).standard_normal((num_atoms, feats.shape[1]))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return torch.from_numpy(atoms), torch.from_numpy(feats), cross_camera_graph(feats, camids, affinity='heat')


@pytest.mark.parametrize('backend', ['scipy', 'torch'])
@pytest.mark.parametrize('largest', [0, 6, 256])  # all by iteration, some, none
@pytest.mark.parametrize('weight', [.01, 1., 100.])
@pytest.mark.parametrize('cameras', [2, 3])
def test_is_the_dense_solution(backend, largest, weight, cameras):
    atoms, feats, graph = given(0, cameras=cameras)
    system = GraphSystem(graph, weight, CPU, backend, largest, accuracy=1e-12)
    assert bool(len(system._rest)) == (largest < 256)
    found = solve_codes(atoms, feats, system)
    expected = dense_codes(atoms.numpy(), feats.numpy(), graph, weight)
    assert np.abs(found.numpy() - expected).max() <= 1e-8 * np.abs(expected).max()
    again = solve_codes(atoms, feats, system, start=torch.randn(found.shape, dtype=torch.float64))
    assert torch.allclose(again, found, rtol=0, atol=1e-8 * float(found.abs().max()))
    assert system.residual <= 1e-12 and (system.steps > 0) == (largest < 256)


def test_where_no_direction_is():
    """Atoms that repeat each other have no best codes; these are the ones without a part in the missing direction."""
    atoms, feats, graph = given(1)
    twice = torch.cat([atoms, atoms[:1]])
    found = solve_codes(twice, feats, GraphSystem(graph, 1., CPU))
    squares, vectors = directions_of(twice)
    assert squares[0] == RIDGE and float((found @ vectors[:, 0]).abs().max()) < 1e-5
    # The first atom's code is shared by both copies, which halves what the graph costs.
    gradient = found @ (twice @ twice.T) + 2 * torch.from_numpy(laplacian_of(graph) @ found.numpy()) - feats @ twice.T
    assert float(gradient.abs().max()) < 1e-6


def test_without_a_graph_it_is_least_squares():
    atoms, feats, graph = given(2)
    expected = np.linalg.lstsq(atoms.numpy().T, feats.numpy().T, rcond=None)[0].T
    for system in (GraphSystem(None, 1., CPU), GraphSystem(graph, 0., CPU)):
        assert np.allclose(solve_codes(atoms, feats, system).numpy(), expected) and system.roughness(feats) == 0


def test_images_without_neighbours_are_least_squares():
    atoms, feats, graph = given(3)
    graph = graph.tolil()
    graph[:5] = 0
    graph[:, :5] = 0
    expected = np.linalg.lstsq(atoms.numpy().T, feats.numpy().T, rcond=None)[0].T[:5]
    found = solve_codes(atoms, feats, GraphSystem(csr_matrix(graph), 3., CPU)).numpy()
    assert np.allclose(found[:5], expected)
    assert np.abs(found[5:] - dense_codes(atoms.numpy(), feats.numpy(), csr_matrix(graph), 3.)[5:]).max() < 1e-9


def test_a_heavy_graph_makes_neighbours_equal():
    """With two images, the codes go to those of their mean."""
    atoms, feats = torch.eye(3, dtype=torch.float64)[:2], torch.tensor([[1., 0, 5], [0, 3, 5]], dtype=torch.float64)
    graph = csr_matrix(np.array([[0., 1], [1, 0]]))
    found = solve_codes(atoms, feats, GraphSystem(graph, 1e9, CPU))
    assert torch.allclose(found, torch.tensor([[.5, 1.5], [.5, 1.5]], dtype=torch.float64))
    # Eq. 2 by hand: (1 + 2 lambda (1 -1; -1 1)) z = y in each direction.
    found = solve_codes(atoms, feats, GraphSystem(graph, .25, CPU))
    assert torch.allclose(found, torch.tensor([[.75, .75], [.25, 2.25]], dtype=torch.float64))


def test_backends():
    with pytest.raises(ValueError, match='backend must be one of auto, scipy, torch'):
        GraphSystem(None, 1., CPU, 'numpy')
    with pytest.raises(ValueError, match="choose 'torch'"):
        GraphSystem(None, 1., torch.device('cuda'), 'scipy')


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('largest', [0, 256])
def test_cuda(largest):
    atoms, feats, graph = given(0)
    expected = solve_codes(atoms, feats, GraphSystem(graph, 1., CPU))
    device = torch.device('cuda')
    found = solve_codes(atoms.to(device), feats.to(device), GraphSystem(graph, 1., device, largest_component=largest))
    assert torch.allclose(found.cpu(), expected, rtol=0, atol=1e-7)  # conjugate gradients end at 1e-8

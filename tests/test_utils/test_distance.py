"""Distances against their definitions, written out pair by pair."""

import math

import numpy as np
import pytest
import torch

from mmreid.utils import pairwise_distance
from mmreid.utils.distance import DISTANCES


def naive(x, y, metric):
    """Distances of two lists of vectors in plain Python."""
    def one(a, b):
        squared = sum((s - t)**2 for s, t in zip(a, b))
        if metric == 'cosine':
            norms = math.sqrt(sum(s * s for s in a)) * math.sqrt(sum(t * t for t in b))
            return 1 - sum(s * t for s, t in zip(a, b)) / norms if norms else 1.
        return squared if metric == 'sqeuclidean' else math.sqrt(squared)

    return np.array([[one(a, b) for b in y.tolist()] for a in x.tolist()])


@pytest.mark.parametrize('metric', DISTANCES)
@pytest.mark.parametrize('dtype, tolerance', [('float64', 1e-12), ('float32', 1e-5), ('float16', 1e-5),
                                              ('int64', 1e-12)])
def test_matches_definition(metric, dtype, tolerance):
    rng = np.random.default_rng(0)
    x, y = ((4 * rng.standard_normal((n, 5))).astype(dtype) for n in (4, 7))
    expected = naive(x, y, metric)
    scale = max(1, np.abs(expected).max())
    result = pairwise_distance(x, y, metric)
    assert result.shape == (4, 7) and result.dtype == ('float32' if dtype in ('float32', 'float16') else 'float64')
    np.testing.assert_allclose(result, expected, atol=tolerance * scale)
    tensors = pairwise_distance(torch.from_numpy(x), torch.from_numpy(y), metric)
    assert tensors.dtype == (torch.float64 if dtype == 'float64' else torch.float32)
    np.testing.assert_allclose(tensors.numpy(), expected, atol=max(tolerance, 1e-5 * (dtype == 'int64')) * scale)


def test_by_eye():
    x, y = torch.tensor([[0., 0.], [3., 0.]]), torch.tensor([[3., 4.], [3., 0.]])
    assert pairwise_distance(x, y).tolist() == [[5, 3], [4, 0]]
    assert pairwise_distance(x, y, 'sqeuclidean').tolist() == [[25, 9], [16, 0]]
    torch.testing.assert_close(pairwise_distance(x, y, 'cosine'), torch.tensor([[1., 1.], [.4, 0.]]))


def test_half_precision_is_computed_in_float32():
    x = torch.randn(6, 256, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = torch.cdist(x.double(), x.double(), compute_mode='donot_use_mm_for_euclid_dist')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        result = pairwise_distance(x, x)
    assert result.dtype == torch.float32
    off_diagonal = ~torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(result.double()[off_diagonal], expected[off_diagonal], atol=1e-4, rtol=0)


@pytest.mark.parametrize('metric', DISTANCES)
def test_gradient(metric):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 3, dtype=torch.float64, generator=generator, requires_grad=True) for n in (3, 4))
    assert torch.autograd.gradcheck(lambda a, b: pairwise_distance(a, b, metric), (x, y))


@pytest.mark.parametrize('metric', DISTANCES)
def test_gradient_is_finite_at_distance_zero(metric):
    x = torch.tensor([[1., 2.], [1., 2.], [0., 0.]], requires_grad=True)
    distances = pairwise_distance(x, x, metric)
    distances.sum().backward()
    assert x.grad.isfinite().all()
    if metric != 'cosine':
        assert distances.diagonal().tolist() == [0, 0, 0] and distances[0, 1] == 0


def test_inputs_are_not_changed():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for metric in DISTANCES:
        pairwise_distance(x, x, metric)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_empty():
    assert pairwise_distance(torch.zeros(0, 3), torch.zeros(2, 3)).shape == (0, 2)
    assert pairwise_distance(np.zeros((2, 3)), np.zeros((0, 3)), 'cosine').shape == (2, 0)


def test_errors():
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="one of euclidean, sqeuclidean, cosine, got 'l2'"):
        pairwise_distance(x, x, 'l2')
    with pytest.raises(ValueError, match=r'got \(2, 3\) and \(2, 4\)'):
        pairwise_distance(x, torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r'got \(3,\) and \(2, 3\)'):
        pairwise_distance(x[0, :], x)
    with pytest.raises(TypeError, match='got Tensor and ndarray'):
        pairwise_distance(x, np.zeros((2, 3)))

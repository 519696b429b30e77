import pytest
import torch

from mmreid.models.losses import masked_distance
from mmreid.utils import pairwise_distance

METRICS = ['euclidean', 'sqeuclidean', 'cosine']


@pytest.mark.parametrize('metric', METRICS)
@pytest.mark.parametrize('offset', [0, 100])
def test_by_loops(metric, offset):
    torch.manual_seed(0)
    feats = torch.randn(7, 10) + offset
    mask = torch.bernoulli(torch.full((7, 10), 0.5)) * 2
    found = masked_distance(feats, mask, metric)
    for a in range(7):
        for b in range(7):
            x, y = (mask[a] * feats[a]).double(), (mask[a] * feats[b]).double()
            expected = 1 - (x * y).sum() / (x.norm() * y.norm()) if metric == 'cosine' else (x - y).norm()
            expected = expected.square() if metric == 'sqeuclidean' else expected
            assert found[a, b].item() == pytest.approx(expected.item(), abs=3e-3 if metric == 'euclidean' else 1e-4,
                                                       rel=1e-4)


@pytest.mark.parametrize('metric', METRICS)
def test_a_mask_of_ones_leaves_the_distances_and_gradients(metric):
    torch.manual_seed(1)
    values, weights = torch.randn(6, 8, dtype=torch.float64), torch.randn(6, 6, dtype=torch.float64)
    weights.fill_diagonal_(0)  # next to distance 0 the two round differently
    results = []
    for function in (lambda x: pairwise_distance(x, x, metric),
                     lambda x: masked_distance(x, torch.ones_like(x), metric)):
        feats = values.clone().requires_grad_()
        dist = function(feats) * weights
        dist.sum().backward()
        results.append((dist.detach(), feats.grad))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize('metric', METRICS)
def test_nothing_left_of_an_anchor_and_equal_rows(metric):
    feats = torch.ones(3, 4, requires_grad=True)
    mask = torch.tensor([[0.] * 4, [2.] * 4, [0., 2., 0., 2.]])
    dist = masked_distance(feats, mask, metric)
    dist.sum().backward()
    assert torch.isfinite(feats.grad).all()
    expected = torch.tensor([[1. if metric == 'cosine' else 0.] * 3, [0.] * 3, [0.] * 3])
    torch.testing.assert_close(dist.detach(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize('metric', METRICS)
def test_gradcheck(metric):
    torch.manual_seed(2)
    feats, mask = torch.randn(4, 5, dtype=torch.float64, requires_grad=True), torch.rand(4, 5, dtype=torch.float64)
    off_diagonal = ~torch.eye(4, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda x: masked_distance(x, mask, metric)[off_diagonal], (feats, ))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    feats, mask = torch.randn(4, 8).to(dtype), torch.ones(4, 8, dtype=dtype)
    expected = masked_distance(feats.float(), mask.float())
    assert torch.equal(masked_distance(feats, mask), expected)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(masked_distance(feats.float(), mask), expected)


def test_bad_input():
    with pytest.raises(ValueError, match='one shape'):
        masked_distance(torch.ones(3, 4), torch.ones(3, 5))
    with pytest.raises(ValueError, match='metric must be one of'):
        masked_distance(torch.ones(3, 4), torch.ones(3, 4), 'l1')

import math

import pytest
import torch

from mmreid.models.losses import TripletLoss, batch_hard, valid_anchors


def distance(a, b, metric):
    if metric == 'cosine':
        return 1 - (a * b).sum() / (a.norm() * b.norm())
    squared = (a - b).square().sum()
    return squared if metric == 'sqeuclidean' else squared.sqrt()


def naive(feats, labels, margin, metric):
    """Anchor by anchor, with Python loops."""
    losses = []
    for a in range(len(labels)):
        others = [b for b in range(len(labels)) if b != a and labels[a] != -1 and labels[b] != -1]
        positives = [distance(feats[a], feats[b], metric) for b in others if labels[b] == labels[a]]
        negatives = [distance(feats[a], feats[b], metric) for b in others if labels[b] != labels[a]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            losses.append(torch.log1p(gap.exp()) if margin is None else (gap + margin).clamp(min=0))
    return sum(losses) / len(losses)


@pytest.mark.parametrize('metric', ['euclidean', 'sqeuclidean', 'cosine'])
@pytest.mark.parametrize('margin', [None, 0.0, 0.3, 5.0])
def test_equals_naive_with_gradient(margin, metric):
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, -1, -1, 3, 3])  # identity 2 has one image, two rows have none
    values = torch.randn(10, 5, dtype=torch.float64)
    grads = []
    for loss in (TripletLoss(margin, metric), lambda f, y: naive(f, y, margin, metric)):
        feats = values.clone().requires_grad_()
        result = loss(feats, labels)
        result.backward()
        grads.append((result.detach(), feats.grad))
    torch.testing.assert_close(grads[0], grads[1])
    assert grads[0][1][6:8].abs().max() == 0


def test_geometry():
    # On a line: identity 0 at 0 and 3, identity 1 at 1 and 10.
    feats, labels = torch.tensor([[0.0], [3.0], [1.0], [10.0]]), torch.tensor([0, 0, 1, 1])
    farthest, nearest, valid, *_ = batch_hard((feats - feats.T).abs(), labels)
    assert farthest.tolist() == [3, 3, 9, 9] and nearest.tolist() == [1, 2, 1, 7] and valid.all()
    assert TripletLoss(0.5)(feats, labels).item() == pytest.approx((2.5 + 1.5 + 8.5 + 2.5) / 4)
    assert TripletLoss(0.5, loss_weight=2)(feats, labels).item() == pytest.approx(7.5)


def test_hinge_is_zero_when_identities_are_apart():
    feats = torch.tensor([[0.0], [1.0], [100.0], [101.0]], requires_grad=True)
    loss = TripletLoss(0.3)(feats, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == 0 and feats.grad.abs().max() == 0


def test_ties_share_the_gradient():
    feats = torch.tensor([[0.0, 0.0], [3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]], requires_grad=True)
    dist = torch.cdist(feats, feats)
    farthest, nearest, *_ = batch_hard(dist, torch.tensor([0, 0, 0, 1, 2]))
    assert farthest[0].item() == 3 and nearest[0].item() == 1
    (farthest[0] - nearest[0]).backward()
    assert feats.grad[1].tolist() == [0.5, 0] and feats.grad[2].tolist() == [-0.5, 0]
    assert feats.grad[3].tolist() == [0, -0.5] and feats.grad[4].tolist() == [0, 0.5]


@pytest.mark.parametrize('margin', [None, 0.3])
@pytest.mark.parametrize('labels', [[-1, -1, -1], [0, 1, 2], [4, 4, 4], [0, -1, 1]])
def test_no_anchor_gives_a_connected_zero(labels, margin):
    feats = torch.randn(3, 4, requires_grad=True)
    loss = TripletLoss(margin)(feats, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0 and feats.grad.tolist() == torch.zeros(3, 4).tolist()
    assert valid_anchors(torch.tensor(labels)).sum() == 0


@pytest.mark.parametrize('metric', ['euclidean', 'sqeuclidean', 'cosine'])
def test_identical_features_have_finite_gradients(metric):
    feats = torch.ones(4, 3, requires_grad=True)
    loss = TripletLoss(None, metric)(feats, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2)) and torch.isfinite(feats.grad).all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    feats, labels = torch.randn(6, 8).to(dtype), torch.tensor([0, 0, 1, 1, 2, 2])
    expected = TripletLoss()(feats.float(), labels)
    assert torch.equal(TripletLoss()(feats, labels), expected)
    with torch.autocast('cpu', dtype=dtype):
        assert torch.equal(TripletLoss()(feats.float(), labels), expected)


def test_anchors_are_counted():
    assert valid_anchors(torch.tensor([0, 0, 1, -1, 2, 2])).tolist() == [True, True, False, False, True, True]


def test_negative_margin():
    with pytest.raises(ValueError, match='soft margin'):
        TripletLoss(-0.1)

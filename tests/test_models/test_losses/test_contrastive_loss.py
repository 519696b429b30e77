import pytest
import torch

from mmreid.models.losses import ContrastiveLoss
from mmreid.registry import MODELS


def naive(distances, same, margin):
    total = 0.0
    for d, s in zip(distances, same, strict=True):
        total = total + (0.5 * d * d if s else 0.5 * max(margin - d, d * 0) ** 2)
    return total / len(distances)


@pytest.mark.parametrize('margin', [0.5, 1.0, 3.0])
def test_equals_naive_with_gradient(margin):
    torch.manual_seed(0)
    values, same = 2 * torch.rand(50, dtype=torch.float64), torch.rand(50) < 0.5
    results = []
    for function in (ContrastiveLoss(margin), lambda d, s: naive(d, s, margin)):
        distances = values.clone().requires_grad_()
        loss = function(distances, same)
        loss.backward()
        results.append((loss.detach(), distances.grad))
    torch.testing.assert_close(*results)


def test_by_hand():
    distances, same = torch.tensor([2.0, 0.25, 2.0, 0.0]), torch.tensor([True, False, False, False])
    assert ContrastiveLoss(1.0)(distances, same).item() == pytest.approx((2 + 0.5 * 0.75 ** 2 + 0 + 0.5) / 4)
    loss = MODELS.build(dict(type='ContrastiveLoss', margin=1.0, loss_weight=4))
    assert loss(distances, same.long()).item() == pytest.approx(2 + 0.5 * 0.75 ** 2 + 0.5)


def test_no_pairs_and_half_precision():
    distances = torch.empty(0, requires_grad=True)
    loss = ContrastiveLoss()(distances, torch.empty(0, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and distances.grad is not None
    half, same = torch.rand(8).bfloat16(), torch.arange(8) % 2 == 0
    assert torch.equal(ContrastiveLoss()(half, same), ContrastiveLoss()(half.float(), same))


def test_margin():
    with pytest.raises(ValueError, match='margin must be positive, got -1'):
        ContrastiveLoss(-1)

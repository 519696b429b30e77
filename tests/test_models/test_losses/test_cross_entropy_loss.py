import pytest
import torch

from mmreid.models.losses import CrossEntropyLoss


def naive(logits, labels, epsilon):
    losses = []
    for row, label in zip(logits, labels, strict=True):
        if label == -1:
            continue
        target = torch.full_like(row, epsilon / len(row))
        target[label] += 1 - epsilon
        losses.append(-(target * (row - row.exp().sum().log())).sum())
    return sum(losses) / len(losses)


@pytest.mark.parametrize('epsilon', [0.0, 0.1])
def test_equals_naive(epsilon):
    torch.manual_seed(0)
    values, labels = torch.randn(6, 5, dtype=torch.float64), torch.tensor([0, 4, -1, 2, 2, -1])
    results = []
    for loss in (CrossEntropyLoss(epsilon, loss_weight=2.0), lambda x, y: 2 * naive(x, y, epsilon)):
        logits = values.clone().requires_grad_()
        result = loss(logits, labels)
        result.backward()
        results.append((result.detach(), logits.grad))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    logits, labels = torch.randn(4, 5).to(dtype), torch.tensor([0, 1, 2, 3])
    assert torch.equal(CrossEntropyLoss()(logits, labels), CrossEntropyLoss()(logits.float(), labels))


def test_no_label_gives_a_connected_zero():
    logits = torch.randn(3, 5, requires_grad=True)
    loss = CrossEntropyLoss(0.1)(logits, torch.full((3, ), -1))
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().max() == 0


def test_bad_smoothing():
    with pytest.raises(ValueError, match='label_smoothing'):
        CrossEntropyLoss(1.0)

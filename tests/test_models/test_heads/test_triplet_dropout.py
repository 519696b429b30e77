import pytest
import torch
from torch import nn

from mmreid.models.heads import TripletHead
from mmreid.models.layers import PairwiseConsistentDropout
from mmreid.models.losses import TripletLoss
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

LABELS = [0, 0, 1, 1, 1, 2, -1, 3, 3]


def samples():
    return [ReIDDataSample().set_gt_label(label) for label in LABELS]


def naive(feats, mask, margin, metric):
    """Batch-hard loss, anchor by anchor, with distances between what the mask of the anchor leaves of both."""
    losses = []
    for a in range(len(LABELS)):
        found = {True: [], False: []}
        for b in range(len(LABELS)):
            if a != b and LABELS[a] != -1 and LABELS[b] != -1:
                x, y = mask[a] * feats[a], mask[a] * feats[b]
                d = 1 - (x * y).sum() / (x.norm() * y.norm()) if metric == 'cosine' else (x - y).norm()
                found[LABELS[a] == LABELS[b]].append(d.square() if metric == 'sqeuclidean' else d)
        if found[True] and found[False]:
            gap = max(found[True]) - min(found[False])
            losses.append(torch.log1p(gap.exp()) if margin is None else (gap + margin).clamp(min=0))
    return sum(losses) / len(losses)


@pytest.mark.parametrize('metric', ['euclidean', 'sqeuclidean', 'cosine'])
@pytest.mark.parametrize('margin', [None, 1.0])
def test_masked_loss_and_gradient_by_loops(metric, margin):
    torch.manual_seed(0)
    values = torch.randn(9, 12, dtype=torch.float64)
    results = []
    head = TripletHead(loss=dict(type='TripletLoss', margin=margin, metric=metric), dropout=0.5)
    torch.manual_seed(1)
    mask = PairwiseConsistentDropout(0.5).masks(9, values).rows(0, 9)
    for function in (lambda x: head.loss(dict(feat=x), samples())['loss_triplet'],
                     lambda x: naive(x, mask, margin, metric)):
        feats = values.clone().requires_grad_()
        torch.manual_seed(1)
        loss = function(feats)
        loss.backward()
        results.append((loss.detach(), feats.grad))
    torch.testing.assert_close(*results)
    assert results[0][1].abs().max() > 0


def test_what_is_hard_is_found_under_the_mask():
    # Unmasked, row 2 is the nearest negative of row 0; without the first channel it is row 3.
    feats = torch.tensor([[0., 0.], [0., 1.], [1., 3.], [5., 2.]])
    mask = torch.tensor([[0., 2.]] * 4)
    loss = TripletLoss(margin=10.0)(feats, torch.tensor([0, 0, 1, 2]), mask)
    anchor_0, anchor_1 = 2 * (1 - 2) + 10, 2 * (1 - 1) + 10
    assert loss.item() == pytest.approx((anchor_0 + anchor_1) / 2)


def test_random_is_standard_dropout():
    feats = torch.randn(9, 12)
    torch.manual_seed(2)
    loss = TripletHead(dropout=0.5, dropout_mode='random').loss(dict(feat=feats), samples())['loss_triplet']
    torch.manual_seed(2)
    dropped = torch.nn.functional.dropout(feats, 0.5)
    assert torch.equal(loss, TripletLoss()(dropped, torch.tensor(LABELS)))


@pytest.mark.parametrize('mode', ['consistent', 'random'])
def test_evaluation_and_no_dropout(mode):
    feats, expected = torch.randn(9, 12), None
    expected = TripletHead().loss(dict(feat=feats), samples())
    for head in (TripletHead(dropout=0.5, dropout_mode=mode).eval(), TripletHead(dropout=0.0, dropout_mode=mode)):
        torch.testing.assert_close(head.loss(dict(feat=feats), samples()), expected, rtol=0, atol=0)
    trained = TripletHead(dropout=0.5, dropout_mode=mode).loss(dict(feat=feats), samples())
    assert trained['loss_triplet'] != expected['loss_triplet']
    assert trained['num_anchors'] == expected['num_anchors'] == 7


def test_gradcheck():
    head, feats = TripletHead(dropout=0.3), torch.randn(9, 5, dtype=torch.float64, requires_grad=True)

    def function(feats):
        torch.manual_seed(3)
        return head.loss(dict(feat=feats), samples())['loss_triplet']

    assert torch.autograd.gradcheck(function, (feats, ))


def test_bad_dropout():
    with pytest.raises(ValueError, match='at least 0 and below 1, got 1'):
        TripletHead(dropout=1)
    with pytest.raises(ValueError, match="one of .'consistent', 'random'"):
        TripletHead(dropout_mode='anchor')


@MODELS.register_module()
class CentreLoss(nn.Module):
    """A loss of embeddings and labels that knows no masks."""

    def forward(self, feats, labels):
        return sum((feats[labels == label] - feats[labels == label].mean(0)).square().mean()
                   for label in labels.unique())


def test_a_loss_that_takes_no_mask():
    with pytest.raises(ValueError, match="CentreLoss takes no mask.*dropout_mode='random'"):
        TripletHead(loss=dict(type='CentreLoss'), dropout=0.5)
    for given in (dict(dropout=0.5, dropout_mode='random'), dict(dropout=0)):
        head = TripletHead(loss=dict(type='CentreLoss'), **given)
        assert head.loss(dict(feat=torch.randn(9, 4)), samples())['loss_triplet'] > 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_masks_of_half_precision_are_those_of_float32(dtype):
    """1 / (1 - 0.4) has no exact value in half precision."""
    feats, found = torch.randn(9, 12).to(dtype), []
    for x in (feats, feats.float()):
        torch.manual_seed(4)
        found.append(TripletHead(dropout=0.4).loss(dict(feat=x), samples())['loss_triplet'])
    assert torch.equal(*found)

import math

import numpy as np
import pytest
import torch

from mmreid.models import EmbeddingNet
from mmreid.models.losses import GeneralizedBatchHardTripletLoss, TripletLoss, batch_hard, hard_pairs
from mmreid.models.losses.generalized_triplet_loss import FLAT_SLOPE
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

#: Identity 0 has four images, 1 three, 2 two, 3 one; two rows have none.
LABELS = [0, 1, 0, 2, -1, 1, 0, 3, 2, 1, 0, -1]
PER_ANCHOR = dict(positives={0: 4, 1: 3, 2: 2}, negatives={0: 6, 1: 7, 2: 8})


def statistics(loss, labels):
    """What is counted: features play no part."""
    return loss.with_statistics(torch.zeros(len(labels), 1), labels)[1]


def distance(a, b, metric):
    if metric == 'cosine':
        return 1 - (a * b).sum() / (a.norm() * b.norm())
    squared = (a - b).square().sum()
    return squared if metric == 'sqeuclidean' else squared.sqrt()


def naive(feats, labels, k, p, margin, include_self, metric='euclidean'):
    """Terms of the sum of Eq. 3, anchor by anchor, with loops and sorted lists; and how many use another rank."""
    terms, clamped = [], 0
    for a in range(len(labels)):
        positives, negatives = [], []
        for b in range(len(labels)):
            if -1 in (labels[a], labels[b]) or a == b:
                continue
            (positives if labels[a] == labels[b] else negatives).append(distance(feats[a], feats[b], metric))
        if not positives or not negatives:
            continue
        if include_self:
            positives.append(torch.zeros((), dtype=feats.dtype))
        positives.sort(key=float, reverse=True)
        negatives.sort(key=float)
        clamped += len(positives) < k or len(negatives) < p
        gap = positives[min(k, len(positives)) - 1] - negatives[min(p, len(negatives)) - 1]
        terms.append(torch.log1p((margin + gap).exp()))
    return terms, clamped


@pytest.mark.parametrize('metric', ['euclidean', 'sqeuclidean', 'cosine'])
@pytest.mark.parametrize('include_self', [True, False])
def test_every_rank_equals_loops_with_gradient(metric, include_self):
    torch.manual_seed(0)
    values = torch.randn(len(LABELS), 5, dtype=torch.float64)
    for k in range(1, 5 if include_self else 4):
        for p in range(1, 9):
            margin = 0.1 * k - 0.3
            results = []
            terms, clamped = [], 0
            for reduction in ('mean', 'sum'):
                loss = GeneralizedBatchHardTripletLoss(k, p, margin, include_self, metric, reduction, loss_weight=0.7)
                feats = values.clone().requires_grad_()
                loss(feats, torch.tensor(LABELS)).backward()
                results.append((loss(feats, torch.tensor(LABELS)).detach(), feats.grad))
                feats = values.clone().requires_grad_()
                terms, clamped = naive(feats, LABELS, k, p, margin, include_self, metric)
                expected = 0.7 * sum(terms) / (len(terms) if reduction == 'mean' else 1)
                expected.backward()
                torch.testing.assert_close(results[-1], (expected.detach(), feats.grad))
            assert len(terms) == 9 and statistics(loss, torch.tensor(LABELS))['num_clamped'].item() == clamped


def test_the_batch_of_the_paper_equals_loops():
    """P = 16, K = 8: no anchor is without its rank."""
    torch.manual_seed(1)
    feats, labels = torch.randn(128, 16), torch.arange(16).repeat_interleave(8)[torch.randperm(128)]
    for k, p, include_self in ((8, 16, True), (7, 120, False), (3, 5, True)):
        terms, clamped = naive(feats, labels.tolist(), k, p, 0.2, include_self)
        loss = GeneralizedBatchHardTripletLoss(k, p, 0.2, include_self)
        assert loss(feats, labels).item() == pytest.approx(float(sum(terms)) / 128, rel=1e-5)
        assert clamped == statistics(loss, labels)['num_clamped'] == 0


@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
@pytest.mark.parametrize('labels', [LABELS, [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3], [5] * 12, list(range(12)), [-1] * 12])
@pytest.mark.parametrize('include_self', [True, False])
def test_rank_one_is_the_soft_margin_loss(labels, metric, include_self):
    """To the last bit, in values and in gradients, also where two distances are equal."""
    torch.manual_seed(2)
    values, labels = torch.randn(12, 6), torch.tensor(labels)
    values[5] = values[1]
    results = []
    for loss in (TripletLoss(None, metric),
                 GeneralizedBatchHardTripletLoss(include_self=include_self, metric=metric)):
        feats = values.clone().requires_grad_()
        result = loss(feats, labels)
        result.backward()
        results.append((result.detach(), feats.grad))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize('include_self', [True, False])
def test_larger_ranks_never_give_a_larger_loss(include_self):
    torch.manual_seed(3)
    feats, labels = torch.randn(24, 4), torch.arange(6).repeat_interleave(4)
    last = 4 if include_self else 3
    table = torch.tensor([[GeneralizedBatchHardTripletLoss(k, p, 0.3, include_self)(feats, labels)
                           for p in range(1, 21)] for k in range(1, last + 1)])
    assert (table.diff(dim=0) < 0).all() and (table.diff(dim=1) < 0).all()


def test_geometry():
    # On a line: identity 0 at 0, 1 and 4, identity 1 at 6, 9 and 20.
    feats, labels = torch.tensor([[0.], [1.], [4.], [6.], [9.], [20.]]), torch.tensor([0, 0, 0, 1, 1, 1])
    dist = (feats - feats.T).abs()
    expected = {(1, 1): ([4, 3, 4, 14, 11, 14], [6, 5, 2, 2, 5, 16]),
                (2, 3): ([1, 1, 3, 3, 3, 11], [20, 19, 16, 6, 9, 20])}
    for (k, p), (farthest, nearest) in expected.items():
        found = batch_hard(dist, labels, k, p)
        assert found[0].tolist() == farthest and found[1].tolist() == nearest and found[2].all()
    found = batch_hard(dist + 5, labels, 3, 2, include_self=True)  # the distance to itself is 0, whatever is computed
    assert found[0].tolist() == [0] * 6 and found[1].tolist() == [14, 13, 10, 10, 13, 24]
    loss = GeneralizedBatchHardTripletLoss(k=2, p=3, margin=-0.1, reduction='sum')(feats, labels)
    by_hand = sum(math.log1p(math.exp(t - 0.1)) for t in (-19, -18, -13, -3, -6, -9))
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_only_the_chosen_pairs_get_a_gradient():
    # Row 0 alone is an anchor with a positive: its second positive is row 2, its second negative row 4.
    dist = torch.tensor([[0., 3., 2., 5., 7., 9.]] * 6, requires_grad=True)
    farthest, nearest, *_ = batch_hard(dist, torch.tensor([0, 0, 0, 1, 2, 3]), 2, 2, include_self=True)
    (3 * farthest[0] + 5 * nearest[0]).backward()
    assert dist.grad[0].tolist() == [0, 0, 3, 0, 5, 0] and dist.grad[1:].abs().max() == 0


def test_equal_distances_share_the_gradient():
    """Whatever order a sort would give them."""
    dist = torch.tensor([[0., 4., 2., 2., 1., 3., 3., 9.]], requires_grad=True).expand(8, 8)
    dist.retain_grad()
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 3, 4])
    for k, p in ((2, 2), (3, 3), (2, 3), (3, 2)):
        dist.grad = None
        farthest, nearest, *_ = batch_hard(dist, labels, k, p)
        assert farthest[0] == 2 and nearest[0] == 3
        (farthest[0] + nearest[0]).backward(retain_graph=True)
        assert dist.grad[0].tolist() == [0, 0, .5, .5, 0, .5, .5, 0]


@pytest.mark.parametrize('metric', ['euclidean', 'sqeuclidean', 'cosine'])
@pytest.mark.parametrize('k', [1, 2, 3, 4])
def test_identical_images_and_the_anchor_itself_have_finite_gradients(metric, k):
    feats = torch.ones(8, 3, requires_grad=True)
    loss = GeneralizedBatchHardTripletLoss(k, 2, metric=metric)(feats, torch.arange(2).repeat_interleave(4))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2)) and torch.isfinite(feats.grad).all()


def test_the_largest_rank_pulls_nothing():
    """The gradient is that of pushing the negatives alone, even where a vector is not at distance 0 of itself."""
    torch.manual_seed(4)
    values, labels = 1e3 + torch.randn(12, 6), torch.arange(3).repeat_interleave(4)
    feats = values.clone().requires_grad_()
    GeneralizedBatchHardTripletLoss(k=4, metric='cosine', reduction='sum')(feats, labels).backward()
    pushed = values.clone().requires_grad_()
    unit = torch.nn.functional.normalize(pushed, dim=1)
    negatives = (1 - unit @ unit.T).clamp(min=0).masked_fill(labels[:, None] == labels, math.inf)
    torch.nn.functional.softplus(-negatives.min(1).values).sum().backward()
    assert feats.grad.abs().max() > 0
    torch.testing.assert_close(feats.grad, pushed.grad)


@pytest.mark.parametrize('k, p, include_self', [(1, 1, True), (3, 4, True), (3, 8, False), (4, 2, True)])
def test_gradcheck(k, p, include_self):
    torch.manual_seed(5)
    feats = torch.randn(len(LABELS), 4, dtype=torch.float64, requires_grad=True)
    loss = GeneralizedBatchHardTripletLoss(k, p, 0.2, include_self)
    assert torch.autograd.gradcheck(lambda x: loss(x, torch.tensor(LABELS)), (feats, ))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    feats, labels = torch.randn(12, 8).to(dtype), torch.tensor(LABELS)
    loss = GeneralizedBatchHardTripletLoss(2, 3, 0.1)
    expected = loss(feats.float(), labels)
    assert expected.dtype == torch.float32 and torch.equal(loss(feats, labels), expected)
    with torch.autocast('cpu', dtype=dtype):
        assert torch.equal(loss(feats.float(), labels), expected)


def test_masked_distances_are_ranked():
    """Unmasked, the ranks of row 0 are those of other rows."""
    feats = torch.tensor([[0., 0.], [9., 1.], [1., 3.], [7., 2.], [3., 5.]])
    labels, mask = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([[0., 2.]] * 5)
    second = torch.tensor([[0., 0.], [0., 2.], [0., 6.], [0., 4.], [0., 10.]])
    for k, p in ((1, 1), (2, 2), (3, 1)):
        terms, _ = naive(second, labels.tolist(), k, p, 0.0, True)
        loss = GeneralizedBatchHardTripletLoss(k, p)
        assert loss(feats, labels, mask).item() == pytest.approx(float(sum(terms)) / 3, rel=1e-6)
        assert abs(loss(feats, labels).item() - float(sum(terms)) / 3) > 0.03


def test_what_is_set_while_training_takes_effect():
    torch.manual_seed(6)
    feats, labels = torch.randn(12, 4), torch.arange(3).repeat_interleave(4)
    loss = GeneralizedBatchHardTripletLoss()
    settings = [dict(k=3), dict(p=5), dict(margin=-0.1), dict(loss_weight=0.25), dict(k=np.int64(2), p=np.int32(8))]
    now = dict(k=1, p=1, margin=0.0, loss_weight=1.0)
    for setting in settings:
        before = loss(feats, labels)
        for name, value in setting.items():
            setattr(loss, name, value)
            now[name] = value
            assert getattr(loss, name) == value and type(getattr(loss, name)) in (int, float)
        after = loss(feats, labels)
        assert after != before and after == GeneralizedBatchHardTripletLoss(**now)(feats, labels)
    assert not loss.state_dict()
    assert repr(loss) == ("GeneralizedBatchHardTripletLoss(k=2, p=8, margin=-0.1, loss_weight=0.25, include_self=True, "
                          "metric='euclidean', reduction='mean')")


@pytest.mark.parametrize('name, value', [
    ('k', 0), ('k', 1.5), ('k', 2.0), ('k', True), ('k', None), ('p', 0), ('p', -1), ('p', '2'), ('margin', None),
    ('margin', math.nan), ('margin', math.inf), ('loss_weight', -0.1), ('loss_weight', math.nan), ('loss_weight', '1')])
def test_values_out_of_range(name, value):
    loss = GeneralizedBatchHardTripletLoss(k=2, p=3, margin=0.1, loss_weight=0.5)
    before = repr(loss)
    with pytest.raises(ValueError, match=f'^{name} must'):
        setattr(loss, name, value)
    assert repr(loss) == before  # what was there stays
    with pytest.raises(ValueError, match=f'^{name} must'):
        GeneralizedBatchHardTripletLoss(**{name: value})


def test_arguments_that_cannot_be():
    with pytest.raises(ValueError, match=r"one of \('mean', 'sum'\), got 'max'"):
        GeneralizedBatchHardTripletLoss(reduction='max')
    with pytest.raises(ValueError, match='metric must be one of'):
        GeneralizedBatchHardTripletLoss(metric='l2')
    for value in ('no', 1, None):
        with pytest.raises(TypeError, match=f'include_self must be True or False, got {value!r}'):
            GeneralizedBatchHardTripletLoss(include_self=value)


@pytest.mark.parametrize('include_self, most', [(True, 4), (False, 3)])
def test_a_rank_beyond_every_identity_is_refused(include_self, most):
    """Identity 0 has four images, 2 eight negatives: these ranks are the last."""
    feats, labels = torch.randn(12, 4), torch.tensor(LABELS)
    loss = GeneralizedBatchHardTripletLoss(k=most, p=8, include_self=include_self)
    assert torch.isfinite(loss(feats, labels))
    loss.k = most + 1
    with pytest.raises(ValueError, match=rf'^k={most + 1} is beyond.*P=4 identities with up to K=4 images of one '
                       rf'\(k={most + 1}, p=8\).*at most {most} with include_self={include_self}.*num_instances'):
        loss(feats, labels)
    loss.k, loss.p = most, 10
    with pytest.raises(ValueError, match=rf'^p=10 is beyond.*P=4 identities.*K=4.*\(k={most}, p=10\).*at most 9.*'
                       'num_pids'):
        loss(feats, labels)


def test_an_identity_alone_in_its_batch_counts_for_the_largest_rank():
    """Identity 3 has one image and so nine negatives, but is no anchor."""
    loss = GeneralizedBatchHardTripletLoss(p=9)
    assert torch.isfinite(loss(torch.randn(12, 4), torch.tensor(LABELS)))
    assert statistics(loss, torch.tensor(LABELS))['num_clamped'] == 9


@pytest.mark.parametrize('labels, k, p', [
    ([-1, -1, -1], 4, 4), ([0, 1, 2], 1, 2), ([4, 4, 4], 3, 1), ([0, -1, 1], 1, 1)])
def test_no_anchor_gives_a_connected_zero(labels, k, p):
    feats = torch.randn(3, 4, requires_grad=True)
    loss = GeneralizedBatchHardTripletLoss(k, p, 0.3)
    result = loss(feats, torch.tensor(labels))
    result.backward()
    assert result.item() == 0 and feats.grad.tolist() == torch.zeros(3, 4).tolist()
    assert all(value == 0 for value in statistics(loss, torch.tensor(labels)).values())


def test_nan_features_give_a_nan_loss():
    """So that a training that diverges is seen, whatever the ranks."""
    feats, labels = torch.randn(12, 4), torch.arange(3).repeat_interleave(4)
    feats[5] = math.nan
    for k, p in ((1, 1), (4, 8), (2, 3)):
        assert torch.isnan(GeneralizedBatchHardTripletLoss(k, p)(feats, labels))


def test_share_of_anchors_without_a_gradient():
    """On a line, identity 0 at 0 and 1, 1 at 7.9 and 12, 2 at 13: that one is no anchor."""
    feats, labels = torch.tensor([[0.], [1.], [7.9], [12.], [13.]]), torch.tensor([0, 0, 1, 1, 2])
    # k = 1, p = 2: 1 - 12, 1 - 11, 4.1 - 6.9, 4.1 - 11; k = 2: the same without what is added.
    gaps = {1: (-11, -10, -2.8, -6.9), 2: (-12, -11, -6.9, -11)}
    for k, margin, expected in ((1, 0., 2), (1, -.01, 3), (1, 3.2, 1), (1, 9., 0), (2, 0., 3), (2, -.01, 4)):
        loss = GeneralizedBatchHardTripletLoss(k, 2, margin)
        slopes = torch.sigmoid(torch.tensor(gaps[k], dtype=torch.float64) + margin)
        assert (slopes < FLAT_SLOPE).sum() == expected
        found, counted = loss.with_statistics(feats, labels)
        assert counted['share_flat'].item() == expected / 4 and found == loss(feats, labels)
        assert counted['num_anchors'] == 4


def test_the_largest_rank_turns_itself_off_on_embeddings_that_are_not_normalised():
    torch.manual_seed(8)
    labels = torch.arange(4).repeat_interleave(4)
    for scale, share in ((100., 1.), (.01, 0.)):
        feats = (scale * torch.randn(16, 8)).requires_grad_()
        loss, counted = GeneralizedBatchHardTripletLoss(k=4).with_statistics(feats, labels)
        loss.backward()
        assert counted['share_flat'] == share and (feats.grad.abs().max() == 0) == (share == 1)
        assert (loss.item() == 0) == (share == 1)


def samples(labels):
    return [ReIDDataSample().set_gt_label(label) for label in labels]


def test_head_logs_what_the_loss_says():
    torch.manual_seed(7)
    head = MODELS.build(dict(type='TripletHead', in_key='tri',
                             loss=dict(type='GeneralizedBatchHardTripletLoss', k=3, p=2, loss_weight=0.5)))
    feats = dict(tri=torch.randn(12, 4))
    losses = head.loss(feats, samples(LABELS))
    terms, _ = naive(feats['tri'], LABELS, 3, 2, 0.0, True)
    assert set(losses) == {'loss_triplet', 'num_anchors', 'num_clamped', 'share_flat'}
    assert losses['loss_triplet'].item() == pytest.approx(0.5 * float(sum(terms)) / 9, rel=1e-5)
    assert losses['num_anchors'].item() == 9 and losses['num_clamped'].item() == 2  # those of identity 2
    head.loss_module.k = 5
    with pytest.raises(ValueError, match='k=5 is beyond'):
        head.loss(feats, samples(LABELS))


@pytest.mark.parametrize('loss', ['TripletLoss', 'GeneralizedBatchHardTripletLoss'])
def test_a_step_looks_for_pairs_and_counts_labels_once(monkeypatch, loss):
    calls = []

    def spy(owner, name):
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args: calls.append(name) or function(*args))

    spy(hard_pairs, 'pair_masks')
    spy(GeneralizedBatchHardTripletLoss, 'check_labels')
    head = MODELS.build(dict(type='TripletHead', loss=dict(type=loss)))
    losses = head.loss(dict(feat=torch.randn(12, 4)), samples(LABELS))
    assert losses['num_anchors'] == 9
    assert calls == ([] if loss == 'TripletLoss' else ['check_labels']) + ['pair_masks']


def test_head_checks_labels_on_their_way_to_the_device():
    """The loss itself does not look at labels that are on a device; the meta device shows that the head did."""
    head = MODELS.build(dict(type='TripletHead', loss=dict(type='GeneralizedBatchHardTripletLoss', k=5)))
    with pytest.raises(ValueError, match='k=5 is beyond'):
        head.loss(dict(feat=torch.empty(12, 4, device='meta')), samples(LABELS))


def test_dropout_of_the_head_and_paths_to_the_attributes():
    """What a search sets lies at heads.<name>.loss_module."""
    net = EmbeddingNet(
        dict(type='ResNetTaps', depth=18), dict(type='ReductionNeck', in_channels=512, feat_channels=None, pool='max'),
        dict(tri=dict(type='TripletHead', dropout=0.3, loss=dict(type='GeneralizedBatchHardTripletLoss'))))
    losses = net(torch.randn(4, 3, 32, 16), samples([0, 0, 1, 1]), mode='loss')
    assert set(losses) == {'tri.loss_triplet', 'tri.num_anchors', 'tri.num_clamped', 'tri.share_flat'}
    assert torch.isfinite(losses['tri.loss_triplet']) and net.get_submodule('heads.tri.loss_module').k == 1

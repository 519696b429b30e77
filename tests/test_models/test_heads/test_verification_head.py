from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmreid.models.heads import VerificationHead, verification_pairs
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

LABELS = (0, 0, 1, 1, 2, 2)


def samples(*labels, images=None):
    images = range(len(labels)) if images is None else images
    return [ReIDDataSample(metainfo=dict(sample_idx=image)).set_gt_label(label)
            for label, image in zip(labels, images, strict=True)]


def seen_pairs(head, feats, data_samples):
    """Differences that reach the layers of the head in a pass."""
    seen = []
    handle = head.layers.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    head.loss(dict(feat=feats), data_samples)
    handle.remove()
    return torch.cat(seen)


def by_loops(head, feats, labels, times):
    """Mean loss and percentages told right, pair by pair, without dropout; ``times``: how often a pair counts."""
    losses, told_right, number = [], {True: 0, False: 0}, sum(times.values())
    _, fc, *relu, last = head.layers
    for (i, j), count in times.items():
        hidden = fc.weight @ (feats[i] - feats[j]).clamp(min=0) + fc.bias
        logits = last.weight @ (hidden.clamp(min=0) if relu else hidden) + last.bias
        same = labels[i] == labels[j]
        losses.append(count * -logits.log_softmax(0)[int(same)])
        told_right[same] += count * (int(logits.argmax()) == int(same))
    return sum(losses) / number, 200 * told_right[True] / number, 200 * told_right[False] / number


@pytest.mark.parametrize('ordered', [True, False])
@pytest.mark.parametrize('hidden_relu', [True, False])
def test_loss_by_loops(hidden_relu, ordered):
    torch.manual_seed(0)
    head = VerificationHead(5, hidden_channels=7, hidden_relu=hidden_relu, dropout=0, loss_weight=3,
                            ordered=ordered).double()
    nn.init.normal_(head.layers[-1].weight)
    feats = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(1)
    first, second, _ = verification_pairs(torch.tensor(LABELS), ordered=ordered)
    times = Counter(zip(first.tolist(), second.tolist(), strict=True))
    assert max(times.values()) > 1
    expected, right_positives, right_negatives = by_loops(head, feats, LABELS, times)
    gradient = torch.autograd.grad(3 * expected, feats)[0]
    torch.manual_seed(1)
    values = head.loss(dict(feat=feats), samples(*LABELS))
    values['loss_ver'].backward()
    torch.testing.assert_close(values['loss_ver'], 3 * expected)
    torch.testing.assert_close(feats.grad, gradient)
    assert values['num_pairs'].item() == len(first) == (48 if ordered else 24)
    assert values['accuracy_pos'].item() == pytest.approx(right_positives)
    assert values['accuracy_neg'].item() == pytest.approx(right_negatives)
    assert sorted(values) == ['accuracy_neg', 'accuracy_pos', 'loss_ver', 'num_pairs']


def test_masks_of_pairs_recovered_from_what_the_layers_see():
    torch.manual_seed(2)
    head = VerificationHead(64, hidden_channels=4, dropout=0.5)
    feats = 2 ** torch.arange(6.)[:, None].expand(6, 64)  # 30 different differences, nowhere zero
    seen = seen_pairs(head, feats, samples(*LABELS))
    values = [row[row != 0].unique() for row in seen]
    assert all(len(value) == 1 for value in values)  # one value where kept: twice the difference
    kept = seen != 0
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert len(kept.unique(dim=0)) == len(kept) == 48  # also duplicates of a pair have masks of their own
    assert len(torch.stack(values).unique()) == 30


def test_identical_images_differ_only_under_independent_masks():
    torch.manual_seed(3)
    feats = torch.randn(3, 64).repeat_interleave(2, 0)
    consistent = VerificationHead(64, hidden_channels=4, dropout=0.5)
    random = VerificationHead(64, hidden_channels=4, dropout=0.5, dropout_mode='random')
    assert (seen_pairs(consistent, feats, samples(*LABELS))[:24] == 0).all()
    assert (seen_pairs(random, feats, samples(*LABELS))[:24] != 0).any(1).all()
    assert (seen_pairs(random.eval(), feats, samples(*LABELS))[:24] == 0).all()


def test_random_masks_belong_to_images():
    torch.manual_seed(4)
    head = VerificationHead(64, hidden_channels=4, dropout=0.5, dropout_mode='random')
    seen = seen_pairs(head, torch.tensor([1., 1, 10, 10, 100, 100])[:, None].expand(6, 64), samples(*LABELS))
    assert len(seen.unique(dim=0)) == 30  # a pair that occurs twice looks the same


@pytest.mark.parametrize('loss', ['cross_entropy', 'contrastive'])
@pytest.mark.parametrize('mode', ['consistent', 'random'])
@pytest.mark.parametrize('chunk_size', [1, 300, 1000])
def test_chunks_change_neither_loss_nor_gradient(loss, mode, chunk_size):
    results = []
    for chunk in (chunk_size, 10**6):
        torch.manual_seed(5)
        head = VerificationHead(8, hidden_channels=6, dropout=0.5, dropout_mode=mode, loss=loss,
                                chunk_size=chunk if chunk > 1 else 3).double()
        labels = [n // 2 for n in range(40 if chunk_size > 1 else 8)]
        feats = torch.randn(len(labels), 8, dtype=torch.float64, requires_grad=True)
        values = head.loss(dict(feat=feats), samples(*labels))
        values['loss_ver'].backward()
        results.append([values, feats.grad, [p.grad for p in head.parameters()]])
    torch.testing.assert_close(*results)
    assert results[0][1].abs().max() > 0


@pytest.mark.parametrize('loss', ['cross_entropy', 'contrastive'])
@pytest.mark.parametrize('chunk_size', [10, 1000])
def test_gradcheck(loss, chunk_size):
    torch.manual_seed(6)
    head = VerificationHead(5, hidden_channels=4, dropout=0.3, loss=loss, chunk_size=chunk_size).double()
    feats = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    parameters = list(head.parameters())
    for parameter in parameters:  # biases of 0 would put the hidden layer on the kink of its ReLU
        nn.init.normal_(parameter)

    def function(feats, *_):
        torch.manual_seed(7)
        return head.loss(dict(feat=feats), samples(0, 0, 1, 1, -1))['loss_ver']

    assert torch.autograd.gradcheck(function, (feats, *parameters))


@pytest.mark.parametrize('ordered, pairs', [(True, 7936), (False, 3968)])
def test_the_batch_of_the_paper(ordered, pairs):
    head = VerificationHead(8, hidden_channels=4, ordered=ordered)
    feats = torch.randn(64, 8, requires_grad=True)
    values = head.loss(dict(feat=feats), samples(*[n // 2 for n in range(64)]))
    values['loss_ver'].backward()
    assert values['num_pairs'].item() == pairs
    assert all(p.grad.abs().max() > 0 for p in head.parameters()) and (feats.grad.abs().amax(1) > 0).all()


def test_rows_without_a_label_change_nothing():
    torch.manual_seed(8)
    head, feats = VerificationHead(8, hidden_channels=4), torch.randn(8, 8)
    results = []
    for rows in (slice(0, 6), slice(0, 8)):
        x = feats[rows].clone().requires_grad_()
        torch.manual_seed(9)
        values = head.loss(dict(feat=x), samples(*(*LABELS, -1, -1)[rows]))
        values['loss_ver'].backward()
        results.append((values, x.grad[:6]))
        assert x.grad[6:].abs().sum() == 0
    torch.testing.assert_close(*results)


@pytest.mark.parametrize('loss', ['cross_entropy', 'contrastive'])
def test_a_batch_without_labels_gives_a_connected_zero(loss):
    head, feats = VerificationHead(8, hidden_channels=4, loss=loss), torch.randn(3, 8, requires_grad=True)
    values = head.loss(dict(feat=feats), samples(-1, -1, -1))
    values['loss_ver'].backward()
    assert all(value.item() == 0 for value in values.values()) and feats.grad.abs().max() == 0
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in head.parameters())


def test_an_image_that_was_drawn_twice_is_no_pair():
    head = VerificationHead(8, hidden_channels=4)
    feats = torch.randn(6, 8)
    whole = head.loss(dict(feat=feats), samples(*LABELS))['num_pairs'].item()
    twice = seen_pairs(head.eval(), feats, samples(*LABELS, images=[0, 0, 2, 3, 4, 5]))
    assert len(twice) == whole == 48  # the negatives are the same
    between = {tuple((feats[i] - feats[j]).tolist()) for i, j in ((0, 1), (1, 0))}
    assert not between & {tuple(row.tolist()) for row in twice}


@pytest.mark.parametrize('labels, images, message', [
    ((0, 1, 2), None, r'positive pair.*3 labelled rows .* 3 different images of 3 identities.*PKSampler.*'
                      'num_instances >= 2'),
    ((0, 0, 1, 1, -1), (3, 3, 4, 4, 5), '4 labelled rows of the batch are 2 different images of 2 identities'),
    ((5, 5, 5, -1), None, 'negative pair.*3 labelled rows of the batch all show one.*PKSampler.*num_pids >= 2'),
    ((5, -1), None, 'positive pair'),
])
def test_batches_that_have_no_pairs(labels, images, message):
    with pytest.raises(ValueError, match=message):
        VerificationHead(8).loss(dict(feat=torch.randn(len(labels), 8)), samples(*labels, images=images))


def test_bad_arguments_and_embeddings():
    with pytest.raises(ValueError, match="one of .'cross_entropy', 'contrastive'.*'hinge'"):
        VerificationHead(8, loss='hinge')
    for name in ('in_channels', 'hidden_channels', 'chunk_size'):
        with pytest.raises(ValueError, match=f'{name} of VerificationHead must be positive, got 0'):
            VerificationHead(**{'in_channels': 8, name: 0})
    with pytest.raises(ValueError, match='margin must be positive'):
        VerificationHead(8, loss='contrastive', margin=0)
    with pytest.raises(KeyError, match="in_key='z'.*feat"):
        VerificationHead(8, 'z').loss(dict(feat=torch.randn(6, 8)), samples(*LABELS))
    with pytest.raises(ValueError, match=r'shape .N, 8., got .6, 9.; set in_channels'):
        VerificationHead(8).loss(dict(feat=torch.randn(6, 9)), samples(*LABELS))
    with pytest.raises(ValueError, match='no gt_label'):
        VerificationHead(8).loss(dict(feat=torch.randn(1, 8)), [ReIDDataSample()])


def test_contrastive_by_loops():
    torch.manual_seed(10)
    head = VerificationHead(5, dropout=0, loss='contrastive', margin=0.9, loss_weight=2)
    assert not list(head.parameters())
    feats = torch.randn(4, 5)
    feats[3] = feats[2] = feats[1] = feats[0] + 0.1 * torch.randn(5)  # distances of positives: d, d, 0, 0
    values = head.loss(dict(feat=feats[[0, 1, 3]]), samples(0, 0, 1))
    unit = feats / feats.norm(dim=1, keepdim=True)
    d = (unit[0] - unit[1]).norm()
    positives, negatives = [0.5 * d ** 2] * 4, [0.5 * (0.9 - d) ** 2] * 2 + [torch.tensor(0.5 * 0.81)] * 2
    torch.testing.assert_close(values['loss_ver'], 2 * (sum(positives) + sum(negatives)) / 8)
    assert values['accuracy_pos'].item() == 100 and values['accuracy_neg'].item() == 0


@pytest.mark.parametrize('loss', ['cross_entropy', 'contrastive'])
@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize('chunk_size', [1, 4, 11, 1000])
def test_scores_by_loops(loss, symmetric, chunk_size):
    torch.manual_seed(11)
    head = VerificationHead(6, hidden_channels=5, loss=loss, dropout=0.5, chunk_size=chunk_size)
    query, gallery = torch.randn(3, 6), torch.randn(7, 6)
    scores = head.score(query, gallery, symmetric)  # in training mode: no dropout in scores all the same
    assert scores.shape == (3, 7) and not scores.requires_grad

    def odds(a, b):
        if loss == 'contrastive':
            return 0.5 - (a / a.norm() - b / b.norm()).norm()
        _, fc, _, last = head.layers
        logits = last(fc((a - b).clamp(min=0)).clamp(min=0))
        return logits[1] - logits[0]

    expected = torch.stack([torch.stack([(odds(q, g) + odds(g, q)) / 2 if symmetric else odds(q, g) for g in gallery])
                            for q in query])
    torch.testing.assert_close(scores, expected.detach(), atol=1e-6, rtol=1e-5)


def test_it_learns_to_tell_pairs_apart():
    torch.manual_seed(12)
    head = VerificationHead(16, hidden_channels=32, dropout=0.2)
    centres, labels = torch.randn(8, 16) * 2, torch.arange(8).repeat_interleave(4)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(60):
        feats = centres[labels] + 0.2 * torch.randn(32, 16)
        values = head.loss(dict(feat=feats), samples(*labels.tolist()))
        optimizer.zero_grad()
        values['loss_ver'].backward()
        optimizer.step()
    assert min(values['accuracy_pos'], values['accuracy_neg']) > 90
    same = labels[:, None] == labels
    told = head.score(feats, feats) > 0
    assert told[same].float().mean() > 0.95 and told[~same].float().mean() < 0.05


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_compared_in_float32(dtype):
    head, feats = VerificationHead(8, hidden_channels=4, dropout=0), torch.randn(6, 8).to(dtype)
    results = []
    for x in (feats, feats.float()):
        torch.manual_seed(13)
        results.append(head.loss(dict(feat=x), samples(*LABELS)))
    torch.testing.assert_close(*results, rtol=0, atol=0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        values = VerificationHead(8, hidden_channels=4, chunk_size=20).loss(dict(feat=feats), samples(*LABELS))
    assert values['loss_ver'].dtype == torch.float32 and torch.isfinite(values['loss_ver'])


def test_frozen_layers_and_a_frozen_network():
    head = VerificationHead(8, hidden_channels=4, chunk_size=20).requires_grad_(False)
    feats = torch.randn(6, 8, requires_grad=True)
    head.loss(dict(feat=feats), samples(*LABELS))['loss_ver'].backward()
    assert feats.grad.abs().max() > 0 and all(p.grad is None for p in head.parameters())
    head.requires_grad_(True)
    head.loss(dict(feat=feats.detach()), samples(*LABELS))['loss_ver'].backward()
    assert all(p.grad is not None for p in head.parameters())


def test_six_losses_of_one_network():
    heads = {f'{kind}{branch}': dict(head, in_key=key, in_channels=1024)
             for branch, key in (('', 'feat'), ('_aux1', 'aux1'), ('_aux2', 'aux2'))
             for kind, head in (('id', dict(type='ClassificationHead', num_classes=3, dropout=0.5)),
                                ('ver', dict(type='VerificationHead', hidden_channels=4)))}
    built = {name: MODELS.build(head) for name, head in heads.items()}
    feats = {key: torch.randn(6, 1024) for key in ('feat', 'aux1', 'aux2')}
    losses = {f'{name}.{key}' for name, head in built.items() for key in head.loss(feats, samples(*LABELS))
              if 'loss' in key}
    assert losses == {f'id{b}.loss_ce' for b in ('', '_aux1', '_aux2')} | {
        f'ver{b}.loss_ver' for b in ('', '_aux1', '_aux2')}


@pytest.mark.parametrize('chunk_size', [16, 10**6])
def test_gradients_under_autocast(chunk_size):
    """Against float32: a product in bfloat16 rounds to 2**-9, which makes 1.2 % in all here; 144 chunks add nothing."""
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(14)
        head = VerificationHead(32, hidden_channels=48, dropout=0.3, chunk_size=chunk_size)
        nn.init.normal_(head.layers[-1].weight, std=0.3)
        feats = torch.randn(35, 32, requires_grad=True)
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            values = head.loss(dict(feat=feats), samples(*[n // 2 for n in range(35)]))
        assert values['loss_ver'].dtype == torch.float32 and values['num_pairs'].item() > 2000
        values['loss_ver'].backward()
        gradients.append([feats.grad, *(parameter.grad for parameter in head.parameters())])
    for expected, found in zip(*gradients, strict=True):
        assert found.dtype == torch.float32
        assert ((found - expected).norm() / expected.norm()).item() < 0.015


@MODELS.register_module()
class FocalLossOfPairs(nn.Module):
    """Cross-entropy of rows, less where they are told right already; no number for no rows."""

    def __init__(self, gamma):
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, targets):
        entropy = F.cross_entropy(logits, targets, reduction='none')
        return ((1 - (-entropy).exp()) ** self.gamma * entropy).mean()


@pytest.mark.parametrize('chunk_size', [7, 1000])
def test_a_loss_from_its_config(chunk_size):
    torch.manual_seed(15)
    head = VerificationHead(5, hidden_channels=7, dropout=0, loss_weight=3, chunk_size=chunk_size,
                            loss=dict(type='FocalLossOfPairs', gamma=2)).double()
    nn.init.normal_(head.layers[-1].weight)
    feats = torch.randn(6, 5, dtype=torch.float64)
    torch.manual_seed(16)
    first, second, same = verification_pairs(torch.tensor(LABELS))
    losses = []
    for i, j, alike in zip(first, second, same, strict=True):
        p = head.layers(feats[i] - feats[j]).softmax(0)[int(alike)]
        losses.append(-(1 - p) ** 2 * p.log())
    torch.manual_seed(16)
    values = head.loss(dict(feat=feats), samples(*LABELS))
    torch.testing.assert_close(values['loss_ver'], 3 * torch.stack(losses).mean())
    empty = head.loss(dict(feat=feats[:2]), samples(-1, -1))['loss_ver']
    empty.backward()
    assert empty.item() == 0 and all(p.grad is not None and p.grad.abs().max() == 0 for p in head.parameters())


@pytest.mark.parametrize('name, config', [
    (dict(loss='contrastive', margin=0.7, loss_weight=2), dict(loss=dict(type='ContrastiveLoss', margin=0.7,
                                                                         loss_weight=2))),
    (dict(loss='cross_entropy'), dict(loss=dict(type='CrossEntropyLoss')))])
def test_short_names_of_losses(name, config):
    feats, found = torch.randn(6, 5), []
    for arguments in (name, config):
        torch.manual_seed(17)
        found.append(VerificationHead(5, hidden_channels=4, **arguments).loss(dict(feat=feats), samples(*LABELS)))
    torch.testing.assert_close(*found)


def test_a_loss_from_its_config_is_scored_as_the_named_one():
    torch.manual_seed(18)
    query, gallery = torch.randn(3, 6), torch.randn(4, 6)
    odds = VerificationHead(6, loss=dict(type='ContrastiveLoss', margin=0.4)).score(query, gallery)
    torch.testing.assert_close(odds, 0.2 - torch.cdist(F.normalize(query), F.normalize(gallery)))
    smoothed = VerificationHead(6, hidden_channels=4, loss=dict(type='CrossEntropyLoss', label_smoothing=0.1))
    expected = smoothed.layers(query[0] - gallery[1]).detach()
    torch.testing.assert_close(smoothed.score(query, gallery)[0, 1], expected[1] - expected[0])


@pytest.mark.parametrize('labels, images', [
    ((0, 1, 2, 3), None),  # no positive pair
    ((0, 0, 1, 1), (5, 5, 6, 6)),  # images that were drawn twice
    ((4, 4, 4, 4), None),  # no negative pair
    ((-1, -1, -1, -1), None),
])
def test_a_batch_without_pairs_may_be_passed_over(labels, images):
    head = VerificationHead(3, hidden_channels=4, require_pairs=False)
    feats = torch.randn(4, 3, requires_grad=True)
    found = head.loss(dict(feat=feats), samples(*labels, images=images))
    assert found['loss_ver'] == 0 and found['num_pairs'] == 0 and found['no_pairs'] == 1
    found['loss_ver'].backward()  # connected: processes of a distributed training wait for every gradient
    assert all(p.grad is not None and not p.grad.any() for p in (feats, *head.parameters()))


def test_passing_over_changes_no_other_batch():
    head, feats, found = VerificationHead(3, hidden_channels=4), torch.randn(6, 3), []
    for head.require_pairs in (True, False):
        torch.manual_seed(1)
        found.append(head.loss(dict(feat=feats), samples(*LABELS)))
    assert found[1].pop('no_pairs') == 0 and found[0].keys() == found[1].keys()
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())

import pytest
import torch

from mmreid.models.heads import HeadGroup
from mmreid.structures import ReIDDataSample

KEYS = ['a', 'b', 'c']
HEAD = dict(type='ClassificationHead', in_channels=4, num_classes=3)


def samples(*labels):
    return [ReIDDataSample().set_gt_label(label) for label in labels]


def feats():
    torch.manual_seed(1)
    return {key: torch.randn(6, 4) for key in [*KEYS, 'other']}


@pytest.mark.parametrize('reduction, factor', [('mean', 1 / 3), ('sum', 1)])
def test_losses_by_hand(reduction, factor):
    group, x, labels = HeadGroup(KEYS, HEAD, reduction), feats(), torch.tensor([0, 0, 1, 1, 2, -1])
    values = group.loss(x, samples(*labels.tolist()))
    losses, hits = [], []
    for key in KEYS:
        head = group.heads[key].classifier
        logits = x[key] @ head.weight.T + head.bias
        losses.append(-logits.log_softmax(1)[range(5), labels[:5]].mean())
        hits.append((logits.argmax(1)[:5] == labels[:5]).float().mean())
    torch.testing.assert_close(values['loss_ce'], sum(losses) * factor)
    torch.testing.assert_close(values['accuracy'], 100 * sum(hits) / 3)
    assert sorted(values) == ['accuracy', 'loss_ce']


def test_heads_have_weights_of_their_own_and_all_learn():
    group = HeadGroup(KEYS, HEAD)
    group.loss(feats(), samples(0, 0, 1, 1, 2, 2))['loss_ce'].backward()
    assert len(list(group.parameters())) == 6
    assert all(p.grad.abs().max() > 0 for p in group.parameters())
    assert not torch.equal(group.heads.a.classifier.weight, group.heads.b.classifier.weight)
    assert sorted(dict(group.named_parameters())) == sorted(
        f'heads.{key}.classifier.{part}' for key in KEYS for part in ('weight', 'bias'))


def test_triplets_are_averaged():
    group = HeadGroup(['a', 'b'], dict(type='TripletHead', loss=dict(type='TripletLoss', margin=0.5)))
    x = dict(a=torch.tensor([[0.0], [3.0], [1.0], [10.0]]), b=torch.zeros(4, 1))
    values = group.loss(x, samples(0, 0, 1, 1))
    assert values['loss_triplet'].item() == pytest.approx((3.75 + 0.5) / 2) and values['num_anchors'].item() == 4


def test_the_config_is_left_as_it_is():
    head = dict(HEAD)
    HeadGroup(KEYS, head)
    assert head == HEAD


def test_init_cfg_of_the_heads():
    init = dict(type='Kaiming', layer='Linear', mode='fan_in', nonlinearity='relu', distribution='normal')
    group = HeadGroup(KEYS, dict(HEAD, in_channels=2000, num_classes=500, init_cfg=init))
    group.init_weights()
    for key in KEYS:
        assert group.heads[key].classifier.weight.std().item() == pytest.approx((2 / 2000) ** .5, rel=0.02)


@pytest.mark.parametrize('kwargs, message', [
    (dict(in_keys=[]), 'list of different embeddings'),
    (dict(in_keys=['a', 'a']), 'list of different embeddings'),
    (dict(in_keys='feat'), 'list of different embeddings'),
    (dict(head=dict(HEAD, in_key='a')), "in_key='a'"),
    (dict(reduction='max'), "must be one of .'mean', 'sum'."),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HeadGroup(**{'in_keys': KEYS, 'head': HEAD, **kwargs})


def test_an_embedding_that_is_not_there_and_labels_that_do_not_fit():
    with pytest.raises(KeyError, match="in_key='z'.*other"):
        HeadGroup(['a', 'z'], HEAD).loss(feats(), samples(0, 0, 1, 1, 2, 2))
    with pytest.raises(ValueError, match='do not fit a classifier of 3 classes'):
        HeadGroup(KEYS, HEAD).loss(feats(), samples(0, 0, 1, 1, 2, 3))

import logging

import pytest
import torch
import torch.nn.functional as F

from mmreid.models.heads import DomainHead
from mmreid.structures import ReIDDataSample


def samples(*domains, labels=None):
    made = [ReIDDataSample(metainfo=dict(domain=domain)) for domain in domains]
    for sample, label in zip(made, labels or (), strict=False):
        sample.set_gt_label(label)
    return made


def head(**options):
    torch.manual_seed(0)
    return DomainHead(4, **{'hidden_channels': (6, 5), **options})


def test_layers_of_the_paper():
    linears = [m for m in DomainHead(512).modules() if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [(512, 1024), (1024, 1024), (1024, 2)]
    assert not any('classifier' in key for key in DomainHead(4).state_dict()), 'that is renewed with the identities'
    assert sum(isinstance(m, torch.nn.Dropout) for m in head(dropout=0.5).modules()) == 2


@pytest.mark.parametrize('coefficient', [0, 0.4, 1])
def test_loss_and_gradients_by_hand(coefficient):
    module, feats = head(coefficient=coefficient), torch.randn(5, 4, requires_grad=True)
    torch.nn.init.normal_(module.layers[-1].weight)
    losses = module.loss(dict(feat=feats), samples(0, 1, 1, 0, 1))
    first, second, last = (m for m in module.layers if isinstance(m, torch.nn.Linear))
    x = feats.detach().requires_grad_()
    logits = last(F.relu(second(F.relu(first(x)))))
    domains = torch.tensor([0, 1, 1, 0, 1])
    expected = -logits.log_softmax(1)[range(5), domains].mean()
    torch.testing.assert_close(losses['loss_domain'], expected)
    assert losses['accuracy'].item() == pytest.approx(100 * float((logits.argmax(1) == domains).float().mean()))
    assert losses['coefficient'].item() == pytest.approx(coefficient)
    assert [key for key in losses if 'loss' in key] == ['loss_domain']
    expected.backward()
    own = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    losses['loss_domain'].backward()
    torch.testing.assert_close(feats.grad, -coefficient * x.grad)
    torch.testing.assert_close([p.grad for p in module.parameters()], own)


def test_labels_are_never_read():
    module, feats = head(), dict(feat=torch.randn(3, 4))
    values = [module.loss(feats, samples(0, 1, 0, labels=labels))['loss_domain'].item()
              for labels in (None, (0, 0, 0), (-1, 7, 10**9))]
    assert len(set(values)) == 1


@pytest.mark.parametrize('coefficient, change', [(1, 1), (0, 0)])
def test_a_step_makes_domains_harder_to_tell_by_the_features_and_easier_by_the_head(coefficient, change):
    torch.manual_seed(0)
    module, domains = head(coefficient=coefficient), torch.arange(60) % 2
    batch, feats = samples(*domains.tolist()), torch.randn(60, 4)
    feats[:, 0] += 2 * (domains * 2 - 1)

    def step(parameters, lr):
        before = module.loss(dict(feat=feats), batch)['loss_domain']
        before.backward()
        torch.optim.SGD(parameters, lr=lr).step()
        module.zero_grad()
        return module.loss(dict(feat=feats), batch)['loss_domain'].item() - before.item()

    for _ in range(30):
        assert step(module.parameters(), lr=0.1) < 0
    feats.requires_grad_()
    difference = step([feats], lr=0.1)
    assert (difference > 0) == (change > 0) and (difference == 0) == (change == 0)


def test_three_domains_and_other_keys():
    module = head(num_domains=3, in_key='aux')
    losses = module.loss(dict(aux=torch.randn(4, 4)), samples(0, 2, 1, 2))
    assert module(torch.randn(2, 4)).shape == (2, 3) and torch.isfinite(losses['loss_domain'])
    with pytest.raises(KeyError, match="in_key='aux'.*feat"):
        module.loss(dict(feat=torch.randn(1, 4)), samples(0))


def test_a_batch_of_one_domain_is_trained_on_and_warned_of_once(monkeypatch):
    said = []
    monkeypatch.setattr('mmreid.models.heads.domain_head.print_log',
                        lambda text, level, **_: said.append((level, text)))
    module = head()
    for _ in range(2):
        losses = module.loss(dict(feat=torch.randn(2, 4)), samples(1, 1))
    assert losses['loss_domain'].item() > 0
    (level, text), = said
    assert level == logging.WARNING and 'domain 1 only' in text and 'DomainBalancedSampler' in text


def test_bad_input():
    with pytest.raises(ValueError, match='at least 2.*got 1'):
        head(num_domains=1)
    with pytest.raises(ValueError, match='coefficient'):
        head(coefficient=-0.1)
    with pytest.raises(ValueError, match='dropout'):
        head(dropout=1)
    feats = dict(feat=torch.randn(2, 4))
    with pytest.raises(ValueError, match=r'domains \[0, 3\].*num_domains=2'):
        head().loss(feats, samples(0, 3))
    with pytest.raises(ValueError, match='num_domains=2'):
        head().loss(feats, samples(-1, 0))
    with pytest.raises(ValueError, match='no domain on the sample of b.jpg.*SourceTargetDataset'):
        head().loss(feats, [*samples(0), ReIDDataSample(metainfo=dict(img_path='b.jpg'))])
    with pytest.raises(ValueError, match='got none'):
        head().loss(feats, None)

import re
from urllib.error import URLError

import pytest
import torch
from torchvision.models import get_model

from mmreid.models.backbones import DenseNetTaps, ResNetTaps
from mmreid.registry import MODELS

from .norms import unsettle

ALL = (0, 1, 2, 3, 4, 5)


def random_net(name):
    """A torchvision network whose norms are not the identity."""
    torch.manual_seed(0)
    net = get_model(name, weights=None)
    return unsettle(net)


def pretrained(path):
    return dict(type='Pretrained', checkpoint=str(path))


def compare(net, taps, reference_taps, logits):
    for tap, expected in zip(taps, reference_taps, strict=True):
        torch.testing.assert_close(tap, expected, rtol=1e-5, atol=1e-5)
    classifier = net.fc if hasattr(net, 'fc') else net.classifier
    torch.testing.assert_close(classifier(taps[-1].mean((2, 3))), logits, rtol=1e-4, atol=1e-5)


def test_resnet50_equals_torchvision(tmp_path):
    net, x = random_net('resnet50'), torch.randn(2, 3, 64, 32)
    torch.save(net.state_dict(), tmp_path / 'r50.pth')
    backbone = ResNetTaps(50, ALL, init_cfg=pretrained(tmp_path / 'r50.pth')).eval()
    backbone.init_weights()
    with torch.no_grad():
        reference = [x, net.maxpool(net.relu(net.bn1(net.conv1(x))))]
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            reference.append(layer(reference[-1]))
        compare(net, backbone(x), reference, net(x))
    used = set(net.state_dict()) - set(backbone.state_dict())
    assert used == {'fc.weight', 'fc.bias'}


def old_style(state):
    """Key names of the hosted DenseNet files."""
    state = {re.sub(r'(denselayer\d+\.(?:norm|conv))([12])\.', r'\1.\2.', key): v for key, v in state.items()}
    return {key: value for key, value in state.items() if 'num_batches_tracked' not in key}


@pytest.mark.parametrize('rename', [dict, old_style])
def test_densenet161_equals_torchvision(tmp_path, rename):
    net, x = random_net('densenet161'), torch.randn(1, 3, 64, 32)
    state = rename(net.state_dict())
    assert rename is dict or 'features.denseblock1.denselayer1.norm.1.weight' in state
    torch.save(state, tmp_path / 'd161.pth')
    backbone = DenseNetTaps(161, ALL, init_cfg=pretrained(tmp_path / 'd161.pth')).eval()
    backbone.init_weights()
    f = net.features
    with torch.no_grad():
        reference = [x, f.pool0(f.relu0(f.norm0(f.conv0(x))))]
        for block, transition in ((f.denseblock1, f.transition1), (f.denseblock2, f.transition2),
                                  (f.denseblock3, f.transition3)):
            reference.append(transition(block(reference[-1])))
        reference.append(f.norm5(f.denseblock4(reference[-1])).relu())
        compare(net, backbone(x), reference, net(x))


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: dict(state_dict=state, meta=dict(epoch=1)),
    lambda state: dict(state_dict={f'backbone.{k}': v for k, v in state.items()} | {'neck.weight': torch.zeros(1)}),
    lambda state: dict(state_dict={f'module.backbone.{k}': v for k, v in state.items()}),
])
def test_kinds_of_files(tmp_path, wrap):
    source = ResNetTaps(18)
    torch.save(wrap(source.state_dict()), tmp_path / 'file.pth')
    backbone = ResNetTaps(18, init_cfg=pretrained(tmp_path / 'file.pth'))
    backbone.init_weights()
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in backbone.state_dict().items())
    with torch.no_grad():
        backbone.conv1.weight.zero_()
    backbone.init_weights()  # once is enough
    assert backbone.conv1.weight.abs().max() == 0


def test_weights_load_through_the_whole_model(tmp_path):
    source = ResNetTaps(18)
    torch.save(source.state_dict(), tmp_path / 'file.pth')
    model = MODELS.build(
        dict(
            type='EmbeddingNet',
            backbone=dict(type='ResNetTaps', depth=18, init_cfg=pretrained(tmp_path / 'file.pth')),
            neck=dict(type='ReductionNeck', in_channels=512, feat_channels=8)))
    model.init_weights()
    weight = model.backbone.layer1[0].conv1.weight
    assert torch.equal(weight, source.layer1[0].conv1.weight)
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('spoil, message', [
    (lambda s: s.pop('layer1.0.conv1.weight'), 'missing layer1.0.conv1.weight;'),
    (lambda s: s.update(extra=torch.zeros(1)), 'unexpected extra;'),
    (lambda s: s.update({'conv1.weight': torch.zeros(2)}), r'another shape conv1.weight \(2,\) instead of'),
])
def test_every_key_must_fit(tmp_path, spoil, message):
    state = ResNetTaps(18).state_dict()
    spoil(state)
    torch.save(state, tmp_path / 'file.pth')
    with pytest.raises(ValueError, match=message):
        ResNetTaps(18, init_cfg=pretrained(tmp_path / 'file.pth')).init_weights()


def test_another_architecture_is_refused(tmp_path):
    torch.save(DenseNetTaps(121).state_dict(), tmp_path / 'file.pth')
    with pytest.raises(ValueError, match='does not fit ResNetTaps: missing conv1.weight.* and .* more'):
        ResNetTaps(18, init_cfg=pretrained(tmp_path / 'file.pth')).init_weights()


def test_offline_says_what_to_do(monkeypatch):
    def no_network(*args, **kwargs):
        raise URLError('Name or service not known')

    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', no_network)
    with pytest.raises(RuntimeError) as error:
        ResNetTaps(50, init_cfg=pretrained('torchvision://resnet50')).init_weights()
    text = str(error.value)
    assert 'https://download.pytorch.org/models/resnet50-0676ba61.pth' in text
    assert 'Name or service not known' in text
    assert '--cfg-options model.backbone.init_cfg.checkpoint=/path/to/resnet50-0676ba61.pth' in text
    assert '--cfg-options model.backbone.init_cfg=None' in text


def test_torchvision_weights_are_asked_for_and_converted(monkeypatch):
    net, urls = random_net('densenet121'), []

    def hosted(url, *args, **kwargs):
        urls.append(url)
        return old_style(net.state_dict())

    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', hosted)
    backbone = DenseNetTaps(121, init_cfg=pretrained('torchvision://densenet121'))
    backbone.init_weights()
    assert urls == ['https://download.pytorch.org/models/densenet121-a639ec97.pth']
    key = 'features.denseblock4.denselayer16.conv2.weight'
    assert torch.equal(backbone.state_dict()[key], net.state_dict()[key])


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth.*init_cfg=None'):
        ResNetTaps(18, init_cfg=pretrained(tmp_path / 'nothing.pth')).init_weights()
    with pytest.raises(ValueError, match='resnet19'):
        ResNetTaps(18, init_cfg=pretrained('torchvision://resnet19')).init_weights()

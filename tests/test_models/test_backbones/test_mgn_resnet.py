import re

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from mmreid.models.backbones import MGNResNet
from mmreid.registry import MODELS

ALL = tuple(range(8))


def random_net(name):
    """A torchvision network whose norms are not the identity."""
    net = get_model(name, weights=None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net.eval()


def pretrained(path):
    return dict(type='Pretrained', checkpoint=str(path))


@pytest.mark.parametrize('depth, channels', [(18, (3, 64, 64, 128, 256, 512, 512, 512)),
                                             (50, (3, 64, 256, 512, 1024, 2048, 2048, 2048))])
def test_channels_and_strides(depth, channels):
    net = MGNResNet(depth, out_indices=ALL).eval()
    taps = net(torch.randn(1, 3, 96, 32))
    assert tuple(tap.shape[1] for tap in taps) == net.tap_channels == net.out_channels == channels
    assert tuple(96 // tap.shape[2] for tap in taps) == (1, 4, 4, 8, 16, 32, 16, 16)
    assert MGNResNet(depth).out_indices == (0, 5, 6, 7)


def test_every_branch_is_torchvisions_network(tmp_path):
    """With stride 2 everywhere, each branch gives what torchvision's ResNet-50 gives, and the files fit bit for bit."""
    net, x = random_net('resnet50'), torch.randn(2, 3, 64, 32)
    torch.save(net.state_dict(), tmp_path / 'r50.pth')
    branches = [dict(last_stride=2), dict(last_stride=2)]
    backbone = MGNResNet(50, branches, init_cfg=pretrained(tmp_path / 'r50.pth')).eval()
    backbone.init_weights()
    with torch.no_grad():
        reference = x
        for module in (net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4):
            reference = module(reference)
        image, first, second = backbone(x)
    assert image is x and torch.equal(first, second)
    torch.testing.assert_close(first, reference, rtol=1e-5, atol=1e-5)
    own = backbone.state_dict()
    for key, value in net.state_dict().items():
        if key.startswith('fc.'):
            continue
        tail = re.match(r'layer4|layer3\.[1-9]', key)
        names = [f'branches.{b}.{key}' for b in range(2)] if tail else [key]
        assert all(torch.equal(own.pop(name), value) for name in names)
    assert not own


def test_branches_begin_alike_and_are_trained_apart():
    net = MGNResNet(18)
    states = [branch.state_dict() for branch in net.branches]
    assert all(torch.equal(states[0][key], state[key]) for state in states[1:] for key in state)
    pointers = [p.data_ptr() for p in net.parameters()]
    assert len(set(pointers)) == len(pointers)
    assert [branch.layer4[0].conv1.stride for branch in net.branches] == [(2, 2), (1, 1), (1, 1)]


def test_a_whole_checkpoint_of_an_mgn_loads(tmp_path):
    source = MGNResNet(18)
    for parameter in source.parameters():
        nn.init.normal_(parameter)
    state = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict={**state, 'neck.weight': torch.zeros(1)}), tmp_path / 'mgn.pth')
    backbone = MGNResNet(18, init_cfg=pretrained(tmp_path / 'mgn.pth'))
    backbone.init_weights()
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in backbone.state_dict().items())
    two = MGNResNet(18, [dict(last_stride=1)] * 2, init_cfg=pretrained(tmp_path / 'mgn.pth'))
    with pytest.raises(ValueError, match=r'unexpected branches\.2\.layer3\.1'):
        two.init_weights()


def test_another_depth_is_refused(tmp_path):
    torch.save(get_model('resnet18', weights=None).state_dict(), tmp_path / 'r18.pth')
    with pytest.raises(ValueError, match=r'does not fit MGNResNet: missing layer1\.2'):
        MGNResNet(34, init_cfg=pretrained(tmp_path / 'r18.pth')).init_weights()


def test_a_branch_that_is_not_asked_for_is_neither_run_nor_trained():
    net = MGNResNet(18, out_indices=(2, 6))
    trained = {'.'.join(name.split('.')[:2]) for name, p in net.named_parameters() if p.requires_grad}
    assert {name for name in trained if name.startswith('branches')} == {'branches.1'}
    assert 'layer3.0' in trained
    whole = MGNResNet(18, out_indices=ALL)
    whole.load_state_dict(net.state_dict())
    net.eval().branches[0].layer4 = net.branches[2].layer3 = None  # never run
    x = torch.randn(1, 3, 32, 32)
    assert all(torch.equal(a, whole.eval()(x)[i]) for a, i in zip(net(x), (2, 6), strict=True))


def test_the_trunk_can_be_frozen():
    net = MGNResNet(18, frozen_stages=3).train()
    assert {name.split('.')[0] for name, p in net.named_parameters() if p.requires_grad} == {'branches'}
    assert not net.layer3[0].bn1.training and net.branches[0].layer4[0].bn1.training


@pytest.mark.parametrize('kwargs, message', [
    (dict(depth=20), 'depth of MGNResNet'),
    (dict(branches=[]), 'must be a list of dict'),
    (dict(branches=[dict(last_stride=3)]), 'must be a list of dict'),
    (dict(branches=[dict(stride=2)]), 'must be a list of dict'),
    (dict(branches=[1, 2]), 'must be a list of dict'),
    (dict(branches=[dict(last_stride=[1, 1])]), 'must be a list of dict'),
    (dict(out_indices=(5, 8)), 'between 0 .the image. and 7'),
    (dict(frozen_stages=4), 'between -1 and 3'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MGNResNet(**{'depth': 18, **kwargs})


def test_channels_last_through_a_whole_model():
    model = MODELS.build(dict(
        type='EmbeddingNet', backbone=dict(type='MGNResNet', depth=18),
        neck=dict(type='PartPoolingNeck', in_channels=512, feat_channels=8)))
    last = torch.channels_last
    assert all(p.is_contiguous(memory_format=last) for p in model.backbone.parameters() if p.dim() == 4)
    x = torch.randn(2, 3, 96, 32)
    taps = model.backbone(x.contiguous(memory_format=last))
    assert all(tap.is_contiguous(memory_format=last) for tap in taps)

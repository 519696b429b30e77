import pytest
import torch
from torch import nn
from torchvision.models import get_model

from mmreid.models.backbones import DenseNetTaps, ResNetTaps

ALL = (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize('build, strides', [
    (lambda: ResNetTaps(18, ALL), (1, 4, 4, 8, 16, 32)),
    (lambda: ResNetTaps(50, ALL), (1, 4, 4, 8, 16, 32)),
    (lambda: ResNetTaps(50, ALL, last_stride=1), (1, 4, 4, 8, 16, 16)),
    (lambda: ResNetTaps(34, ALL, last_stride=1), (1, 4, 4, 8, 16, 16)),
    (lambda: DenseNetTaps(121, ALL), (1, 4, 8, 16, 32, 32)),
    (lambda: DenseNetTaps(161, ALL), (1, 4, 8, 16, 32, 32)),
])
def test_channels_and_strides(build, strides):
    net, x = build().eval(), torch.randn(1, 3, 64, 32)
    taps = net(x)
    assert taps[0] is x
    assert tuple(tap.shape[1] for tap in taps) == net.tap_channels == net.out_channels
    assert tuple(64 // tap.shape[2] for tap in taps) == strides
    assert not any(isinstance(m, nn.Linear) for m in net.modules())


@pytest.mark.parametrize('depth', [169, 201])
def test_channels_of_the_other_densenets(depth):
    with torch.device('meta'):
        net = DenseNetTaps(depth, ALL).eval()
        taps = net(torch.zeros(1, 3, 32, 32))
    assert tuple(tap.shape[1] for tap in taps) == net.tap_channels


def test_out_indices_choose_and_stop():
    torch.manual_seed(0)
    whole = ResNetTaps(18, ALL).eval()
    part = ResNetTaps(18, (1, 3))
    part.load_state_dict(whole.state_dict())
    part.eval().layer3 = None  # never run
    x = torch.randn(1, 3, 32, 32)
    assert all(torch.equal(a, whole(x)[i]) for a, i in zip(part(x), (1, 3), strict=True))
    assert part.out_channels == (64, 128)
    trained = {name.split('.')[0] for name, p in ResNetTaps(18, (1, 3)).named_parameters() if p.requires_grad}
    assert trained == {'conv1', 'bn1', 'layer1', 'layer2'}


def test_frozen_stages():
    net = DenseNetTaps(121, frozen_stages=1).train()
    frozen = {name.split('.')[1] for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {'conv0', 'norm0', 'denseblock1', 'transition1'}
    assert not net.features.norm0.training and not net.features.transition1.norm.training
    assert net.features.transition2.norm.training
    before = net.features.norm0.running_mean.clone()
    net(torch.randn(2, 3, 32, 32))
    assert torch.equal(net.features.norm0.running_mean, before)


def test_norm_eval():
    net = ResNetTaps(18, norm_eval=True).train()
    assert net.training and not any(m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize('kwargs, message', [
    (dict(depth=20), 'depth of ResNetTaps must be one of'),
    (dict(depth=18, out_indices=(6, )), 'increasing taps between 0'),
    (dict(depth=18, out_indices=(2, 1)), 'increasing taps'),
    (dict(depth=18, out_indices=()), 'increasing taps'),
    (dict(depth=18, frozen_stages=5), 'frozen_stages'),
    (dict(depth=18, last_stride=3), 'last_stride'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ResNetTaps(**kwargs)


def test_without_init_cfg_the_weights_stay_torchvisions():
    torch.manual_seed(0)
    reference = get_model('resnet18', weights=None)
    torch.manual_seed(0)
    net = ResNetTaps(18)
    net.init_weights()
    assert torch.equal(net.layer4[1].conv2.weight, reference.layer4[1].conv2.weight)

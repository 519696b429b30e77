"""MobileNetV1 against the published counts, a network built of functions, and TensorFlow's padding by loops."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mmreid.models.backbones import MobileNetV1
from mmreid.models.backbones.mobilenet_v1 import StridePadding
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

from .norms import unsettle

ALL = (0, 1, 2, 3, 4, 5)
#: Table 1 as it is printed, "conv dw / s2" and the pointwise layer behind it as one row: (stride, channels).
TABLE = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024)]


@pytest.fixture(scope='module')
def net():
    """Weights and statistics of norms that are not the identity."""
    torch.manual_seed(0)
    net = MobileNetV1(0.25, ALL)
    return unsettle(net)


@pytest.mark.parametrize('width, params, mult_adds', [(1, 4.2, 569), (0.75, 2.6, 325), (0.5, 1.3, 149),
                                                      (0.25, 0.5, 41)])
def test_counts_are_the_published_ones(width, params, mult_adds):
    """Table 6: with the classifier of 1,000 classes, at 224 x 224."""
    net = MobileNetV1(width).eval()
    channels = net.out_channels[0]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        F.linear(net(torch.zeros(1, 3, 224, 224))[0].mean((2, 3)), torch.zeros(1000, channels))
    total = sum(p.numel() for p in net.parameters()) + 1000 * channels + 1000
    assert round(total / 1e6, 1) == params
    assert round(counter.get_total_flops() / 2e6) == mult_adds
    if width == 1:
        assert sum(p.numel() for p in net.parameters()) == 3_206_976, 'what Keras counts as trainable without the top'


@pytest.mark.parametrize('size', [(224, 224), (256, 128), (65, 33), (48, 31)])
@pytest.mark.parametrize('padding', [True, False])
def test_channels_and_sizes(size, padding):
    net = MobileNetV1(0.25, ALL, tf_padding=padding).eval()
    with torch.no_grad():
        taps = net(torch.zeros(1, 3, *size))
    assert [t.shape[1] for t in taps] == [3, 16, 32, 64, 128, 256] == list(net.out_channels)
    height, width = size
    for tap in taps[1:]:
        height, width = -(-height // 2), -(-width // 2)
        assert tap.shape[2:] == (height, width)


def test_the_default_is_the_last_map_of_width_one():
    net = MobileNetV1()
    assert net.out_channels == (1024, ) and net.out_indices == (5, )
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == 27
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 27 and {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.1)}


@pytest.mark.parametrize('last_stride', [1, 2])
def test_maps_of_the_table_written_out(net, last_stride):
    """Functions alone, in the order of Table 1; TensorFlow's padding is a row and column at the end of even sizes."""
    other = MobileNetV1(0.25, ALL, last_stride=last_stride)
    other.load_state_dict(net.state_dict())
    state = net.state_dict()

    def layer(x, name, stride=1, groups=1):
        weight = state[f'{name}.conv.weight']
        if stride == 2:
            x = F.pad(x, (0, 1, 0, 1))
        padding = 0 if stride == 2 or weight.shape[-1] == 1 else 1
        x = F.conv2d(x, weight, stride=stride, padding=padding, groups=groups)
        mean, var, gain, bias = (state[f'{name}.bn.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias'))
        x = (x - mean[:, None, None]) / (var[:, None, None] + 1e-3).sqrt() * gain[:, None, None] + bias[:, None, None]
        return x.clamp(0, 6)

    image = 3 * torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        x, expected = layer(image, 'stem', 2), [image]
        for number, (stride, _) in enumerate(TABLE, start=1):
            stride = last_stride if number == 12 else stride
            x = layer(x, f'block{number}.depthwise', stride, groups=x.shape[1])
            x = layer(x, f'block{number}.pointwise')
            if number == len(TABLE) or TABLE[number][0] == 2:
                expected.append(x)
        taps = other.eval()(image)
    assert len(taps) == len(expected) == 6
    for own, by_hand in zip(taps, expected, strict=True):
        torch.testing.assert_close(own, by_hand, rtol=1e-4, atol=1e-5)
    assert (expected[1] == 6).any(), 'ReLU6 has something to cut'


@pytest.mark.parametrize('size', [4, 5, 6, 7])
def test_padding_against_its_definition(size):
    """SAME: ceil(n / 2) outputs, the total padding shared equally, an odd one at the end."""
    outputs = -(-size // 2)
    total = max((outputs - 1) * 2 + 3 - size, 0)
    front, row = total // 2, torch.arange(1., size + 1)
    padded = StridePadding()(row.repeat(size, 1)[None, None])[0, 0]
    assert padded.shape == (size + total, size + total)
    assert torch.equal(padded[front], torch.cat([torch.zeros(front), row, torch.zeros(total - front)]))
    assert torch.equal(padded.T[front][front:front + size], torch.ones(size))


def test_options_change_what_they_say(net):
    image = 3 * torch.randn(2, 3, 64, 32)
    for options in (dict(act_cfg=dict(type='ReLU')), dict(tf_padding=False)):
        other = MobileNetV1(0.25, ALL, **options).eval()
        other.load_state_dict(net.state_dict())
        with torch.no_grad():
            assert not torch.allclose(other(image)[1], net(image)[1])


def test_outputs_of_a_new_network_keep_their_size():
    """No layer is so small at the start that eps of its norm outweighs it."""
    torch.manual_seed(0)
    taps = MobileNetV1(0.5, ALL).train()(torch.randn(8, 3, 64, 64))
    assert all(tap.std() > 0.4 for tap in taps)


def test_frozen_stages_and_norm_eval():
    net = MobileNetV1(0.25, frozen_stages=1).train()
    frozen = {name.split('.')[0] for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {'stem', 'block1', 'block2', 'block3'}
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net(torch.randn(2, 3, 64, 32))
    changed = {key.split('.')[0] for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {f'block{n}' for n in range(4, 14)}
    whole = MobileNetV1(0.25, frozen_stages=4)
    assert not any(p.requires_grad for p in whole.parameters())
    assert not any(m.training for m in MobileNetV1(0.25, norm_eval=True).train().modules()
                   if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize('kwargs, message', [
    (dict(width_multiplier=0), 'width_multiplier'),
    (dict(width_multiplier=-1), 'width_multiplier'),
    (dict(last_stride=3), 'last_stride'),
    (dict(out_indices=(6, )), 'increasing taps'),
    (dict(frozen_stages=5), 'frozen_stages'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MobileNetV1(**kwargs)


@pytest.mark.parametrize('backbone, channels', [
    (dict(type='MobileNetV1', width_multiplier=0.25), 256),
    (dict(type='mmpretrain.MobileNetV2', widen_factor=0.25), 1280),
    (dict(type='mmpretrain.MobileNetV3', arch='small'), 576),
    (dict(type='mmpretrain.ResNet', depth=50), 2048),
    (dict(type='ResNetTaps', depth=50), 2048),
])
def test_backbones_in_its_place(backbone, channels):
    """The whole network of EmbAE trains and extracts on any of them."""
    model = MODELS.build(dict(
        type='EmbeddingNet', backbone=backbone, neck=dict(type='EmbAENeck', in_channels=channels, hidden_channels=8,
                                                          feat_channels=4),
        heads=dict(tri=dict(type='TripletHead', loss=dict(type='TripletLoss', margin=None)),
                   ae=dict(type='EmbAEHead', in_channels=channels, id_channels=4, nuisance_channels=4,
                           hidden_channels=8)))).train()
    samples = [ReIDDataSample(metainfo=dict(domain=0, camid=n)).set_gt_label(n // 2) for n in range(4)]
    losses = model(torch.randn(4, 3, 64, 64), samples, mode='loss')
    model.parse_losses(losses)[0].backward()
    assert losses['tri.loss_triplet'] > 0 and losses['ae.loss_ae'] > 0
    used = [p for name, p in model.named_parameters() if not name.startswith('backbone')]
    assert all(p.grad is not None for p in used) and any(p.grad is not None for p in model.backbone.parameters())
    feature = model.eval().extract_feature(torch.randn(1, 3, 64, 64))
    assert feature.shape == (1, 4)
    with pytest.raises(ValueError, match=f'in_channels={channels}.*has 3'):
        model.neck((torch.zeros(2, 3, 1, 1), ))

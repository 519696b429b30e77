import pytest
import torch
from torch.nn import functional as F

from mmreid.models.backbones import DGDNet
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

ALL = (0, 1, 2, 3, 4)
#: The table of the paper for 144 x 56: what each module gives, channels x height x width.
TABLE = dict(conv3=(32, 144, 56), pool3=(32, 72, 28), inception4a=(256, 72, 28), inception4b=(384, 36, 14),
             inception5a=(512, 36, 14), inception5b=(768, 18, 7), inception6a=(1024, 18, 7), inception6b=(1536, 9, 4))


def functional(state, x):
    """The network from its weights, in evaluation mode, written down layer by layer."""

    def conv(x, name, stride=1):
        weight = state[f'{name}.conv.weight']
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
        mean, var, gamma, beta = (state[f'{name}.bn.{key}'].view(1, -1, 1, 1)
                                  for key in ('running_mean', 'running_var', 'weight', 'bias'))
        return F.relu((x - mean) / (var + 1e-5).sqrt() * gamma + beta)

    x = F.max_pool2d(conv(conv(conv(x, 'conv1'), 'conv2'), 'conv3'), 2)
    maps = [x]
    for stage in (4, 5, 6):
        a, b = f'inception{stage}a', f'inception{stage}b'
        single = conv(conv(x, f'{a}.conv3x3.0'), f'{a}.conv3x3.1')
        double = conv(conv(conv(x, f'{a}.double3x3.0'), f'{a}.double3x3.1'), f'{a}.double3x3.2')
        x = torch.cat([conv(x, f'{a}.conv1x1'), single, double, conv(F.avg_pool2d(x, 3, 1, 1), f'{a}.pool.1')], 1)
        single = conv(conv(x, f'{b}.conv3x3.0'), f'{b}.conv3x3.1', 2)
        double = conv(conv(conv(x, f'{b}.double3x3.0'), f'{b}.double3x3.1'), f'{b}.double3x3.2', 2)
        x = torch.cat([single, double, F.max_pool2d(x, 3, 2, 1)], 1)
        maps.append(x)
    return maps


@pytest.mark.parametrize('size', [(144, 56), (128, 64), (61, 37)])
def test_layer_by_layer(size):
    torch.manual_seed(0)
    net = DGDNet((1, 2, 3, 4)).train()
    net(torch.randn(4, 3, 64, 32))  # statistics that are not the identity
    net.eval()
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        for own, other in zip(net(x), functional(net.state_dict(), x), strict=True):
            assert other.std() > 0.05
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def test_sizes_of_the_papers_table():
    with torch.device('meta'):
        net = DGDNet(ALL).eval()
        shapes = {}
        for name in TABLE:
            net.get_submodule(name).register_forward_hook(
                lambda m, i, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
        taps = net(torch.zeros(1, 3, 144, 56))
    assert shapes == TABLE
    assert tuple(tap.shape[1] for tap in taps) == net.tap_channels == net.out_channels
    assert DGDNet().out_channels == (1536, )


def test_reducing_pooling_gives_the_sizes_of_the_released_one():
    """Caffe's: 3x3 with stride 2, rounding up, without padding, in the last module padded in width; 144 x 56."""
    for size, padding in (((72, 28), 0), ((36, 14), 0), ((18, 7), (0, 1))):
        x = torch.randn(1, 1, *size)
        own = DGDNet().inception4b.pool(x)
        released = F.max_pool2d(x, 3, 2, padding, ceil_mode=True)
        assert own.shape == released.shape and not torch.equal(own, released)


def test_number_of_parameters():
    """Counted from the widths: kernels, and two numbers of batch norm for every channel."""

    def conv(c_in, c_out, k):
        return c_in * c_out * k * k + 2 * c_out

    expected, c = conv(3, 32, 3) + 2 * conv(32, 32, 3), 32
    for w in (64, 128, 256):
        expected += 2 * conv(c, w, 1) + (conv(c, w, 1) + conv(w, w, 3)) + (conv(c, w, 1) + 2 * conv(w, w, 3))
        c = 4 * w
        expected += (conv(c, w, 1) + conv(w, w, 3)) + (conv(c, w, 1) + 2 * conv(w, w, 3))
        c += 2 * w
    assert sum(p.numel() for p in DGDNet().parameters()) == expected


def test_frozen_stages_and_out_indices():
    net = DGDNet(out_indices=(2, ), frozen_stages=0).train()
    trained = {name.split('.')[0] for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {'inception4a', 'inception4b'}
    assert not net.conv1.bn.training and net.inception4a.conv1x1.bn.training
    with pytest.raises(ValueError, match='between 0 .the image. and 4'):
        DGDNet((5, ))


def test_gradient_through_a_whole_model_with_the_layer_of_256():
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='EmbeddingNet', backbone=dict(type='DGDNet'),
        neck=dict(type='DTLNeck', in_channels=(1536, ), aux=False, feat_channels=256,
                  reduction_cfg=dict(norm_cfg=dict(type='BN1d'), act_cfg=dict(type='ReLU'))),
        heads=dict(id=dict(type='ClassificationHead', in_channels=256, num_classes=3)))).double()
    samples = [ReIDDataSample().set_gt_label(label) for label in (0, 1, 2, 2)]
    x = torch.randn(4, 3, 72, 28, dtype=torch.float64)
    model.parse_losses(model(x, samples, mode='loss'))[0].backward()
    assert [name for name, p in model.named_parameters() if not p.grad.abs().max() > 1e-9] == []
    feats = model.eval()(x, mode='tensor')
    assert set(feats) == {'feat'} and feats['feat'].shape == (4, 256)

import re

import pytest
import torch
from torch import nn

from mmreid.models.necks import PartPoolingNeck

NAMES = ['global_1', 'global_2', 'global_3', 'part_2_1', 'part_2_2', 'part_3_1', 'part_3_2', 'part_3_3']


def identity(**options):
    """A neck that gives the pooled vectors themselves."""
    neck = PartPoolingNeck(4, 4, reduction_cfg=dict(bias=False), **options)
    for layer in neck.reduction.modules():
        if isinstance(layer, nn.Linear):
            nn.init.eye_(layer.weight)
    return neck


def striped(*values, height=12, width=4):
    """A map ``(1, 4, height, width)`` whose stripes of equal height are constants."""
    rows = torch.tensor(values, dtype=torch.float32).repeat_interleave(height // len(values))
    return rows.view(1, 1, height, 1).expand(1, 4, height, width)


@pytest.mark.parametrize('reduction', ['shared', 'separate'])
def test_stripes_by_eye(reduction):
    """Branch 2 sees 5 above and 3 below, branch 3 sees 1, 9 and 4."""
    feats = identity(reduction=reduction)((striped(7., height=6), striped(5., 3.), striped(1., 9., 4.)))
    expected = dict(zip(NAMES, [7., 5., 9., 5., 3., 1., 9., 4.], strict=True))
    assert {name: set(feats[name].flatten().tolist()) for name in NAMES} == \
        {name: {value} for name, value in expected.items()}
    assert feats['feat'].tolist() == [[value for value in expected.values() for _ in range(4)]]
    assert sorted(feats) == sorted([*NAMES, 'feat'])


def test_average_pooling_by_eye():
    feats = identity(pool='avg')((striped(7., height=6), striped(5., 3.), striped(1., 9., 5.)))
    assert [feats[name][0, 0].item() for name in NAMES] == [7., 4., 5., 5., 3., 1., 9., 5.]


def test_equals_the_windows_of_the_released_network():
    """At 384x128: maps of 12x4, 24x8 and 24x8, max pooling over (12, 4), (24, 8), (24, 8), (12, 8) and (8, 8)."""
    maps = (torch.randn(2, 4, 12, 4), torch.randn(2, 4, 24, 8), torch.randn(2, 4, 24, 8))
    feats = identity()(maps)
    halves, thirds = nn.MaxPool2d((12, 8))(maps[1]), nn.MaxPool2d((8, 8))(maps[2])
    windows = [nn.MaxPool2d((12, 4))(maps[0]), nn.MaxPool2d((24, 8))(maps[1]), nn.MaxPool2d((24, 8))(maps[2]),
               halves[:, :, :1], halves[:, :, 1:], thirds[:, :, :1], thirds[:, :, 1:2], thirds[:, :, 2:]]
    for name, window in zip(NAMES, windows, strict=True):
        assert torch.equal(feats[name], window.flatten(1))


def test_a_shared_reduction_normalises_one_kind_after_the_other():
    """Batch statistics of each kind alone; running statistics move eight times, in the order of the names."""
    torch.manual_seed(0)
    neck = PartPoolingNeck(4, 3)
    linear, norm, _ = neck.reduction
    maps = (torch.randn(5, 4, 6, 2), torch.randn(5, 4, 12, 4) * 3, torch.randn(5, 4, 12, 4) + 2)
    pooled = neck.pool_parts(maps)
    mean, var = torch.zeros(3), torch.ones(3)
    feats = neck(maps)
    for name in NAMES:
        z = pooled[name] @ linear.weight.T
        expected = ((z - z.mean(0)) / (z.var(0, unbiased=False) + norm.eps).sqrt()).clamp(min=0)
        torch.testing.assert_close(feats[name], expected, rtol=1e-4, atol=1e-5)
        mean, var = 0.9 * mean + 0.1 * z.mean(0), 0.9 * var + 0.1 * z.var(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, var)
    assert norm.num_batches_tracked == 8


def test_separate_reductions_and_unreduced_globals():
    neck = PartPoolingNeck(4, 3, reduction='separate', unreduced_globals=True)
    assert list(neck.reduction) == NAMES
    maps = (torch.randn(5, 4, 6, 2), torch.randn(5, 4, 12, 4), torch.randn(5, 4, 12, 4))
    feats = neck(maps)
    for b, x in enumerate(maps, start=1):
        assert torch.equal(feats[f'unreduced_{b}'], x.amax((2, 3)))
    sum(feats[name].square().sum() * (1 + i) for i, name in enumerate(NAMES)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in neck.parameters())
    assert {norm.num_batches_tracked.item() for norm in neck.modules() if isinstance(norm, nn.BatchNorm1d)} == {1}


def test_branches_are_a_list():
    neck = PartPoolingNeck(4, 3, branches=[dict(stripes=4), dict(stripes=1)])
    feats = neck.eval()((torch.rand(2, 4, 8, 2), torch.rand(2, 4, 5, 2)))
    assert neck.names == ['global_1', 'global_2', 'part_1_1', 'part_1_2', 'part_1_3', 'part_1_4']
    assert feats['feat'].shape == (2, 18)
    assert torch.equal(feats['feat'][:, 6:9], feats['part_1_1'])


def test_a_bias_in_front_of_the_norm_is_an_option():
    assert PartPoolingNeck(4, 3).reduction[0].bias is None
    neck = PartPoolingNeck(4, 3, reduction_cfg=dict(bias=True, norm_cfg=dict(type='BN1d'), act_cfg=dict(type='ReLU')))
    assert neck.reduction[0].bias.shape == (3, ) and (neck.reduction[0].bias == 0).all()


def test_stripes_that_do_not_divide():
    neck, maps = PartPoolingNeck(4, 3), [torch.rand(2, 4, h, 4) for h in (8, 16, 16)]
    with pytest.raises(ValueError, match=r'branch 3 cuts its map into 3 stripes .* has height 16\..*multiple'):
        neck(maps)
    with pytest.raises(ValueError, match=r'input height is 256; one of 288 works, .* multiple of 96 .*\(64, 288\)'):
        neck([torch.rand(2, 3, 256, 64), *maps])


@pytest.mark.parametrize('height', [288, 384])
def test_the_named_height_works(height):
    maps = [torch.rand(2, 4, height // stride, 4) for stride in (32, 16, 16)]
    assert PartPoolingNeck(4, 3)([torch.rand(2, 3, height, 64), *maps])['feat'].shape == (2, 24)


def test_one_image_in_training():
    neck, maps = PartPoolingNeck(4, 3), [torch.rand(1, 4, h, 4) for h in (6, 12, 12)]
    with pytest.raises(ValueError, match='drop_last'):
        neck(maps)
    assert neck.eval()(maps)['feat'].shape == (1, 24)


@pytest.mark.parametrize('kwargs, message', [
    (dict(reduction='none'), "must be one of .'shared', 'separate'."),
    (dict(branches=[]), 'must be a list of dict.stripes=N.'),
    (dict(branches=[dict(stripes=0)]), 'must be a list of dict.stripes=N.'),
    (dict(branches=[dict(parts=2)]), 'must be a list of dict.stripes=N.'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PartPoolingNeck(4, **kwargs)


def test_wrong_maps():
    with pytest.raises(ValueError, match='built for maps of 5 channels and got 4'):
        PartPoolingNeck(5)([torch.rand(2, 4, h, 4) for h in (6, 12, 12)])
    with pytest.raises(ValueError, match='3 branches and got 2 maps'):
        PartPoolingNeck(4)([torch.rand(2, 4, 6, 4)] * 2)


@pytest.mark.parametrize('height', [400, 390, 250, 128])
def test_the_height_that_is_named_works(height):
    """Also where the input does not divide, so that maps round up: strides are 32, 16 and 16."""
    neck = PartPoolingNeck(4, feat_channels=2)

    def maps(height):
        return (torch.zeros(2, 3, height, 32), *(torch.zeros(2, 4, -(-height // s), 2) for s in (32, 16, 16)))

    with pytest.raises(ValueError, match='stripes of equal height') as error:
        neck(maps(height))
    named = int(re.search(r'one of (\d+) works', str(error.value)).group(1))
    assert height <= named < height + 96
    neck(maps(named))


@pytest.mark.parametrize('branches', [[1, 2], [dict(stripes=True)], [dict(stripes=0)], []], ids=repr)
def test_branches_that_are_none(branches):
    with pytest.raises(ValueError, match='must be a list of dict'):
        PartPoolingNeck(4, branches=branches)

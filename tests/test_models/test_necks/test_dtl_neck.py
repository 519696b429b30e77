"""The auxiliary branch and the neck of deep transfer learning."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.googlenet import InceptionAux

from mmreid.models.backbones import GoogLeNet
from mmreid.models.necks import AuxiliaryBranch, DTLNeck

SMALL = dict(feat_channels=7, mid_channels=5)


def naive(branch, x, windows):
    """The branch in loops: averages of the windows, then every output by itself."""
    conv, fc = branch.conv.conv, branch.fc
    rows, columns = windows
    out = []
    for image in x:
        hidden = torch.empty(conv.out_channels, len(rows), len(columns))
        for i, (top, bottom) in enumerate(rows):
            for j, (left, right) in enumerate(columns):
                mean = torch.stack([channel[top:bottom, left:right].sum() / ((bottom - top) * (right - left))
                                    for channel in image])
                for c in range(conv.out_channels):
                    hidden[c, i, j] = max(0., float((conv.weight[c, :, 0, 0] * mean).sum() + conv.bias[c]))
        out.append([max(0., float((fc.weight[k] * hidden.flatten()).sum() + fc.bias[k]))
                    for k in range(fc.out_features)])
    return torch.tensor(out)


def adaptive(side):
    return [(i * side // 4, math.ceil((i + 1) * side / 4)) for i in range(4)]


@pytest.mark.parametrize('size', [(4, 4), (8, 4), (14, 14), (7, 9), (16, 8)])
@torch.no_grad()
def test_adaptive_branch_in_loops(size):
    torch.manual_seed(0)
    branch, x = AuxiliaryBranch(6, **SMALL), torch.randn(2, 6, *size)
    torch.testing.assert_close(branch(x), naive(branch, x, tuple(map(adaptive, size))), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('size', [(14, 14), (16, 15)])
@torch.no_grad()
def test_branch_with_the_windows_of_the_paper_in_loops(size):
    """Szegedy et al., section 5: 5x5 with stride 3, which gives 4x4."""
    torch.manual_seed(0)
    branch, x = AuxiliaryBranch(6, pool='5x5', **SMALL), torch.randn(2, 6, *size)
    windows = [(0, 5), (3, 8), (6, 11), (9, 14)]
    torch.testing.assert_close(branch(x), naive(branch, x, (windows, windows)), rtol=1e-4, atol=1e-5)
    other = AuxiliaryBranch(6, **SMALL)
    other.load_state_dict(branch.state_dict())
    assert not torch.allclose(other(x), branch(x), atol=1e-3)


@torch.no_grad()
def test_branch_with_batch_norm_is_torchvisions():
    torch.manual_seed(0)
    reference = InceptionAux(512, 10).eval()
    bn = reference.conv.bn
    nn.init.uniform_(bn.running_var, 0.5, 1.5)
    nn.init.normal_(bn.running_mean, std=0.1)
    branch = AuxiliaryBranch(512, norm_cfg=dict(type='BN', eps=0.001)).eval()
    branch.conv.conv.load_state_dict(reference.conv.conv.state_dict())
    branch.conv.norm.load_state_dict(bn.state_dict())
    branch.fc.load_state_dict(reference.fc1.state_dict())
    x = torch.randn(2, 512, 14, 14)
    feat = branch(x)
    assert feat.shape == (2, 1024) and feat.std() > 0.01
    torch.testing.assert_close(reference.fc2(feat), reference(x), rtol=1e-5, atol=1e-5)


def test_parameters_of_a_branch():
    """Those of the paper: 1x1 with 128 filters, 1024 units, biases; no dropout and no classifier."""
    branch = AuxiliaryBranch(528)
    assert sum(p.numel() for p in branch.parameters()) == 528 * 128 + 128 + 2048 * 1024 + 1024
    assert not any(isinstance(m, nn.Dropout) for m in branch.modules())
    x = torch.randn(2, 528, 4, 4)
    assert torch.equal(branch.train()(x), branch.eval()(x)) and branch(x).min() >= 0


@pytest.mark.parametrize('size', [(3, 4), (8, 3), (1, 1)])
def test_a_map_too_small_names_the_size_of_the_input(size):
    with pytest.raises(ValueError) as error:
        AuxiliaryBranch(6, **SMALL)(torch.randn(2, 6, *size))
    text = str(error.value)
    assert f'got one of {size[0]} x {size[1]}' in text and f'about {16 * size[0]} x {16 * size[1]}' in text
    assert 'at least 64 x 64' in text and 'dict(type="Resize", scale=(64, 64))' in text and 'aux=False' in text


@pytest.mark.parametrize('height, width, fits', [(64, 64, True), (63, 63, True), (62, 64, False), (64, 48, False)])
def test_the_size_that_is_named_works(height, width, fits):
    """Also through GoogLeNet itself, whose maps round as it does."""
    with torch.device('meta'):
        backbone, neck = GoogLeNet().eval(), DTLNeck()
        maps = backbone(torch.zeros(1, 3, height, width))
        if fits:
            assert neck(maps)['aux1'].shape == (1, 1024)
        else:
            with pytest.raises(ValueError, match='at least 64 x 64'):
                neck(maps)


@pytest.mark.parametrize('size', [(13, 14), (14, 17), (8, 4)])
def test_windows_of_the_paper_want_their_size(size):
    with pytest.raises(ValueError, match=r'sides of 14 to 16 only, so images must be 224 x 224.*pool="adaptive"'):
        AuxiliaryBranch(6, pool='5x5', **SMALL)(torch.randn(2, 6, *size))


@pytest.mark.parametrize('training', [True, False])
def test_neck(training):
    torch.manual_seed(0)
    neck = DTLNeck((6, 5, 9), aux_cfg=SMALL).train(training)
    maps = [torch.randn(2, c, *size) for c, size in ((6, (8, 4)), (5, (8, 4)), (9, (4, 2)))]
    feats = neck(maps)
    assert set(feats) == {'aux1', 'aux2', 'feat'}
    torch.testing.assert_close(feats['feat'], maps[2].flatten(2).sum(2) / 8)
    assert torch.equal(feats['aux1'], neck.auxiliary['aux1'](maps[0]))
    assert torch.equal(feats['aux2'], neck.auxiliary['aux2'](maps[1]))
    assert set(neck.state_dict()) == {f'auxiliary.{name}.{layer}.{kind}' for name in ('aux1', 'aux2')
                                      for layer in ('conv.conv', 'fc') for kind in ('weight', 'bias')}


def test_only_what_is_asked_for():
    """Without the auxiliary embeddings neither their branches run nor does the size of their maps matter."""
    neck = DTLNeck((6, 5, 9), aux_cfg=SMALL)
    maps = [torch.randn(2, c, *size) for c, size in ((6, (8, 4)), (5, (8, 4)), (9, (4, 2)))]
    whole, ran = neck(maps), []
    for name in ('aux1', 'aux2'):
        neck.auxiliary[name].register_forward_hook(lambda *_, name=name: ran.append(name))
    for keys in (('feat', ), ('aux2', ), ('aux1', 'feat')):
        ran.clear()
        feats = neck(maps, keys=keys)
        assert set(feats) == set(keys) and all(torch.equal(feats[key], whole[key]) for key in keys)
        assert ran == [key for key in keys if key != 'feat']
    small = [torch.randn(2, 6, 3, 1), torch.randn(2, 5, 3, 1), torch.randn(2, 9, 2, 1)]
    torch.testing.assert_close(neck(small, keys=['feat'])['feat'], small[2].mean((2, 3)))
    with pytest.raises(ValueError, match='at least 64 x 64'):
        neck(small)
    with pytest.raises(KeyError, match=r"asked for \['aux3'\] and gives \['aux1', 'aux2', 'feat'\]"):
        neck(maps, keys=('aux3', ))


def test_neck_without_auxiliary_branches():
    neck = DTLNeck(aux=False)
    maps = (torch.randn(2, 512, 1, 1), torch.randn(2, 528, 1, 1), torch.randn(2, 1024, 1, 1))
    for given in (maps, maps[2:]):
        feats = neck(given)
        assert set(feats) == {'feat'} and torch.equal(feats['feat'], maps[2].flatten(1))
    assert not list(neck.parameters())


def test_neck_with_a_layer_for_the_feature():
    neck = DTLNeck((9, ), aux=False, feat_channels=4, reduction_cfg=dict(act_cfg=dict(type='ReLU')))
    x = torch.randn(3, 9, 2, 2)
    expected = (x.mean((2, 3)) @ neck.reduction[0].weight.T + neck.reduction[0].bias).clamp(min=0)
    torch.testing.assert_close(neck([x])['feat'], expected)


@pytest.mark.parametrize('call, message', [
    (lambda: AuxiliaryBranch(6, pool='max'), 'pool of AuxiliaryBranch must be one of'),
    (lambda: DTLNeck((512, 1024)), r'two auxiliary maps and of the last one.*got \(512, 1024\)'),
    (lambda: DTLNeck((), aux=False), 'got none'),
    (lambda: DTLNeck(aux=False, aux_cfg=dict(pool='5x5')), 'aux_cfg of DTLNeck is for aux=True'),
    (lambda: DTLNeck(reduction_cfg=dict(bias=False)), 'reduction_cfg of DTLNeck is for feat_channels'),
    (lambda: DTLNeck()([torch.randn(1, 1024, 7, 7)]), r'\(512, 528, 1024\) channels and got \(1024,\).*out_indices'),
    (lambda: DTLNeck(aux=False)([torch.randn(1, 528, 7, 7)]), 'last map of 1024 channels and got 528'),
    (lambda: DTLNeck(aux=False)([]), 'got no map'),
    (lambda: DTLNeck((9, ), aux=False, feat_channels=4, reduction_cfg=dict(norm_cfg=dict(type='BN1d')))(
        [torch.randn(1, 9, 2, 2)]), 'at least two images.*norm_cfg=None in reduction_cfg of the DTLNeck'),
])
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

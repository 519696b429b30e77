"""The neck of several embeddings, and a composite network of two losses."""

import pytest
import torch

from mmreid.models import EmbeddingNet
from mmreid.models.necks import CompositeNeck
from mmreid.structures import ReIDDataSample


def samples(*labels):
    return [ReIDDataSample().set_gt_label(label) for label in labels]


def test_by_hand():
    torch.manual_seed(0)
    neck, x = CompositeNeck(6, dict(tri=3, ce=2)), torch.randn(4, 6, 5, 2)
    feats = neck((None, x))
    pooled = torch.stack([image.flatten(1).max(1).values for image in x])
    for name, length in (('tri', 3), ('ce', 2)):
        assert feats[name].shape == (4, length)
        torch.testing.assert_close(feats[name], pooled @ neck.reductions[name][0].weight.T)
    # In the order of the config, not of the alphabet.
    assert torch.equal(feats['feat'], torch.cat([feats['tri'], feats['ce']], 1)) and len(feats) == 3
    assert set(neck.state_dict()) == {'reductions.tri.0.weight', 'reductions.ce.0.weight'}


def test_sizes_of_the_paper():
    """2048 -> two times 1024 by 1x1 convolutions after the pooling, 2048 in a row."""
    neck = CompositeNeck()
    feats = neck([torch.randn(2, 2048, 8, 4)])
    assert {name: feat.shape[1] for name, feat in feats.items()} == dict(ce=1024, tri=1024, feat=2048)
    assert sum(p.numel() for p in neck.parameters()) == 2 * 2048 * 1024
    assert repr(neck.pool) == "GlobalPool('max')"
    assert not torch.equal(*(layers[0].weight for layers in neck.reductions.values()))


def test_options():
    x = torch.randn(3, 6, 5, 2)
    neck = CompositeNeck(6, dict(a=4), 'avg', dict(norm_cfg=dict(type='BN1d'), act_cfg=dict(type='ReLU')))
    expected = torch.relu(neck.reductions['a'][1](x.mean((2, 3)) @ neck.reductions['a'][0].weight.T))
    assert torch.allclose(neck((x, ))['feat'], expected, atol=1e-6) and neck.reductions['a'][0].bias is None
    with pytest.raises(ValueError, match='at least two images.*norm_cfg=None in reduction_cfg of the CompositeNeck'):
        neck((x[:1], ))
    assert CompositeNeck(6, dict(a=4), reduction_cfg=dict(bias=True)).reductions['a'][0].bias is not None


@pytest.mark.parametrize('out_channels', [{}, None, 1024, dict(ce=0), dict(ce=True), dict(ce='1024'),
                                          dict(ce=8, feat=8)])
def test_bad_embeddings(out_channels):
    with pytest.raises(ValueError, match='out_channels of CompositeNeck must be.*ReductionNeck'):
        CompositeNeck(6, out_channels)


@pytest.mark.parametrize('name', ['a.b', '', 'keys', 'training', 'forward', 1, None])
def test_names_that_an_embedding_cannot_have(name):
    with pytest.raises(ValueError, match=f'without dots and not that of an attribute of a module, got {name!r}$'):
        CompositeNeck(6, {'tri': 4, name: 4})


@pytest.mark.parametrize('channels', [0, -1, 2.0, True, '6', None])
def test_channels_that_cannot_be(channels):
    with pytest.raises(ValueError, match=f'in_channels of CompositeNeck must be a positive whole .* got {channels!r}$'):
        CompositeNeck(channels, dict(tri=4))


def test_another_number_of_channels():
    with pytest.raises(ValueError, match='built for maps of 6 channels and got 5'):
        CompositeNeck(6)((torch.randn(2, 5, 3, 3), ))


def test_each_loss_trains_its_own_branch():
    """And both the backbone; what is extracted is both in a row."""
    torch.manual_seed(1)
    loss = dict(type='GeneralizedBatchHardTripletLoss', k=2, p=2, margin=0.1)
    net = EmbeddingNet(
        dict(type='ResNetTaps', depth=18), dict(type='CompositeNeck', in_channels=512, out_channels=dict(ce=16, tri=8)),
        dict(ce=dict(type='ClassificationHead', in_key='ce', in_channels=16, num_classes=3),
             tri=dict(type='TripletHead', in_key='tri', loss=loss)))
    images = torch.randn(6, 3, 64, 32)
    losses = net(images, samples(0, 0, 1, 1, 2, 2), mode='loss')
    for name, key, other in (('ce', 'ce.loss_ce', 'tri'), ('tri', 'tri.loss_triplet', 'ce')):
        net.zero_grad()
        losses[key].backward(retain_graph=True)
        assert net.neck.reductions[name][0].weight.grad.abs().max() > 0
        assert net.neck.reductions[other][0].weight.grad is None
        assert net.backbone.conv1.weight.grad.abs().max() > 0
    net.eval()
    feats = net(images)
    assert torch.equal(net.extract_feature(images), torch.cat([feats['ce'], feats['tri']], 1))
    assert net(images, mode='predict')[0].feature.shape == (24, )


def test_both_losses_on_one_embedding():
    """Section 4.3, with the neck there is."""
    net = EmbeddingNet(
        dict(type='ResNetTaps', depth=18), dict(type='ReductionNeck', in_channels=512, feat_channels=None, pool='max'),
        dict(ce=dict(type='ClassificationHead', in_channels=512, num_classes=3),
             tri=dict(type='TripletHead', loss=dict(type='GeneralizedBatchHardTripletLoss'))))
    losses = net(torch.randn(6, 3, 64, 32), samples(0, 0, 1, 1, 2, 2), mode='loss')
    assert set(losses) == {'ce.loss_ce', 'ce.accuracy', 'tri.loss_triplet', 'tri.num_anchors', 'tri.num_clamped',
                           'tri.share_flat'}
    assert net.eval()(torch.randn(2, 3, 64, 32))['feat'].shape == (2, 512)

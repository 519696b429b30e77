import pytest
import torch

from mmreid.models.necks import AutoencoderNeck, ReductionNeck
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample


def test_base_is_the_feature_of_the_plain_neck_and_feat_its_code():
    torch.manual_seed(0)
    neck, x = AutoencoderNeck(6, code_channels=4, feat_channels=5), torch.randn(3, 6, 4, 2)
    plain = ReductionNeck(6, 5)
    plain.load_state_dict({key: value for key, value in neck.state_dict().items() if key.startswith('reduction.')})
    feats = neck((None, x))
    assert sorted(feats) == ['base', 'feat'] and feats['feat'].shape == (3, 4)
    assert torch.equal(feats['base'], plain((x, ))['feat'])
    linear = neck.encoder[0]
    torch.testing.assert_close(feats['feat'], (feats['base'] @ linear.weight.T + linear.bias).clamp(min=0))


def test_weights_are_named_as_in_the_plain_neck():
    assert {key for key in AutoencoderNeck(6, 4, 5).state_dict() if 'encoder' not in key} == set(
        ReductionNeck(6, 5).state_dict())
    assert set(AutoencoderNeck(6, 4).state_dict()) == {'encoder.0.weight', 'encoder.0.bias'}


def test_activation_and_pooling():
    x = torch.randn(3, 6, 4, 2)
    linear = AutoencoderNeck(6, 4, act_cfg=None, pool='max')
    feats = linear((x, ))
    assert torch.equal(feats['base'], x.amax((2, 3))) and (feats['feat'] < 0).any()
    squashed = AutoencoderNeck(6, 4, act_cfg=dict(type='Sigmoid'))((x, ))['feat']
    assert 0 < squashed.min() and squashed.max() < 1


def test_the_code_is_the_feature_at_test_time():
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='EmbeddingNet', backbone=dict(type='ResNetTaps', depth=18),
        neck=dict(type='AutoencoderNeck', in_channels=512, code_channels=7))).eval()
    images = torch.rand(2, 3, 64, 32)
    predicted = model(images, [ReIDDataSample(), ReIDDataSample()], mode='predict')
    feats = model(images, mode='tensor')
    torch.testing.assert_close(torch.stack([sample.feature for sample in predicted]), feats['feat'])
    assert feats['feat'].shape == (2, 7) and feats['base'].shape == (2, 512)


def test_length_of_the_code():
    with pytest.raises(ValueError, match='code_channels'):
        AutoencoderNeck(6, 0)

import pytest
import torch

from mmreid.models.necks import BNNeck, ReductionNeck


def test_reduction_is_the_same_before_and_after_average_pooling():
    neck, x = ReductionNeck(6, 4), torch.randn(3, 6, 5, 2)
    linear = neck.reduction[0]
    before = torch.nn.functional.conv2d(x, linear.weight[:, :, None, None], linear.bias).mean((2, 3))
    torch.testing.assert_close(neck((None, x))['feat'], before)


def test_reduction_options():
    neck = ReductionNeck(6, 4, reduction_cfg=dict(norm_cfg=dict(type='BN1d'), act_cfg=dict(type='ReLU')))
    assert neck.reduction[0].bias is None
    assert (neck((torch.randn(3, 6, 5, 2), ))['feat'] >= 0).all()
    with pytest.raises(ValueError, match='drop_last'):
        neck((torch.randn(1, 6, 5, 2), ))
    assert ReductionNeck(6, 4, reduction_cfg=dict(bias=False)).reduction[0].bias is None


@pytest.mark.parametrize('pool', ['avg', 'max', 'gem'])
def test_without_reduction_the_pooled_map_is_the_feature(pool):
    neck, x = ReductionNeck(6, None, pool=pool), torch.rand(3, 6, 5, 2)
    assert torch.equal(neck((x, ))['feat'], neck.pool(x))


def test_bnneck():
    neck, x = BNNeck(6), torch.randn(8, 6, 5, 2) * 3 + 1
    feats = neck((x, ))
    assert sorted(feats) == ['feat', 'feat_before_bn']
    pooled = x.mean((2, 3))
    torch.testing.assert_close(feats['feat_before_bn'], pooled)
    expected = (pooled - pooled.mean(0)) / (pooled.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(feats['feat'], expected, rtol=1e-4, atol=1e-5)
    assert [name for name, p in neck.named_parameters() if p.requires_grad] == ['norm.weight']
    with pytest.raises(ValueError, match=r'at least two images.*or use a larger batch\.$'):  # its norm is what it is
        neck((x[:1], ))
    assert neck.eval()((x[:1], ))['feat'].shape == (1, 6)

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmreid.models.necks import EmbAENeck


def test_embedding_and_pooled_features():
    torch.manual_seed(0)
    neck, maps = EmbAENeck(6, 8, 4), (torch.zeros(2, 1, 1, 1), torch.randn(5, 6, 3, 2))
    for training in (False, True):
        neck.train(training)
        feats = neck(maps)
        pooled = maps[-1].sum((2, 3)) / 6
        assert set(feats) == {'feat', 'pooled'}
        torch.testing.assert_close(feats['pooled'], pooled)
        layers = neck.embedding
        hidden = F.relu(F.linear(pooled, layers.hidden.weight, layers.hidden.bias))
        mean, var = hidden.mean(0), hidden.var(0, correction=0)
        if not training:
            mean, var = torch.zeros(8), torch.ones(8)
        hidden = (hidden - mean) / (var + 1e-5).sqrt()
        torch.testing.assert_close(feats['feat'], F.linear(hidden, layers.code.weight, layers.code.bias))


def test_sizes_of_the_paper():
    feats = EmbAENeck().eval()((torch.zeros(1, 1024, 8, 4), ))
    assert feats['feat'].shape == (1, 128) and feats['pooled'].shape == (1, 1024)
    assert {name.split('.')[0] for name, _ in EmbAENeck().named_parameters()} == {'embedding'}


def test_other_pooling():
    maps = (torch.randn(3, 6, 3, 2), )
    assert torch.equal(EmbAENeck(6, 8, 4, pool='max')(maps)['pooled'], maps[0].amax((2, 3)))


def test_a_batch_of_one_image():
    neck, image = EmbAENeck(6, 8, 4), (torch.randn(1, 6, 3, 2), )
    with pytest.raises(ValueError, match='at least two images.*drop_last=True.*or use a larger batch\\.$'):
        neck.train()(image)
    alone = neck.eval()(image)['feat']
    assert alone.shape == (1, 4)
    neck.train()
    neck.embedding.eval()  # frozen
    assert torch.equal(neck(image)['feat'], alone)


def test_bad_input():
    with pytest.raises(ValueError, match='in_channels=6.*has 5.*neck and heads.ae'):
        EmbAENeck(6, 8, 4)((torch.zeros(2, 5, 1, 1), ))
    with pytest.raises(ValueError, match='out_channels of DenseEncoder must be positive'):
        EmbAENeck(6, 8, 0)
    assert isinstance(EmbAENeck(6).embedding.norm, nn.BatchNorm1d)
